"""The verdicts of all hosts of a fleet: one's own, and those that the others publish, read when somebody asks for them."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Final, NamedTuple, Protocol

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.failures import StoreError
from resolverd.fleet.host_record import is_id
from resolverd.fleet.hosts import Hosts
from resolverd.mail.findings import Verdict
from resolverd.policy.published_verdicts import HEADS, PAGES, decode_head, page_key, parts, patiently
from resolverd.policy.verdict_records import (
    IndexedPage,
    KeptVerdict,
    StoredVerdict,
    decode,
    decode_page,
    decode_together,
    time_of,
)
from resolverd.policy.verdicts import VerdictStore, given_at, number_in, wanted_of
from resolverd.pseudonyms import Pseudonyms
from resolverd.state.base import Store

_PATIENCE: Final = 2.0
"""Seconds for the shared store to say who has published anything."""
_BATCH: Final = 100
"""Verdicts given in one go."""

IsWanted = Callable[[bytes], bool]


class Verdicts(Protocol):
    """The verdicts kept, of one host or of many; `verdicts.VerdictStore` has the contract."""

    @property
    def pseudonyms(self) -> Pseudonyms | None:
        """What stands for whoever is named in the own ones."""
        ...

    async def get(self, ref: str) -> Verdict | None:
        """The verdict of this reference. Raises StoreError."""
        ...

    async def find(self, ref: str) -> StoredVerdict | None:
        """The same with its age and what it is on. Raises StoreError."""
        ...

    def back(
        self, after: str, since: float, until: float, is_wanted: IsWanted | None = None
    ) -> AsyncGenerator[list[KeptVerdict], None]:
        """Verdicts, the newest first. Raises StoreError, and KeyError where nothing has the reference `after` any more."""
        ...


class _After(NamedTuple):
    """The verdict that others are to stand behind, and whose it is."""

    ref: str
    host: str
    at: float


class FleetVerdicts:
    """All hosts' verdicts. While the `shared` store cannot be read the own ones are what there is."""

    def __init__(self, own: VerdictStore, shared: Store, hosts: Hosts, clock: Clock) -> None:
        self._own = own
        self._shared = shared
        self._hosts = hosts
        self._clock = clock

    @property
    def pseudonyms(self) -> Pseudonyms | None:
        """What stands for whoever is named in the own ones."""
        return self._own.pseudonyms

    async def get(self, ref: str) -> Verdict | None:
        """The verdict of this reference, if a host still keeps it. Raises StoreError."""
        found = await self.find(ref)
        return None if found is None else found.verdict

    async def find(self, ref: str) -> StoredVerdict | None:
        """The same with its age, what it is on, and whose it is. Raises StoreError, also where others may have it."""
        found = await self._own.find(ref)
        if found is not None:
            return found._replace(host=self._hosts.name)
        elsewhere = await self._elsewhere(ref)
        if elsewhere is None:
            return None
        host, octets = elsewhere
        found = decode(octets, self._clock.wall())
        return None if found is None or found.verdict.id != ref else found._replace(host=self._hosts.name_of(host))

    async def back(
        self, after: str, since: float, until: float, is_wanted: IsWanted | None = None
    ) -> AsyncGenerator[list[KeptVerdict], None]:
        """As `VerdictStore.back`, of all hosts, in order of their clocks."""
        behind = await self._located(after) if after else None
        try:
            others = await self._others()
        except StoreError:
            if behind is not None and behind.host != self._hosts.id:
                raise
            others = {}
        streams = [_Stream(self._own_verdicts(behind, since, until, is_wanted), self._hosts.id, self._hosts.name)]
        for host, numbers in others.items():
            verdicts = self._verdicts_of(host, numbers, behind, since, until, is_wanted)
            streams.append(_Stream(verdicts, host, self._hosts.name_of(host)))
        batch: list[KeptVerdict] = []
        try:
            while streams:
                foremost = max(streams, key=lambda each: (each.at, each.host))
                if foremost.read:
                    batch.append(KeptVerdict(foremost.read.popleft()[1], foremost.name))
                    if len(batch) == _BATCH:
                        yield batch
                        batch = []
                elif not await foremost.load():
                    streams.remove(foremost)
            yield batch
        finally:
            for stream in streams:
                await stream.verdicts.aclose()

    async def _own_verdicts(
        self, behind: _After | None, since: float, until: float, is_wanted: IsWanted | None
    ) -> AsyncGenerator[list[bytes], None]:
        here = behind is not None and behind.host == self._hosts.id
        latest = until if behind is None or here else min(until, behind.at)
        async for some in self._own.back(behind.ref if behind is not None and here else "", since, latest, is_wanted):
            yield [each.octets for each in some if here or _is_behind(behind, self._hosts.id, each.octets)]

    async def _verdicts_of(
        self, host: str, numbers: range, behind: _After | None, since: float, until: float, is_wanted: IsWanted | None
    ) -> AsyncGenerator[list[bytes], None]:
        """Another host's, the newest first, some at a time. What cannot be read any more counts as gone."""
        here = behind is not None and behind.host == host
        latest = until if behind is None or here else min(until, behind.at)
        ref = behind.ref if behind is not None and here else ""
        name = ref.encode("utf-8", "replace")
        async with aclosing(self._pages_of(host, numbers)) as pages, aclosing(_with_next(pages)) as pairs:
            async for page, older in pairs:
                last = -1
                if ref:
                    found = number_in(page.page, ref, name)
                    if found is None:
                        continue
                    ref, last = "", found
                if given_at(page.key) < since:
                    return
                if older is None or min(given_at(page.key), given_at(older.key)) <= latest:
                    octets = await self._read(host, page, last, is_wanted)
                    yield octets if here else [each for each in octets if _is_behind(behind, host, each)]

    async def _read(self, host: str, page: IndexedPage, last: int, is_wanted: IsWanted | None) -> list[bytes]:
        wanted = wanted_of(decode_page(page.page), last, is_wanted)
        if not wanted:
            await asyncio.sleep(0)
            return []
        together = await self._together(host, page)
        return [together[number] for number in wanted if number < len(together)]

    async def _together(self, host: str, page: IndexedPage) -> tuple[bytes, ...]:
        [octets] = await patiently(self._shared, [(PAGES, page_key(host, page.key))], self._clock.wall())
        return decode_together(octets) if octets is not None and len(octets) <= bounds.VERDICT_PAGE else ()

    async def _located(self, ref: str) -> _After:
        """Where a verdict is. Raises KeyError and StoreError."""
        octets, host = await self._own.octets(ref), self._hosts.id
        if octets is None:
            found = await self._elsewhere(ref)
            if found is None:
                raise KeyError(ref)
            host, octets = found
        at = time_of(octets)
        if at is None:
            raise KeyError(ref)
        return _After(ref, host, at)

    async def _elsewhere(self, ref: str) -> tuple[str, bytes] | None:
        """The host that has published a verdict, and its octets. Raises StoreError."""
        name = ref.encode("utf-8", "replace")
        for host, numbers in (await self._others()).items():
            async with aclosing(self._pages_of(host, numbers)) as pages:
                async for page in pages:
                    if (number := number_in(page.page, ref, name)) is not None:
                        together = await self._together(host, page)
                        return (host, together[number]) if number < len(together) else None
        return None

    async def _pages_of(self, host: str, numbers: range) -> AsyncGenerator[IndexedPage, None]:
        """What a host has published, the newest first."""
        async for _, part in parts(self._shared, host, numbers[::-1], self._clock.wall()):
            for page in reversed(part):
                if len(page.key) > 8:
                    yield page

    async def _others(self) -> dict[str, range]:
        """Which parts the indexes of the other hosts have, by host. Raises StoreError."""
        found: dict[str, range] = {}
        try:
            async with asyncio.timeout(_PATIENCE):
                async for entry in self._shared.scan(HEADS, self._clock.wall()):
                    host, head = entry.key.decode("latin-1"), decode_head(entry.value)
                    if head is not None and is_id(host) and host != self._hosts.id and len(found) < bounds.HOSTS:
                        found[host] = range(*head)
        except TimeoutError:
            raise StoreError("the shared store does not answer") from None
        return found


async def _with_next(pages: AsyncIterator[IndexedPage]) -> AsyncGenerator[tuple[IndexedPage, IndexedPage | None], None]:
    """Each page, and the one that comes next."""
    before: IndexedPage | None = None
    async for page in pages:
        if before is not None:
            yield before, page
        before = page
    if before is not None:
        yield before, None


def _is_behind(behind: _After | None, host: str, octets: bytes) -> bool:
    """Whether a host's verdict comes behind that of another host, in order of time and then of hosts."""
    at = time_of(octets)
    return behind is None or (at is not None and (at, host) < (behind.at, behind.host))


class _Stream:
    """The verdicts of one host, the newest first: those that are read already, and where the next ones come from."""

    def __init__(self, verdicts: AsyncGenerator[list[bytes], None], host: str, name: str) -> None:
        self.verdicts = verdicts
        self.host = host
        self.name = name
        self.read: deque[tuple[float, bytes]] = deque()
        self._last = math.inf

    @property
    def at(self) -> float:
        """When the next one was given; where that is not read, the latest that it can have been."""
        return self.read[0][0] if self.read else self._last

    async def load(self) -> bool:
        """Read some more; False at the end."""
        async for some in self.verdicts:
            timed = [(at, each) for each in some if (at := time_of(each)) is not None]
            if timed:
                self.read.extend(timed)
                self._last = timed[-1][0]
                return True
        return False
