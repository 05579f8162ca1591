"""Verdicts by their reference, for a week, so that the support desk can read what a refused sender quotes.

They are kept as octets, in the store: a verdict is a tree of some hundred objects, and thousands of those would cost every
request the time that the garbage collector takes to walk them. What is new waits in memory for `WRITE_INTERVAL`, and as long
as the store has no room; nobody's mail waits for any of it.

A verdict's octets are an octet 1 and the MessagePack of `_Version1`; its evidence stands there as it came, and in verdicts of
earlier versions in words. Those that are written together make a page: one record in
`TABLE`, the MessagePack of their octets one after the other, and one under the same key in `BY_TIME` that tells which they are:
an octet 2 and the MessagePack of `_Page`. The key begins with the microseconds that were left of 2**64 when the youngest of them
was given, so that a scan gives the youngest first. In pages that begin with an octet 1, of earlier versions, each verdict has a
record of its own in `TABLE`, under its reference.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final, NamedTuple

import msgspec

from resolverd import bounds, logs
from resolverd.clock import Clock
from resolverd.failures import StoreError
from resolverd.mail.findings import Action, Consequence, Evidence, Finding, GreylistOutcome, SmtpReply, Verdict, WhatIf
from resolverd.memo import Memo
from resolverd.metrics import Counters
from resolverd.state.base import Store
from resolverd.values import Value
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
PAGE_OCTETS: Final = 48 * 1024
"""Octets from which on a page is full: such a record can be recovered from a damaged file."""

log = logging.getLogger(__name__)


class StoredVerdict(NamedTuple):
    """A verdict and how many seconds ago it was given."""

    verdict: Verdict
    age: float


class _Finding1(NamedTuple):
    """What there is to tell of a `Finding`, in its order; what it did to others stands in the verdict. The last two are
    unused."""

    check: str
    code: str
    text: str
    score: float
    consequence: Consequence | None
    reply: SmtpReply | None
    link: str
    evidence: tuple[Evidence, ...]
    ms: int
    header: str = ""
    suppresses: tuple[str, ...] = ()


_TOLD: Final = 9


class _Version1(NamedTuple):
    """The fields of `Verdict` in their order, the client as octets, and the wall second."""

    id: str
    action: Action
    score: float
    reason: str
    findings: tuple[_Finding1, ...]
    reply: SmtpReply | None
    greylist: GreylistOutcome | None
    header: str
    partial: bool
    ms: int
    what_if: tuple[WhatIf, ...]
    client: bytes
    at: float


class _Reference1(NamedTuple):
    """A verdict in the order of time; `octets`: how many it takes."""

    id: str
    client: bytes
    octets: int


_Page = tuple[_Reference1, ...]
_VERSION: Final = b"\1"
_APART: Final = b"\1"
"""How a page begins whose verdicts stand under their references."""
_TOGETHER: Final = b"\2"
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Version1)
_page_decoder = msgspec.msgpack.Decoder(_Page)
_octets_decoder = msgspec.msgpack.Decoder(tuple[bytes, ...])


class _Waiting(NamedTuple):
    reference: _Reference1
    value: bytes
    at: float


class _Written(NamedTuple):
    """A page that is in the store."""

    key: bytes
    value: bytes
    verdicts: int
    octets: int


class VerdictStore:
    """The verdicts given, a bounded number of them; the oldest go first. `run` writes them down."""

    def __init__(self, store: Store, clock: Clock, counters: Counters) -> None:
        self._store = store
        self._clock = clock
        self._counters = counters
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._dry: OrderedDict[str, _Waiting] = OrderedDict()
        self._last: OrderedDict[bytes, str] = OrderedDict()
        self._written: deque[_Written] = deque()
        self._encoded = Memo(encode_findings, bounds.VERDICT_FINDINGS)
        self._count = self._octets = 0
        self._woken = asyncio.Event()
        self._taken_up = False
        self._taking_up = asyncio.Lock()

    def put(self, verdict: Verdict, *, dry: bool = False) -> None:
        """Keep it; `dry`: it was only tried out, and is kept in memory for a while. Never raises."""
        at = self._clock.wall()
        client = verdict.client.packed if verdict.client is not None else b""
        try:
            value = encode(verdict, at, self._encoded.of(verdict.findings))
        except Exception as error:
            logs.bug(log, self._counters, "verdicts", "verdict %s is not kept", verdict.id, error=error)
            return
        kept, bound = (self._dry, bounds.VERDICTS_DRY) if dry else (self._waiting, bounds.VERDICTS_UNWRITTEN)
        kept[verdict.id] = _Waiting(_Reference1(verdict.id, client, len(value)), value, at)
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
        found = await self._find(ref)
        return None if found is None else found.verdict

    async def last_on(self, client: Address) -> StoredVerdict | None:
        """The last verdict on a client, those that were only tried out aside; None if it is not kept any more.

        Raises StoreError.
        """
        ref = self._last.get(client.packed)
        return None if ref is None else await self._find(ref)

    async def _find(self, ref: str) -> StoredVerdict | None:
        now = self._clock.wall()
        waiting = self._waiting.get(ref) or self._dry.get(ref)
        if waiting is not None:
            value: bytes | None = waiting.value if now < waiting.at + KEPT_FOR else None
        else:
            value = await self._stored(ref, now)
        if value is None:
            return None
        found = decode(value, now)
        if found is None or found.verdict.id != ref:
            self._counters.add("verdict_damaged_records")
            return None
        return found

    async def _stored(self, ref: str, now: float) -> bytes | None:
        """The octets of a verdict that is written. Raises StoreError."""
        await self._take_up()
        if (found := self._page_of(ref)) is None:
            return None
        page, at = found
        if page.value[:1] == _APART:
            return await self._store.get(TABLE, ref.encode("utf-8", "replace"), now)
        octets = await self._store.get(TABLE, page.key, now)
        if octets is None:
            return None
        try:
            value = _octets_decoder.decode(octets)[at]
        except (ValueError, IndexError):
            value = b""
        return value

    def _page_of(self, ref: str) -> tuple[_Written, int] | None:
        """The page that has it, and the how manieth it is there."""
        name = ref.encode("utf-8", "replace")
        for page in reversed(self._written):
            if name in page.value:
                for at, each in enumerate(_decode_page(page.value)):
                    if each.id == ref:
                        return page, at
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
        return True

    def _write(self, page: tuple[_Waiting, ...]) -> None:
        youngest = page[-1]
        key, until = _key(youngest), youngest.at + KEPT_FOR
        value = _TOGETHER + _encode([each.reference for each in page])
        self._store.put(TABLE, key, _encode([each.value for each in page]), until)
        self._store.put(BY_TIME, key, value, until)
        self._note(key, value, (each.reference for each in page))

    def _note(self, key: bytes, value: bytes, references: Iterable[_Reference1], *, oldest: bool = False) -> None:
        sizes = [each.octets for each in references]
        written = _Written(key, value, len(sizes), sum(sizes))
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
                apart = gone.value[:1] == _APART
                for key in [each.id.encode() for each in _decode_page(gone.value)] if apart else [gone.key]:
                    self._store.delete(TABLE, key)
                self._store.delete(BY_TIME, gone.key)
            except StoreError as error:
                log.debug("old verdicts stay for now: %s", error)
                return
            self._written.popleft()
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
            references = _decode_page(entry.value)
            self._note(entry.key, entry.value, references, oldest=True)
            for each in reversed(references):
                if each.client and each.client not in self._last and len(self._last) < bounds.VERDICT_CLIENTS:
                    self._last[each.client] = each.id
                    self._last.move_to_end(each.client, last=False)


def _first(waiting: Iterable[_Waiting]) -> tuple[_Waiting, ...]:
    """Those that make a page."""
    page, octets = list[_Waiting](), 0
    for each in waiting:
        octets += len(each.value)
        if page and (octets > PAGE_OCTETS or len(page) == PAGE):
            break
        page.append(each)
    return tuple(page)


def encode(verdict: Verdict, at: float, findings: msgspec.Raw | None = None) -> bytes:
    """The octets of a verdict given at a wall second; `findings`: those of its findings, where they are there already."""
    client = verdict.client.packed if verdict.client is not None else b""
    fields = (
        verdict.id, verdict.action, verdict.score, verdict.reason,
        encode_findings(verdict.findings) if findings is None else findings,
        verdict.reply, verdict.greylist, verdict.header, verdict.partial, verdict.ms, verdict.what_if, client, at,
    )  # fmt: skip
    try:
        return _VERSION + _encode(fields)
    except UnicodeEncodeError:  # half a surrogate pair, as JSON may have it
        return _VERSION + _encode(_whole(fields))


def encode_findings(findings: tuple[Finding, ...]) -> msgspec.Raw:
    """The octets of the findings of a verdict."""
    told = tuple(finding[:_TOLD] for finding in findings)
    try:
        return msgspec.Raw(_encode(told))
    except UnicodeEncodeError:
        return msgspec.Raw(_encode(_whole(told)))


def decode(octets: bytes, now: float) -> StoredVerdict | None:
    """The verdict, or None for octets that are none: damaged ones count as absent."""
    if octets[:1] != _VERSION:
        return None
    try:
        found = _decoder.decode(octets[1:])
        client = ip_address(found.client) if found.client else None
        findings = tuple(_worded(Finding(*finding[:_TOLD])) for finding in found.findings)
    except (ValueError, IndexError):  # msgspec's errors are such, and those of names and records that are none
        return None
    verdict = Verdict(
        found.id, found.action, found.score, found.reason, findings, found.reply, found.greylist, found.header, found.partial,
        found.ms, found.what_if, client,
    )  # fmt: skip
    return StoredVerdict(verdict, max(0.0, now - found.at))


def _worded(finding: Finding) -> Finding:
    """The finding, its evidence in words."""
    return finding._replace(evidence=tuple(Evidence(each.asked, each.answered, *each[2:]) for each in finding.evidence))


def _whole(value: object) -> object:
    """The value with a question mark in place of what no encoding has."""
    if isinstance(value, Value):
        value = msgspec.structs.astuple(value)
    if isinstance(value, tuple):
        return tuple(map(_whole, value))
    return str(value).encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _decode_page(octets: bytes) -> _Page:
    """The page; nothing for octets that are none."""
    if octets[:1] not in (_APART, _TOGETHER):
        return ()
    try:
        return _page_decoder.decode(octets[1:])
    except ValueError:
        return ()


def _key(youngest: _Waiting) -> bytes:
    left = (1 << 64) - 1 - int(min(max(youngest.at, 0.0) * 1e6, 2.0**63))
    return left.to_bytes(8, "big") + youngest.reference.id.encode()
