"""``resolverd serve``."""

from pathlib import Path

import click

from resolverd.cli.options import config_option, config_path, leave


@click.command("serve")
@config_option
@click.pass_context
def command(ctx: click.Context, config: Path | None) -> None:
    """Run the daemon in the foreground.

    Logs to stderr; tells systemd when it is ready; SIGHUP rereads the configuration, SIGTERM ends it.
    """
    from resolverd.app.serve import run

    leave(run(config_path(ctx, config)))
