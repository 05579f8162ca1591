"""``resolverd check``: the whole verdict on one client."""

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click

from resolverd import config as configuration
from resolverd.cli import output
from resolverd.cli.daemon import DaemonClient, Unreachable
from resolverd.cli.options import VERDICT_STATUS, config_option, config_path, json_option, leave

_COLUMNS = ("check", "code", "asked", "answered", "age", "points", "finding")


@click.command("check")
@click.argument("ip")
@click.option("--helo", metavar="NAME", help="What the client says in HELO or EHLO.")
@click.option("--sender", metavar="ADDR", help="MAIL FROM; '' is the null sender.")
@click.option("--recipient", metavar="ADDR", help="RCPT TO; without it nothing is greylisted.")
@json_option
@config_option
@click.pass_context
def command(
    ctx: click.Context,
    ip: str,
    helo: str | None,
    sender: str | None,
    recipient: str | None,
    as_json: bool,
    config: Path | None,
) -> None:
    """The whole verdict on one client: each check, what it asked, what came back, and what that weighs.

    Changes nothing and counts nothing. Status 0 accept, 10 defer or greylist, 20 reject.
    """
    try:
        address = ip_address(ip)
    except ValueError:
        raise click.BadParameter(f"{ip!r} is no IP address", param_hint="IP") from None
    given = {"client_address": str(address), "helo_name": helo, "sender": sender, "recipient": recipient}
    attributes = {name: value for name, value in given.items() if value is not None}
    settings = configuration.load(config_path(ctx, config))
    try:
        verdict = DaemonClient(settings).get("v1", "verdict", query=attributes)
    except Unreachable:
        from resolverd.cli import in_process

        verdict = in_process.give_verdict(settings, attributes)
    if as_json:
        output.print_json(verdict)
    else:
        show(verdict)
    leave(VERDICT_STATUS.get(verdict["action"], 1))


def show(verdict: dict[str, Any]) -> None:
    """The verdict for people: a row a check, then what comes of it."""
    output.print_table(_COLUMNS, _rows(verdict["findings"]), right=("age", "points"))
    greylist = verdict["greylist"] or {"state": "", "reason": ""}
    if not output.on_terminal():
        click.echo()
    output.print_facts(
        [
            ("verdict", verdict["action"]),
            ("reason", verdict["reason"]),
            ("smtp", verdict["reply"]),
            ("greylist", ": ".join(dict.fromkeys(filter(None, (greylist["state"], greylist["reason"]))))),
            ("score", verdict["score"]),
            ("otherwise", "; ".join(each["text"] for each in verdict["otherwise"])),
            ("partial", "something that was asked did not answer in time" if verdict["partial"] else None),
            ("took", f"{verdict['ms']} ms"),
            ("id", verdict["id"]),
        ]
    )


def _rows(findings: list[dict[str, Any]]) -> Iterator[tuple[object, ...]]:
    """A row a question; the first of a check carries its finding and its points."""
    for finding in findings:
        points = f"{finding['score']:+g}" if finding["score"] else "0"
        rows = [(evidence["asked"], evidence["answered"], output.seconds(evidence["age"])) for evidence in finding["evidence"]]
        first, *others = rows or [("", "", "")]
        yield (finding["check"], finding["code"], *first, points, finding["text"])
        for other in others:
            yield ("", "", *other, "", "")
