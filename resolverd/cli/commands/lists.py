"""``resolverd lists``: how each list fares."""

from pathlib import Path
from typing import Any

import click

from resolverd import config as configuration
from resolverd.cli import output
from resolverd.cli.daemon import DaemonClient, Unreachable, no_daemon
from resolverd.cli.options import config_option, config_path, json_option

_COLUMNS = ("list", "state", "kinds", "quota left", "lasts", "asked", "listed", "failed", "p50 ms", "p99 ms", "last error")


@click.command("lists")
@json_option
@config_option
@click.pass_context
def command(ctx: click.Context, as_json: bool, config: Path | None) -> None:
    """Each list: its state, what is left of its quota, its figures, its terms."""
    daemon = DaemonClient(configuration.load(config_path(ctx, config)))
    try:
        found = daemon.get("v1", "lists")
    except Unreachable:
        raise no_daemon(daemon) from None
    if as_json:
        output.print_json(found)
    elif output.on_terminal():
        show(found["lists"])
    else:
        output.print_table((*_COLUMNS, "terms"), [(*_row(entry), entry["terms"]) for entry in found["lists"]])


def show(lists: list[dict[str, Any]]) -> None:
    """On a terminal: the lists in use with their terms, the others by name."""
    used = [entry for entry in lists if entry["enabled"]]
    output.print_table(_COLUMNS, map(_row, used), right=("quota left", "lasts", "asked", "listed", "failed", "p50 ms", "p99 ms"))
    output.print_facts([(f"{entry['id']}", entry["terms"]) for entry in used])
    output.print_facts([("not in use", " ".join(entry["id"] for entry in lists if not entry["enabled"]))])


def _row(entry: dict[str, Any]) -> tuple[object, ...]:
    quota = f"{entry['quota_left']} of {entry['quota']}" if entry["quota"] is not None else ""
    counts = (entry["asked"], entry["listed"], entry["failed"], entry["p50"], entry["p99"])
    lasts = output.seconds(entry.get("forecast"))
    trouble = [f"lists our own {address}" for address in entry.get("watched", [])]
    words = "; ".join(filter(None, (*trouble, entry["last_error"])))
    return (entry["id"], entry["state"], " ".join(sorted(entry["kinds"])), quota, lasts, *counts, words)
