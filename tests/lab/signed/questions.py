"""What is asked of the signed internet: names that are there and names that are not, in every zone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import dns.name
import dns.zone

from tests.lab.model import World
from tests.lab.signed.world import Internet, Made


class Asked(NamedTuple):
    """A question, and the kind of zone it is asked of."""

    kind: str
    name: str
    rdtype: str
    checking_disabled: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.rdtype}{' CD' * self.checking_disabled} ({self.kind})"


NOT_THERE = (
    ("nobody", "A"), ("nobody", "MX"), ("a.b.nobody", "A"), ("below.www", "A"), ("zzz", "TXT"), ("0", "AAAA"), ("*", "A"),
    ("b.c.deep", "A"), ("c.deep", "TXT"), ("deep", "A"), ("_tcp.mail", "TLSA"), ("x.b.c.deep", "A"),
    ("anybody.wild", "A"), ("any.body.wild", "A"), ("anybody.wild", "TXT"), ("anybody.wild", "MX"), ("*.wild", "A"),
    ("*.wild", "MX"), ("known.wild", "TXT"), ("below.known.wild", "A"), ("wild", "A"),
    ("any.aliases", "A"), ("any.aliases", "MX"), ("any.aliases", "CNAME"), ("any.exits", "A"), ("y.under.deep", "MX"),
    ("y.under.deep", "A"), ("a.tree", "A"), ("b.tree", "TXT"), ("c.tree", "A"), ("a.tree", "MX"), ("a.away", "A"),
    ("www.off", "A"), ("tree", "A"), ("tree", "DNAME"), ("y.middle", "TXT"), ("x.y.middle", "TXT"), ("middle", "A"),
    ("c.away", "A"),
)  # fmt: skip
"""Names and types that `world.CONTENTS` does not have as they are asked."""

USUAL = ("sound", "plain")

FEW = (("www", "A"), ("www", "MX"), ("nobody", "A"), ("@", "DS"), ("@", "DNSKEY"), ("@", "SOA"))
"""What is asked of zones that hardly have contents, and, checking disabled, of those with a flaw."""


IN_FULL = frozenset({"p256.com", "p256.net", "p256.org", "hashed.org", "hashed-opt-out.net", "plain.com", "net", "com", "org"})
"""Zones of which everything is asked; of each other one a part, another one for each."""

PART = 8


def questions(internet: Internet) -> list[Asked]:
    """Give the questions, each once."""
    found: dict[Asked, None] = {}
    world = internet.world
    for made in internet.zones.values():
        asked = list(dict.fromkeys(_of_zone(world, made)))
        if made.zone.name not in IN_FULL:
            always = len(FEW) + (0 if made.zone.kind in USUAL else 3)
            rest = asked[always:]
            asked[always:] = random.Random(made.zone.name).sample(rest, min(PART, len(rest)))
        found |= dict.fromkeys(asked)
    return list(found)


def _of_zone(world: World, made: Made) -> Iterator[Asked]:
    zone = made.zone
    origin = dns.name.from_text(zone.name)

    def ask(relative: str, rdtype: str, checking_disabled: bool = False) -> Asked:
        return Asked(zone.kind, dns.name.from_text(relative, origin).to_text(), rdtype, checking_disabled)

    for relative, rdtype in FEW:
        yield ask(relative, rdtype)
        if zone.kind not in USUAL and rdtype in ("A", "MX"):
            yield ask(relative, rdtype, True)
    for rdtype in ("NS", "NSEC", "NSEC3PARAM", "A", "AAAA"):
        yield ask("@", rdtype)
    text = world.zone_text(zone)
    for owner, rdataset in dns.zone.from_text(text, origin=origin, relativize=True, check_origin=False).iterate_rdatasets():
        rdtype = rdataset.rdtype.name
        child = world.zones.get(dns.name.from_text(owner.to_text(), origin).to_text(omit_final_dot=True))
        kind = child.kind if child else zone.kind
        yield ask(owner.to_text(), rdtype)._replace(kind=kind)
        if rdtype in ("CNAME", "DNAME"):
            yield from (ask(owner.to_text(), each) for each in ("A", "MX"))
        elif rdtype == "NS":
            yield ask(owner.to_text(), "DS")._replace(kind=kind)
    if "deep" in zone.records:
        yield from (ask(*each) for each in NOT_THERE)
    if zone.name in ("com", "net", "org", "."):
        yield from (ask(f"not-registered-{number}", rdtype) for number in range(4) for rdtype in ("A", "DS", "NS"))
