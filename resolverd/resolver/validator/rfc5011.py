"""A zone's trust anchors over time (RFC 5011): new keys are trusted after they have been there for a while, revoked ones no more.

Whoever has stolen a key that is trusted can put another beside it, and would have to keep it there for the whole hold-down while
the zone's owner looks on. The hold-down counts time as it passes here, between looks that found the key validly signed:
by the monotonic clock while the daemon runs, by the wall clock over a restart, and never backwards. A clock that jumps by more
than the root's signatures last finds them untimely, and no look counts.
"""

import json
from base64 import b64decode, b64encode
from enum import Enum
from typing import Final

from resolverd import bounds
from resolverd.resolver.iterator.work import TooMuch, Work
from resolverd.resolver.validator.algorithms import SHA256, Policy, ds_digest, supported_digest
from resolverd.resolver.validator.signatures import Trusted, Verified, ZoneKey, match_ds, verify
from resolverd.values import Value, replace
from resolverd.wire.dnssec import REVOKE, Ds, dnskey, key_tag
from resolverd.wire.names import Name, to_text
from resolverd.wire.rrset import RRset

DAY: Final = 86400.0
HOLD_DOWN: Final = 30 * DAY
"""Seconds for which a new key has to have been there, and for which a revoked one is remembered (RFC 5011 §2.4)."""
QUERY_INTERVAL: Final = 15 * DAY
"""The most seconds between two looks, and what longer gaps count for (RFC 5011 §2.3)."""
RETRY_INTERVAL: Final = 3600.0
"""The least of them."""
_VERSION: Final = 1


class Phase(Enum):
    """Where a key stands (RFC 5011 §4.2); what is not tracked is at its start, or removed."""

    PENDING = "pending"
    VALID = "valid"
    MISSING = "missing"
    REVOKED = "revoked"


class TrackedKey(Value, frozen=True):
    """A key by its rdata, its REVOKE bit cleared. `held`: seconds for which it has been in this phase, as far as that counts."""

    rdata: bytes
    phase: Phase
    held: float = 0.0


class Look(Value, frozen=True):
    """What came of looking at a zone's keys: what has changed, in words, and seconds until the next look."""

    valid: bool
    news: tuple[str, ...]
    next_look: float


class TrustPoint:
    """A zone with trust anchors (RFC 5011 §1.1): those of the configuration are its `base`, beside which keys are learnt."""

    def __init__(self, zone: Name, base: tuple[Ds, ...], keys: tuple[TrackedKey, ...] = (), looked: float | None = None):
        """`looked`: the wall second of the last look that counted."""
        self.zone = zone
        self.base = base
        self.keys = {each.rdata: each for each in keys}
        self._wall = looked
        self._now: float | None = None

    @property
    def trusted(self) -> tuple[Ds, ...]:
        """The keys by which the zone is trusted: those of the base first, without those revoked, then those learnt."""
        gone = [each.rdata for each in self.keys.values() if each.phase is Phase.REVOKED]
        base = [ds for ds in self.base if not any(self._is(ds, rdata) for rdata in gone)]
        learnt = [each.rdata for each in self.keys.values() if each.phase in (Phase.VALID, Phase.MISSING)]
        return (*base, *(self._ds(rdata) for rdata in learnt if not self._is_base(rdata)))

    def rebase(self, base: tuple[Ds, ...]) -> None:
        """Other anchors are configured: what was learnt counts on if one of those that it was learnt by is among them."""
        if not set(base) & set(self.base):
            self.keys.clear()
            self._wall = self._now = None
        self.base = base

    def look(self, dnskeys: RRset, wall: float, now: float, policy: Policy) -> Look:
        """Take note of the zone's DNSKEY RRset as it is at these readings of the clocks (Unix seconds, monotonic seconds)."""
        news: list[str] = []
        work = Work()
        try:
            for rdata in self._revoked(dnskeys, wall, work, policy):
                self._revoke(rdata, news)
            trusted = match_ds(self.trusted, dnskeys, self.zone, wall, work, policy) if self.trusted else None
        except TooMuch:
            trusted = None
        if not isinstance(trusted, Trusted):
            return Look(False, tuple(news), self._interval(dnskeys.ttl, 0.1, DAY))
        elapsed = self._elapsed(wall, now)
        seen = {rdata for rdata in dnskeys.rdatas if _may_be_anchor(rdata)}
        for key in list(self.keys.values()):
            self._age(key, key.rdata in seen, elapsed, max(HOLD_DOWN, dnskeys.ttl), news)
        for rdata in sorted(seen - self.keys.keys()):
            if not self._is_base(rdata) and len(self.keys) < bounds.TRACKED_KEYS:
                self.keys[rdata] = TrackedKey(rdata, Phase.PENDING)
                days = max(HOLD_DOWN, dnskeys.ttl) / DAY
                news.append(f"key {key_tag(rdata)} is new: it is trusted once it has been there for {days:g} days")
        self._wall, self._now = wall, now
        return Look(True, tuple(news), self._interval(dnskeys.ttl, 0.5, QUERY_INTERVAL))

    def _elapsed(self, wall: float, now: float) -> float:
        if self._wall is None:
            return 0.0
        passed = wall - self._wall if self._now is None else min(now - self._now, wall - self._wall)
        return min(max(passed, 0.0), QUERY_INTERVAL)

    def _age(self, key: TrackedKey, is_seen: bool, elapsed: float, hold_down: float, news: list[str]) -> None:
        held, tag = key.held + elapsed, key_tag(key.rdata)
        if key.phase is Phase.PENDING and not is_seen:
            del self.keys[key.rdata]
            news.append(f"key {tag} has gone again after {held / DAY:.1f} days: it is not trusted")
        elif key.phase is Phase.PENDING and held >= hold_down:
            self.keys[key.rdata] = TrackedKey(key.rdata, Phase.VALID)
            news.append(f"key {tag} has been there for {held / DAY:.0f} days: it is trusted from now on")
        elif key.phase is Phase.VALID and not is_seen:
            self.keys[key.rdata] = TrackedKey(key.rdata, Phase.MISSING)
            news.append(f"key {tag} is not there, and was not revoked: it is trusted all the same")
        elif key.phase is Phase.MISSING and is_seen:
            self.keys[key.rdata] = TrackedKey(key.rdata, Phase.VALID)
            news.append(f"key {tag} is there again")
        elif key.phase is Phase.REVOKED and held >= HOLD_DOWN and not self._is_base(key.rdata):
            del self.keys[key.rdata]
        else:
            self.keys[key.rdata] = replace(key, held=held)

    def _revoked(self, dnskeys: RRset, wall: float, work: Work, policy: Policy) -> list[bytes]:
        """Keys, as they were before, that their owner has revoked: each has to sign that itself (RFC 5011 §2.1)."""
        found = []
        for rdata in dnskeys.rdatas[: bounds.MAX_DNSKEYS]:
            if len(rdata) <= 4 or not int.from_bytes(rdata[:2]) & REVOKE:
                continue
            before = (int.from_bytes(rdata[:2]) & ~REVOKE).to_bytes(2) + rdata[2:]
            known = self.keys.get(before)
            if (known is None and not self._is_base(before)) or (known is not None and known.phase is Phase.REVOKED):
                continue
            key = ZoneKey(key_tag(rdata), dnskey(before))
            if isinstance(verify(dnskeys, self.zone, (key,), wall, work, policy), Verified):
                found.append(before)
        return found

    def _revoke(self, rdata: bytes, news: list[str]) -> None:
        self.keys[rdata] = TrackedKey(rdata, Phase.REVOKED)
        news.append(f"key {key_tag(rdata)} is revoked by its owner: it is not trusted any more")
        if not self.trusted:
            news.append(f"all keys of {to_text(self.zone)} are revoked: it is not validated any more (RFC 5011 §5)")

    def _is_base(self, rdata: bytes) -> bool:
        return any(self._is(ds, rdata) for ds in self.base)

    def _is(self, ds: Ds, rdata: bytes) -> bool:
        if ds.key_tag != key_tag(rdata) or ds.algorithm != rdata[3] or not supported_digest(ds.digest_type, Policy()):
            return False
        return ds_digest(self.zone, rdata, ds.digest_type) == ds.digest

    def _ds(self, rdata: bytes) -> Ds:
        return Ds(key_tag(rdata), rdata[3], SHA256, ds_digest(self.zone, rdata, SHA256))

    def _interval(self, ttl: float, share: float, longest: float) -> float:
        # RFC 5011 §2.3, without its third term: the root's signatures last for three weeks, longer than any TTL.
        return max(RETRY_INTERVAL, min(longest, share * ttl))

    def encode(self) -> bytes:
        """The form in which it is stored: a JSON object with a version."""
        keys = [
            {"rdata": b64encode(each.rdata).decode(), "phase": each.phase.value, "held": each.held} for each in self.keys.values()
        ]
        base = [[each.key_tag, each.algorithm, each.digest_type, each.digest.hex()] for each in self.base]
        return json.dumps({"version": _VERSION, "base": base, "looked": self._wall, "keys": keys}).encode()


def decode(zone: Name, base: tuple[Ds, ...], octets: bytes) -> TrustPoint:
    """The trust point that `encode` was given, with this base. Raises ValueError for anything else."""
    try:
        members = json.loads(octets)
        if members["version"] != _VERSION:
            raise ValueError(f"version {members['version']!r}")
        then = tuple(Ds(tag, algorithm, kind, bytes.fromhex(digest)) for tag, algorithm, kind, digest in members["base"])
        keys = tuple(_tracked(each) for each in members["keys"][: bounds.TRACKED_KEYS])
        looked = members["looked"]
        point = TrustPoint(zone, then, keys, None if looked is None else float(looked))
    except (KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    point.rebase(base)
    return point


def _tracked(members: dict[str, object]) -> TrackedKey:
    rdata, held = b64decode(str(members["rdata"]), validate=True), float(str(members["held"]))
    if not _may_be_anchor(rdata) or not 0 <= held < float("inf"):
        raise ValueError("a key that is none")
    return TrackedKey(rdata, Phase(members["phase"]), held)


def _may_be_anchor(rdata: bytes) -> bool:
    """Whether it is a key that may become a trust anchor (RFC 5011 §2: SEP keys)."""
    try:
        key = dnskey(rdata)
    except ValueError:
        return False
    return key.is_zone_key and key.is_sep and not key.is_revoked
