"""Questions about the fake internet, made from its data, each with the kind of thing it shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.zone

from tests.lab.model import World, Zone, is_below

PLAIN_KINDS = frozenset({"plain", "mail"})
"""Kinds of zone whose questions are counted by record type instead."""

NOBODY_ANSWERS = frozenset({"all servers silent", "all servers closed"})
"""Kinds of zone where a resolver waits before it gives up; one question shows it."""

UNRESOLVABLE = NOBODY_ANSWERS | {
    "all servers lame", "all servers refer to themselves", "no server has an address", "delegations in a circle",
}
"""Kinds of zone that nobody can resolve."""

WILDCARD_LABELS = ("anything", "two.labels")

TYPES_NOBODY_HAS = ("SRV", "CAA", "AAAA")


class Question(NamedTuple):
    """A name and a type, and what asking for them shows."""

    kind: str
    name: str
    rdtype: str

    def __str__(self) -> str:
        return f"{self.name} {self.rdtype} ({self.kind})"


def questions(world: World) -> list[Question]:
    """Give every question that the world's data suggests, each name and type once."""
    found: dict[tuple[str, str], Question] = {}
    for zone in world.zones.values():
        if not zone.loaded_elsewhere:
            for question in _of_zone(world, zone):
                found.setdefault((question.name, question.rdtype), question)
    for question in _BY_HAND:
        found[question.name, question.rdtype] = question
    return list(found.values())


def _of_zone(world: World, zone: Zone) -> Iterator[Question]:
    if zone.kind in NOBODY_ANSWERS:
        yield Question(zone.kind, f"www.{zone.name}.", "A")
        return
    data = dns.zone.from_text(world.zone_text(zone), origin=dns.name.from_text(zone.name), relativize=False)
    here = zone.name if zone.name == "." else zone.name + "."
    unresolvable = zone.kind in UNRESOLVABLE
    cuts = [child.name for child in world.zones.values() if child is not zone and is_below(child.name, zone.name)]

    def kind(otherwise: str) -> str:
        return otherwise if zone.kind in PLAIN_KINDS else zone.kind

    for name, node in data.nodes.items():
        owner = name.to_text()
        if any(is_below(owner.rstrip("."), cut) for cut in cuts):
            continue
        owners = [owner.replace("*", label, 1) for label in WILDCARD_LABELS] if owner.startswith("*") else [owner]
        types = {dns.rdatatype.to_text(each.rdtype) for each in node.rdatasets}
        asked = sorted(types - {"SOA", "NS"} if unresolvable else types)
        if "CNAME" in types or "DNAME" in types:
            asked += ["A", "AAAA", "MX"]
        for each in owners:
            for rdtype in asked:
                yield Question(kind(rdtype), each, rdtype)
        if owner.count(".") <= here.count(".") + 1 and not unresolvable and "CNAME" not in types:
            lacking = next(rdtype for rdtype in TYPES_NOBODY_HAS if rdtype not in types)
            yield Question("NODATA" if zone.kind in PLAIN_KINDS else f"{zone.kind}, NODATA", owners[0], lacking)
    if unresolvable:
        return
    missing = "no-such-name." if here == "." else f"no-such-name.{here}"
    yield Question("NXDOMAIN" if zone.kind in PLAIN_KINDS else f"{zone.kind}, NXDOMAIN", missing, "A")
    yield Question("NXDOMAIN" if zone.kind in PLAIN_KINDS else f"{zone.kind}, NXDOMAIN", f"a.b.{missing}", "MX")


_BY_HAND = [
    Question("case", "WWW.Tulip-Hosting.NET.", "A"),
    Question("case", "mIxEd.cAsE.nAmEs.org.", "A"),
    Question("root", ".", "NS"),
    Question("root", ".", "A"),
    Question("root", "no-such-tld-anywhere.", "NS"),
    Question("root", "a.root-servers.net.", "A"),
    Question("root", "m.root-servers.net.", "AAAA"),
    Question("DNAME", "host.old.renamed.net.", "A"),
    Question("DNAME", "deep.host.old.renamed.net.", "TXT"),
    Question("DNAME", "missing.old.renamed.net.", "A"),
    Question("DNAME", "any.away.renamed.net.", "A"),
    Question("DNAME", "old.renamed.net.", "A"),
    Question("wildcard", "exact.wild.wildcards.net.", "TXT"),
    Question("wildcard", "x.exact.wild.wildcards.net.", "A"),
    Question("wildcard", "ent.wild.wildcards.net.", "A"),
    Question("wildcard", "y.ent.wild.wildcards.net.", "A"),
    Question("wildcard", "x.nested.wild.wildcards.net.", "A"),
    Question("wildcard", "x.nested.wild.wildcards.net.", "AAAA"),
    Question("wildcard", "x.host.mail.wildcards.net.", "MX"),
    Question("wildcard", "*.wild.wildcards.net.", "A"),
    Question("wildcard", "some.alias.wildcards.net.", "AAAA"),
    Question("wildcard", "some.alias.wildcards.net.", "TXT"),
    *(Question("empty non-terminal", f"{name}.hollow.org.", rdtype)
      for name in ("d", "c.d", "b.c.d", "x", "z", "y.z") for rdtype in ("A", "NS")),
    Question("empty non-terminal", "e.c.d.hollow.org.", "A"),
    Question("reverse", "64.2.0.192.in-addr.arpa.", "PTR"),
    Question("reverse", "65.2.0.192.in-addr.arpa.", "PTR"),
    Question("reverse", "99.2.0.192.in-addr.arpa.", "PTR"),
    Question("reverse", "7.dyn.100.51.198.in-addr.arpa.", "PTR"),
    Question("reverse", "0.1.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", "PTR"),
    Question("reverse", "2.0.192.in-addr.arpa.", "PTR"),
    Question("reverse", "0.192.in-addr.arpa.", "PTR"),
    Question("reverse", "192.in-addr.arpa.", "NS"),
    Question("reverse", "7.7.7.45.in-addr.arpa.", "PTR"),
    Question("list", "2.0.0.127.rbl.small-list.net.", "A"),
    Question("list", "2.0.0.127.rbl.small-list.net.", "TXT"),
    Question("list", "1.0.0.127.rbl.small-list.net.", "A"),
    Question("list", "66.2.0.192.rbl.small-list.net.", "A"),
    Question("list", "66.100.51.198.rbl.small-list.net.", "A"),
    Question("list", "10.2.0.192.rbl.small-list.net.", "A"),
    Question("list", "10.2.0.192.rbl.small-list.net.", "TXT"),
    Question("list", "67.2.0.192.rbl.small-list.net.", "AAAA"),
    Question("list", "rbl.small-list.net.", "SOA"),
    Question("list", "rbl.small-list.net.", "NS"),
]


class Answer(NamedTuple):
    """What a resolver said (None: nothing in time), whether UDP was too small for it, and how long it took."""

    message: dns.message.Message | None
    truncated: bool
    seconds: float


async def ask_all(world: World, server: str, asked: Sequence[Question], *, limit: float = 30.0) -> list[Answer]:
    """Ask a resolver all questions, over UDP and, where the answer is truncated, TCP.

    Zones side by side, the questions of one zone one after another: what a resolver has learnt of a dead server by then
    does not depend on chance.
    """
    lines: dict[str, list[Question]] = {}
    for question in asked:
        lines.setdefault(world.zone_of(question.name.lower().rstrip(".")).name, []).append(question)
    answers: dict[Question, Answer] = {}
    turns = asyncio.Semaphore(32)

    async def ask_line(line: Sequence[Question]) -> None:
        for question in line:
            async with turns:
                answers[question] = await _ask(server, question, limit)

    await asyncio.gather(*map(ask_line, lines.values()))
    return [answers[question] for question in asked]


async def _ask(server: str, question: Question, limit: float) -> Answer:
    query = dns.message.make_query(question.name, question.rdtype, use_edns=0, payload=1232)
    began = time.monotonic()
    # Ask again every five seconds, as libc does; Unbound drops an answer that took it long (DNSBomb), but remembers it.
    while (passed := time.monotonic() - began) < limit:
        try:
            reply = await dns.asyncquery.udp(query, server, timeout=5.0)
            truncated = bool(reply.flags & dns.flags.TC)
            if truncated:
                reply = await dns.asyncquery.tcp(query, server, timeout=limit - passed)
        except (dns.exception.Timeout, OSError, EOFError):
            await asyncio.sleep(0.1)             # refused or hung up: that comes at once
            continue
        return Answer(reply, truncated, time.monotonic() - began)
    return Answer(None, False, time.monotonic() - began)
