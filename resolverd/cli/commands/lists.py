"""``resolverd lists``: how each list fares, and using it or not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from resolverd import config as configuration
from resolverd.cli import output
from resolverd.cli.daemon import DaemonClient, Refused, Unreachable, no_daemon
from resolverd.cli.options import CommandError, SuggestingGroup, config_option, config_path, did_you_mean, json_option

_COLUMNS = ("list", "state", "kinds", "quota left", "lasts", "asked", "listed", "failed", "p50 ms", "p99 ms", "last error")


@click.group("lists", cls=SuggestingGroup, invoke_without_command=True)
@json_option
@config_option
@click.pass_context
def command(ctx: click.Context, as_json: bool, config: Path | None) -> None:
    """Each list: its state, what is left of its quota, its figures, its terms.

    States: ok · suspended (it answered with error codes, or lists what no list may list) · unreachable · spent (its quota is used
    up) · disabled. Only a list that is ok is asked.
    """
    config_path(ctx, config)
    if ctx.invoked_subcommand is not None:
        return
    found = _call(ctx, None, lambda daemon: daemon.get("v1", "lists"))
    if as_json:
        output.print_json(found)
    elif output.on_terminal():
        show(found["lists"])
    else:
        output.print_table((*_COLUMNS, "terms"), [(*_row(entry), entry["terms"]) for entry in found["lists"]])


@command.command("enable")
@click.argument("name")
@json_option
@config_option
@click.pass_context
def enable(ctx: click.Context, name: str, as_json: bool, config: Path | None) -> None:
    """Use a list until the next start; for good: [lists.NAME] enabled in config.toml."""
    _change(ctx, config, name, "enable", as_json)


@command.command("disable")
@click.argument("name")
@json_option
@config_option
@click.pass_context
def disable(ctx: click.Context, name: str, as_json: bool, config: Path | None) -> None:
    """Stop using a list until the next start; for good: [lists.NAME] enabled in config.toml."""
    _change(ctx, config, name, "disable", as_json)


@command.command("probe")
@click.argument("name")
@json_option
@config_option
@click.pass_context
def probe(ctx: click.Context, name: str, as_json: bool, config: Path | None) -> None:
    """Ask a list's test points now (RFC 5782, section 5), and say how it fares."""
    _change(ctx, config, name, "probe", as_json)


def _change(ctx: click.Context, config: Path | None, name: str, what: str, as_json: bool) -> None:
    try:
        entry = _call(ctx, config, lambda daemon: daemon.post("v1", "lists", name, what, body={}))
    except Refused as refused:
        if refused.status != 404:
            raise
        known = [each["id"] for each in _call(ctx, config, lambda daemon: daemon.get("v1", "lists"))["lists"]]
        raise CommandError(f"no list {name!r} is known{did_you_mean(name, known)}") from None
    if as_json:
        output.print_json(entry)
    else:
        error = f" ({entry['last_error']})" if entry["last_error"] else ""
        click.echo(output.shown(f"{entry['id']}: {entry['state']}{error}"))


def _call(ctx: click.Context, config: Path | None, call: Callable[[DaemonClient], Any]) -> Any:
    daemon = DaemonClient(configuration.load(config_path(ctx, config)))
    try:
        return call(daemon)
    except Unreachable:
        raise no_daemon(daemon) from None


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
