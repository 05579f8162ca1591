"""The command and its subcommands, found by name so that only what is called is imported."""

from importlib import import_module
from pathlib import Path

import click

from resolverd import __version__
from resolverd.cli.options import CONFIGURATION_ERROR, CommandError, SuggestingGroup, config_option, config_path
from resolverd.failures import ConfigError

_COMMANDS = (
    "serve", "reload", "check", "lookup", "lists", "allow", "deny", "overrides", "greylist", "cache", "config", "doctor", "store",
    "import",
)  # fmt: skip

_ELSEWHERE = {"import": "import_.command", "allow": "overrides.allow", "deny": "overrides.deny"}
"""Commands that are not ``command`` in the module of their name."""


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

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what goes wrong becomes one clear message and a status."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            from resolverd.config import find

            where = find(config_path(ctx, None)) or "the built-in configuration"
            for fault in error.faults:
                click.echo(f"resolverd: {where}: {fault}" if fault.path else f"resolverd: {fault}", err=True)
            ctx.exit(CONFIGURATION_ERROR)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="resolverd", message="%(prog)s %(version)s")
@config_option
@click.pass_context
def resolverd(ctx: click.Context, config: Path | None) -> None:
    """The DNS side of spam blocking for mail servers.

    Status: 0 done or accept, 1 failed, 2 usage, 10 defer or greylist, 20 reject, 78 configuration error.
    """
    ctx.obj = config
