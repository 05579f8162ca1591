"""Puts the resolver together: caches, upstreams, options, the generators and their driver, from settings."""

import os
import random
from importlib import resources
from typing import NamedTuple

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.config.files import read_text
from resolverd.config.settings import Resolver, Settings
from resolverd.failures import ConfigError, ConfigFault
from resolverd.metrics import Counters
from resolverd.resolver.answer import LocalData, Resolve
from resolverd.resolver.cache import Caches
from resolverd.resolver.cache.delegations import DelegationCache
from resolverd.resolver.cache.failures import FailureCache
from resolverd.resolver.cache.packets import PacketCache
from resolverd.resolver.cache.rrsets import RRsetCache
from resolverd.resolver.iterator.forwards import Hints, Upstream, Upstreams
from resolverd.resolver.iterator.infra import InfraCache
from resolverd.resolver.iterator.iterate import Iterator
from resolverd.resolver.iterator.options import Options, TtlBounds
from resolverd.resolver.local import master_file
from resolverd.resolver.local.builtin import BuiltinZones
from resolverd.resolver.mesh import Mesh, Timeouts
from resolverd.resolver.ports import Network
from resolverd.wire import codes
from resolverd.wire.names import ROOT, Name, from_text, lower
from resolverd.wire.redact import Redactor

_POOL = 256
"""Octets of randomness fetched at once."""
_PACKETS, _DELEGATIONS, _SERVERS, _FAILURES = 0.2, 0.15, 0.05, 0.04
"""Of ``[cache] size``, what each may take; the rest is for records."""
_SERVER = 700
"""Octets that what is known of a server takes, its capabilities included."""
_PREFETCH_AT = 1 - bounds.PREFETCH_SHARE
"""With prefetch, a prepared reply serves for this share of its TTL; then the RRset cache sees the question again."""


class _Chance(random.SystemRandom):
    """The system's randomness, fetched a page at a time: a system call for every shuffle is dear."""

    def __init__(self) -> None:
        super().__init__()
        self._pool = b""

    def getrandbits(self, k: int, /) -> int:
        """An integer of `k` random bits."""
        count = (k + 7) // 8
        if count > len(self._pool):
            self._pool = os.urandom(max(_POOL, count))
        taken, self._pool = self._pool[:count], self._pool[count:]
        return int.from_bytes(taken) >> (count * 8 - k)


class Resolution(NamedTuple):
    """The resolver's parts, for those who hold them: the DNS edge, the commands, tests."""

    packets: PacketCache
    rrsets: RRsetCache
    delegations: DelegationCache
    failures: FailureCache
    infra: InfraCache
    mesh: Mesh
    resolve: Resolve
    upstreams: Upstreams
    packet_share: float


def resolution(
    settings: Settings,
    network: Network,
    clock: Clock,
    counters: Counters,
    list_zones: frozenset[Name] = frozenset(),
    rng: random.Random | None = None,
    timeouts: Timeouts | None = None,
    key_zones: frozenset[Name] = frozenset(),
    local_zones: LocalData | None = None,
    hints: Hints | None = None,
) -> Resolution:
    """The resolver as configured; with other root hints than those of the file if `hints` are given. Raises ConfigError for
    a bad file.

    `list_zones` (lower case) are those of DNS lists; below `key_zones` the next label is a key; `local_zones` come first.
    """
    wanted, kept = settings.resolver, settings.cache
    upstreams = Upstreams((
        *(Upstream(lower(from_text(each.zone)), each.servers, forward=True) for each in wanted.forward),
        *(Upstream(lower(from_text(each.zone)), each.servers) for each in wanted.stub),
    ))
    packets = PacketCache(int(kept.size * _PACKETS))
    rrsets = RRsetCache(int(kept.size * (1 - _PACKETS - _DELEGATIONS - _SERVERS - _FAILURES)), kept.serve_stale)
    delegations = DelegationCache(int(kept.size * _DELEGATIONS))
    failures = FailureCache(int(kept.size * _FAILURES))
    infra = InfraCache(min(bounds.MAX_SERVERS, int(kept.size * _SERVERS / _SERVER)))
    hints = hints or root_hints(wanted)
    redactor = Redactor(key_zones)
    options = Options(
        ipv4=wanted.ipv4,
        ipv6=wanted.ipv6,
        qmin=wanted.qname_minimisation,
        qmin_type=codes.type_from_text(wanted.qname_minimisation_type),
        random_case=wanted.case_randomisation,
        dnssec=wanted.dnssec,
        priming=wanted.priming,
        harden_glue=wanted.harden_glue,
        edns_size=wanted.edns_size,
        ttl_bounds=TtlBounds(int(kept.min_ttl), int(kept.max_ttl), int(kept.negative_max_ttl)),
        list_zones=list_zones,
        redactor=redactor,
        do_not_query=wanted.do_not_query,
        exempt=frozenset(hints.addresses) | upstreams.servers,
    )
    # System randomness: who could predict the order of servers would know where to aim.
    caches = Caches(rrsets, delegations)
    iterator = Iterator(caches, hints, upstreams, infra, options, rng or _Chance())
    timeouts = timeouts or Timeouts(client=wanted.query_deadline)
    mesh = Mesh(iterator, caches, failures, network, clock, counters, timeouts, list_zones, kept.prefetch, redactor)
    builtin = None
    if wanted.builtin_zones:
        builtin = BuiltinZones((*(lower(from_text(each)) for each in wanted.builtin_except), *upstreams.zones))
    share = _PREFETCH_AT if kept.prefetch else 1.0
    resolve = Resolve(builtin, mesh, local_zones)
    return Resolution(packets, rrsets, delegations, failures, infra, mesh, resolve, upstreams, share)


def root_hints(wanted: Resolver | None) -> Hints:
    """The root's servers from the hints file that is `wanted`, or those shipped. Raises ConfigError.

    Where everything is forwarded, nobody asks them, and the file may be empty.
    """
    path = wanted.root_hints if wanted is not None else None
    try:
        if path is None:
            text = resources.files("resolverd.data").joinpath("root.hints").read_text("ascii")
        else:
            text, _ = read_text(path)
        records = master_file.parse(text, ROOT)
        if not records and wanted is not None and any(from_text(each.zone) == ROOT for each in wanted.forward):
            return root_hints(None)
        return Hints.of(records)
    except OSError as error:
        raise ConfigError([ConfigFault("resolver.root_hints", f"cannot read {str(path)!r}: {error.strerror}")]) from None
    except ValueError as error:
        raise ConfigError([ConfigFault("resolver.root_hints", f"{path}: {error}")]) from None
