"""Puts the resolver together: caches, routes, rules, the generators and their driver, from settings."""

import random
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from resolverd import bounds
from resolverd.authority import masterfile
from resolverd.authority.builtin import BuiltinZones
from resolverd.cache.broken import FailureCache
from resolverd.cache.delegations import DelegationCache
from resolverd.cache.packets import PacketCache
from resolverd.cache.records import RecordCache
from resolverd.config.settings import Settings
from resolverd.failures import ConfigError, ConfigFault
from resolverd.flow.ports import Clock, Network
from resolverd.flow.recurse import Patience, Recurse
from resolverd.flow.resolve import Resolve
from resolverd.recursion.iterate import Iterator, Rules
from resolverd.recursion.lifetimes import Lifetimes
from resolverd.recursion.ports import Memory
from resolverd.recursion.routes import Hints, Route, Routes
from resolverd.recursion.servers import Servers
from resolverd.watch.counters import Counters
from resolverd.wire import codes
from resolverd.wire.names import ROOT, Name, from_text, lower

_PACKETS_SHARE = 0.25
"""Of ``[cache] size``, what prepared replies may take; the rest is for records."""
_PREFETCH_AT = 1 - bounds.PREFETCH_SHARE
"""With prefetch, a prepared reply serves for this share of its TTL; then the record cache sees the question again."""


class Resolution(NamedTuple):
    """The resolver's parts, for those who hold them: the DNS edge, the commands, tests."""

    packets: PacketCache
    records: RecordCache
    delegations: DelegationCache
    failures: FailureCache
    servers: Servers
    recurse: Recurse
    resolve: Resolve
    routes: Routes
    packet_share: float


def resolution(
    settings: Settings,
    network: Network,
    clock: Clock,
    counters: Counters,
    list_zones: frozenset[Name] = frozenset(),
    rng: random.Random | None = None,
    patience: Patience | None = None,
) -> Resolution:
    """The resolver as configured. `list_zones` (lower case) are those of DNS lists. Raises ConfigError for bad root hints."""
    wanted, kept = settings.resolver, settings.cache
    routes = Routes((
        *(Route(lower(from_text(each.zone)), each.servers, forward=True) for each in wanted.forward),
        *(Route(lower(from_text(each.zone)), each.servers) for each in wanted.stub),
    ))
    packets = PacketCache(int(kept.size * _PACKETS_SHARE))
    records = RecordCache(int(kept.size * (1 - _PACKETS_SHARE)), kept.serve_stale)
    delegations, failures, servers = DelegationCache(), FailureCache(), Servers()
    hints = root_hints(wanted.root_hints)
    rules = Rules(
        ipv4=wanted.ipv4,
        ipv6=wanted.ipv6,
        minimise=wanted.qname_minimisation,
        minimise_type=codes.type_from_text(wanted.qname_minimisation_type),
        random_case=wanted.case_randomisation,
        dnssec=wanted.dnssec,
        edns_size=wanted.edns_size,
        lifetimes=Lifetimes(int(kept.min_ttl), int(kept.max_ttl), int(kept.negative_max_ttl)),
        plain_zones=list_zones,
        do_not_query=wanted.do_not_query,
        exempt=frozenset(hints.addresses) | routes.servers,
    )
    # System randomness: who could predict the order of servers would know where to aim.
    memory = Memory(records, delegations)
    iterator = Iterator(memory, hints, routes, servers, rules, rng or random.SystemRandom())
    patience = patience or Patience(client=wanted.query_deadline)
    recurse = Recurse(iterator, memory, failures, network, clock, counters, patience, list_zones, kept.prefetch)
    builtin = None
    if wanted.builtin_zones:
        builtin = BuiltinZones((*(lower(from_text(each)) for each in wanted.builtin_except), *routes.zones))
    share = _PREFETCH_AT if kept.prefetch else 1.0
    return Resolution(packets, records, delegations, failures, servers, recurse, Resolve(builtin, recurse), routes, share)


def root_hints(path: Path | None) -> Hints:
    """The root's servers from a hints file, or those shipped. Raises ConfigError."""
    try:
        source = resources.files("resolverd.data").joinpath("root.hints") if path is None else path
        return Hints.of(masterfile.parse(source.read_text(), ROOT))
    except (OSError, ValueError) as error:
        raise ConfigError([ConfigFault("resolver.root_hints", f"{path or 'shipped file'}: {error}")]) from None
