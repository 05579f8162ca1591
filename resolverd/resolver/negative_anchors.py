"""The negative trust anchors that are set at run time (RFC 7646 §4): kept in the store, in force until they expire.

What the store's other users change counts here as soon as it is seen. Every change is in the audit log.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Final, NoReturn

from resolverd import bounds, logs
from resolverd.clock import Clock
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.resolver.validator.nta import NegativeAnchor, decode, encode
from resolverd.state.base import Store
from resolverd.wire.names import Name, to_text

TABLE: Final = "negative_trust_anchors"
_LOOK_EVERY: Final = 60.0
"""The most seconds between two looks at what has expired: wall clocks jump."""

log = logging.getLogger(__name__)


class Full(Exception):
    """There are as many as may be."""


class NegativeAnchors:
    """Those in force. `on_change` is called with them, by name, whenever they are others; `audit` is told of changes."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        counters: Counters,
        on_change: Callable[[Mapping[Name, str]], object],
        audit: Callable[[logs.Fields], None] = logs.audit,
    ) -> None:
        self._store = store
        self._clock = clock
        self._counters = counters
        self._on_change = on_change
        self._tell_audit = audit
        self._anchors: dict[Name, NegativeAnchor] = {}
        self._changed = asyncio.Event()
        self._loaded = False
        self._warn_once = logs.WarnOnce(log)
        self._ready = asyncio.Event()

    def in_force(self) -> list[NegativeAnchor]:
        """All of them, in order of name."""
        return sorted(self._anchors.values(), key=lambda each: to_text(each.zone))

    async def ready(self, patience: float | None) -> None:
        """Wait until what is stored has been taken up, as far as it can be, or for some seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._ready.wait()

    async def set(self, zone: Name, lifetime: float, owner: str = "", reason: str = "") -> NegativeAnchor:
        """Put one in force for so many seconds, in the place of one at the same name (lower case). Raises Full, StoreError."""
        if zone not in self._anchors and len(self._anchors) >= bounds.NEGATIVE_ANCHORS:
            raise Full
        now = int(self._clock.wall())
        anchor = NegativeAnchor(zone, now, now + max(1, min(int(lifetime), bounds.MAX_NTA_LIFETIME)), owner, reason)
        self._store.put(TABLE, zone, encode(anchor), anchor.until)
        self._put(anchor)
        self._audit("nta-add", anchor)
        await self._store.flush()
        return anchor

    async def remove(self, zone: Name, owner: str = "") -> bool:
        """Take one back; whether there was one. Raises StoreError."""
        anchor = self._anchors.get(zone)
        if anchor is None:
            return False
        self._store.delete(TABLE, zone)
        self._drop(zone)
        self._audit("nta-remove", anchor, owner)
        await self._store.flush()
        return True

    async def run(self) -> None:
        """Take up what is stored and whatever becomes of it, for ever; ends by cancellation."""
        async for change in self._store.watch(TABLE):
            if change is None:
                await self._load()
            elif change.value is None:
                self._drop(change.key)
            else:
                self._take(change.key, change.value)

    async def expire(self) -> NoReturn:
        """Let go of what has expired as soon as it has, for ever; ends by cancellation."""
        while True:
            self._changed.clear()
            now = self._clock.wall()
            for anchor in [each for each in self._anchors.values() if each.until <= now]:
                self._drop(anchor.zone)
                self._audit("nta-expired", anchor)
            if not self._loaded and self._ready.is_set():
                await self._load()
            left = min((each.until - now for each in self._anchors.values()), default=_LOOK_EVERY)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(min(left, _LOOK_EVERY), 0.01)):
                    await self._changed.wait()

    async def _load(self) -> None:
        try:
            unseen = set(self._anchors)
            async for entry in self._store.scan(TABLE, self._clock.wall()):
                self._take(entry.key, entry.value)
                unseen.discard(entry.key)
            for zone in unseen:
                self._drop(zone)
            self._loaded = True
        except StoreError as error:
            log.error("the negative trust anchors cannot all be read, those that cannot are not in force: %s", error)
        finally:
            self._ready.set()

    def _take(self, zone: Name, value: bytes) -> None:
        now = self._clock.wall()
        anchor = decode(zone, value, now)
        if anchor is None:
            self._counters.add("negative_anchor_damaged_records")
            self._warn_once("a stored negative trust anchor cannot be read and does not count: %r", zone[:100])
            self._drop(zone)
        elif anchor.until > now and anchor != self._anchors.get(zone) and len(self._anchors) < bounds.NEGATIVE_ANCHORS:
            self._put(anchor)

    def _put(self, anchor: NegativeAnchor) -> None:
        self._anchors[anchor.zone] = anchor
        self._tell()

    def _drop(self, zone: Name) -> None:
        if self._anchors.pop(zone, None) is not None:
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._on_change({zone: each.text for zone, each in self._anchors.items()})

    def _audit(self, what: str, anchor: NegativeAnchor, owner: str | None = None) -> None:
        """An entry of the audit log."""
        self._counters.add("negative_anchor_changes", change=what.removeprefix("nta-"))
        fields: logs.Fields = {
            "audit": what, "subject": to_text(anchor.zone), "since": anchor.since, "until": anchor.until,
            "owner": anchor.owner if owner is None else owner, "note": anchor.reason,
        }  # fmt: skip
        self._tell_audit(fields)
