"""The own addresses as the hosts of a fleet watch them: one asks for all, and the others take over what it was told."""

import json
import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from resolverd.clock import Clock
from resolverd.failures import StoreError
from resolverd.fleet import duties
from resolverd.metrics import Counters
from resolverd.state.base import Store
from resolverd.wire.names import Address

TABLE: Final = "own-addresses"
_KEPT_FOR: Final = 86400.0
_MAX_OCTETS: Final = 16_384

log = logging.getLogger(__name__)


class Findings(NamedTuple):
    """Lists (by id) that have said something of an address, and those of them that list it."""

    asked: frozenset[str]
    listed: frozenset[str]


class WatchedAddresses:
    """What the hosts have found. `clock`: that which they have in common. `host`: this one's id."""

    def __init__(self, store: Store, clock: Clock, counters: Counters, host: Callable[[], str]):
        self._store = store
        self._clock = clock
        self._counters = counters
        self._host = host

    async def claim(self, address: Address, period: float) -> bool:
        """Whether this host is to ask about an address, the only one in so many seconds; or where nobody can know."""
        try:
            return await duties.claim(self._store, f"watch {address}", period, self._host(), self._clock.wall())
        except StoreError as error:
            log.debug("it is not known whether another host watches %s: %s", address, error)
            return True

    async def found(self, address: Address) -> Findings | None:
        """What was found last, by whatever host; None where that is not known."""
        try:
            octets = await self._store.get(TABLE, str(address).encode(), self._clock.wall())
        except StoreError:
            return None
        findings = None if octets is None else decode(octets)
        if octets is not None and findings is None:
            self._counters.add("watch_damaged_records")
        return findings

    def tell(self, address: Address, findings: Findings) -> None:
        """Tell the others what was found."""
        try:
            self._store.put(TABLE, str(address).encode(), encode(findings), self._clock.wall() + _KEPT_FOR)
        except StoreError as error:
            log.debug("the other hosts are not told of %s: %s", address, error)


def encode(findings: Findings) -> bytes:
    """A JSON object of two arrays of names."""
    return json.dumps({"asked": sorted(findings.asked), "listed": sorted(findings.listed)}, separators=(",", ":")).encode()


def decode(octets: bytes) -> Findings | None:
    """The findings of a record; None for octets that are none. Whoever reaches the store can have written them."""
    if len(octets) > _MAX_OCTETS:
        return None
    try:
        fields = json.loads(octets)
        asked, listed = (_names(fields[each]) for each in ("asked", "listed"))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return Findings(asked, listed & asked)


def _names(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError
    return frozenset(value)
