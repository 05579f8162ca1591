"""``resolverd cache``: looking into the daemon's cache."""

import json
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

import click

from resolverd import bounds
from resolverd import config as configuration
from resolverd.cli import output
from resolverd.cli.daemon import DaemonClient, Unreachable
from resolverd.cli.options import CommandError, SuggestingGroup, config_option, json_option, user
from resolverd.cli.words import DomainName, RRType

_BATCH = bounds.HTTP_BODY - 1024
"""Octets of entries sent at once."""
_SHOWN = 20
"""Faulty lines that are named one by one."""
_COLUMNS = ("name", "type", "ttl", "kind", "security", "record")
_ANCHORS_PATH = ("v1", "negative-trust-anchors")
_ANCHORS = ("name", "since", "until", "owner", "reason")


@click.group("cache", cls=SuggestingGroup)
def command() -> None:
    """Look into the daemon's cache, and make it forget."""


@command.command("stats")
@json_option
@config_option
def stats(as_json: bool, config: Path | None) -> None:
    """Figures of the caches."""
    found = _daemon(config).get("v1", "cache")
    if as_json:
        output.print_json(found)
    else:
        output.print_table(("figure", "value"), sorted(found.items()), right=("value",))


@command.command("show")
@click.argument("name", type=DomainName())
@click.argument("rtype", metavar="[TYPE]", type=RRType(), required=False)
@json_option
@config_option
def show(name: str, rtype: str | None, as_json: bool, config: Path | None) -> None:
    """What the cache holds of NAME, of one type or of all.

    The kind says where data came from: authoritative or validated servers, a forwarder (answer), a local zone, or the parent's
    side of a delegation (referral, glue, additional), which answers nobody; NXDOMAIN and NODATA are denials.

    \b
    secure    DNSSEC proves it
    insecure  its zone is not signed, or below a negative trust anchor
    bogus     what should prove it does not: clients get SERVFAIL
    unknown   nothing has validated it, or needed to
    """
    found = _daemon(config).get("v1", "cache", _root(name), *([rtype] if rtype else []))
    if as_json:
        output.print_json(found)
        return
    rows = []
    for entry in found["entries"]:
        for record in entry["records"] or [""]:
            ttl = output.seconds(entry["ttl"])
            rows.append((entry["name"], entry["type"], ttl, entry["kind"], entry["security"], record))
    output.print_table(_COLUMNS, rows, right=("ttl",), prose=("record",), empty=f"the cache holds nothing of {name}")
    for why in sorted({entry["why"] for entry in found["entries"] if entry["why"]}):
        output.print_text(why, label="insecure: ")


@command.command("trace")
@click.argument("name", type=DomainName())
@click.argument("rtype", metavar="[TYPE]", type=RRType(), required=False, default="A")
@json_option
@config_option
def trace(name: str, rtype: str, as_json: bool, config: Path | None) -> None:
    """How NAME is resolved, past the cache: each server asked, what it said, the chain of trust, and the answer at the end.

    Works without a daemon too.
    """
    settings = configuration.load(config)
    with output.waiting(f"resolving {name}"):
        try:
            found = DaemonClient(settings).get("v1", "trace", _root(name), rtype)
        except Unreachable:
            from resolverd.cli import in_process

            found = in_process.trace(settings, _root(name), rtype)
    if as_json:
        output.print_json(found)
        return
    for number, step in enumerate(found["exchanges"], 1):
        asked = f"{step['server']}, a server of {step['zone']}, was asked {step['name']} {step['type']}"
        output.print_text(asked, label=f"{number:>3}. ")
        output.print_text(f"and said: {step['outcome']} ({step['ms']} ms)", "     ")
    if found["chain"]:
        click.echo("\nchain of trust:")
    for link in found["chain"]:
        output.print_text(f"{link['zone']} is {link['security']}{': ' + link['why'] if link['why'] else ''}", "  ")
        for what in ("ds", "keys"):
            if link[what]:
                output.print_text(", ".join(link[what]), "    ", label=f"{what.upper() if what == 'ds' else what}: ")
    security = "" if found["security"] == "unknown" else f", {found['security']},"
    questions = len(found["exchanges"])
    click.echo()
    output.print_text(f"{name} {rtype}: {found['rcode']}{security} after {questions} questions and {found['ms']} ms")
    for line in (*found["records"], *(f"because: {reason}" for reason in found["reasons"])):
        output.print_text(line, "  ")


@command.command("flush")
@click.argument("name", type=DomainName(), required=False)
@click.option("--below", is_flag=True, help="Of all names below NAME too.")
@click.option("--all", "everything", is_flag=True, help="Forget everything.")
@json_option
@config_option
def flush(name: str | None, below: bool, everything: bool, as_json: bool, config: Path | None) -> None:
    """Forget what the cache holds of NAME, or everything: in memory and on disk, and what lists have answered."""
    if (name is None) != everything or (below and everything):
        raise click.UsageError("give a NAME, with --below or without, or --all")
    query = {"below": "true"} if below else None
    found = _daemon(config).delete("v1", "cache", *([_root(name)] if name else []), query=query)
    if as_json:
        output.print_json(found)
    else:
        click.echo(f"{found['flushed']} entries forgotten")


@command.command("dump")
@click.argument("file", type=click.File("wb", atomic=True), default="-")
@json_option
@config_option
def dump(file: IO[bytes], as_json: bool, config: Path | None) -> None:
    """Write all RRsets and denials that are in memory to FILE, or to standard output, a JSON object a line.

    With --json they are one object, which is not for `load`.

    Each has its name, type, seconds to live, data in presentation form, and what DNSSEC says of it. Delegations, and what lists
    have answered, are not in it.
    """
    lines = _daemon(config).lines("v1", "cache-dump")
    if as_json:
        file.write(json.dumps({"entries": [json.loads(line) for line in lines]}, indent=2).encode() + b"\n")
        return
    for line in lines:
        file.write(line)


@command.command("load")
@click.argument("file", type=click.File("rb"), default="-")
@json_option
@config_option
def load(file: IO[bytes], as_json: bool, config: Path | None) -> None:
    """Take up the lines of a dump. A faulty line is named, and costs itself alone; the status is 1 then.

    What is loaded is believed as it stands there, for no longer than it says; what is known and more trusted stays.
    """
    daemon = _daemon(config)
    faults: list[dict[str, Any]] = []
    found = {"taken": 0, "expired": 0}
    for numbers, lines in _batches(file, faults):
        done = daemon.post("v1", "cache-dump", body={"entries": lines})
        for key in found:
            found[key] += done[key]
        faults += [{"line": numbers[each["number"]], "fault": each["fault"]} for each in done["faults"]]
    faults.sort(key=itemgetter("line"))
    if as_json:
        output.print_json({**found, "faults": faults})
        click.get_current_context().exit(1 if faults else 0)
    click.echo(f"{found['taken']} entries taken, {found['expired']} expired")
    for each in faults[:_SHOWN]:
        click.echo(output.shown(f"resolverd: line {each['line']}: {each['fault']}"), err=True)
    if faults:
        raise CommandError(f"{len(faults)} faulty lines, which were not taken")


def _batches(file: IO[bytes], faults: list[dict[str, Any]]) -> Iterator[tuple[list[int], list[Any]]]:
    """The lines of a dump, with their numbers, as many at once as a body of a request holds; `faults` has those that are none."""
    numbers: list[int] = []
    entries: list[Any] = []
    octets = 0
    for number, line in enumerate(file, 1):
        if line.isspace():
            continue
        try:
            entry = json.loads(line)
            size = len(json.dumps(entry)) + 2
            if size > _BATCH:
                raise ValueError("it is too long")
        except (ValueError, RecursionError) as error:
            faults.append({"line": number, "fault": f"is no entry of a dump: {error}"})
            continue
        if octets + size > _BATCH:
            yield numbers, entries
            numbers, entries, octets = [], [], 0
        numbers.append(number)
        entries.append(entry)
        octets += size
    if entries:
        yield numbers, entries


@command.group("nta", cls=SuggestingGroup)
def nta() -> None:
    """Negative trust anchors: names whose DNSSEC is broken, and is not looked at for a while (RFC 7646)."""


@nta.command("list")
@json_option
@config_option
def nta_list(as_json: bool, config: Path | None) -> None:
    """Those in force, set by hand or in the configuration."""
    found = _daemon(config).get(*_ANCHORS_PATH)
    if as_json:
        output.print_json(found)
        return
    rows = []
    for each in found["negative_trust_anchors"]:
        until = "as configured" if each["configured"] else output.moment(each["until"])
        rows.append((each["name"], output.moment(each["since"]), until, each["owner"], each["reason"]))
    output.print_table(_ANCHORS, rows, prose=("reason",), empty="no negative trust anchors")


@nta.command("add")
@click.argument("name", type=DomainName())
@click.option("--for", "lasting", metavar="DURATION", help="1h unless given, 7d at most.")
@click.option("--reason", metavar="TEXT", help="Why.")
@json_option
@config_option
def nta_add(name: str, lasting: str | None, reason: str | None, as_json: bool, config: Path | None) -> None:
    """Do not validate NAME and what is below it for a while.

    To be used where it is known that its owner has made a mistake: whoever forges names gets through as well.
    """
    query = {"owner": user(), **{key: value for key, value in (("for", lasting), ("reason", reason)) if value}}
    done = _daemon(config).put(*_ANCHORS_PATH, _root(name), query=query)
    if as_json:
        output.print_json(done)
    else:
        output.print_text(f"{done['name']} and all below it is not validated until {output.moment(done['until'])}")


@nta.command("remove")
@click.argument("name", type=DomainName())
@json_option
@config_option
def nta_remove(name: str, as_json: bool, config: Path | None) -> None:
    """Validate NAME again."""
    done = _daemon(config).delete(*_ANCHORS_PATH, _root(name), query={"owner": user()})
    if as_json:
        output.print_json(done)
    else:
        click.echo(output.shown(f"{name} is validated again"))


def _daemon(config: Path | None) -> DaemonClient:
    return DaemonClient(configuration.load(config))


def _root(name: str) -> str:
    """The root is written ``@`` in a path, where a dot would vanish."""
    return "@" if name == "." else name
