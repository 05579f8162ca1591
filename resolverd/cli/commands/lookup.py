"""``resolverd lookup``: what every list says."""

from pathlib import Path
from typing import Any

import click

from resolverd import config as configuration
from resolverd.cli import output
from resolverd.cli.daemon import DaemonClient, Unreachable
from resolverd.cli.options import config_option, config_path, json_option

_COLUMNS = ("list", "says", "codes", "points", "age", "why")


@click.command("lookup")
@click.argument("subject", metavar="IP|DOMAIN")
@json_option
@config_option
@click.pass_context
def command(ctx: click.Context, subject: str, as_json: bool, config: Path | None) -> None:
    """What every configured list says of an address or a domain."""
    settings = configuration.load(config_path(ctx, config))
    try:
        found = DaemonClient(settings).get("v1", "lookup", subject)
    except Unreachable:
        from resolverd.cli import in_process

        found = in_process.look_up(settings, subject)
    if as_json:
        output.print_json(found)
    else:
        show(found)


def show(found: dict[str, Any]) -> None:
    """The lists for people, a row each."""
    rows = []
    for entry in found["lists"]:
        says = "allowed" if entry["result"] == "listed" and entry["purpose"] == "allow" else entry["result"]
        why = entry.get("reason") or " ".join(filter(None, (entry.get("why"), entry.get("detail"))))
        points = f"{entry['weight']:+g}" if entry.get("weight") else ""
        rows.append((entry["list"], says, " ".join(entry.get("codes", [])), points, output.seconds(entry.get("age")), why))
    output.print_table(_COLUMNS, rows, right=("points", "age"))
    if not output.on_terminal():
        click.echo()
    output.print_facts([(word, found[word]) for word in ("listed", "allowed", "unknown")])
