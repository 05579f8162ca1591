"""What commands have in common: ``-c``, ``--json``, statuses, and failing with one clear line."""

import getpass
import os
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import click

CONFIGURATION_ERROR: Final = 78
"""EX_CONFIG of sysexits(3)."""
VERDICT_STATUS: Final = {"accept": 0, "defer": 10, "greylist": 10, "reject": 20}

_Command = TypeVar("_Command", bound=Callable[..., Any])


class CommandError(click.ClickException):
    """A command that could not do its work: one line on stderr, status 1."""

    def show(self, file: Any = None) -> None:
        """The line."""
        click.echo(f"resolverd: {self.message}", err=True, file=file)


class SuggestingGroup(click.Group):
    """A group that names the nearest subcommand for one that it does not have: a usage error, status 2."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The subcommand, or a usage error."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if "such command" not in error.message or "Did you mean" in error.message:
                raise
            near = did_you_mean(args[0], self.list_commands(ctx))
            raise click.UsageError(f"No such command {args[0]!r}{near}", ctx) from None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to say behind a word that is not known: the nearest one that is."""
    near = get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def config_option(command: _Command) -> _Command:
    """``-c FILE``, for the whole command and for each subcommand."""
    return click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Configuration; else ./config.toml, /etc/resolverd/config.toml, the defaults.",
    )(command)


def json_option(command: _Command) -> _Command:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON object with stable keys.")(command)


def config_path(ctx: click.Context, config: Path | None) -> Path | None:
    """The file named for the subcommand, else for the whole command; remembered, for messages about it."""
    root = ctx.find_root()
    if config is not None:
        root.obj = config
    return root.obj if isinstance(root.obj, Path) else None


def user() -> str:
    """Who types this: for lists of what was set by hand, and the audit log."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return f"uid {os.getuid()}"


def leave(status: int) -> NoReturn:
    """End with this status."""
    click.get_current_context().exit(status)
