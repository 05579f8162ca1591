"""``resolverd check``: the whole verdict on one client."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from resolverd import config as configuration
from resolverd.cli import output
from resolverd.cli.daemon import DaemonClient, Unreachable
from resolverd.cli.options import VERDICT_STATUS, config_option, json_option, leave
from resolverd.cli.words import Address

_COLUMNS = ("check", "result", "weighs", "age", "ms")


@click.command("check")
@click.argument("address", metavar="IP", type=Address())
@click.option("--helo", metavar="NAME", help="What the client says in HELO or EHLO.")
@click.option("--sender", metavar="ADDR", help="MAIL FROM; '' is the null sender.")
@click.option("--recipient", metavar="ADDR", help="RCPT TO; without it nothing is greylisted.")
@click.option("-v", "--verbose", is_flag=True, help="Of each check what it asked, what came back, and its points.")
@json_option
@config_option
def command(
    address: str,
    helo: str | None,
    sender: str | None,
    recipient: str | None,
    verbose: bool,
    as_json: bool,
    config: Path | None,
) -> None:
    """The whole verdict on one client, and what each check found.

    \b
    accept    the mail passes
    greylist  asked to come back later (450), and let in then
    defer     put off (450): something that counts could not be learnt
    reject    refused: for good (5xx), or as the restriction of Postfix's that
              it replaces does it (450)

    Changes nothing and counts nothing. Status 0 accept, 10 defer or greylist, 20 reject.
    """
    given = {"client_address": address, "helo_name": helo, "sender": sender, "recipient": recipient}
    attributes = {name: value for name, value in given.items() if value is not None}
    settings = configuration.load(config)
    with output.waiting(f"asking about {address}"):
        try:
            verdict = DaemonClient(settings).get("v1", "verdict", query=attributes)
        except Unreachable:
            from resolverd.cli import in_process

            verdict = in_process.give_verdict(settings, attributes)
    if as_json:
        output.print_json(verdict)
    else:
        show(verdict, address, verbose=verbose)
    leave(VERDICT_STATUS.get(verdict["action"], 1))


def show(verdict: dict[str, Any], client: str, *, verbose: bool) -> None:
    """The verdict for people: what becomes of it, each check, and what else there is to say."""
    action = verdict["action"]
    output.print_text(verdict["reason"], label=f"{action}: ", colour=output.COLOURS[action])
    click.echo()
    if verbose:
        for finding in verdict["findings"]:
            _show_finding(finding)
    else:
        output.print_table(
            _COLUMNS, map(_row, verdict["findings"]), right=("age", "ms"), prose=("result",), empty="no check was made"
        )
    click.echo()
    output.print_facts(_facts(verdict, client))


def _row(finding: dict[str, Any]) -> tuple[object, ...]:
    ages = [evidence["age"] for evidence in finding["evidence"] if evidence["age"] is not None]
    age = output.seconds(max(ages)) if ages else ""
    took = _took(finding)
    return finding["check"], finding["text"], _weight(finding), age, "" if took is None else took


def _took(finding: dict[str, Any]) -> int | None:
    """Milliseconds until the last of what it asked was answered; None where nothing was."""
    return max((evidence["ms"] for evidence in finding["evidence"] if evidence["ms"] is not None), default=None)


def _weight(finding: dict[str, Any]) -> str:
    """What it leads to by itself, else its points."""
    return finding["consequence"] or (f"{finding['score']:+g}" if finding["score"] else "")


def _show_finding(finding: dict[str, Any]) -> None:
    consequence = f", {finding['consequence']}" if finding["consequence"] else ""
    points = f"{finding['score']:+g} points" if finding["score"] else "0 points"
    took = "" if (ms := _took(finding)) is None else f", {ms} ms"
    output.print_text(f"{finding['code']}, {points}{consequence}{took}", label=f"{finding['check']}: ")
    output.print_text(finding["text"], "    ")
    for evidence in finding["evidence"]:
        age = f" ({output.seconds(evidence['age'])} old)" if evidence["age"] is not None else ""
        output.print_text(f"asked {evidence['asked']}: {evidence['answered']}{age}", "    ")


def _facts(verdict: dict[str, Any], client: str) -> Iterator[tuple[str, object]]:
    greylist = verdict["greylist"] or {"state": "", "reason": ""}
    yield "smtp", verdict["reply"]
    yield "greylist", ": ".join(dict.fromkeys(filter(None, (greylist["state"], greylist["reason"]))))
    yield "score", verdict["score"]
    yield "otherwise", "; ".join(each["text"] for each in verdict["otherwise"])
    yield "partial", "something that was asked did not answer in time" if verdict["partial"] else None
    yield "took", f"{verdict['ms']} ms"
    yield "id", verdict["id"]
    if verdict["action"] != "accept":
        yield "to let it through", f"resolverd allow {client}"
