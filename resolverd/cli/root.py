"""The command and its subcommands, found by name so that only what is called is imported."""

from importlib import import_module
from typing import Any

import click

from resolverd import __version__
from resolverd.cli.options import CommandError, ConfigurationError, SuggestingGroup, config_path, show_failure
from resolverd.failures import ConfigError

_COMMANDS = (
    "serve", "status", "reload", "check", "lookup", "lists", "allow", "deny", "overrides", "greylist", "cache", "report",
    "replay", "config", "doctor", "store", "import",
)  # fmt: skip

_ELSEWHERE = {"import": "import_.command", "allow": "overrides.allow", "deny": "overrides.deny"}
"""Commands that are not ``command`` in the module of their name."""
_FAILURE_OBJECT = "resolverd.failure_object"


class _Commands(SuggestingGroup):
    """A command is found in the module of its name in `resolverd.cli.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, or None."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _ELSEWHERE.get(cmd_name, f"{cmd_name}.command").partition(".")
        command: click.Command = getattr(import_module(f"resolverd.cli.commands.{module}"), name)
        return command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context. With ``--json`` anywhere, what is wrong from here on is told as an object as well."""
        as_object = "--json" in args
        try:
            ctx = super().make_context(info_name, args, parent, **extra)
        except click.ClickException as error:
            raise _told(error) if as_object else error from None
        ctx.meta[_FAILURE_OBJECT] = as_object
        return ctx

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what goes wrong becomes one clear message and a status."""
        try:
            return self._invoke(ctx)
        except click.ClickException as error:
            raise _told(error) if ctx.meta.get(_FAILURE_OBJECT) else error from None

    def _invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            from resolverd.config import find

            raise ConfigurationError(find(config_path(ctx)) or "the built-in configuration", error.faults) from None
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from None


def _told(failure: click.ClickException) -> click.exceptions.Exit:
    show_failure(failure)
    return click.exceptions.Exit(failure.exit_code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="resolverd", message="%(prog)s %(version)s")
def resolverd() -> None:
    """The DNS side of spam blocking for mail servers.

    Status: 0 done or accept, 1 failed, 2 usage, 10 defer or greylist, 20 reject, 78 configuration error.

    With --json a failure is an object on stdout as well, {"error", "status", "faults": [{"path", "text"}]}; its words stand on
    stderr as always.
    """
