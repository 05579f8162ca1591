"""``resolverd lookup``: what every list says."""

from pathlib import Path
from typing import Any, Final

import click

from resolverd import config as configuration
from resolverd.cli import output
from resolverd.cli.daemon import DaemonClient, Unreachable
from resolverd.cli.options import config_option, json_option

_COLUMNS = ("list", "says", "codes", "points", "age", "why")
_ORDER: Final = ("listed", "allowed", "unknown", "clear", "skipped")


@click.command("lookup")
@click.argument("subject", metavar="IP|DOMAIN")
@click.option("--all", "everything", is_flag=True, help="Ask every list of the catalogue that may be asked, enabled or not.")
@json_option
@config_option
def command(subject: str, everything: bool, as_json: bool, config: Path | None) -> None:
    """What every configured list says of an address or a domain, and of the domain's mail servers.

    \b
    listed   a block list has it; the codes say as what
    allowed  an allow list has it
    unknown  the list did not answer, or not so that it can be believed
    clear    the list does not have it
    skipped  the list is not asked, and why not
    """
    settings = configuration.load(config)
    with output.waiting(f"asking the lists about {subject}"):
        try:
            found = DaemonClient(settings).get("v1", "lookup", subject, query={"all": "true"} if everything else None)
        except Unreachable:
            from resolverd.cli import in_process

            found = in_process.look_up(settings, subject, everything=everything)
    if as_json:
        output.print_json(found)
    else:
        show(found)


def show(found: dict[str, Any]) -> None:
    """What it comes to, then the lists, a row each: those first that have it; and where to read more of a listing.

    Of mail servers only those lists are shown that have them, or did not answer.
    """
    _count(found, found["subject"])
    _table(found["lists"])
    for server in found["mail_servers"]:
        for said in server["addresses"]:
            click.echo()
            _count(said, f"{server['name']} ({said['subject']})")
            _table([entry for entry in said["lists"] if entry["result"] in ("listed", "unknown")])
    if found["mail"]:
        click.echo()
        output.print_text(found["mail"], label=f"mail servers of {found['subject']}: ")


def _count(said: dict[str, Any], subject: str) -> None:
    asked = [entry for entry in said["lists"] if entry["result"] != "skipped"]
    counts = [f"{word} by {said[word]}" for word in ("listed", "allowed")]
    silent = f", {said['unknown']} unknown" if said["unknown"] else ""
    output.print_text(f"{', '.join(counts)} of {len(asked)} lists{silent}", label=f"{subject}: ")


def _table(lists: list[dict[str, Any]]) -> None:
    if not lists:
        return
    click.echo()
    rows = []
    for entry in sorted(lists, key=lambda entry: _ORDER.index(_says(entry))):
        why = entry.get("reason") or " ".join(filter(None, (entry.get("why"), entry.get("detail"))))
        points = f"{entry['weight']:+g}" if entry.get("weight") else ""
        age = output.seconds(entry.get("age"))
        rows.append((entry["list"], _says(entry), " ".join(entry.get("codes", [])), points, age, why))
    output.print_table(_COLUMNS, rows, right=("points", "age"), prose=("why",))
    links = [(entry["list"], entry["link"]) for entry in lists if entry.get("link")]
    if links:
        click.echo()
        output.print_facts(links)


def _says(entry: dict[str, Any]) -> str:
    result: str = entry["result"]
    return "allowed" if result == "listed" and entry["purpose"] == "allow" else result
