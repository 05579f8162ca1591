"""Greylisting in order: what is known of an attempt, what follows from it (`mail.greylist`), what to remember."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from resolverd.failures import StoreError
from resolverd.flow.ports import Clock, Store
from resolverd.mail import greylist
from resolverd.mail.attempt import Attempt
from resolverd.mail.findings import GreylistOutcome
from resolverd.mail.greylist import Decision, GreylistRules
from resolverd.mail.listnames import unmapped
from resolverd.mail.triplet import network, triplet
from resolverd.watch.counters import Counters

T = TypeVar("T")

TRIPLETS = "greylist"
CLIENTS = "greylist-clients"
PATIENCE = 1.0
"""Seconds for the store to say what it knows; mail passes then. Postfix waits for us meanwhile."""
COMPLAINT_INTERVAL = 60.0
"""Seconds between two log lines about a failing store: every attempt meets it, the counter has them all."""

log = logging.getLogger(__name__)


class Greylister:
    """Says of an attempt whether its sender shall come back later, and remembers it. Mail passes where the store fails."""

    def __init__(self, store: Store, clock: Clock, rules: GreylistRules, counters: Counters) -> None:
        self._store = store
        self._clock = clock
        self._rules = rules
        self._counters = counters
        self._turns = _Turns()
        self._complained: float | None = None

    async def consider(self, attempt: Attempt, *, record: bool, suspicious: bool) -> GreylistOutcome:
        """What greylisting says of the attempt now; with `record` False nothing is remembered of it, counters included.

        `suspicious`: some check has something against the client (``when = "suspicious"``). Never raises for the store.
        """
        outcome = await self._consider(attempt, record=record, suspicious=suspicious)
        if record:
            self._counters.add("greylist", state=outcome.state)
        return outcome

    async def _consider(self, attempt: Attempt, *, record: bool, suspicious: bool) -> GreylistOutcome:
        rules = self._rules
        if not rules.enabled:
            return _skipped("greylisting is off")
        if attempt.client_address is None or not attempt.recipient or not attempt.has_sender:
            return _skipped("client address, sender or recipient missing")
        if rules.when == "suspicious" and not suspicious:
            return _skipped("not suspicious")
        address = unmapped(attempt.client_address)
        origin = network(address, rules.ipv4_prefix, rules.ipv6_prefix)
        client_key, triplet_key = str(address).encode(), triplet(origin, attempt.sender, attempt.recipient)
        now = self._clock.wall()
        try:
            async with asyncio.timeout(PATIENCE):
                if not record:
                    return (await self._decide(now, triplet_key, client_key)).outcome
                # Between reading and writing nobody else may decide on the triplet, or it passes for the first time twice.
                # A client needs no turn: what it passes at one time counts once in any case.
                async with self._turns.turn(triplet_key):
                    decision = await self._decide(now, triplet_key, client_key)
                    self._remember(decision, triplet_key, client_key)
        except (StoreError, TimeoutError) as error:
            self._complain(error)
            return _skipped("store failed")
        if decision.client is not None and decision.client.passes == rules.auto_allow_after:
            log.info("whitelisted: %s", _client(attempt))  # Postgrey's words
        return decision.outcome

    async def _decide(self, now: float, triplet_key: bytes, client_key: bytes) -> Decision:
        rules = self._rules
        client = await self._read(CLIENTS, client_key, now, greylist.decode_client) if rules.auto_allow_after else None
        if greylist.is_allowed(client, rules):
            return greylist.decide(now, None, client, rules)
        return greylist.decide(now, await self._read(TRIPLETS, triplet_key, now, greylist.decode_triplet), client, rules)

    async def _read(self, table: str, key: bytes, now: float, decode: Callable[[bytes], T | None]) -> T | None:
        octets = await self._store.get(table, key, now)
        if octets is None:
            return None
        record = decode(octets)
        if record is None:
            self._counters.add("greylist_damaged_records", table=table)
        return record

    def _remember(self, decision: Decision, triplet_key: bytes, client_key: bytes) -> None:
        rules = self._rules
        if (seen := decision.triplet) is not None:
            self._store.put(TRIPLETS, triplet_key, greylist.encode_triplet(seen), seen.expires(rules))
        if (client := decision.client) is not None:
            self._store.put(CLIENTS, client_key, greylist.encode_client(client), client.expires(rules))

    def _complain(self, error: Exception) -> None:
        self._counters.add("greylist_store_failures")
        now = self._clock.monotonic()
        if self._complained is None or now - self._complained >= COMPLAINT_INTERVAL:
            self._complained = now
            log.error("greylisting has no store, mail passes: %s", f"{error}" or f"no answer in {PATIENCE:g} s")


class _Turns:
    """One at a time for each key. Keys stand here only while somebody has or awaits his turn: the crowd bounds the table."""

    def __init__(self) -> None:
        self._crowds: dict[bytes, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def turn(self, key: bytes) -> AsyncIterator[None]:
        """Wait for one's turn with the key, and have it."""
        lock, crowd = self._crowds.get(key) or (asyncio.Lock(), 0)
        self._crowds[key] = (lock, crowd + 1)
        try:
            async with lock:
                yield
        finally:
            lock, crowd = self._crowds.pop(key)
            if crowd > 1:
                self._crowds[key] = (lock, crowd - 1)


def _skipped(reason: str) -> GreylistOutcome:
    return GreylistOutcome("skipped", reason=reason)


def _client(attempt: Attempt) -> str:
    """``name[address]`` for the log; a name that is not plain text stays out of it."""
    name, address = attempt.client_name, attempt.client_address
    return f"{name}[{address}]" if name and name.isascii() and name.isprintable() else f"{address}"
