"""The whole daemon at a glance, and what is wrong with it."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec

from resolverd import __version__
from resolverd.dnsbl.spec import ListStatus
from resolverd.failures import StoreError
from resolverd.fleet.schema import Schemas, apart
from resolverd.mail.findings import Action
from resolverd.servers.http.daemon import Daemon
from resolverd.servers.http.route import Call, Route
from resolverd.servers.http.routes.cache import figures
from resolverd.state.base import Condition

_PATIENCE: Final = 3.0
"""Seconds for the store to answer: behind a disk that hangs the rest is wanted all the more."""

_NAMED: Final = 8
"""Silent hosts up to which each is a problem of its own: though a whole site is cut off, what else is wrong is to be seen."""


class Questions(msgspec.Struct):
    """DNS questions since the start. `cached`: the share of those that nobody had to be asked for; None before the first.

    `refused` by ``[dns] allow``; `limited` by ``client_rate`` and `dropped` as too many waited, both without a reply.
    """

    answered: int
    cached: float | None
    refused: int
    limited: int
    dropped: int


class ListTrouble(msgspec.Struct):
    """A list in use that is not asked at present: its state, and the last error."""

    id: str
    state: str
    last_error: str


class ListsInUse(msgspec.Struct):
    """How many lists are in use, how many of those are ok, and the others."""

    enabled: int
    ok: int
    trouble: list[ListTrouble]


class CacheUse(msgspec.Struct):
    """What the DNS caches hold: RRsets and denials, prepared replies, octets of those that they may take."""

    records: int
    packets: int
    bytes: int
    max_bytes: int


class GreylistUse(msgspec.Struct):
    """Triplets that wait and that have passed; at least so many where not all were counted (`complete`)."""

    enabled: bool
    waiting: int
    passed: int
    complete: bool


class StoreUse(msgspec.Struct):
    """The store: ``disk`` or ``memory``, the octets of its file, what keeps it from being written (empty where nothing does).

    `set_aside`: how often since the start a damaged file was set aside; `recovered`: records that could be read of it.
    """

    kind: str
    bytes: int | None
    fault: str
    set_aside: int
    recovered: int


class SharedStoreUse(msgspec.Struct):
    """The store that several hosts share: its address, what it is, why it is out of reach or takes no writes (else empty).

    `waiting`: records that it is to have of this host as yet. `typical_ms`, `slow_ms`: milliseconds that this host's last reads
    took, median and 99th percentile; None before the first. `bytes`: of its memory, None where that is not known.
    """

    url: str
    server: str
    fault: str
    waiting: int
    typical_ms: float | None
    slow_ms: float | None
    bytes: int | None


class HostUse(msgspec.Struct):
    """A host of the fleet. `this`: the one that is asked. `since`: the wall-clock second of its start. `silent`: seconds since it
    was last heard of; it is not `alive` where these are too many, and did not end as it should. `schemas`: the forms of records
    that it reads, oldest and newest; `writes`: the one that it writes."""

    id: str
    name: str
    version: str
    this: bool
    alive: bool
    since: int
    silent: int
    schemas: tuple[int, int]
    writes: int


class FleetUse(msgspec.Struct):
    """The hosts that share one store, those that are missing for less than a week included."""

    store: SharedStoreUse
    hosts: list[HostUse]


class Status(msgspec.Struct):
    """The daemon at a glance. `started` is a wall-clock second, `uptime` in seconds; `verdicts` since then, by action.

    `greylist` is None where the store cannot be read, or not soon. `store` is this host's own; `fleet` is None where it is shared
    with nobody. `own_addresses`: those watched, and the lists that list them. `problems`: all that is wrong, in words.
    """

    version: str
    started: int
    uptime: int
    ready: bool
    questions: Questions
    verdicts: dict[str, int]
    lists: ListsInUse
    cache: CacheUse
    greylist: GreylistUse | None
    store: StoreUse
    own_addresses: dict[str, list[str]]
    problems: list[str]
    fleet: FleetUse | None = None


async def get_status(call: Call) -> Status:
    """The daemon at a glance: what it has answered, how lists, caches, greylist and store fare, what is wrong."""
    daemon = call.daemon
    count = daemon.counters.get
    uptime = daemon.clock.monotonic() - daemon.begun
    statuses = [status for status in daemon.lists.statuses() if status.enabled]
    trouble = [ListTrouble(status.id, status.state, status.last_error) for status in statuses if status.state != "ok"]
    store, fleet = await asyncio.gather(_store(daemon), _fleet(daemon))
    return Status(
        version=__version__,
        started=int(daemon.clock.wall() - uptime),
        uptime=int(uptime),
        ready=daemon.priming.readiness.ready,
        questions=_questions(daemon),
        verdicts={action.value: count("verdicts", action=action) for action in Action},
        lists=ListsInUse(len(statuses), len(statuses) - len(trouble), trouble),
        cache=_cache(daemon),
        greylist=await _greylist(daemon),
        store=store,
        own_addresses=_own_addresses(daemon, statuses),
        problems=[*_problems(daemon, statuses), *_store_problems(store), *_fleet_problems(fleet)],
        fleet=fleet,
    )


def _questions(daemon: Daemon) -> Questions:
    counters = daemon.counters
    hits, missed = counters.get("dns_packet_hits"), counters.get("dns_cache_misses")
    answered = hits + sum(value for name, _, value in counters.snapshot() if name == "dns_answers")
    cached = max(0.0, 1 - missed / answered) if answered else None
    return Questions(answered, cached, *(counters.get(f"dns_{what}") for what in ("refused", "limited", "dropped")))


def _cache(daemon: Daemon) -> CacheUse:
    held = figures(daemon)
    octets = held.record_bytes + held.packet_bytes + held.delegation_bytes
    return CacheUse(held.records, held.packets, octets, daemon.cache_size)


async def _greylist(daemon: Daemon) -> GreylistUse | None:
    try:
        async with asyncio.timeout(_PATIENCE):
            census = await daemon.greylist.census()
    except (StoreError, TimeoutError):
        return None
    return GreylistUse(daemon.greylist.enabled, census.waiting, census.passed, census.complete)


async def _store(daemon: Daemon) -> StoreUse:
    try:
        async with asyncio.timeout(_PATIENCE):
            condition = await (daemon.own_store or daemon.store).condition()
    except TimeoutError:
        condition = Condition("disk", "does not answer: the disk is slow, or hangs")
    aside, recovered = (daemon.counters.get(f"store_{what}") for what in ("set_aside", "recovered"))
    return StoreUse(condition.kind, condition.octets, condition.fault, aside, recovered)


async def _fleet(daemon: Daemon) -> FleetUse | None:
    if daemon.hosts is None:
        return None
    condition = await daemon.store.condition()
    store = SharedStoreUse(
        condition.url, condition.server, condition.fault, condition.waiting, condition.typical, condition.slow, condition.octets
    )
    hosts = [
        HostUse(
            id=host.id,
            name=host.name,
            version=host.version,
            this=host.id == daemon.hosts.id,
            alive=alive,
            since=int(host.since),
            silent=int(silent),
            schemas=(host.schemas.oldest, host.schemas.newest),
            writes=host.writes,
        )
        for host, alive, silent in daemon.hosts.views()
    ]
    return FleetUse(store, hosts)


def _own_addresses(daemon: Daemon, lists: list[ListStatus]) -> dict[str, list[str]]:
    watched: dict[str, list[str]] = {str(address): [] for address in daemon.own_addresses}
    for status in lists:
        for address in status.watched:
            watched.setdefault(address, []).append(status.id)
    return watched


def _problems(daemon: Daemon, lists: list[ListStatus]) -> Iterator[str]:
    readiness = daemon.priming.readiness
    if not readiness.ready:
        yield f"names cannot be resolved: {readiness.reason or 'not ready yet'}"
    if (fault := daemon.resolver.clock_fault) is not None:
        yield f"DNSSEC is not validated until the clock is right: {fault}"
    for status in lists:
        if status.state != "ok":
            yield f"list {status.id} is {status.state}" + (f": {status.last_error}" if status.last_error else "")
        for address in status.watched:
            yield f"list {status.id} lists our own {address}"
    for name, (state, faults) in daemon.tasks().items():
        if state == "restarting":
            yield f"task {name!r} has ended by a fault {faults} times and is started anew"
    broken = int(daemon.local_zones.gauges()["zone_files_broken"])
    if broken:
        yield f"{broken} zone files cannot be read"
    bugs: Counter[str] = Counter()
    for counted, labels, value in daemon.counters.snapshot():
        if counted == "bugs":
            bugs[labels["where"]] += value
    if bugs:
        where = ", ".join(f"{name} {number}" for name, number in sorted(bugs.items()))
        yield f"{bugs.total()} bugs met since the start, told in the log ({where})"


def _store_problems(store: StoreUse) -> Iterator[str]:
    if store.fault:
        yield f"the store {store.fault}"
    if store.set_aside:
        yield f"a damaged store was set aside, {store.recovered} records of it were recovered"


def _fleet_problems(fleet: FleetUse | None) -> Iterator[str]:
    if fleet is None:
        return
    if fleet.store.fault:
        yield f"the shared store: {fleet.store.fault}; mail goes on by what this host knows of it"
    own = next((host for host in fleet.hosts if host.this), None)
    for host in fleet.hosts:
        if host.alive and own is not None and apart(Schemas(*own.schemas), Schemas(*host.schemas)):
            yield f"host {host.name} runs {host.version}, which shares no form of records with {own.version} here; upgrade one"
    yield from _silent([host for host in fleet.hosts if not host.alive])


def _silent(hosts: list[HostUse]) -> Iterator[str]:
    if len(hosts) <= _NAMED:
        for host in hosts:
            yield f"host {host.name} has said nothing for {_long(host.silent)}, nor that it ends"
        return
    names = ", ".join(host.name for host in hosts[:_NAMED])
    least, more = _long(min(host.silent for host in hosts)), len(hosts) - _NAMED
    yield f"{len(hosts)} hosts have said nothing for {least} or longer, nor that they end: {names} and {more} others"


def _long(seconds: int) -> str:
    """A time of a minute and more in words."""
    for unit, length in (("days", 86400), ("hours", 3600)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{max(1, seconds // 60)} min"


ROUTES = (Route("GET", "/v1/status", get_status, "lists"),)
