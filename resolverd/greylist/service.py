"""Greylisting in order: what is known of an attempt, what follows from it (`decide.decide`), what to remember."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator
from functools import cache
from typing import TypeAlias, TypeVar

from resolverd.clock import Clock
from resolverd.dnsbl.names import unmapped
from resolverd.failures import StoreError
from resolverd.greylist import decide
from resolverd.greylist.allow_files import Allowed
from resolverd.greylist.decide import Client, GreylistDecision, GreylistRules, Triplet
from resolverd.greylist.keys import Keys
from resolverd.greylist.organisation import VerifiedDomains
from resolverd.greylist.shipped_list import ShippedList
from resolverd.mail.findings import GreylistOutcome
from resolverd.mail.request import Attempt
from resolverd.mail.sanitize import sanitize
from resolverd.metrics import Counters
from resolverd.state.base import UNREAD, Store
from resolverd.values import replace

T = TypeVar("T")

TRIPLETS = "greylist"
CLIENTS = "greylist-clients"
SENDERS = "greylist-senders"
Recheck: TypeAlias = Callable[[int], Awaitable[float | None]]
"""Asked once the client has waited, with the seconds: the points against it now; None if it is refused after all."""
STORE_TIMEOUT = 1.0
"""Seconds for the store to say what it knows; mail passes then. Postfix waits for us meanwhile."""
READ_PATIENCE = 0.25
"""Seconds for the store to read what an attempt that could not be answered at once may be answered by then."""
MAX_TRIES = 10
"""How often a decision is made anew as somebody else has changed the triplet meanwhile; each time, somebody has got on."""
COMPLAINT_INTERVAL = 60.0
"""Seconds between two log lines about a failing store: every attempt meets it, the counter has them all."""

_At: TypeAlias = tuple[str, bytes]
"""Table and key of a record."""
_Record: TypeAlias = tuple[str, bytes, bytes, int]
"""Table, key, value, and the wall second from which it counts no more."""
_Octets: TypeAlias = dict[_At, bytes | None]
"""Records as they were read; None for none."""

log = logging.getLogger(__name__)


class Greylister:
    """Says of an attempt whether its sender shall come back later, and remembers it. Mail passes where the store fails."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        rules: GreylistRules,
        counters: Counters,
        allowed: Allowed | None = None,
        shipped: ShippedList | None = None,
    ) -> None:
        """`allowed`: who is never greylisted by the admin's files, `shipped` by resolverd's list."""
        self._store = store
        self._clock = clock
        self._rules = rules
        self._counters = counters
        self._state_count = cache(lambda state: counters.count("greylist", state=state))
        self._allowed_count = cache(lambda reason: counters.count("greylist_allowed", by=reason.replace(" ", "_")))
        self._allowed = allowed or Allowed()
        self._shipped = shipped or ShippedList()
        self._complained: float | None = None
        self._unread: Keys | None = None
        self._remembers = True

    def try_consider(
        self,
        attempt: Attempt,
        *,
        record: bool,
        suspicious: bool,
        score: float = 0,
        verify: Callable[[], VerifiedDomains] = VerifiedDomains,
        must_recheck: Callable[[int], bool] | None = None,
    ) -> GreylistOutcome | None:
        """As `consider`, where the store needs not be waited for; None, with nothing changed, where it has to be.

        None too before a first success, where `must_recheck`, asked with the seconds that the client has waited, says so.
        """
        attempt = _unmapped(attempt)
        outcome = self._by_rules(attempt, suspicious, verify)
        if outcome is None:
            try:
                decision = self._decide_at_once(attempt, score, verify, record, must_recheck)
            except StoreError as error:
                outcome = self._without_store(error)
            else:
                if decision is None:
                    return None
                outcome = decision.outcome
        if record:
            self._count(outcome)
        return outcome

    def _decide_at_once(
        self,
        attempt: Attempt,
        score: float,
        verify: Callable[[], VerifiedDomains],
        record: bool,
        must_recheck: Callable[[int], bool] | None,
    ) -> GreylistDecision | None:
        """Decide and remember without giving way, so that nobody can come between. Raises StoreError."""
        keys, now = Keys(attempt, verify, self._rules), self._clock.wall()
        known, reads = self._store.known, self._decide(now, keys, score)
        try:
            table, key = next(reads)
            while (octets := known(table, key, now)) is not UNREAD:
                table, key = reads.send(octets)
            self._unread = keys
            return None
        except StopIteration as decided:
            decision: GreylistDecision = decided.value
        outcome = decision.outcome
        if outcome.state == "passed" and must_recheck is not None and must_recheck(outcome.delayed):
            return None
        if record:
            for table, key, value, expires in self._records(decision, keys):
                self._store.put(table, key, value, expires)
            self._log_learnt(decision, keys, attempt)
        return decision

    async def read_up(self) -> bool:
        """Read what the last `try_consider` would have had to wait for; whether it is worth another try. Never raises.

        It is not where the store doesn't remember what it has read, as others write to it as well.
        """
        keys, self._unread = self._unread, None
        if keys is None or not self._remembers:
            return False
        now, wanted = self._clock.wall(), self._wanted(keys)
        try:
            async with asyncio.timeout(READ_PATIENCE):
                await self._store.prefetch(wanted)
            self._remembers = all(self._store.known(table, key, now) is not UNREAD for table, key in wanted)
        except Exception:  # `consider` meets it too, and tells
            return False
        return self._remembers

    async def consider(
        self,
        attempt: Attempt,
        *,
        record: bool,
        suspicious: bool,
        score: float = 0,
        verify: Callable[[], VerifiedDomains] = VerifiedDomains,
        recheck: Recheck | None = None,
    ) -> GreylistOutcome:
        """What greylisting says of the attempt now; with `record` False nothing is remembered of it, counters included.

        `suspicious`: some check has something against the client (``when = "suspicious"``); `score`: the points against it;
        `verify` tells to whom it belongs, and is called where that counts. Before a first success is remembered
        `recheck` is heard: who is refused then has passed nothing, and waits on for all we know. Never raises for the store.
        """
        attempt = _unmapped(attempt)
        outcome = self._by_rules(attempt, suspicious, verify)
        if outcome is None:
            try:
                outcome = await self._by_records(attempt, score, verify, record, recheck)
            except StoreError as error:
                outcome = self._without_store(error)
        if record:
            self._count(outcome)
        return outcome

    def _by_rules(self, attempt: Attempt, suspicious: bool, verify: Callable[[], VerifiedDomains]) -> GreylistOutcome | None:
        """The outcome where it does not depend on what is remembered."""
        rules = self._rules
        if not rules.enabled:
            return _skipped("greylisting is off")
        if attempt.client_address is None or not attempt.recipient or not attempt.has_sender:
            return _skipped("client address, sender or recipient missing")
        if reason := self._allowed.reason(attempt):
            return GreylistOutcome("allowed", reason=reason)
        if rules.when == "suspicious" and not suspicious:
            return _skipped("not suspicious")
        if self._shipped and self._shipped.holds(verify()):
            return GreylistOutcome("allowed", reason="shipped allow list")
        return None

    async def _by_records(
        self,
        attempt: Attempt,
        score: float,
        verify: Callable[[], VerifiedDomains],
        record: bool,
        recheck: Recheck | None,
    ) -> GreylistOutcome:
        """The outcome by what is remembered. Raises StoreError."""
        keys, now = Keys(attempt, verify, self._rules), self._clock.wall()
        decision = await self._in_time(now, keys, score, record=record, passes=recheck is None)
        if record and decision.outcome.state == "passed" and recheck is not None:
            fresh = await recheck(decision.outcome.delayed)
            if fresh is None:
                return _skipped("refused after it had waited")
            decision = await self._in_time(now, keys, fresh, record=True, passes=True)
        if record:
            self._log_learnt(decision, keys, attempt)
        return decision.outcome

    async def _in_time(self, now: float, keys: Keys, score: float, *, record: bool, passes: bool) -> GreylistDecision:
        """Decide, and with `record` remember what follows; not that a triplet has passed unless `passes`. Raises StoreError."""
        try:
            async with asyncio.timeout(STORE_TIMEOUT):
                for _ in range(MAX_TRIES):
                    read: _Octets = {}
                    decision = await self._read_and_decide(now, keys, score, read)
                    if not record or (decision.outcome.state == "passed" and not passes):
                        return decision
                    if await self._write(now, decision, keys, read):
                        return decision
        except TimeoutError:
            raise StoreError(f"no answer in {STORE_TIMEOUT:g} s") from None
        raise StoreError(f"others were at the same triplet {MAX_TRIES} times")

    async def _read_and_decide(self, now: float, keys: Keys, score: float, read: _Octets) -> GreylistDecision:
        """Decide by what is stored, which stands in `read` then as it was."""
        await self._store.prefetch(self._wanted(keys))
        reads = self._decide(now, keys, score)
        try:
            at = next(reads)
            while True:
                try:
                    octets = read[at] = await self._store.get(*at, now)
                except StoreError as error:
                    at = reads.throw(error)
                else:
                    at = reads.send(octets)
        except StopIteration as decided:
            decision: GreylistDecision = decided.value
            return decision

    def _decide(self, now: float, keys: Keys, score: float) -> Generator[_At, bytes | None, GreylistDecision]:
        """Ask for records, one after the other, and decide by them. Whoever asks may throw a StoreError in for one.

        What is known of the triplet is enough: it would not wait if its client had been let through then. Raises the
        StoreError where nothing is.
        """
        rules = self._rules
        client: Client | None = None
        sender: Client | None = None
        seen: Triplet | None = None
        counts = learns = False
        unknown: StoreError | None = None
        if rules.auto_allow_after:
            try:
                client = self._decoded(CLIENTS, (yield CLIENTS, keys.client), decide.decode_client)
                counts = True
            except StoreError as error:
                unknown = error
        if not decide.is_allowed(client, rules):
            for key in keys.triplets:
                try:
                    found = self._decoded(TRIPLETS, (yield TRIPLETS, key), decide.decode_triplet)
                except StoreError as error:
                    unknown = error
                    continue
                if seen is None or (found is not None and found.passed):
                    seen = found
                if seen is not None and seen.passed:
                    break
            if seen is None and unknown is not None:
                raise unknown
            # Of a triplet that has passed, the sender's other mail says nothing new: no verification is asked for.
            if rules.auto_allow_after and not (seen is not None and seen.passed) and (whose := keys.sender()) is not None:
                try:
                    sender = self._decoded(SENDERS, (yield SENDERS, whose), decide.decode_client)
                    learns = True
                except StoreError:
                    if seen is None:
                        raise
        decision = decide.decide(now, seen, client, rules, sender=sender, score=score, learns=learns)
        return decision if counts or decision.client is None else replace(decision, client=None)

    def _wanted(self, keys: Keys) -> list[_At]:
        """The records by which most is decided; whether a sender is known costs a verification."""
        clients = [(CLIENTS, keys.client)] if self._rules.auto_allow_after else []
        return [*clients, *((TRIPLETS, key) for key in keys.triplets)]

    def _decoded(self, table: str, octets: bytes | None, decode: Callable[[bytes], T | None]) -> T | None:
        if octets is None:
            return None
        record = decode(octets)
        if record is None:
            self._counters.add("greylist_damaged_records", table=table)
        return record

    def _records(self, decision: GreylistDecision, keys: Keys) -> list[_Record]:
        """What is to be remembered, the triplet first; its alias under the network is the second, where there is one."""
        rules = self._rules
        records: list[_Record] = []
        if (seen := decision.triplet) is not None:
            value, expires = decide.encode_triplet(seen), seen.expires(rules)
            records = [(TRIPLETS, key, value, expires) for key in keys.written]
        if (client := decision.client) is not None:
            records.append((CLIENTS, keys.client, decide.encode_client(client), client.expires(rules)))
        if (sender := decision.sender) is not None and (whose := keys.sender()) is not None:
            records.append((SENDERS, whose, decide.encode_client(sender), sender.expires(rules)))
        return records

    async def _write(self, now: float, decision: GreylistDecision, keys: Keys, read: _Octets) -> bool:
        """Remember what follows; False, with nothing remembered, where somebody has changed the triplet since it was read.

        Otherwise it could pass for the first time twice, here or at two hosts. Of a client or sender it does not matter: what
        passes at one time counts once.
        """
        for number, record in enumerate(self._records(decision, keys)):
            decides = decision.triplet is not None and number == 0
            try:
                if await self._swap(record, now, read):
                    continue
                if decides:
                    return False
                if record[0] == TRIPLETS:
                    await self._write_alias(record, decision, now, read)
            except StoreError as error:
                # Nobody waits for what the next one cannot find, and nobody passes for the first time twice.
                if decision.outcome.missing or (decides and decision.outcome.state == "passed"):
                    raise
                log.debug("greylisting does not remember all of it: %s", error)
        return True

    async def _write_alias(self, record: _Record, decision: GreylistDecision, now: float, read: _Octets) -> None:
        """Remember a triplet under its other key, which somebody has changed meanwhile; that it has passed there stays."""
        passed = decision.triplet is not None and decision.triplet.passed
        at = record[:2]
        for _ in range(MAX_TRIES):
            octets = read[at] = await self._store.get(*at, now)
            there = self._decoded(TRIPLETS, octets, decide.decode_triplet)
            if there is not None and (there.passed or not passed):
                return
            if await self._swap(record, now, read):
                return

    async def _swap(self, record: _Record, now: float, read: _Octets) -> bool:
        table, key, value, expires = record
        expected = read[table, key] if (table, key) in read else await self._store.get(table, key, now)
        return await self._store.cas(table, key, expected, value, now, expires)

    def _log_learnt(self, decision: GreylistDecision, keys: Keys, attempt: Attempt) -> None:
        enough = self._rules.auto_allow_after
        if decision.client is not None and decision.client.passes == enough:
            log.info("whitelisted: %s", _client(attempt))  # Postgrey's words
        if decision.sender is not None and decision.sender.passes == enough and (whose := keys.sender()):
            log.info("whitelisted: sender domain and organisation %s", sanitize(whose.decode("utf-8", "replace")))

    def _count(self, outcome: GreylistOutcome) -> None:
        self._state_count(outcome.state)[0] += 1
        if outcome.state == "allowed":
            self._allowed_count(outcome.reason)[0] += 1

    def _without_store(self, error: StoreError) -> GreylistOutcome:
        self._counters.add("greylist_store_failures")
        now = self._clock.monotonic()
        if self._complained is None or now - self._complained >= COMPLAINT_INTERVAL:
            self._complained = now
            log.error("greylisting has no store, mail passes: %s", error)
        return _skipped("store failed")


def _unmapped(attempt: Attempt) -> Attempt:
    address = attempt.client_address
    if address is None or (plain := unmapped(address)) is address:
        return attempt
    return replace(attempt, client_address=plain)


def _skipped(reason: str) -> GreylistOutcome:
    return GreylistOutcome("skipped", reason=reason)


def _client(attempt: Attempt) -> str:
    """``name[address]`` for the log; a name that is not plain text stays out of it."""
    name, address = attempt.client_name, attempt.client_address
    return f"{name}[{address}]" if name and name.isascii() and name.isprintable() else f"{address}"
