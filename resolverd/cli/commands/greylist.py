"""``resolverd greylist``: looking into what greylisting remembers, and editing it."""

from pathlib import Path
from typing import Any

import click

from resolverd import config as configuration
from resolverd.cli import output
from resolverd.cli.daemon import DaemonClient
from resolverd.cli.options import SuggestingGroup, config_option, json_option
from resolverd.cli.words import Address

_COLUMNS = ("origin", "state", "kind", "sender", "recipient", "passes", "first", "last", "expires")
_PATIENCE = 60.0
"""Seconds for a piece of it: all the keys of a store that many hosts share may have to be gone through."""

_sender = click.option("--sender", metavar="ADDR", help="MAIL FROM; '' is the null sender.")
_recipient = click.option("--recipient", metavar="ADDR", help="RCPT TO.")


@click.group("greylist", cls=SuggestingGroup)
def command() -> None:
    """What greylisting remembers: look into it, let through, forget."""


@command.command("show")
@click.argument("ip", type=Address(), required=False)
@_sender
@_recipient
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="Records at the most.")
@json_option
@config_option
def show(
    ip: str | None,
    sender: str | None,
    recipient: str | None,
    limit: int,
    as_json: bool,
    config: Path | None,
) -> None:
    """What is remembered of the client IP and its network, of a sender, of a recipient, or of everybody.

    \b
    waiting   a triplet that was asked to come back and has not, or too soon
    passed    a triplet that came back in time: it passes from now on
    counting  a client, or an organisation's sender domain, that has passed
    allowed   one that has passed greylist.auto_allow_after times: it waits no
              more
    """
    query = _query(sender, recipient)
    records: list[dict[str, Any]] = []
    start: str | None = ""
    partial = False
    with output.waiting("looking through the greylist"):
        while start is not None and len(records) < limit:
            more = {"limit": str(min(limit - len(records), 1000)), **({"start": start} if start else {})}
            page = _ask(config, "get", ip, {**query, **more})
            records += page["records"]
            start = page["next"]
            partial |= page.get("partial", False)  # not of a daemon of an older release
    if as_json:
        output.print_json({"records": records, "more": start is not None, "partial": partial})
        return
    output.print_table(_COLUMNS, map(_row, records), right=("passes",), empty="nothing is remembered")
    if start is not None:
        click.echo(f"there may be more than these {len(records)}; --limit shows them", err=True)
    _tell_partial(partial)


@command.command("allow")
@click.argument("ip", type=Address())
@_sender
@_recipient
@json_option
@config_option
def allow(ip: str, sender: str | None, recipient: str | None, as_json: bool, config: Path | None) -> None:
    """Let the client IP through from now on; with sender and recipient, only this triplet, as if it had waited.

    It is forgotten like any other when it has sent nothing for greylist.max_age.
    """
    if (sender is None) != (recipient is None):
        raise click.UsageError("give --sender and --recipient together, or neither")
    record = _ask(config, "put", ip, _query(sender, recipient))
    if as_json:
        output.print_json(record)
    else:
        triplet = (record["origin"], record["sender"], record["recipient"])
        what = record["origin"] if record["kind"] == "client" else "/".join(map(output.shown, triplet))
        output.print_text(f"{what} waits no more")


@command.command("forget")
@click.argument("ip", type=Address(), required=False)
@_sender
@_recipient
@json_option
@config_option
def forget(ip: str | None, sender: str | None, recipient: str | None, as_json: bool, config: Path | None) -> None:
    """Forget the client IP and the triplets of its network, or those of a sender or a recipient: what `show` shows of them."""
    if ip is None and sender is None and recipient is None:
        raise click.UsageError("say what to forget: an IP, --sender or --recipient")
    query = _query(sender, recipient)
    forgotten, start, partial = 0, "", False
    with output.waiting("looking through the greylist"):
        while start is not None:
            found = _ask(config, "delete", ip, {**query, **({"start": start} if start else {})})
            forgotten += found["forgotten"]
            start = found.get("next")
            partial |= found.get("partial", False)
    if as_json:
        output.print_json({"forgotten": forgotten, "partial": partial})
        return
    click.echo(f"{forgotten} records forgotten")
    _tell_partial(partial)


def _tell_partial(partial: bool) -> None:
    """On stderr, as it is no record."""
    if partial:
        click.echo("the shared store is out of reach: this is of what this host has met itself", err=True)


def _ask(config: Path | None, method: str, ip: str | None, query: dict[str, str]) -> Any:
    daemon = DaemonClient(configuration.load(config), _PATIENCE)
    calls = {"get": daemon.get, "put": daemon.put, "delete": daemon.delete}
    return calls[method]("v1", "greylist", *([ip] if ip is not None else []), query=query)


def _query(sender: str | None, recipient: str | None) -> dict[str, str]:
    return {name: value for name, value in (("sender", sender), ("recipient", recipient)) if value is not None}


def _row(record: dict[str, Any]) -> tuple[object, ...]:
    times = (output.moment(record[name]) for name in ("first", "last", "expires"))
    sender = "<>" if record["sender"] == "" else record["sender"]
    return (record["origin"], record["state"], record["kind"], sender, record["recipient"], record["passes"], *times)
