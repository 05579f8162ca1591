"""This host's verdicts, shown to the others of its fleet: copies of its pages in the store that they share.

Each page stands in `PAGES` under the host's id and its own key. The host's index tells which there are: parts of it, numbered,
in `INDEX`, of which the last one is written anew with every page until it is full, and in `HEADS` the numbers of the first
part and of the one to come. Whoever looks for a verdict reads the index of each host, and no more than that is ever searched.

The host's own store has everything; so nothing is queued while the shared one cannot be reached, and what is missing there is
found by comparing. Only the host itself removes what is its own; what it leaves behind goes after `verdicts.KEPT_FOR`.
"""

import asyncio
import logging
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, NamedTuple

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.failures import StoreError
from resolverd.policy.verdict_records import APART, IndexedPage, decode_index, encode_index
from resolverd.policy.verdicts import KEPT_FOR, RETRY_INTERVAL, VerdictStore, WrittenPage, given_at
from resolverd.state.base import Store

PAGES: Final = "fleet-verdicts"
INDEX: Final = "fleet-verdict-index"
HEADS: Final = "fleet-verdict-heads"
PART_OCTETS: Final = 16 * 1024
"""Octets from which on a part of the index is full: some 500 verdicts."""
_AT_ONCE: Final = 20
"""Pages published in one go, half a megabyte at the most."""
_PARTS_AT_ONCE: Final = 10
_RETRIES: Final = (0.02, 0.1, 0.3)
"""Seconds until each further try to read what did not come in time."""
_PAUSE: Final = 0.05
"""Seconds between two goes: what is published anew is no burden for what is asked meanwhile."""
_UPKEEP: Final = 60.0
"""Seconds after which the shared store is looked at even where nothing new has been written."""
_HEAD = struct.Struct(">QQ")

log = logging.getLogger(__name__)


class Head(NamedTuple):
    """The numbers of the parts of an index: from `first` up to, but not, `end`."""

    first: int
    end: int


def encode_head(head: Head) -> bytes:
    """The octets of a head."""
    return _HEAD.pack(*head)


def decode_head(octets: bytes) -> Head | None:
    """The head, of `bounds.VERDICT_INDEX` parts at the most, the youngest; None for octets that are none."""
    if len(octets) != _HEAD.size:
        return None
    first, end = _HEAD.unpack(octets)
    return Head(max(first, end - bounds.VERDICT_INDEX), end) if first <= end else None


def part_key(host: str, number: int) -> bytes:
    """The key of a part of a host's index."""
    return host.encode() + number.to_bytes(8, "big")


def page_key(host: str, key: bytes) -> bytes:
    """The key of a host's page."""
    return host.encode() + key


async def parts(
    store: Store, host: str, numbers: Sequence[int], now: float
) -> AsyncIterator[tuple[int, tuple[IndexedPage, ...]]]:
    """Parts of a host's index, in the order of `numbers`; one that is not there or damaged has no pages. Raises StoreError."""
    for start in range(0, len(numbers), _PARTS_AT_ONCE):
        some = numbers[start : start + _PARTS_AT_ONCE]
        found = await patiently(store, [(INDEX, part_key(host, number)) for number in some], now)
        for number, octets in zip(some, found, strict=True):
            yield number, decode_index(octets) if octets is not None and len(octets) <= bounds.VERDICT_INDEX_PART else ()


async def patiently(store: Store, wanted: Sequence[tuple[str, bytes]], now: float) -> list[bytes | None]:
    """The values of some records, by table and key: nobody's mail waits for these, so they may be late. Raises StoreError."""
    for pause in _RETRIES:
        try:
            return await _values(store, wanted, now)
        except StoreError:
            await asyncio.sleep(pause)
    return await _values(store, wanted, now)


async def _values(store: Store, wanted: Sequence[tuple[str, bytes]], now: float) -> list[bytes | None]:
    await store.prefetch(wanted)
    return [await store.get(table, key, now) for table, key in wanted]


class VerdictPublisher:
    """Publishes `own` verdicts in the store that is `shared`, under the id of the host at the time.

    `memory`: a name for what the shared store remembers, another one once it has lost that.
    """

    def __init__(
        self, own: VerdictStore, shared: Store, clock: Clock, host: Callable[[], str], memory: Callable[[], str] = lambda: ""
    ) -> None:
        self._own = own
        self._shared = shared
        self._clock = clock
        self._host = host
        self._memory = memory
        self._begun_as: tuple[str, str] | None = None
        self._published: dict[bytes, int] = {}
        """The part of the index that each page is in, by the page's key, the oldest first."""
        self._pages_of = Counter[int]()
        self._head = Head(0, 0)
        self._part: list[IndexedPage] = []
        """The pages of the last part."""
        self._woken = asyncio.Event()
        self._evicted: list[bytes] = []
        own.on_written.append(self._woken.set)
        own.on_evicted.append(self._evicted.append)

    async def run(self) -> None:
        """Publish what is written, for ever; ends by cancellation."""
        while True:
            self._woken.clear()
            try:
                await self.publish()
            except StoreError as error:
                log.debug("verdicts are not shown to other hosts for now: %s", error)
                await asyncio.sleep(RETRY_INTERVAL)
            else:
                try:
                    async with asyncio.timeout(_UPKEEP):
                        await self._woken.wait()
                except TimeoutError:
                    pass

    async def publish(self) -> None:
        """Publish what the shared store does not have yet, and remove what is kept no more. Raises StoreError."""
        await self._begin()
        self._remove()
        missing = self._missing(await self._own.pages())
        for start in range(0, len(missing), _AT_ONCE):
            for page in missing[start : start + _AT_ONCE]:
                await self._publish(page)
            self._write_index()
            if start + _AT_ONCE < len(missing):
                await self._shared.flush()
                await asyncio.sleep(_PAUSE)

    async def _begin(self) -> None:
        """Learn what is published already: at the start, and once the shared store has lost its memory. Raises StoreError."""
        host, memory = as_whom = self._host(), self._memory()
        if self._begun_as == as_whom:
            return
        now = self._clock.wall()
        octets = await self._shared.get(HEADS, host.encode(), now)
        head = (decode_head(octets) if octets is not None else None) or Head(0, 0)
        self._published.clear()
        self._pages_of.clear()
        self._part = []
        if self._begun_as is None:
            async for number, part in parts(self._shared, host, range(*head), now):
                self._published.update((each.key, number) for each in part)
                self._pages_of[number] = len(part)
        # What was published before goes on in a part of its own: who reads a part that is full may keep it.
        self._head = head if self._begun_as is None else Head(head.end, head.end)
        self._begun_as = host, memory

    def _missing(self, pages: Sequence[WrittenPage]) -> list[WrittenPage]:
        """Those that are not published, the oldest first."""
        oldest, missing = self._clock.wall() - KEPT_FOR, []
        for page in reversed(pages):
            if page.key in self._published or page.at <= oldest:
                break
            if page.value[:1] != APART:
                missing.append(page)
        return missing[::-1]

    async def _publish(self, page: WrittenPage) -> None:
        if not self._shared.has_room():
            raise StoreError("the shared store has no room")
        octets = await self._own.page_octets(page)
        host, until = self._host(), page.at + KEPT_FOR
        if not self._part or sum(len(each.key) + len(each.page) for each in self._part) >= PART_OCTETS:
            if self._part:
                self._write_index()
            self._part = []
            self._head = Head(self._head.first, self._head.end + 1)
        number = self._head.end - 1
        if octets is not None:
            self._shared.put(PAGES, page_key(host, page.key), octets, until)
        self._part.append(IndexedPage(page.key, page.value))
        self._published[page.key] = number
        self._pages_of[number] += 1

    def _write_index(self) -> None:
        if not self._part:
            return
        host, until = self._host(), given_at(self._part[-1].key) + KEPT_FOR
        self._shared.put(INDEX, part_key(host, self._head.end - 1), encode_index(self._part), until)
        self._shared.put(HEADS, host.encode(), encode_head(self._head), until)

    def _remove(self) -> None:
        """Remove what is kept here no more, and forget what has expired there."""
        host, expired, first = self._host(), self._clock.wall() - KEPT_FOR, self._head.first
        while self._evicted:
            key = self._evicted[-1]
            if key in self._published:
                self._shared.delete(PAGES, page_key(host, key))
                self._forget(host, key)
            self._evicted.pop()
        while self._published and given_at(key := next(iter(self._published))) <= expired:
            self._forget(host, key)
        if self._head.first != first:
            self._write_index()

    def _forget(self, host: str, key: bytes) -> None:
        """A page is there no more; parts of the index at its old end that have none left go as well."""
        self._pages_of[self._published.pop(key)] -= 1
        while (first := self._head.first) < self._head.end - 1 and self._pages_of[first] <= 0:
            del self._pages_of[first]
            self._shared.delete(INDEX, part_key(host, first))
            self._head = Head(first + 1, self._head.end)
