"""The audit log of a fleet: what is changed on one host stands in the log of each, with the name of the host.

Each host numbers its entries, and keeps in its own store up to which number it has those of the others: what was said while it
was down, or out of reach, is in its log once it is back.
"""

import asyncio
import json
import logging
from typing import Final

from resolverd import bounds, logs
from resolverd.clock import Clock
from resolverd.failures import StoreError
from resolverd.fleet.host_record import is_id, printable
from resolverd.fleet.hosts import Hosts
from resolverd.metrics import Counters
from resolverd.state.base import Store

TABLE: Final = "audit"
KEPT_FOR: Final = 86400.0
"""Seconds for which an entry waits for the other hosts."""
_SEEN: Final = "audit-seen"
"""Of the own store: by host the number of its last entry that is in the own log; under the own id that of its own last one."""
_BATCH: Final = 50
"""Entries written before others have their turn."""
_FOREVER: Final = float(2**32)
_OF_EACH: Final = "expired"
"""How entries end on what each host finds by itself."""

log = logging.getLogger(__name__)


class FleetAudit:
    """Writes entries to the log and shows them to the other hosts; `run` writes theirs."""

    def __init__(self, store: Store, own: Store, hosts: Hosts, clock: Clock, counters: Counters) -> None:
        self._store = store
        self._own = own
        self._hosts = hosts
        self._clock = clock
        self._counters = counters
        self._seen: dict[str, int] = {}
        self._last = 0
        self._begun = False
        self._waiting: list[logs.Fields] = []

    def __call__(self, fields: logs.Fields) -> None:
        """An entry of this host's. Never raises."""
        logs.audit(fields)
        if str(fields.get("audit", "")).endswith(_OF_EACH):
            return
        if self._begun:
            self._publish(fields)
        elif len(self._waiting) < bounds.AUDIT_ENTRIES:
            self._waiting.append(fields)

    async def run(self) -> None:
        """Write what other hosts say, for ever; ends by cancellation."""
        await self._begin()
        async for change in self._store.watch(TABLE):
            if change is None:
                await self._scan()
            elif change.value is not None:
                self._take(change.key, change.value)

    async def _begin(self) -> None:
        """Learn what was written before this start; what is there already when a host first joins is no news to it."""
        if self._begun:
            return
        now, joined = self._clock.wall(), True
        try:
            async for entry in self._own.scan(_SEEN, now):
                number, host = _number(entry.value), entry.key.decode("latin-1")
                joined = False
                if host == self._hosts.id:
                    self._last = max(self._last, number)
                else:
                    self._seen[host] = number
            if joined:
                await self._scan(quietly=True)
        except StoreError as error:
            log.warning("what other hosts have changed may be in the log once more: %s", error)
        self._begun = True
        self._note(self._hosts.id, self._last)
        while self._waiting:
            self._publish(self._waiting.pop(0))

    async def _scan(self, *, quietly: bool = False) -> None:
        found: list[tuple[bytes, bytes]] = []
        try:
            async for entry in self._store.scan(TABLE, self._clock.wall()):
                if len(found) == bounds.AUDIT_READ:
                    break
                found.append((entry.key, entry.value))
        except StoreError as error:
            log.debug("what other hosts have changed cannot be read: %s", error)
            return
        for count, (key, value) in enumerate(found, 1):  # of each host in order of number
            self._take(key, value, quietly=quietly)
            if count % _BATCH == 0:
                await asyncio.sleep(0)

    def _publish(self, fields: logs.Fields) -> None:
        self._last += 1
        entry = {"at": self._clock.wall(), "host": self._hosts.name, "fields": fields}
        octets = json.dumps(entry, separators=(",", ":")).encode()
        try:
            self._store.put(TABLE, _key(self._hosts.id, self._last), octets, self._clock.wall() + KEPT_FOR)
            if self._last > bounds.AUDIT_ENTRIES:
                self._store.delete(TABLE, _key(self._hosts.id, self._last - bounds.AUDIT_ENTRIES))
        except StoreError as error:
            log.warning("a change is not in the audit log of other hosts: %s", error)
        self._note(self._hosts.id, self._last)

    def _take(self, key: bytes, octets: bytes, *, quietly: bool = False) -> None:
        host, number = key[:-8].decode("latin-1"), int.from_bytes(key[-8:], "big")
        if host == self._hosts.id or not is_id(host) or number <= self._seen.get(host, 0):
            return
        if host not in self._seen and len(self._seen) >= bounds.HOSTS:
            return
        fields = _decode(octets)
        if fields is None:
            self._counters.add("host_damaged_records")
            return
        self._seen[host] = number
        self._note(host, number)
        if not quietly:
            logs.audit(fields)

    def _note(self, host: str, number: int) -> None:
        try:
            self._own.put(_SEEN, host.encode(), b"%d" % number, _FOREVER)
        except StoreError as error:
            log.debug("which changes are in the audit log is not kept: %s", error)


def _key(host: str, number: int) -> bytes:
    return host.encode() + number.to_bytes(8, "big")


def _number(octets: bytes) -> int:
    return int(octets) if octets.isdigit() and len(octets) < 19 else 0


def _decode(octets: bytes) -> logs.Fields | None:
    """The fields of an entry, with its host and when it was; None for octets that are none: anybody may have written them."""
    if len(octets) > bounds.AUDIT_ENTRY:
        return None
    try:
        entry = json.loads(octets)
        at, host, given = int(entry["at"]), entry["host"], entry["fields"]
        told = {name: value for name, value in given.items() if name in logs.AUDIT_FIELDS}
        fields = {name: value for name, value in told.items() if isinstance(value, str | int | float)}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None
    if not isinstance(host, str) or not isinstance(fields.get("audit"), str):
        return None
    return {**fields, "host": printable(host), "at": at}
