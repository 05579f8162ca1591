"""What is remembered of a client that has tried to deliver: since when it is known, and whether it has passed greylisting.

IPv6 clients are known by their /64: whoever has one host there has all of it (RFC 6177).
"""

import struct
from functools import lru_cache
from ipaddress import IPv6Address, ip_network
from typing import Final, NamedTuple

from resolverd import bounds
from resolverd.dnsbl.names import unmapped
from resolverd.mail.findings import Action, Verdict
from resolverd.wire.names import Address

NEW_FOR: Final = 24 * 3600
"""Seconds for which a client is new after its first contact."""
KEPT_FOR: Final = 35 * 24 * 3600
"""Seconds after its last contact for which a client that has passed greylisting is remembered, as greylisting does itself."""
UNPROVEN_KEPT_FOR: Final = 7 * 24 * 3600
"""The same for the others: most of them are bots that never come again."""
REFRESH: Final = 3600
"""Seconds after which a further contact is written down."""
REFUSALS: Final = 3
"""Refusals within `WITHIN` that make an offender."""
WITHIN: Final = 3600.0
"""Seconds."""

_PASSED = frozenset({"passed", "known"})
_LATEST = 2**32 - 1
_VERSION = 1
_RECORD = struct.Struct(">BIII")


class ClientRecord(NamedTuple):
    """A client's first and last contact, and when it last passed greylisting (0: never). Wall seconds."""

    first: int
    last: int
    passed: int = 0

    @property
    def expires(self) -> int:
        """The wall second from which it is unknown again."""
        return self.last + (KEPT_FOR if self.passed else UNPROVEN_KEPT_FOR)

    def __or__(self, other: "ClientRecord") -> "ClientRecord":
        """Both together: the earliest first contact, the latest of everything else."""
        return ClientRecord(min(self.first, other.first), max(self.last, other.last), max(self.passed, other.passed))


@lru_cache(bounds.MAIL_NAMES)
def client_key(client: Address) -> str:
    """What a client is remembered by."""
    client = unmapped(client)
    return str(ip_network((client, 64), strict=False)) if isinstance(client, IPv6Address) else str(client)


def record_of(verdict: Verdict, now: int) -> ClientRecord:
    """The record of the attempt that a verdict is of."""
    greylist = verdict.greylist
    passed = greylist is not None and (greylist.state in _PASSED or greylist.reason.endswith(" AWL"))
    return ClientRecord(now, now, now if passed and verdict.action is Action.ACCEPT else 0)


def is_worth_writing(before: ClientRecord | None, after: ClientRecord) -> bool:
    """Whether what is new is more than that a known client has come again."""
    if before is None or after.first != before.first or bool(after.passed) != bool(before.passed):
        return True
    return after.last - before.last >= REFRESH


def new_for(known: ClientRecord | None, since: int | None, now: float) -> float | None:
    """Seconds for which a client is still new; 0 for one that is not, None where that is not known.

    A client that nobody knows is new only if somebody has looked long enough: `since` (wall seconds), None for never.
    """
    if known is not None:
        return max(0.0, min(known.first + NEW_FOR - now, NEW_FOR))
    if since is None or now - since < NEW_FOR:
        return None
    return float(NEW_FOR)


def encode_record(known: ClientRecord) -> bytes:
    """Thirteen octets, big endian: version 1; first, last, passed (seconds since 1970, 32 bits each)."""
    return _RECORD.pack(_VERSION, *(min(max(each, 0), _LATEST) for each in known))


def decode_record(octets: bytes) -> ClientRecord | None:
    """The record, or None for octets that are none: damaged ones count as absent."""
    if len(octets) != _RECORD.size:
        return None
    version, first, last, passed = _RECORD.unpack(octets)
    return ClientRecord(first, last, passed) if version == _VERSION else None
