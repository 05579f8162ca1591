"""The command line in this process, and all its commands."""

from collections.abc import Iterator

import click
from click.testing import CliRunner, Result

from resolverd.cli.root import resolverd


def run(*arguments: str) -> Result:
    return CliRunner().invoke(resolverd, list(arguments), prog_name="resolverd")


def commands(group: click.Group = resolverd, above: click.Context | None = None) -> Iterator[tuple[str, click.Command]]:
    """Every command and subcommand, groups too, with its path: ``resolverd cache nta add``."""
    ctx = above or click.Context(group, info_name="resolverd", **group.context_settings)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        below = click.Context(command, info_name=name, parent=ctx)
        yield below.command_path, command
        if isinstance(command, click.Group):
            yield from commands(command, below)
