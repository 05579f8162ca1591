"""A zone as a model: what is at its names, what an authority answers, and the chains of NSEC and NSEC3 that deny the rest.

Made with dnspython's order, hashes and records, so that it shares nothing with what it is held against.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from resolverd.wire import codes
from resolverd.wire.rrset import RRset

TTL = 3600


class Says(Enum):
    """How an authority answers."""

    DATA = "data"
    NODATA = "nodata"
    NXDOMAIN = "nxdomain"
    ALIAS = "alias"
    REFERRAL = "referral"


@dataclass(frozen=True)
class Nsec3Form:
    salt: str = "-"
    iterations: int = 0
    opt_out: bool = False


class Work:
    """Counts hashes; raises after `limit`."""

    class TooMuch(Exception):
        pass

    def __init__(self, limit: int = 10**9):
        self.hashes = 0
        self.limit = limit

    def charge_hashes(self, count: int) -> None:
        self.hashes += count
        if self.hashes > self.limit:
            raise self.TooMuch


def wire(name: dns.name.Name) -> bytes:
    return name.to_wire() or b""


def rrset(owner: dns.name.Name, rtype: str, text: str, origin: dns.name.Name = dns.name.root) -> RRset:
    data = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(rtype), text, origin=origin, relativize=False)
    return RRset(wire(owner).lower(), dns.rdatatype.from_text(rtype), TTL, (data.to_wire() or b"",))


def from_zone_text(text: str, origin: str = "example.") -> list[RRset]:
    """RRsets of one record each: ``owner TYPE rdata`` a line, or between semicolons."""
    apex = dns.name.from_text(origin)
    lines = (line.split(maxsplit=2) for line in text.replace(";", "\n").splitlines() if line.strip())
    return [rrset(dns.name.from_text(owner, apex), rtype, data, apex) for owner, rtype, data in lines]


@dataclass
class ModelZone:
    """`names`: types by owner, the apex's SOA and NS included; nothing below delegations and DNAMEs."""

    apex: dns.name.Name
    names: dict[dns.name.Name, frozenset[str]]
    exists: frozenset[dns.name.Name] = field(init=False)

    def __post_init__(self) -> None:
        self.exists = frozenset(
            dns.name.Name(owner.labels[at:])
            for owner in self.names
            for at in range(len(owner.labels) - len(self.apex.labels) + 1)
        )

    # -- what an authority answers (RFC 1034 §4.3.2, RFC 4592, RFC 6672) --

    def above(self, name: dns.name.Name) -> Iterator[dns.name.Name]:
        """The names above it, from its parent to the apex."""
        while name != self.apex:
            name = name.parent()
            yield name

    def is_cut(self, name: dns.name.Name) -> bool:
        return name != self.apex and "NS" in self.names.get(name, ())

    def hidden_by(self, name: dns.name.Name) -> str:
        """DNAME or NS, whichever takes the name away from the zone."""
        for above in self.above(name):
            if self.is_cut(above):
                return "NS"
            if "DNAME" in self.names.get(above, ()):
                return "DNAME"
        return ""

    def encloser(self, name: dns.name.Name) -> dns.name.Name:
        return next(each for each in self.above(name) if each in self.exists)

    def next_closer(self, name: dns.name.Name) -> dns.name.Name:
        return dns.name.Name(name.labels[-len(self.encloser(name).labels) - 1 :])

    def wildcard(self, name: dns.name.Name) -> dns.name.Name:
        return dns.name.from_text("*", self.encloser(name))

    def answer(self, name: dns.name.Name, rtype: str) -> Says:
        if hidden := self.hidden_by(name):
            return Says.REFERRAL if hidden == "NS" else Says.ALIAS
        if name not in self.exists:
            if self.wildcard(name) not in self.exists:
                return Says.NXDOMAIN
            name = self.wildcard(name)
        types = self.names.get(name, frozenset())
        if rtype in types or (types and rtype in ("NSEC", "RRSIG", "ANY")):
            return Says.DATA
        if self.is_cut(name) and rtype != "DS":
            return Says.REFERRAL
        return Says.ALIAS if "CNAME" in types else Says.NODATA

    # -- the chains (RFC 4035 §2.3, RFC 5155 §7.1) --

    def nsec(self) -> dict[dns.name.Name, RRset]:
        owners = sorted(self.names)
        following = [*owners[1:], self.apex]
        return {
            owner: rrset(owner, "NSEC", " ".join([then.to_text(), *sorted(self.names[owner] | {"NSEC", "RRSIG"})]))
            for owner, then in zip(owners, following, strict=True)
        }

    def nsec3_owners(self, form: Nsec3Form) -> frozenset[dns.name.Name]:
        """Those with NSEC3 records: of insecure delegations, and what is only above such, none under Opt-Out."""
        signed = [owner for owner, types in self.names.items() if not (form.opt_out and self.is_cut(owner) and "DS" not in types)]
        return ModelZone(self.apex, {owner: self.names[owner] for owner in signed}).exists

    def hashed(self, name: dns.name.Name, form: Nsec3Form) -> str:
        return dns.dnssec.nsec3_hash(name, None if form.salt == "-" else form.salt, form.iterations, 1).lower()

    def nsec3(self, form: Nsec3Form) -> dict[dns.name.Name, RRset]:
        by_hash = sorted((self.hashed(owner, form), owner) for owner in self.nsec3_owners(form))
        following = [*by_hash[1:], by_hash[0]]
        return {
            owner: self.nsec3_record(hashed, then, owner, form)
            for (hashed, owner), (then, _) in zip(by_hash, following, strict=True)
        }

    def nsec3_record(self, hashed: str, then: str, owner: dns.name.Name, form: Nsec3Form) -> RRset:
        types = self.names.get(owner, frozenset())
        signed = types and not (self.is_cut(owner) and "DS" not in types)
        words = [
            "1",
            str(int(form.opt_out)),
            str(form.iterations),
            form.salt,
            then,
            *sorted(types | ({"RRSIG"} if signed else set())),
        ]
        return rrset(dns.name.from_text(hashed, self.apex), "NSEC3", " ".join(words))

    # -- the records that an authority puts into a denial --

    def nsec_covering(self, name: dns.name.Name) -> dns.name.Name:
        return max(owner for owner in self.names if owner < name)

    def nsec_proof(self, name: dns.name.Name) -> set[dns.name.Name]:
        """Owners of the NSECs that deny a type at it, or it with its wildcard (RFC 4035 §3.1.3)."""
        if name in self.names:
            return {name}
        if name in self.exists:
            return {self.nsec_covering(name)}
        wildcard = self.wildcard(name)
        return {self.nsec_covering(name), wildcard if wildcard in self.names else self.nsec_covering(wildcard)}

    def nsec3_covering(self, name: dns.name.Name, form: Nsec3Form) -> dns.name.Name:
        hashed = self.hashed(name, form)
        owners = sorted((self.hashed(owner, form), owner) for owner in self.nsec3_owners(form))
        below = [owner for each, owner in owners if each < hashed]
        return below[-1] if below else owners[-1][1]

    def nsec3_proof(self, name: dns.name.Name, form: Nsec3Form) -> set[dns.name.Name]:
        """The same with NSEC3 (RFC 5155 §7.2): the closest provable encloser, the next closer name, and the wildcard."""
        owners = self.nsec3_owners(form)
        if name in owners:
            return {name}
        wildcard = self.provable_wildcard(name, form)
        encloser = wildcard.parent()
        closer = dns.name.Name(name.labels[-len(encloser.labels) - 1 :])
        return {
            encloser,
            self.nsec3_covering(closer, form),
            wildcard if wildcard in owners else self.nsec3_covering(wildcard, form),
        }

    def provable_wildcard(self, name: dns.name.Name, form: Nsec3Form) -> dns.name.Name:
        """That of the closest encloser that has an NSEC3."""
        owners = self.nsec3_owners(form)
        return dns.name.from_text("*", next(each for each in self.above(name) if each in owners))


def example_zone(names: Iterable[tuple[str, str]], apex: str = "example.") -> ModelZone:
    origin = dns.name.from_text(apex)
    return ModelZone(
        origin,
        {origin: frozenset({"SOA", "NS", "DNSKEY"})}
        | {dns.name.from_text(name, origin): frozenset(types.split()) for name, types in names},
    )


# -- random zones and questions --

LABELS = st.sampled_from(["a", "b", "*", "c", "\\000", "z"])
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
TYPES = st.sampled_from(["A", "MX", "A MX", "CNAME", "NS", "NS DS", "DNAME", "DNAME A"])
FORMS = st.builds(Nsec3Form, st.sampled_from(["-", "aabb", "00" * 40]), st.sampled_from([0, 1, 3]), st.booleans())
QTYPES = ("A", "DS", "MX", "CNAME", "ANY", "NS")
EVERYTHING = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def zones(draw: st.DrawFn, apex: str = "example.") -> ModelZone:
    """Without names below delegations and DNAMEs; wildcards are neither (RFC 4592 §4.2, §4.4)."""
    rough = dict(draw(st.lists(st.tuples(NAMES, TYPES), max_size=7)))
    names = {name: "A" if name.startswith("*") and types[:2] in ("NS", "DN") else types for name, types in rough.items()}
    zone = example_zone(names.items(), apex)
    kept = {name: types for name, types in zone.names.items() if not zone.hidden_by(name)}
    return ModelZone(zone.apex, kept)


def question(name: str, zone: ModelZone) -> dns.name.Name:
    return dns.name.from_text(name, zone.apex)


def rtype(text: str) -> int:
    return int(getattr(codes, text))
