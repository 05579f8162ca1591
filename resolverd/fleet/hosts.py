"""The hosts that share a store: each says every `HEARTBEAT` seconds that it lives, in large fleets less often, and hears what the
others say, at once where the store tells of changes.

Whether another host lives is judged by when its record last changed here, on the own monotonic clock: clocks that differ
make nobody dead. While the store cannot be read nobody grows older, so that an outage does not make everybody think that it
is alone.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable
from typing import Final, NamedTuple

from resolverd import __version__, bounds
from resolverd.clock import Clock
from resolverd.failures import StoreError
from resolverd.fleet.host_record import Host, decode, encode, is_id
from resolverd.fleet.schema import SCHEMAS, Schemas, agreed, apart
from resolverd.metrics import Counters
from resolverd.state.base import Store

TABLE: Final = "hosts"
HEARTBEAT: Final = 15.0
"""Seconds between two records of one host, in a fleet of up to `CROWD`."""
CROWD: Final = 100
"""Hosts from which on each says less often that it lives: every record is told to all."""
MISSED: Final = 4
"""Records of a host that are missing when it counts as dead: after a minute."""
KEPT_FOR: Final = 7 * 86400.0
"""Seconds for which a host that died without a word is still shown."""
_PATIENCE: Final = 3.0
"""Seconds for the store to tell who there is."""
_OWN_TABLE: Final = "host"
_OWN_KEY: Final = b"id"
_FOREVER: Final = float(2**32)

log = logging.getLogger(__name__)


class HostView(NamedTuple):
    """A host as this one sees it. `silent`: seconds since something new was heard of it."""

    host: Host
    alive: bool
    silent: float


class _Heard(NamedTuple):
    host: Host
    at: float

    def is_alive(self, now: float) -> bool:
        return now - self.at < MISSED * self.host.period


async def host_id(own: Store, now: float) -> str:
    """This host's id, drawn once and kept in its own store, which no other host shares; for this run only where that fails."""
    try:
        kept = await own.get(_OWN_TABLE, _OWN_KEY, now)
        if kept is not None and is_id(found := kept.decode("latin-1")):
            return found
    except StoreError as error:
        log.warning("this host's identity cannot be read, so it has another one this time: %s", error)
    return _new_id(own)


class Hosts:
    """Who shares the store. `run` keeps it up; all else never waits.

    `own` keeps the id, `name` is the host's, `schemas` those of this release. `on_change` is called whenever it is another
    set of hosts that lives, or another schema that they agree on.
    """

    def __init__(
        self,
        store: Store,
        own: Store,
        clock: Clock,
        counters: Counters,
        id: str,
        name: str,
        *,
        version: str = __version__,
        schemas: Schemas = SCHEMAS,
    ) -> None:
        self._store = store
        self._own = own
        self._clock = clock
        self._counters = counters
        self._heard: dict[str, _Heard] = {}
        self._read_at: float | None = None
        self._said_of: set[str] = set()
        now = clock.wall()
        self._self = Host(id, name, version, secrets.token_hex(8), now, now, schemas, schemas.oldest, HEARTBEAT)
        self._announced = False
        self._back = asyncio.Event()
        """Set once the store is back, or may have said what was not heard."""
        self._state: tuple[frozenset[str], int] = frozenset(), schemas.oldest
        self.on_change: list[Callable[[], None]] = []

    @property
    def id(self) -> str:
        """This host's; another one once a copy of it has been found."""
        return self._self.id

    @property
    def name(self) -> str:
        """This host's."""
        return self._self.name

    def count(self) -> int:
        """How many live, this one included: 1 at the least."""
        return 1 + len(self._others())

    def alive(self) -> list[Host]:
        """Those that live: this one, then the others by name."""
        return [self._self, *sorted(self._others(), key=_order)]

    def views(self) -> list[HostView]:
        """All that are known, by name, those that died of late included."""
        now = self._now()
        others = [HostView(each.host, each.is_alive(now), max(0.0, now - each.at)) for each in self._heard.values()]
        return sorted([HostView(self._self, True, 0.0), *others], key=lambda view: _order(view.host))

    def name_of(self, id: str) -> str:
        """What the host of this id is called; the id itself where that is not known."""
        if id == self._self.id:
            return self._self.name
        heard = self._heard.get(id)
        return id if heard is None else heard.host.name

    def schema(self) -> int:
        """The schema to write: the newest that all who live can read. The oldest until it is known who lives."""
        own = self._self.schemas
        return own.oldest if self._read_at is None else agreed(own, (each.schemas for each in self._others()))

    async def run(self) -> None:
        """Read and announce, for ever; ends by cancellation."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            while True:
                await self.beat()
                self._back.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._self.period):
                        await self._back.wait()

    async def _listen(self) -> None:
        """Hear what others say when they say it."""
        begun = False
        while True:
            try:
                async for change in self._store.watch(TABLE):
                    if change is None:
                        if begun:
                            self._back.set()
                        begun = True
                    elif self._read_at is not None:
                        self._hear(change.key, change.value)
            except StoreError as error:
                log.debug("the hosts of the fleet cannot be watched: %s", error)
            await asyncio.sleep(HEARTBEAT)

    def _hear(self, key: bytes, octets: bytes | None) -> None:
        host = None if octets is None else decode(key, octets)
        if octets is None:
            self._heard.pop(key.decode("latin-1"), None)
        elif host is None:
            self._counters.add("host_damaged_records")
        elif host.id != self._self.id and (host.id in self._heard or len(self._heard) < bounds.HOSTS):
            known = self._heard.get(host.id)
            self._note(host, known, 0.0)
            if known is not None and known.host.schemas == host.schemas and known.is_alive(self._now()):
                return  # as always
        self._tell()

    async def beat(self) -> None:
        """Read what the others say, and say that this one lives. Never raises for the store."""
        found: dict[bytes, bytes] = {}
        try:
            async with asyncio.timeout(_PATIENCE):
                async for entry in self._store.scan(TABLE, self._clock.wall()):
                    if len(found) == bounds.HOSTS:
                        break
                    found[entry.key] = entry.value
        except (StoreError, TimeoutError) as error:
            log.debug("the hosts of the fleet cannot be read: %s", error)
        else:
            self._take(found)
        self._announce()
        self._tell()

    def leave(self) -> None:
        """Say that this host has ended. Never raises."""
        try:
            self._store.delete(TABLE, self._self.id.encode())
        except StoreError as error:
            log.debug("the other hosts are not told of the end: %s", error)

    def _take(self, records: dict[bytes, bytes]) -> None:
        """What is in the store now."""
        now = self._clock.monotonic()
        unread = 0.0 if self._read_at is None else max(0.0, now - self._read_at - self._self.period)
        self._read_at = now
        before, self._heard = self._heard, {}
        for key, octets in records.items():
            host = decode(key, octets)
            if host is None:
                self._counters.add("host_damaged_records")
            elif host.id == self._self.id:
                self._meet_oneself(host)
            else:
                self._note(host, before.get(host.id), unread)
        for id, known in before.items():
            # Gone without a word: rather the store has forgotten it than that the word was missed.
            if id not in self._heard and known.is_alive(now - unread):
                self._heard[id] = known._replace(at=min(now, known.at + unread))

    def _note(self, host: Host, known: _Heard | None, unread: float) -> None:
        """What another host says of itself; `unread`: seconds for which nothing could be heard of anybody."""
        now = self._clock.monotonic()
        if known is None:
            at = now - max(0.0, self._clock.wall() - host.seen)
        elif known.host == host:
            at = min(now, known.at + unread)
        else:
            at = now
        self._heard[host.id] = _Heard(host, at)
        self._remark(host)

    def _meet_oneself(self, stored: Host) -> None:
        """The record under the own id, which somebody else has written where it is another run's, and not one of before."""
        if not self._announced or stored.run == self._self.run:
            return
        log.warning(
            "another daemon, on %s, has this one's identity: its state directory is a copy. This one takes a new identity",
            stored.name,
        )
        self._self = self._self._replace(id=_new_id(self._own))

    def _remark(self, other: Host) -> None:
        """Say once what is odd about another host."""
        own = self._self
        if apart(own.schemas, other.schemas):
            self._say(
                f"apart {other.id} {other.version}",
                f"{other.name} runs resolverd {other.version}, which has no form of records in common with {own.version} here: "
                "they read nothing of each other; upgrade one of them",
            )
        if other.name == own.name and other.id in {each.id for each in self._others()}:
            self._say(f"name {other.id}", f"two hosts of the fleet are called {own.name}")

    def _say(self, what: str, text: str) -> None:
        if what not in self._said_of and len(self._said_of) < bounds.HOSTS:
            self._said_of.add(what)
            log.warning("%s", text)

    def _announce(self) -> None:
        now = self._clock.wall()
        period = HEARTBEAT * max(1.0, self.count() / CROWD)
        self._self = self._self._replace(seen=now, writes=self.schema(), period=period)
        try:
            self._store.put(TABLE, self._self.id.encode(), encode(self._self), now + KEPT_FOR)
        except StoreError as error:
            log.debug("the other hosts are not told that this one lives: %s", error)
        else:
            self._announced = True

    def _tell(self) -> None:
        state = frozenset(each.id for each in self.alive()), self.schema()
        if state != self._state:
            self._state = state
            for listener in self.on_change:
                listener()

    def _now(self) -> float:
        """The time by which silence is measured: it stands still while the store cannot be read."""
        now = self._clock.monotonic()
        return now if self._read_at is None else min(now, self._read_at + self._self.period)

    def _others(self) -> list[Host]:
        now = self._now()
        return [each.host for each in self._heard.values() if each.is_alive(now)]


def _new_id(own: Store) -> str:
    drawn = secrets.token_hex(8)
    try:
        own.put(_OWN_TABLE, _OWN_KEY, drawn.encode(), _FOREVER)
    except StoreError as error:
        log.warning("this host's identity cannot be kept, so it has another one next time: %s", error)
    return drawn


def _order(host: Host) -> tuple[str, str]:
    return host.name, host.id
