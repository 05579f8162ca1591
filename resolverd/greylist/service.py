"""Greylisting in order: what is known of an attempt, what follows from it (`decide.decide`), what to remember."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import cache
from typing import NamedTuple, TypeAlias, TypeVar

from resolverd.clock import Clock
from resolverd.dnsbl.names import unmapped
from resolverd.failures import StoreError
from resolverd.greylist import decide
from resolverd.greylist.allow_files import Allowed
from resolverd.greylist.decide import Client, GreylistDecision, GreylistRules, Triplet
from resolverd.greylist.organisation import VerifiedDomains, sender_key
from resolverd.greylist.shipped_list import ShippedList
from resolverd.greylist.triplet import network, triplet
from resolverd.mail.findings import GreylistOutcome
from resolverd.mail.request import Attempt
from resolverd.mail.sanitize import sanitize
from resolverd.metrics import Counters
from resolverd.state.base import Store

T = TypeVar("T")

TRIPLETS = "greylist"
CLIENTS = "greylist-clients"
SENDERS = "greylist-senders"
Recheck: TypeAlias = Callable[[int], Awaitable[float | None]]
"""Asked once the client has waited, with the seconds: the points against it now; None if it is refused after all."""
STORE_TIMEOUT = 1.0
"""Seconds for the store to say what it knows; mail passes then. Postfix waits for us meanwhile."""
MAX_TRIES = 10
"""How often a decision is made anew as somebody else has changed the triplet meanwhile; each time, somebody has got on."""
COMPLAINT_INTERVAL = 60.0
"""Seconds between two log lines about a failing store: every attempt meets it, the counter has them all."""

_Octets: TypeAlias = dict[tuple[str, bytes], bytes | None]
"""Records as they were read, by table and key; None for none."""

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
        self._allowed = allowed or Allowed()
        self._shipped = shipped or ShippedList()
        self._complained: float | None = None

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
        outcome = await self._consider(attempt, suspicious, score, verify, record, recheck)
        if record:
            self._counters.add("greylist", state=outcome.state)
            if outcome.state == "allowed":
                self._counters.add("greylist_allowed", by=outcome.reason.replace(" ", "_"))
        return outcome

    async def _consider(
        self,
        attempt: Attempt,
        suspicious: bool,
        score: float,
        verify: Callable[[], VerifiedDomains],
        record: bool,
        recheck: Recheck | None,
    ) -> GreylistOutcome:
        rules = self._rules
        if not rules.enabled:
            return _skipped("greylisting is off")
        if attempt.client_address is None or not attempt.recipient or not attempt.has_sender:
            return _skipped("client address, sender or recipient missing")
        attempt = attempt._replace(client_address=unmapped(attempt.client_address))
        if reason := self._allowed.reason(attempt):
            return GreylistOutcome("allowed", reason=reason)
        if rules.when == "suspicious" and not suspicious:
            return _skipped("not suspicious")
        verify = cache(verify)
        if self._shipped and self._shipped.holds(verify()):
            return GreylistOutcome("allowed", reason="shipped allow list")
        keys = _keys(attempt, verify, rules)
        now = self._clock.wall()
        try:
            if not record:
                async with asyncio.timeout(STORE_TIMEOUT):
                    return (await self._decide(now, keys, score, {})).outcome
            decision = await self._decide_and_write(now, keys, score, passes=recheck is None)
        except (StoreError, TimeoutError) as error:
            return self._without_store(error)
        if decision.outcome.state == "passed" and recheck is not None:
            fresh = await recheck(decision.outcome.delayed)
            if fresh is None:
                return _skipped("refused after it had waited")
            try:
                decision = await self._decide_and_write(now, keys, fresh, passes=True)
            except (StoreError, TimeoutError) as error:
                return self._without_store(error)
        if decision.client is not None and decision.client.passes == rules.auto_allow_after:
            log.info("whitelisted: %s", _client(attempt))  # Postgrey's words
        if decision.sender is not None and decision.sender.passes == rules.auto_allow_after and (whose := keys.sender()):
            log.info("whitelisted: sender domain and organisation %s", sanitize(whose.decode("utf-8", "replace")))
        return decision.outcome

    async def _decide_and_write(self, now: float, keys: "_Keys", score: float, *, passes: bool) -> GreylistDecision:
        """Decide, and remember what follows; not that a triplet has passed unless `passes`. Raises StoreError, TimeoutError."""
        async with asyncio.timeout(STORE_TIMEOUT):
            for _ in range(MAX_TRIES):
                read: _Octets = {}
                decision = await self._decide(now, keys, score, read)
                if (decision.outcome.state == "passed" and not passes) or await self._write(now, decision, keys, read):
                    return decision
        raise StoreError(f"others were at the same triplet {MAX_TRIES} times")

    async def _decide(self, now: float, keys: "_Keys", score: float, read: "_Octets") -> GreylistDecision:
        """Decide by what is stored, which stands in `read` then as it was."""
        rules = self._rules
        client: Client | None = None
        sender: Client | None = None
        seen: Triplet | None = None
        learns = False
        if rules.auto_allow_after:
            client = await self._read(CLIENTS, keys.client, now, decide.decode_client, read)
        if not decide.is_allowed(client, rules):
            for key in keys.triplets:
                found = await self._read(TRIPLETS, key, now, decide.decode_triplet, read)
                if seen is None or (found is not None and found.passed):
                    seen = found
                if seen is not None and seen.passed:
                    break
            # Of a triplet that has passed, the sender's other mail says nothing new: no verification is asked for.
            if rules.auto_allow_after and not (seen is not None and seen.passed) and (whose := keys.sender()) is not None:
                sender = await self._read(SENDERS, whose, now, decide.decode_client, read)
                learns = True
        return decide.decide(now, seen, client, rules, sender=sender, score=score, learns=learns)

    async def _read(
        self, table: str, key: bytes, now: float, decode: Callable[[bytes], T | None], read: "_Octets"
    ) -> T | None:
        octets = read[table, key] = await self._store.get(table, key, now)
        if octets is None:
            return None
        record = decode(octets)
        if record is None:
            self._counters.add("greylist_damaged_records", table=table)
        return record

    async def _write(self, now: float, decision: GreylistDecision, keys: "_Keys", read: "_Octets") -> bool:
        """Remember what follows; False, with nothing remembered, where somebody has changed the triplet since it was read.

        Otherwise it could pass for the first time twice, here or at two hosts. Of a client or sender it does not matter: what
        passes at one time counts once.
        """
        first, last = keys.triplets[0], keys.triplets[-1]
        if (seen := decision.triplet) is not None:
            if not await self._swap(TRIPLETS, first, decide.encode_triplet(seen), seen.expires(self._rules), now, read):
                return False
            if last != first:
                await self._write_alias(last, seen, now, read)
        if (client := decision.client) is not None:
            await self._swap(CLIENTS, keys.client, decide.encode_client(client), client.expires(self._rules), now, read)
        if (sender := decision.sender) is not None and (whose := keys.sender()) is not None:
            await self._swap(SENDERS, whose, decide.encode_client(sender), sender.expires(self._rules), now, read)
        return True

    async def _write_alias(self, key: bytes, seen: Triplet, now: float, read: "_Octets") -> None:
        """Remember a triplet under its other key as well; that it has passed there stays."""
        for _ in range(MAX_TRIES):
            if await self._swap(TRIPLETS, key, decide.encode_triplet(seen), seen.expires(self._rules), now, read):
                return
            there = await self._read(TRIPLETS, key, now, decide.decode_triplet, read)
            if there is not None and (there.passed or not seen.passed):
                return

    async def _swap(self, table: str, key: bytes, value: bytes, expires: float, now: float, read: "_Octets") -> bool:
        at = table, key
        expected = read[at] if at in read else await self._store.get(table, key, now)
        return await self._store.cas(table, key, expected, value, now, expires)

    def _without_store(self, error: Exception) -> GreylistOutcome:
        self._counters.add("greylist_store_failures")
        now = self._clock.monotonic()
        if self._complained is None or now - self._complained >= COMPLAINT_INTERVAL:
            self._complained = now
            log.error("greylisting has no store, mail passes: %s", f"{error}" or f"no answer in {STORE_TIMEOUT:g} s")
        return _skipped("store failed")


class _Keys(NamedTuple):
    """Where it stands in the store what is known of an attempt. Of `triplets`, one for each name that the client has, the
    first (the strongest verification) and the last (the network, which needs none) are written. `sender` costs one; None where
    there is nothing to learn."""

    triplets: tuple[bytes, ...]
    client: bytes
    sender: Callable[[], bytes | None]


def _keys(attempt: Attempt, verify: Callable[[], VerifiedDomains], rules: GreylistRules) -> _Keys:
    assert attempt.client_address is not None
    by_organisation = rules.key == "organisation"

    def sender() -> bytes | None:
        verified = verify() if by_organisation else verify().by_spf
        return sender_key(verified.organisations[0], attempt.sender_domain) if verified.organisations else None

    organisations = verify().organisations if by_organisation else ()
    origins = (*organisations, network(attempt.client_address, rules.ipv4_prefix, rules.ipv6_prefix))
    return _Keys(
        tuple(triplet(origin, attempt.sender, attempt.recipient) for origin in origins),
        str(attempt.client_address).encode(),
        cache(sender),
    )


def _skipped(reason: str) -> GreylistOutcome:
    return GreylistOutcome("skipped", reason=reason)


def _client(attempt: Attempt) -> str:
    """``name[address]`` for the log; a name that is not plain text stays out of it."""
    name, address = attempt.client_name, attempt.client_address
    return f"{name}[{address}]" if name and name.isascii() and name.isprintable() else f"{address}"
