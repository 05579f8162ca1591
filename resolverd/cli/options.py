"""What commands have in common: ``-c`` and ``--json`` at any place, statuses, and failing with one clear line.

With ``--json`` a failure is an object too, on stdout: ``{"error": TEXT, "status": STATUS, "faults": [{"path", "text"}]}``. On
stderr stands what always stands there.
"""

import getpass
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import click

from resolverd.cli import output
from resolverd.failures import ConfigFault
from resolverd.spelling import did_you_mean

CONFIGURATION_ERROR: Final = 78
"""EX_CONFIG of sysexits(3)."""
USAGE_ERROR: Final = click.UsageError.exit_code
VERDICT_STATUS: Final = {"accept": 0, "defer": 10, "greylist": 10, "reject": 20}

_Command = TypeVar("_Command", bound=Callable[..., Any])


_CONFIG: Final = "resolverd.config"
_CONFIG_NAMES: Final = ("-c", "--config")
_JSON: Final = "resolverd.json"
_SENTENCE: Final = 1000
"""Characters that a first sentence may have."""
_JSON_NAMES: Final = ("--json", "as_json")


class CommandError(click.ClickException):
    """A command that could not do its work: one line on stderr, status 1."""

    def show(self, file: Any = None) -> None:
        """The line; on a terminal as many as it needs."""
        for line in self.message.splitlines():
            text = f"resolverd: {line}"
            click.echo("\n".join(output.wrapped(text, rest="  ")) if sys.stderr.isatty() else text, err=True, file=file)


class ConfigurationError(CommandError):
    """A faulty configuration: a line a fault, status 78."""

    exit_code = CONFIGURATION_ERROR

    def __init__(self, where: object, faults: Sequence[ConfigFault]):
        super().__init__("\n".join(f"{where}: {fault}" if fault.path else str(fault) for fault in faults))
        self.faults = faults


class SuggestingGroup(click.Group):
    """A group that takes what every command takes, and names the nearest subcommand for one that it does not have.

    Its own function is given it where it may be called without a subcommand.
    """

    def __init__(self, *arguments: Any, **values: Any):
        super().__init__(*arguments, **values)
        self.params += [
            click.Option(_JSON_NAMES, **_json_attributes(), expose_value=self.invoke_without_command),
            click.Option(_CONFIG_NAMES, **_config_attributes(), expose_value=self.invoke_without_command),
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The subcommands with the whole first sentence of each, where click cuts it at the end of the line."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, each.get_short_help_str(_SENTENCE)) for name, each in commands if each is not None and not each.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The subcommand, or a usage error."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if "such command" not in error.message or "Did you mean" in error.message:
                raise
            near = did_you_mean(args[0], self.list_commands(ctx))
            raise click.UsageError(f"No such command {args[0]!r}{near}", ctx) from None


def show_failure(failure: click.ClickException) -> None:
    """A failure where one JSON object is expected: the object on stdout, and the failure's own words on stderr."""
    faults = [{"path": fault.path, "text": fault.text} for fault in getattr(failure, "faults", ())]
    output.print_json({"error": failure.format_message(), "status": failure.exit_code, "faults": faults})
    failure.show()


def config_option(command: _Command) -> _Command:
    """``-c FILE``, given as `config` whether it stood with the command itself or with one above it."""
    return click.option(*_CONFIG_NAMES, **_config_attributes())(command)


def short_config_option(command: _Command) -> _Command:
    """``-c FILE`` alone, of a command whose ``--config`` names a second configuration."""
    return click.option("-c", "config", **_config_attributes())(command)


def json_option(command: _Command) -> _Command:
    """``--json``, given as `as_json` whether it stood with the command itself or with one above it."""
    return click.option(*_JSON_NAMES, **_json_attributes())(command)


def config_path(ctx: click.Context) -> Path | None:
    """The file that was named, with whatever command; None for the usual places."""
    named: Path | None = ctx.meta.get(_CONFIG)
    return named


def _config_attributes() -> dict[str, Any]:
    return {
        "type": click.Path(path_type=Path, dir_okay=False),
        "metavar": "FILE",
        "help": "Configuration; else ./config.toml, /etc/resolverd/config.toml, the defaults.",
        "callback": _remember(_CONFIG),
        "is_eager": True,
    }


def _json_attributes() -> dict[str, Any]:
    return {
        "is_flag": True,
        "help": "One JSON object with stable keys, for failures too.",
        "callback": _remember(_JSON),
        "is_eager": True,
    }


def _remember(key: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """What was said last, on the way down to the command."""

    def remember(ctx: click.Context, _: click.Parameter, value: Any) -> Any:
        if value:
            ctx.meta[key] = value
        return ctx.meta.get(key, value)

    return remember


def user() -> str:
    """Who types this: for lists of what was set by hand, and the audit log."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return f"uid {os.getuid()}"


def leave(status: int) -> NoReturn:
    """End with this status."""
    click.get_current_context().exit(status)
