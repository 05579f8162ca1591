"""``resolverd lists``: how each list fares, and using it or not."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from resolverd import config as configuration
from resolverd.cli import output
from resolverd.cli.daemon import DaemonClient, Refused, Unreachable
from resolverd.cli.options import SuggestingGroup, config_option, json_option
from resolverd.config.lists import catalogue
from resolverd.spelling import did_you_mean

_COLUMNS = ("list", "state", "asked", "listed", "failed", "p50/p99 ms", "quota left", "lasts")


@click.group("lists", cls=SuggestingGroup, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context, as_json: bool, config: Path | None) -> None:
    """How each list fares: state, figures, quota, terms.

    \b
    ok           it is asked
    suspended    it answered with error codes, or lists what no list may list
    unreachable  it did not answer
    spent        its quota is used up
    disabled     it is not in use

    Only a list that is ok is asked; the others are tried again by themselves, `probe` does so now. What is left of a quota lasts
    for so long at the present pace.
    """
    if ctx.invoked_subcommand is not None:
        return
    found = DaemonClient(configuration.load(config)).get("v1", "lists")
    if as_json:
        output.print_json(found)
    elif output.on_terminal():
        show(found["lists"])
    else:
        rows = [(*_row(entry), " ".join(sorted(entry["kinds"])), _trouble(entry), entry["terms"]) for entry in found["lists"]]
        output.print_table((*_COLUMNS, "kinds", "trouble", "terms"), rows)


@command.command("enable")
@click.argument("name")
@json_option
@config_option
def enable(name: str, as_json: bool, config: Path | None) -> None:
    """Use a list until the next start; for good: [lists.NAME] enabled in config.toml."""
    _change(config, name, "enable", as_json)


@command.command("disable")
@click.argument("name")
@json_option
@config_option
def disable(name: str, as_json: bool, config: Path | None) -> None:
    """Stop using a list until the next start; for good: [lists.NAME] enabled in config.toml."""
    _change(config, name, "disable", as_json)


@command.command("probe")
@click.argument("name")
@json_option
@config_option
def probe(name: str, as_json: bool, config: Path | None) -> None:
    """Ask a list's test points now (RFC 5782, section 5), and say how it fares."""
    _change(config, name, "probe", as_json)


def _change(config: Path | None, name: str, what: str, as_json: bool) -> None:
    settings = configuration.load(config)
    daemon = DaemonClient(settings)
    try:
        with output.waiting(f"{what} {name}"):
            entry = daemon.post("v1", "lists", name, what, body={})
    except Refused as refused:
        if refused.status != 404:
            raise
        raise _unknown(name, [each["id"] for each in daemon.get("v1", "lists")["lists"]]) from None
    except Unreachable:
        if name not in (known := {*catalogue().entries, *settings.lists}):
            raise _unknown(name, known) from None
        raise
    if as_json:
        output.print_json(entry)
    else:
        error = f" ({entry['last_error']})" if entry["last_error"] else ""
        output.print_text(f"{entry['id']}: {entry['state']}{error}")


def _unknown(name: str, known: Iterable[str]) -> click.UsageError:
    return click.BadParameter(f"no list {name!r} is known{did_you_mean(name, known)}", param_hint="NAME")


def show(lists: list[dict[str, Any]]) -> None:
    """On a terminal: the lists in use, what is wrong with them, their terms; the others by name."""
    used = [entry for entry in lists if entry["enabled"]]
    output.print_table(_COLUMNS, map(_row, used), right=_COLUMNS[2:], empty="no list is in use")
    click.echo()
    for entry in used:
        output.print_facts([(entry["id"], _trouble(entry))])
    output.print_facts([(f"{entry['id']}, terms", entry["terms"]) for entry in used])
    output.print_facts([("not in use", " ".join(entry["id"] for entry in lists if not entry["enabled"]))])


def _row(entry: dict[str, Any]) -> tuple[object, ...]:
    quota = f"{entry['quota_left']}/{entry['quota']}" if entry["quota"] is not None else ""
    latency = f"{entry['p50']:.0f}/{entry['p99']:.0f}" if entry["p50"] is not None else ""
    counts = (entry["asked"], entry["listed"], entry["failed"])
    return (entry["id"], entry["state"], *counts, latency, quota, output.seconds(entry["forecast"]))


def _trouble(entry: dict[str, Any]) -> str:
    own = [f"lists our own {address}" for address in entry["watched"]]
    return "; ".join([*own, *([f"last error {entry['last_error']}"] if entry["last_error"] else [])])
