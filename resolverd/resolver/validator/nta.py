"""Negative trust anchors: names at and below which nothing is validated, as their owner has broken it (RFC 7646)."""

import json
from typing import Final

from resolverd import bounds
from resolverd.values import Value
from resolverd.wire.names import Name, lower, to_text
from resolverd.wire.rdata import name_at

_VERSION: Final = 1


class NegativeAnchor(Value, frozen=True):
    """A negative trust anchor at a name in lower case, set by hand; wall-clock seconds."""

    zone: Name
    since: int
    until: int
    owner: str = ""
    reason: str = ""

    @property
    def text(self) -> str:
        """Why it is there, in words."""
        return self.reason or "set by hand, without a reason"

    def __or__(self, other: "NegativeAnchor") -> "NegativeAnchor":
        """Of two that two hosts have at one name, the later."""
        return max(self, other, key=lambda each: (each.since, each.until, each.owner, each.reason))


def encode(anchor: NegativeAnchor) -> bytes:
    """A JSON object, its ``version`` first."""
    members = {"version": _VERSION, "since": anchor.since, "until": anchor.until, "owner": anchor.owner, "reason": anchor.reason}
    return json.dumps(members).encode()


def decode(zone: Name, octets: bytes, now: float) -> NegativeAnchor | None:
    """What `encode` has made; None for anything else. None lasts longer from now on than one may."""
    try:
        members = json.loads(octets)
        if members["version"] != _VERSION:
            return None
        since, until = int(members["since"]), int(members["until"])
        owner, reason = str(members["owner"]), str(members["reason"])
        if name_at(zone, 0) != zone or lower(zone) != zone or since < 0:
            return None
        if any(len(text) > bounds.NOTE or not text.isprintable() for text in (owner, reason)):
            return None
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    # A clock that was ahead when it was set must not make it last for years.
    return NegativeAnchor(zone, min(since, int(now)), min(until, int(now) + bounds.MAX_NTA_LIFETIME), owner, reason)


def described(zone: Name, reason: str) -> str:
    """Why what a negative trust anchor covers is insecure."""
    return f"negative trust anchor {to_text(zone)} ({reason})"
