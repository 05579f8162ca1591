"""The admin's overrides kept: in the store, found at once in memory, every change of them in the audit log.

What the store's other users change, other hosts and `resolverd store load` among them, counts here as soon as it is seen.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from resolverd import bounds, logs
from resolverd.clock import Clock
from resolverd.failures import StoreError
from resolverd.generation import Generation
from resolverd.metrics import Counters
from resolverd.overrides.matching import OverrideIndex, OverrideMatch
from resolverd.overrides.records import decode, decode_key, encode, encode_key
from resolverd.overrides.rules import ALLOW, DENY, EVERYTHING, Override, OverrideKey
from resolverd.state.base import Store

TABLE: Final = "overrides"
FOREVER: Final = float(2**32)
"""The wall second at which records without an end go: in 2106."""
HITS_EVERY: Final = 60.0
"""Seconds between two writings of what was counted; a crash forgets that much of the counts, never an override."""
_BATCH: Final = 50
"""Records taken up before others have their turn: a hundred thousand take seconds."""

log = logging.getLogger(__name__)


class Full(Exception):
    """There are as many overrides as may be."""


class NewOverride(NamedTuple):
    """An override as somebody wants it. `duration`: seconds from now, None for no end."""

    key: OverrideKey
    duration: int | None = None
    owner: str = ""
    reason: str = ""
    from_id: str = ""


class OverrideView(NamedTuple):
    """An override as it stands. `overruled`: a later one on the same subject says the opposite."""

    override: Override
    overruled: bool


class OverrideStore:
    """All overrides. Reading never waits: what is in force is in memory, `run` brings it there. `audit` is told of changes."""

    def __init__(
        self, store: Store, clock: Clock, counters: Counters, audit: Callable[[logs.Fields], None] = logs.audit
    ) -> None:
        self._store = store
        self._clock = clock
        self._counters = counters
        self._audit = audit
        self._counted: Counter[OverrideKey] = Counter()
        self._warn_once = logs.WarnOnce(log)
        self.index = OverrideIndex()
        self.generation = Generation()
        """That of what overrides decide."""
        self.loaded = False
        self._ready = asyncio.Event()
        self._ready.set()

    def expect_load(self) -> None:
        """From now on until `load` has ended, `ready` waits for it."""
        self._ready.clear()

    def is_ready(self) -> bool:
        """Whether what is stored has been taken up, as far as it can be."""
        return self._ready.is_set()

    async def ready(self, patience: float | None) -> bool:
        """Whether what is stored has been taken up, as far as it can be; waits for that for some seconds at the most."""
        if not self._ready.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._ready.wait()
        return self._ready.is_set()

    async def run(self) -> None:
        """Take up what is stored and whatever becomes of it, for ever; ends by cancellation."""
        async for change in self._store.watch(TABLE):
            if change is None:
                await self.load()
            elif change.value is None:
                self._drop(change.key)
            else:
                self._take(change.key, change.value)

    async def load(self) -> None:
        """Take up what is stored, beside everything else. Where the store fails mail passes, and `expire` tries again."""
        try:
            unseen = {encode_key(each.key) for each in self.index}
            count = 0
            async for entry in self._store.scan(TABLE, self._clock.wall()):
                self._take(entry.key, entry.value)
                unseen.discard(entry.key)
                count += 1
                if count % _BATCH == 0:
                    await asyncio.sleep(0)
            for key in unseen:
                if await self._store.get(TABLE, key, self._clock.wall()) is None:
                    self._drop(key)
        except StoreError as error:
            log.error("the overrides cannot all be read, those that cannot are not in force: %s", error)
        else:
            self.loaded = True
        finally:
            self._ready.set()

    def _take(self, octets: bytes, value: bytes) -> None:
        """A record as it stands in the store, which may be older than what is known, while it is read."""
        override = decode(octets, value)
        if override is None:
            self._counters.add("override_damaged_records")
            self._warn_once("a stored override cannot be read and does not count: %r", octets[:100])
            self._drop(octets)
            return
        known = self.index.get(override.key)
        if known is None and len(self.index) >= bounds.OVERRIDES:
            self._warn_once("there are more than %d overrides stored: one and those behind it are not in force", bounds.OVERRIDES)
            return
        if known is not None:
            if override.since < known.since:
                return
            # Hits that were counted here are not stored yet.
            override = override._replace(hits=max(override.hits, known.hits), last=max(override.last, known.last))
            known = known._replace(hits=override.hits, last=override.last)
        self.index.put(override)
        if override != known:
            self.generation.bump()

    def _drop(self, octets: bytes) -> None:
        """A record is no more. One that has expired stays, for `expire` to tell of it."""
        key = decode_key(octets)
        known = self.index.get(key) if key is not None else None
        if known is not None and known.in_force(self._clock.wall()):
            self.index.drop(known.key)
            self.generation.bump()

    async def expire(self) -> None:
        """Let go of what has expired, and write what was counted; to be called every `HITS_EVERY` seconds."""
        if not self.loaded:
            await self.load()
        now = self._clock.wall()
        for override in [each for each in self.index if not each.in_force(now)]:
            self.index.drop(override.key)
            self.generation.bump()
            self._audit(_told("expired", override))
        await self.write_hits()

    async def write_hits(self) -> None:
        """Add what was counted since the last time to what is stored; not to what has been taken back or replaced meanwhile."""
        for count, key in enumerate(list(self._counted), 1):
            more = self._counted[key]
            try:
                if await self._write_hits(key, more):
                    self._counted[key] -= more
            except StoreError as error:
                log.debug("hits of an override are not kept: %s", error)
                return
            if not self._counted[key]:
                del self._counted[key]
            if count % _BATCH == 0:
                await asyncio.sleep(0)

    async def _write_hits(self, key: OverrideKey, more: int) -> bool:
        """Whether that is done with."""
        now, octets = self._clock.wall(), encode_key(key)
        value = await self._store.get(TABLE, octets, now)
        stored = decode(octets, value) if value is not None else None
        known = self.index.get(key)
        if stored is None or known is None:
            return True
        counted = stored._replace(hits=stored.hits + more, last=max(stored.last, known.last))
        return await self._store.cas(TABLE, octets, value, encode(counted), now, stored.until or FOREVER)

    async def set(self, new: NewOverride) -> Override:
        """Put an override in force, in place of one that is the same but for its end and its notes.

        Somebody else's that lasts longer stays what it is: a ban of an hour never takes the place of one for good. Raises Full,
        StoreError.
        """
        now = int(self._clock.wall())
        before = self.index.get(new.key)
        if before is not None and not before.in_force(now):
            before = None
        if before is None and len(self.index) >= bounds.OVERRIDES:
            raise Full
        until = 0 if new.duration is None else now + max(new.duration, 1)
        # The later of two decides, within a second as well.
        others = (each.since + 1 for each in self.index.of(new.key.subject) if each.key.action != new.key.action)
        since = max([now, *others])
        if before is not None and before.owner != new.owner and until and not 0 < before.until <= until:
            override = before._replace(since=since)
        else:
            hits, last = (before.hits, before.last) if before is not None else (0, 0)
            override = Override(new.key, since, until, new.owner, new.reason, new.from_id, hits, last)
        self._put(override)
        self.index.put(override)
        self.generation.bump()
        self._audit(_told(new.key.action, override))
        self._counters.add("override_changes", action=new.key.action)
        await self._store.flush()
        return override

    async def forget(self, keys: Iterable[OverrideKey], owner: str = "") -> int:
        """Take overrides back; how many there were. Raises StoreError."""
        gone = 0
        for key in list(keys):
            override = self.index.get(key)
            if override is None:
                continue
            self._store.delete(TABLE, encode_key(key))
            self.index.drop(key)
            self.generation.bump()
            gone += 1
            self._audit(_told("forget", override._replace(owner=owner)))
            self._counters.add("override_changes", action="forget")
        if gone:
            await self._store.flush()
        return gone

    def views(self, subject: str | None = None) -> list[OverrideView]:
        """Those in force, of one canonical subject or of all, in order of subject."""
        now = self._clock.wall()
        found = self.index if subject is None else self.index.of(subject)
        in_force = sorted((each for each in found if each.in_force(now)), key=lambda each: (_order(each.key.subject), each.key))
        return [OverrideView(each, self._is_overruled(each, now)) for each in in_force]

    def count_hits(self, matches: Iterable[OverrideMatch]) -> None:
        """These have counted for somebody."""
        now = int(self._clock.wall())
        for override, _ in matches:
            known = self.index.get(override.key)
            if known is not None:
                self.index.put(known._replace(hits=known.hits + 1, last=now))
                self._counted[override.key] += 1
                self._counters.add("override_hits", action=override.key.action)

    def _put(self, override: Override) -> None:
        self._store.put(TABLE, encode_key(override.key), encode(override), override.until or FOREVER)

    def _is_overruled(self, override: Override, now: float) -> bool:
        key = override.key
        if key.action == DENY:
            opposites = [key._replace(action=ALLOW, temporary=False)]
        else:
            opposites = [key._replace(action=DENY, scope=EVERYTHING, temporary=temporary) for temporary in (False, True)]
        others = filter(None, map(self.index.get, opposites))
        return any(other.in_force(now) and other.since > override.since for other in others)


def _told(what: str, override: Override) -> logs.Fields:
    """What an entry of the audit log says."""
    key = override.key
    until = "" if not override.until else override.until
    return {
        "audit": what, "subject": key.subject, "scope": key.scope, "to": key.recipient,
        "temporary": "yes" if key.temporary else "", "since": override.since, "until": until,
        "owner": override.owner, "note": override.reason, "from_id": override.from_id,
    }  # fmt: skip


def _order(subject: str) -> list[tuple[int, str]]:
    """Subjects as people look for them: 192.0.2.9 before 192.0.2.10, domains by their ends."""
    parts = subject.split(".")
    parts = parts if subject[:1].isdigit() or ":" in subject else parts[::-1]
    return [(int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in parts]
