"""Verdicts by their reference, for a week, so that the support desk can read what a refused sender quotes.

They are kept as octets, in the store: a verdict is a tree of some hundred objects, and thousands of those would cost every
request the time that the garbage collector takes to walk them. What is new waits in memory for `WRITE_INTERVAL`, and as long
as the store has no room; nobody's mail waits for any of it.

Where several hosts share a store, each keeps its own verdicts here, in its own store, and shows them to the others
(`published_verdicts`), who look for what they have not given themselves (`fleet_verdicts`).

They are written in pages (`verdict_records`): one record in `TABLE` with the verdicts, and one under the same key in `BY_TIME`
that tells which they are. The key begins with the microseconds that were left of 2**64 when the youngest of them was given, so
that a scan gives the youngest first.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Final, NamedTuple

from resolverd import bounds, logs
from resolverd.clock import Clock
from resolverd.failures import StoreError
from resolverd.mail.findings import Verdict
from resolverd.mail.request import Attempt
from resolverd.memo import Memo
from resolverd.metrics import Counters
from resolverd.policy.verdict_records import (
    APART,
    KeptVerdict,
    Page,
    Reference,
    StoredVerdict,
    decode,
    decode_page,
    decode_together,
    encode,
    encode_findings,
    encode_page,
    encode_together,
    kept_attempt,
)
from resolverd.pseudonyms import Pseudonyms
from resolverd.state.base import Store
from resolverd.wire.names import Address

TABLE: Final = "verdicts"
BY_TIME: Final = "verdicts-by-time"
KEPT_FOR: Final = 7 * 86400.0
"""Seconds for which a verdict is kept if its room is not needed."""
WRITE_INTERVAL: Final = 0.5
"""Seconds for which verdicts are collected: with what the store itself takes, a crash loses less than a second's."""
RETRY_INTERVAL: Final = 5.0
"""Seconds until a store that had no room is tried again."""
PAGE: Final = 500
"""Verdicts of one page."""
PAGE_OCTETS: Final = 28 * 1024
"""Octets from which on a page is full: such a record can be recovered from a damaged file, and a dump with it be loaded, whose
records go into HTTP bodies of 64 KiB (`servers.http.dump_format`)."""
_AT_ONCE: Final = 100
"""Verdicts that wait to be written, given in one go, and pages looked for one in."""

log = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    reference: Reference
    value: bytes
    at: float


class WrittenPage(NamedTuple):
    """A page that is in the store: its key, which verdicts it has as `decode_page` reads it, how many and how large they are."""

    key: bytes
    value: bytes
    verdicts: int
    octets: int

    @property
    def at(self) -> float:
        """The wall second when the youngest of them was given."""
        return given_at(self.key)


class VerdictStore:
    """The verdicts given, a bounded number of them; the oldest go first. `run` writes them down.

    `pseudonyms`: what is kept of names is hashed, from now on; None: as it came.
    """

    pseudonyms: Pseudonyms | None = None

    def __init__(self, store: Store, clock: Clock, counters: Counters) -> None:
        self._store = store
        self._clock = clock
        self._counters = counters
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._dry: OrderedDict[str, _Waiting] = OrderedDict()
        self._last: OrderedDict[bytes, str] = OrderedDict()
        self._written: deque[WrittenPage] = deque()
        self._encoded = Memo(encode_findings, bounds.VERDICT_FINDINGS)
        self._count = self._octets = 0
        self._woken = asyncio.Event()
        self._taken_up = False
        self._taking_up = asyncio.Lock()
        self.on_written: list[Callable[[], None]] = []
        """Called whenever pages have been written."""
        self.on_evicted: list[Callable[[bytes], None]] = []
        """Called with the key of each page that had to make room."""

    def put(self, verdict: Verdict, attempt: Attempt, *, dry: bool = False) -> None:
        """Keep it, and what it is on; `dry`: it was only tried out, and is kept in memory for a while. Never raises."""
        at = self._clock.wall()
        client = verdict.client.packed if verdict.client is not None else b""
        try:
            value = encode(verdict, at, self._encoded.of(verdict.findings), kept_attempt(attempt, self.pseudonyms))
        except Exception as error:
            logs.bug(log, self._counters, "verdicts", "verdict %s is not kept", verdict.id, error=error)
            return
        kept, bound = (self._dry, bounds.VERDICTS_DRY) if dry else (self._waiting, bounds.VERDICTS_UNWRITTEN)
        kept[verdict.id] = _Waiting(Reference(verdict.id, client, len(value)), value, at)
        if len(kept) > bound:
            kept.popitem(last=False)
            if not dry:
                self._counters.add("verdicts_lost")
        if dry:
            return
        self._woken.set()
        if client:
            self._last[client] = verdict.id
            self._last.move_to_end(client)
            if len(self._last) > bounds.VERDICT_CLIENTS:
                self._last.popitem(last=False)

    async def get(self, ref: str) -> Verdict | None:
        """The verdict of this reference, if it is still kept. Raises StoreError."""
        found = await self.find(ref)
        return None if found is None else found.verdict

    async def last_on(self, client: Address) -> StoredVerdict | None:
        """The last verdict on a client, those that were only tried out aside; None if it is not kept any more.

        Raises StoreError.
        """
        ref = self._last.get(client.packed)
        return None if ref is None else await self.find(ref)

    async def find(self, ref: str) -> StoredVerdict | None:
        """The same with its age and what it is on. Raises StoreError."""
        now = self._clock.wall()
        value = await self.octets(ref)
        if value is None:
            return None
        found = decode(value, now)
        if found is None or found.verdict.id != ref:
            self._counters.add("verdict_damaged_records")
            return None
        return found

    async def octets(self, ref: str) -> bytes | None:
        """The octets of the verdict of this reference, if it is still kept, damaged ones too. Raises StoreError."""
        now = self._clock.wall()
        waiting = self._waiting.get(ref) or self._dry.get(ref)
        if waiting is not None:
            return waiting.value if now < waiting.at + KEPT_FOR else None
        return await self._stored(ref, now)

    async def pages(self) -> Sequence[WrittenPage]:
        """What is written, the oldest first; those of more than `KEPT_FOR` ago may be gone. Raises StoreError."""
        await self._take_up()
        return self._written

    async def page_octets(self, page: WrittenPage) -> bytes | None:
        """What stands in a page, as `decode_together` reads it; None where it is there no more. Raises StoreError."""
        return await self._store.get(TABLE, page.key, self._clock.wall())

    async def _stored(self, ref: str, now: float) -> bytes | None:
        """The octets of a verdict that is written. Raises StoreError."""
        await self._take_up()
        if (found := self._page_of(ref)) is None:
            return None
        page, at = found
        if page.value[:1] == APART:
            return await self._store.get(TABLE, ref.encode("utf-8", "replace"), now)
        octets = await self._store.get(TABLE, page.key, now)
        if octets is None:
            return None
        together = decode_together(octets)
        return together[at] if at < len(together) else b""

    async def back(
        self, after: str, since: float, until: float, is_wanted: Callable[[bytes], bool] | None = None
    ) -> AsyncGenerator[list[KeptVerdict], None]:
        """The verdicts that count, the newest first, some at a time; between two there is time for others.

        They begin behind the reference `after`, and with the newest where that is "". Pages in which none can be of the wall
        seconds `since` to `until`, or has a client that `is_wanted`, given its octets, are not read; what is read may hold
        others. Raises StoreError, and KeyError where nothing has the reference `after` any more.
        """
        await self._take_up()
        waiting, pages, last = list(reversed(self._waiting.values())), list(reversed(self._written)), -1
        if after in self._waiting:
            waiting = waiting[[each.reference.id for each in waiting].index(after) + 1 :]
        elif after:
            waiting, name = [], after.encode("utf-8", "replace")
            for number, page in enumerate(pages):
                if number % _AT_ONCE == _AT_ONCE - 1:
                    await asyncio.sleep(0)
                if (found := number_in(page.value, after, name)) is not None:
                    pages, last = pages[number:], found
                    break
            else:
                raise KeyError(after)
        waiting = [each for each in waiting if is_wanted is None or is_wanted(each.reference.client)]
        for start in range(0, len(waiting), _AT_ONCE):
            yield [KeptVerdict(each.value) for each in waiting[start : start + _AT_ONCE]]
        for page, older in zip_longest(pages, pages[1:]):
            times = page.at, 0.0 if older is None else older.at
            if max(times) >= since and min(times) <= until:
                yield [KeptVerdict(each) for each in await self._wanted_of(page, last, is_wanted)]
            last = -1

    async def _wanted_of(self, page: WrittenPage, last: int, is_wanted: Callable[[bytes], bool] | None) -> list[bytes]:
        """The octets of the verdicts of a page with wanted clients, the newest first; of those before the `last`, unless -1."""
        references = decode_page(page.value)
        wanted = wanted_of(references, last, is_wanted)
        if not wanted:
            await asyncio.sleep(0)
            return []
        now = self._clock.wall()
        if page.value[:1] == APART:
            kept = [await self._store.get(TABLE, references[number].id.encode(), now) for number in wanted]
            return [each for each in kept if each is not None]
        together = decode_together(await self._store.get(TABLE, page.key, now) or b"")
        return [together[number] for number in wanted if number < len(together)]

    def _page_of(self, ref: str) -> tuple[WrittenPage, int] | None:
        """The page that has it, and the how manieth it is there."""
        name = ref.encode("utf-8", "replace")
        for page in reversed(self._written):
            if (number := number_in(page.value, ref, name)) is not None:
                return page, number
        return None

    async def run(self) -> None:
        """Take up what is stored, then write what is new, for ever; ends by cancellation, after which `write` writes the rest."""
        try:
            await self._take_up()
        except StoreError as error:
            log.warning("verdicts of before are not found for now: %s", error)
        while True:
            await self._woken.wait()
            await asyncio.sleep(WRITE_INTERVAL)
            self._woken.clear()
            if not self.write():
                self._woken.set()
                await asyncio.sleep(RETRY_INTERVAL)

    def write(self) -> bool:
        """Hand what is new to the store; False where it has no room."""
        while self._waiting:
            if not self._store.has_room():
                return False
            page = _first(self._waiting.values())
            try:
                self._write(page)
            except StoreError as error:
                log.debug("verdicts are not kept: %s", error)
                return False
            for each in page:
                del self._waiting[each.reference.id]
            self._evict()
        for listener in self.on_written:
            listener()
        return True

    def _write(self, page: tuple[_Waiting, ...]) -> None:
        youngest = page[-1]
        key, until = _key(youngest), youngest.at + KEPT_FOR
        value = encode_page([each.reference for each in page])
        self._store.put(TABLE, key, encode_together([each.value for each in page]), until)
        self._store.put(BY_TIME, key, value, until)
        self._note(key, value, (each.reference for each in page))

    def _note(self, key: bytes, value: bytes, references: Iterable[Reference], *, oldest: bool = False) -> None:
        sizes = [each.octets for each in references]
        written = WrittenPage(key, value, len(sizes), sum(sizes))
        if oldest:
            self._written.appendleft(written)
        else:
            self._written.append(written)
        self._count += written.verdicts
        self._octets += written.octets

    def _evict(self) -> None:
        """Make room: the oldest page goes, as often as need be. What has expired is let go by the store itself."""
        while self._written and (self._count > bounds.VERDICTS or self._octets > bounds.VERDICT_OCTETS):
            gone = self._written[0]
            try:
                apart = gone.value[:1] == APART
                for key in [each.id.encode() for each in decode_page(gone.value)] if apart else [gone.key]:
                    self._store.delete(TABLE, key)
                self._store.delete(BY_TIME, gone.key)
            except StoreError as error:
                log.debug("old verdicts stay for now: %s", error)
                return
            self._written.popleft()
            for listener in self.on_evicted:
                listener(gone.key)
            self._count -= gone.verdicts
            self._octets -= gone.octets

    async def _take_up(self) -> None:
        """Learn what was written before this start, the youngest first, unless that is known. Raises StoreError."""
        async with self._taking_up:
            if self._taken_up:
                return
            found = [entry async for entry in self._store.scan(BY_TIME, self._clock.wall())]
            self._taken_up = True
        own = {page.key for page in self._written}
        for entry in found:
            if entry.key in own:
                continue
            references = decode_page(entry.value)
            self._note(entry.key, entry.value, references, oldest=True)
            for each in reversed(references):
                if each.client and each.client not in self._last and len(self._last) < bounds.VERDICT_CLIENTS:
                    self._last[each.client] = each.id
                    self._last.move_to_end(each.client, last=False)


def number_in(page: bytes, ref: str, name: bytes) -> int | None:
    """The how manieth verdict of a page has this reference, `name` as octets; None where none has."""
    if name not in page:
        return None
    return next((number for number, each in enumerate(decode_page(page)) if each.id == ref), None)


def wanted_of(references: Page, last: int, is_wanted: Callable[[bytes], bool] | None) -> list[int]:
    """Which of a page's verdicts have clients that are wanted, the newest first; of those before the `last`, unless -1."""
    numbers = range(len(references) if last < 0 else min(last, len(references)))
    return [number for number in reversed(numbers) if is_wanted is None or is_wanted(references[number].client)]


def given_at(key: bytes) -> float:
    """The wall second when the youngest verdict of a page was given, by the page's key."""
    return (2**64 - 1 - int.from_bytes(key[:8], "big")) / 1e6


def _first(waiting: Iterable[_Waiting]) -> tuple[_Waiting, ...]:
    """Those that make a page."""
    page, octets = list[_Waiting](), 0
    for each in waiting:
        octets += len(each.value)
        if page and (octets > PAGE_OCTETS or len(page) == PAGE):
            break
        page.append(each)
    return tuple(page)


def _key(youngest: _Waiting) -> bytes:
    left = 2**64 - 1 - int(min(max(youngest.at, 0.0) * 1e6, 2.0**63))
    return left.to_bytes(8, "big") + youngest.reference.id.encode()
