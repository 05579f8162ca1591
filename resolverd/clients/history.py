"""The clients that have tried to deliver: recorded without making anybody wait, and looked up."""

import asyncio
import contextlib
import logging
from collections import OrderedDict, deque
from typing import Final

from resolverd import bounds
from resolverd.clients.record import (
    REFUSALS,
    WITHIN,
    ClientRecord,
    client_key,
    decode_record,
    encode_record,
    is_worth_writing,
    new_for,
    record_of,
)
from resolverd.clock import Clock
from resolverd.dnsbl.names import unmapped
from resolverd.failures import StoreError
from resolverd.greylist.decide import decode_client
from resolverd.greylist.service import CLIENTS
from resolverd.mail.findings import Action, Verdict
from resolverd.metrics import Counters
from resolverd.state.base import Store
from resolverd.wire.names import Address

TABLE: Final = "clients"
SINCE: Final = b"since"
"""The key, no client's, under which stands since when clients are noted."""
WRITE_INTERVAL: Final = 0.2
"""Seconds for which notes are collected: one of a client, however much it sends."""
AT_ONCE: Final = 20
"""Notes written side by side: two round trips for all of them, where the store is shared."""
RETRY_INTERVAL: Final = 15.0
"""Seconds until what the store did not take is tried again."""
MAX_TRIES: Final = 10
"""How often a note is written anew as another host has written of the same client meanwhile."""
_FOREVER: Final = float(2**32)

log = logging.getLogger(__name__)


class ClientHistory:
    """What is known of clients. Bounded, as anybody may come: beyond, the oldest note is let go, and the oldest offender."""

    def __init__(self, store: Store, clock: Clock, counters: Counters) -> None:
        self._store = store
        self._clock = clock
        self._counters = counters
        self._notes: OrderedDict[str, ClientRecord] = OrderedDict()
        self._refusals: OrderedDict[str, deque[float]] = OrderedDict()
        self._noted = asyncio.Event()
        self._since: int | None = None

    def note(self, verdict: Verdict) -> None:
        """Remember an attempt by its verdict. Returns at once; what is said of the client counts at once."""
        if verdict.client is None:
            return
        name = client_key(verdict.client)
        seen = record_of(verdict, int(self._clock.wall()))
        before = self._notes.get(name)
        if before is not None:
            seen |= before
        if seen != before:
            self._notes[name] = seen
            if not self._noted.is_set():
                self._noted.set()
        if len(self._notes) > bounds.CLIENT_NOTES:
            self._notes.popitem(last=False)
            self._counters.add("client_notes_lost")
        if verdict.action is Action.REJECT:
            times = self._refusals.setdefault(name, deque(maxlen=REFUSALS))
            times.append(self._clock.monotonic())
            self._refusals.move_to_end(name)
            if len(self._refusals) > bounds.CLIENT_NOTES:
                self._refusals.popitem(last=False)

    async def run(self) -> None:
        """Write notes down, for ever; ends by cancellation."""
        with contextlib.suppress(StoreError):
            await self._begin()
        while True:
            await self._noted.wait()
            await asyncio.sleep(WRITE_INTERVAL)
            self._noted.clear()
            if not await self.write_notes():
                self._noted.set()
                await asyncio.sleep(RETRY_INTERVAL)

    async def write_notes(self) -> bool:
        """Write down what was noted so far; False where the store did not take all of it, which stays noted."""
        notes, taken = list(self._notes.items()), True
        try:
            if notes and self._since is None:
                await self._begin()
        except StoreError:
            return False
        for first in range(0, len(notes), AT_ONCE):
            some = notes[first : first + AT_ONCE]
            with contextlib.suppress(StoreError):  # `_take` meets it too
                await self._store.prefetch([(TABLE, name.encode()) for name, _ in some])
            taken &= all(await asyncio.gather(*(self._take(*note) for note in some)))
        return taken

    async def _take(self, name: str, seen: ClientRecord) -> bool:
        """Have a note written down, which is none any more then; False where the store does not take it."""
        try:
            await self._write(name, seen)
        except StoreError as error:
            log.debug("a client is not remembered yet: %s", error)
            return False
        if self._notes.get(name) == seen:
            del self._notes[name]
        return True

    async def _write(self, name: str, seen: ClientRecord) -> None:
        """Write down a note on a client, whoever else does. Raises StoreError."""
        key, now = name.encode(), self._clock.wall()
        for _ in range(MAX_TRIES):
            octets = await self._store.get(TABLE, key, now)
            before = None if octets is None else decode_record(octets)
            after = seen if before is None else before | seen
            if not is_worth_writing(before, after):
                return
            if await self._store.cas(TABLE, key, octets, encode_record(after), now, after.expires):
                return
        raise StoreError(f"others were at the same client {MAX_TRIES} times")

    async def new_for(self, client: Address) -> float | None:
        """Seconds for which a client is still new: 0 for one that is not, None where that is not known."""
        try:
            if self._since is None:
                await self._begin()
            known = await self._known(client)
        except StoreError:
            return None
        return new_for(known, self._since, self._clock.wall())

    async def has_passed(self, client: Address) -> bool:
        """Whether a client is known to have passed greylisting; not, where that is not known."""
        try:
            known = await self._known(client)
            if known is not None and known.passed:
                return True
            octets = await self._store.get(CLIENTS, str(unmapped(client)).encode(), self._clock.wall())
        except StoreError:
            return False
        counted = None if octets is None else decode_client(octets)
        return counted is not None and counted.passes > 0

    def offends_for(self, client: Address) -> float:
        """Seconds for which a client still is an offender: 0 for one that is none."""
        times = self._refusals.get(client_key(client))
        if times is None or len(times) < REFUSALS:
            return 0.0
        return max(0.0, times[0] + WITHIN - self._clock.monotonic())

    async def _begin(self) -> None:
        """Find out since when clients are noted, or begin with it."""
        now = self._clock.wall()
        octets = await self._store.get(TABLE, SINCE, now)
        begun = None if octets is None else decode_record(octets)
        if begun is None:
            begun = ClientRecord(int(now), int(now))
            if not await self._store.cas(TABLE, SINCE, octets, encode_record(begun), now, _FOREVER):
                return  # another host has, in this moment
        self._since = begun.first

    async def _known(self, client: Address) -> ClientRecord | None:
        name = client_key(client)
        written, noted = await self._read(name), self._notes.get(name)
        return written | noted if written is not None and noted is not None else written or noted

    async def _read(self, name: str) -> ClientRecord | None:
        octets = await self._store.get(TABLE, name.encode(), self._clock.wall())
        return None if octets is None else decode_record(octets)
