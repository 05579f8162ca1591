"""Looking into what greylisting remembers, and editing it by hand."""

from collections.abc import AsyncGenerator, Callable
from typing import Final, NamedTuple

from resolverd.clock import Clock
from resolverd.dnsbl.names import unmapped
from resolverd.greylist.decide import (
    Client,
    GreylistRules,
    Triplet,
    decode_client,
    decode_triplet,
    encode_client,
    encode_triplet,
    is_allowed,
)
from resolverd.greylist.service import CLIENTS, SENDERS, TRIPLETS
from resolverd.greylist.triplet import network, parts, triplet
from resolverd.state.base import Entry, Store
from resolverd.wire.names import Address

_TABLES: Final = (CLIENTS, SENDERS, TRIPLETS)
MAX_SHOWN: Final = 1000
"""Records given at once."""
MAX_LOOKED_AT: Final = 50_000
"""Records looked at for one question; the answer then says where to go on."""
LOOK_FOR: Final = 5.0
"""Seconds after which it says so in any case: those who ask wait for it."""
KEPT_FOR: Final = 60.0
"""Seconds for which who goes on there goes on with the same walk: to begin one goes through all keys of a shared store."""
MAX_COUNTED: Final = 20_000
"""Triplets counted at once, and no more often than every `CENSUS_AGE` seconds: anybody on this machine may ask for it."""
CENSUS_AGE: Final = 10.0


class RecordFilter(NamedTuple):
    """Which records are meant: those of a client's address or network, of a sender, of a recipient; all that is given."""

    client: Address | None = None
    sender: str | None = None
    recipient: str | None = None


class Cursor(NamedTuple):
    """Where a search of the store goes on."""

    table: str
    key: bytes

    def __str__(self) -> str:
        return f"{self.table}:{self.key.hex()}"

    @classmethod
    def read(cls, text: str) -> "Cursor":
        """The cursor that a text names. Raises ValueError."""
        table, _, key = text.partition(":")
        if table not in _TABLES:
            raise ValueError("no such table")
        return cls(table, bytes.fromhex(key))


class GreylistRecord(NamedTuple):
    """One record. `kind`: triplet, client, or sender (a sender domain of an organisation).

    `origin` is the network or organisation of a triplet or sender, or a client's address. `state`: waiting or passed for
    triplets, counting or allowed for the others, which `passes` tells how often they have passed. Wall seconds; `first` is
    None where it is not kept. A triplet whose key is too long to be kept in clear has no sender and no recipient.
    """

    kind: str
    origin: str
    sender: str | None
    recipient: str | None
    state: str
    passes: int | None
    first: int | None
    last: int
    expires: int


class RecordPage(NamedTuple):
    """Records found. `next`: there may be more, from there on; None at the end. `partial`: they are those that this host has met
    of a store that many share, which is out of reach."""

    records: tuple[GreylistRecord, ...]
    next: Cursor | None
    partial: bool = False


class Forgotten(NamedTuple):
    """How many `records` were forgotten; `next` and `partial` as in `RecordPage`."""

    records: int
    next: Cursor | None
    partial: bool = False


class _Walk(NamedTuple):
    """A walk that has stopped at a record, which was not looked at yet; `at`: the monotonic second when it did."""

    wanted: RecordFilter
    entries: AsyncGenerator[tuple[str, Entry], None]
    stopped: tuple[str, Entry]
    at: float

    @property
    def cursor(self) -> Cursor:
        """Where it goes on."""
        return Cursor(self.stopped[0], self.stopped[1].key)


class Census(NamedTuple):
    """How many triplets wait and how many have passed; at least so many where not all were counted (`complete`)."""

    waiting: int
    passed: int
    complete: bool


class AllowsNobody(Exception):
    """Clients are never let through by what they have passed: ``auto_allow_after`` is 0."""


class GreylistAdmin:
    """What greylisting remembers, for people. Every method raises StoreError where the store fails.

    `met`: what this host alone has met of a store that many share, which is counted in its place; `reachable`: whether that store
    is within reach, in whose place is what this host has met otherwise.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        rules: GreylistRules,
        met: Store | None = None,
        reachable: Callable[[], bool] = lambda: True,
    ) -> None:
        self._store = store
        self._reachable = reachable
        self._met = met
        self._clock = clock
        self._rules = rules
        self._census: tuple[float, Census] | None = None
        self._stopped: _Walk | None = None
        """The last walk that did not come to its end."""

    @property
    def enabled(self) -> bool:
        """Whether anybody is greylisted."""
        return self._rules.enabled

    async def census(self) -> Census:
        """The triplets counted, `CENSUS_AGE` seconds ago at the most. Nobody goes through all that many hosts share for that."""
        now = self._clock.monotonic()
        if self._census is not None and now - self._census[0] < CENSUS_AGE:
            return self._census[1]
        counts = {False: 0, True: 0}
        complete = self._met is None
        async for entry in (self._met or self._store).scan(TRIPLETS, self._clock.wall()):
            if sum(counts.values()) >= MAX_COUNTED:
                complete = False
                break
            if (known := decode_triplet(entry.value)) is not None:
                counts[known.passed] += 1
        census = Census(counts[False], counts[True], complete)
        self._census = now, census
        return census

    async def find(self, wanted: RecordFilter, *, start: Cursor | None = None, limit: int = 100) -> RecordPage:
        """The records meant: clients, senders, then triplets, each in order of key."""
        found, cursor = await self._search(wanted, start, min(limit, MAX_SHOWN))
        return RecordPage(tuple(record for _, _, record in found), cursor, not self._reachable())

    async def forget(self, wanted: RecordFilter, *, start: Cursor | None = None) -> Forgotten:
        """Forget the records meant. Nothing at all is meant where nothing is given."""
        if wanted == RecordFilter():
            return Forgotten(0, None)
        found, cursor = await self._search(wanted, start, MAX_LOOKED_AT)
        for table, key, _ in found:
            self._store.delete(table, key)
        partial = not self._reachable()
        await self._store.flush()
        return Forgotten(len(found), cursor, partial)

    async def _search(
        self, wanted: RecordFilter, start: Cursor | None, limit: int
    ) -> tuple[list[tuple[str, bytes, GreylistRecord]], Cursor | None]:
        """Records meant, with their tables and keys, as many as can be found in good time; and where to go on for more."""
        until = self._clock.monotonic() + LOOK_FOR
        found: list[tuple[str, bytes, GreylistRecord]] = []
        entries, following = await self._go_on(wanted, start)
        looked_at = 0
        while (each := following or await anext(entries, None)) is not None:
            if looked_at and (len(found) >= limit or looked_at >= MAX_LOOKED_AT or self._clock.monotonic() >= until):
                self._stopped = _Walk(wanted, entries, each, self._clock.monotonic())
                return found, self._stopped.cursor
            (table, entry), following = each, None
            looked_at += 1
            if (record := self._meant(table, entry, wanted)) is not None:
                found.append((table, entry.key, record))
        return found, None

    async def _go_on(
        self, wanted: RecordFilter, start: Cursor | None
    ) -> tuple[AsyncGenerator[tuple[str, Entry], None], tuple[str, Entry] | None]:
        """The walk to go on with, and the record at which it stopped."""
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            if (start, wanted) == (stopped.cursor, stopped.wanted) and self._clock.monotonic() - stopped.at < KEPT_FOR:
                return stopped.entries, stopped.stopped
            await stopped.entries.aclose()
        return self._walk(wanted, start), None

    async def allow(self, client: Address, sender: str | None = None, recipient: str | None = None) -> GreylistRecord:
        """Let a client through, or with sender and recipient this triplet, as if it had waited. Raises AllowsNobody."""
        rules, now = self._rules, int(self._clock.wall())
        client = unmapped(client)
        if sender is not None and recipient is not None:
            origin = network(client, rules.ipv4_prefix, rules.ipv6_prefix)
            key, passed = triplet(origin, sender, recipient), Triplet(now, now, passed=True)
            self._store.put(TRIPLETS, key, encode_triplet(passed), passed.expires(rules))
            await self._store.flush()
            return self._triplet(key, passed)
        if not rules.auto_allow_after:
            raise AllowsNobody
        known = Client(rules.auto_allow_after, now)
        self._store.put(CLIENTS, str(client).encode(), encode_client(known), known.expires(rules))
        await self._store.flush()
        return self._counted("client", str(client), None, known)

    async def release(self, origin: str, sender: str, recipient: str) -> GreylistRecord | None:
        """Let one triplet through that is remembered, as if it had waited; None for one that is not."""
        key, now = triplet(origin, sender, recipient), self._clock.wall()
        octets = await self._store.get(TRIPLETS, key, now)
        known = None if octets is None else decode_triplet(octets)
        if known is None:
            return None
        passed = Triplet(known.first, int(now), passed=True)
        self._store.put(TRIPLETS, key, encode_triplet(passed), passed.expires(self._rules))
        await self._store.flush()
        return self._triplet(key, passed)

    async def _walk(self, wanted: RecordFilter, start: Cursor | None) -> AsyncGenerator[tuple[str, Entry], None]:
        """The records among which those meant are, from `start` on."""
        tables = _TABLES[_TABLES.index(start.table) :] if start is not None else _TABLES
        for table in tables:
            head = self._head(table, wanted)
            if head is None:
                continue
            first = start.key if start is not None and start.table == table else head
            async for entry in self._store.scan(table, self._clock.wall(), first):
                if not entry.key.startswith(head):
                    break
                yield table, entry

    def _head(self, table: str, wanted: RecordFilter) -> bytes | None:
        """What the keys of the records meant begin with; None where the table has none."""
        client = None if wanted.client is None else unmapped(wanted.client)
        if table == CLIENTS:
            alone = wanted.sender is None and wanted.recipient is None
            return (str(client).encode() if client else b"") if alone else None
        if table == SENDERS:
            return b"" if client is None and wanted.recipient is None else None
        rules = self._rules
        return f"{network(client, rules.ipv4_prefix, rules.ipv6_prefix)}/".encode() if client else b""

    def _meant(self, table: str, entry: Entry, wanted: RecordFilter) -> GreylistRecord | None:
        """The record, if it is one of those meant."""
        if table == TRIPLETS:
            seen = decode_triplet(entry.value)
            record = None if seen is None else self._triplet(entry.key, seen)
            return record if record is not None and _fits(record, wanted) else None
        known = decode_client(entry.value)
        if known is None:
            return None
        text = entry.key.decode("utf-8", "replace")
        if table == CLIENTS:
            meant = wanted.client is None or text == str(unmapped(wanted.client))
            return self._counted("client", text, None, known) if meant else None
        origin, _, domain = text.partition("/")
        of_sender = None if wanted.sender is None else wanted.sender.rpartition("@")[2].lower()
        return self._counted("sender", origin, domain, known) if of_sender in (None, domain) else None

    def _triplet(self, key: bytes, known: Triplet) -> GreylistRecord:
        origin, sender, recipient = parts(key)
        state = "passed" if known.passed else "waiting"
        expires = known.expires(self._rules)
        return GreylistRecord("triplet", origin, sender, recipient, state, None, known.first, known.last, expires)

    def _counted(self, kind: str, origin: str, sender: str | None, known: Client) -> GreylistRecord:
        state = "allowed" if is_allowed(known, self._rules) else "counting"
        return GreylistRecord(kind, origin, sender, None, state, known.passes, None, known.last, known.expires(self._rules))


def _fits(record: GreylistRecord, wanted: RecordFilter) -> bool:
    """Whether a triplet has the sender and the recipient wanted, normalized as it is itself."""
    if wanted.sender is None and wanted.recipient is None:
        return True
    _, sender, recipient = parts(triplet(record.origin, wanted.sender or "", wanted.recipient or ""))
    return (wanted.sender is None or sender == record.sender) and (wanted.recipient is None or recipient == record.recipient)
