"""What an answer comes to for a validating client, and where two of them differ."""

from __future__ import annotations

from typing import NamedTuple

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from tests.lab.signed.flaws import BOGUS, INSECURE, SECURE, Security


class Outcome(NamedTuple):
    """An answer as far as two resolvers must agree on it."""

    rcode: str
    secure: bool
    """AD (RFC 4035 §3.2.3)."""
    data: frozenset[str] = frozenset()
    """The records of the answer section, without TTLs and signatures."""
    signed: frozenset[str] = frozenset()
    """What the answer section has signatures of."""
    authority: frozenset[str] = frozenset()
    """The types in the authority section."""

    @property
    def failed(self) -> bool:
        return self.rcode in ("SERVFAIL", "none")

    def __str__(self) -> str:
        said = f"{self.rcode}{' AD' * self.secure}"
        for title, part in (("", self.data), ("signatures of ", self.signed), ("authority ", self.authority)):
            if part:
                said += f"; {title}{', '.join(sorted(part))}"
        return said


NOTHING = Outcome("none", False)


def outcome(wire: bytes) -> Outcome:
    """Read an answer; every failure is one and the same."""
    if not wire:
        return NOTHING
    message = dns.message.from_wire(wire)
    rcode = dns.rcode.to_text(message.rcode())
    if rcode == "SERVFAIL":
        return Outcome(rcode, bool(message.flags & dns.flags.AD))
    return Outcome(
        rcode,
        bool(message.flags & dns.flags.AD),
        frozenset(
            f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)} {record}".lower()
            for rrset in message.answer
            if rrset.rdtype != dns.rdatatype.RRSIG
            for record in rrset
        ),
        frozenset(
            f"{rrset.name} {dns.rdatatype.to_text(rrset.covers)}".lower()
            for rrset in message.answer
            if rrset.rdtype == dns.rdatatype.RRSIG
        ),
        frozenset(dns.rdatatype.to_text(rrset.rdtype) for rrset in message.authority),
    )


def ttls(wire: bytes) -> list[int]:
    """Give the TTLs in the answer section."""
    return [rrset.ttl for rrset in dns.message.from_wire(wire).answer] if wire else []


def security(wire: bytes) -> Security:
    """Say what a validator made of a question."""
    said = outcome(wire)
    return BOGUS if said.failed else SECURE if said.secure else INSECURE


def explained(wire: bytes) -> str:
    """What a failure says of itself (RFC 8914)."""
    options = dns.message.from_wire(wire).options if wire else ()
    return "; ".join(
        f"EDE {int(each.code)} {each.text or ''}".strip() for each in options if isinstance(each, dns.edns.EDEOption)
    )
