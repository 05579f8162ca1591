"""``resolverd reload``: the configuration read again."""

from pathlib import Path

import click

from resolverd import config as configuration
from resolverd.cli import output
from resolverd.cli.daemon import DaemonClient
from resolverd.cli.options import config_option, json_option


@click.command("reload")
@json_option
@config_option
def command(as_json: bool, config: Path | None) -> None:
    """Have the daemon read its configuration again.

    It says what changed and what needs a restart. A faulty file changes nothing; every fault of it is told.
    """
    daemon = DaemonClient(configuration.load(config))
    done = daemon.post("v1", "reload", body={})
    if as_json:
        output.print_json(done)
        return
    output.print_text(f"changed: {', '.join(done['changed'])}" if done["changed"] else "read again; nothing has changed")
    if done["restart"]:
        output.print_text(f"needs a restart: {', '.join(done['restart'])}")
    told = tuple(f"{key} has changed" for key in done["restart"])
    for remark in done["remarks"]:
        if remark.startswith(told):
            continue
        output.print_text(remark, label="remark: ")
