"""Puts the resolver together: caches, upstreams, options, the generators and their driver, from settings."""

import random
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

from resolverd import bounds
from resolverd.app.trust import negative_anchors, rests_on, trust_anchors, trust_state
from resolverd.clock import Clock
from resolverd.config.files import read_text
from resolverd.config.settings import ResolverSettings, Settings
from resolverd.failures import ConfigError, ConfigFault
from resolverd.metrics import Counters
from resolverd.net.udp import BufferedRandom
from resolverd.resolver.answer import Resolve
from resolverd.resolver.cache import Caches
from resolverd.resolver.cache.delegations import DelegationCache
from resolverd.resolver.cache.failures import FailureCache
from resolverd.resolver.cache.packets import PacketCache
from resolverd.resolver.cache.rrsets import RRsetCache
from resolverd.resolver.cache.sweep import Sweep
from resolverd.resolver.iterator.forwards import Hints, Upstream, Upstreams
from resolverd.resolver.iterator.infra import InfraCache
from resolverd.resolver.iterator.iterate import Iterator
from resolverd.resolver.iterator.options import Options, TtlBounds
from resolverd.resolver.local import master_file
from resolverd.resolver.local.builtin import BuiltinZones
from resolverd.resolver.local.replies import LocalData
from resolverd.resolver.mesh import Mesh, Timeouts
from resolverd.resolver.ports import Network
from resolverd.resolver.recursions import Prefetch
from resolverd.resolver.validator.anchors import TrustAnchors
from resolverd.resolver.validator.clock_check import ClockCheck
from resolverd.resolver.validator.trust import TrustState
from resolverd.resolver.validator.validate import Validators
from resolverd.wire import codes
from resolverd.wire.names import ROOT, Name, from_text, lower
from resolverd.wire.redact import Redactor

_PACKETS, _DELEGATIONS, _SERVERS, _FAILURES = 0.2, 0.15, 0.05, 0.04
"""Of ``[cache] size``, what each may take; the rest is for records."""
_SERVER = 700
"""Octets that what is known of a server takes, its capabilities included."""
_SHAPES_NOTHING = frozenset({
    "root_hints", "trust_anchors", "qname_minimisation", "qname_minimisation_type", "case_randomisation", "edns_size",
    "query_deadline", "ipv4", "ipv6", "outgoing_addresses", "priming", "key_tag_signalling", "prefetch_server_addresses",
    "sentinel", "aggressive_nsec", "builtin_zones", "builtin_except",
})  # fmt: skip
"""Keys of ``[resolver]`` whose change leaves what is remembered as true as it was. Hints count by what is in them."""
_PREFETCH_AT = 1 - bounds.PREFETCH_SHARE
"""With prefetch, a prepared reply serves for this share of its TTL; then the RRset cache sees the question again."""


class Resolution:
    """The resolver of the daemon for its whole life: what is remembered, and what asks, as the configuration in force has it.

    Whatever changes the answers to names goes through here, so that nothing of what is in flight then is kept.
    """

    def __init__(
        self,
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
        anchors: TrustAnchors | None = None,
        clock_check: ClockCheck | None = None,
    ):
        """With other root hints or trust anchors than those of the files if they are given. Raises ConfigError for a bad file.

        `list_zones` (lower case) are those of DNS lists; below `key_zones` the next label is a key; `local_zones` come first.
        """
        self._settings = settings
        self._timeouts = timeouts
        self._hints = hints = hints or root_hints(settings.resolver)
        sizes = _Sizes.of(settings)
        self.packets = PacketCache(sizes.packets)
        self.failures = FailureCache(sizes.failures)
        self.infra = InfraCache(sizes.infra)
        self.upstreams = _upstreams(settings)
        self._caches = Caches(RRsetCache(sizes.rrsets, settings.cache.serve_stale), DelegationCache(sizes.delegations))
        # What each has forgotten is freed with what the RRset cache has.
        self.delegations.discarded = self.packets.discarded = self.rrsets.discarded
        self.redactor = redactor = Redactor(key_zones)
        options = _options(settings, hints, self.upstreams, list_zones, redactor)
        self._negative: Mapping[Name, str] = {}
        self._clock = clock
        self._clock_check = clock_check or ClockCheck()
        anchors = anchors if anchors is not None else trust_anchors(settings.resolver.trust_anchors)
        self.trust = trust_state(settings, anchors, clock=self._clock_check)
        # System randomness: who could predict the order of servers would know where to aim.
        self._iterator = Iterator(
            self._caches, hints, self.upstreams, self.infra, options, rng or BufferedRandom(), trust=_validators(self.trust)
        )
        timeouts = timeouts or Timeouts(client=settings.resolver.query_deadline)
        prefetch = _prefetch(settings)
        caches = self._caches
        self.mesh = Mesh(
            self._iterator, caches, self.failures, network, clock, counters, timeouts, list_zones, prefetch, redactor
        )
        self.resolve = Resolve(_builtin(settings, self.upstreams), self.mesh, local_zones)

    @property
    def rrsets(self) -> RRsetCache:
        """RRsets and denials."""
        return self._caches.rrsets

    @property
    def delegations(self) -> DelegationCache:
        """Zone cuts."""
        return self._caches.delegations

    @property
    def stale(self) -> float:
        """Seconds for which data is kept beyond its TTL."""
        return self._settings.cache.serve_stale

    @property
    def rests_on(self) -> object:
        """What all that is remembered is made under: where it is another, nothing of it counts."""
        return _shape(self._settings), self._hints, rests_on(self.trust), self.upstreams.local

    @property
    def packet_share(self) -> float:
        """The share of a TTL for which a prepared reply is used; behind it the RRset cache sees the question again."""
        return _PREFETCH_AT if self._settings.cache.prefetch else 1.0

    def configure(
        self,
        settings: Settings,
        list_zones: frozenset[Name],
        key_zones: frozenset[Name],
        hints: Hints,
        anchors: TrustAnchors,
    ) -> None:
        """Go on by other settings. What is remembered stays, unless what it is made of has changed."""
        old, self._settings = (_shape(self._settings), self._hints, rests_on(self.trust)), settings
        self._hints = hints
        sizes = _Sizes.of(settings)
        self.packets.limit, self.failures.limit, self.infra.limit = sizes.packets, sizes.failures, sizes.infra
        self.upstreams = _upstreams(settings).after(self.upstreams)
        self.redactor = redactor = Redactor(key_zones)
        options = _options(settings, hints, self.upstreams, list_zones, redactor)
        timeouts = self._timeouts or Timeouts(client=settings.resolver.query_deadline)
        self.mesh.configure(timeouts, list_zones, _prefetch(settings), redactor)
        trust = trust_state(settings, anchors, self._negative, self._clock_check)
        if rests_on(trust) != old[2]:
            self.trust = trust
        self.resolve.builtin = _builtin(settings, self.upstreams)
        self._supersede(hints, options)
        if (_shape(settings), hints, rests_on(self.trust)) != old:
            self._forget()

    def changed(self) -> None:
        """What names are answered with has changed, beside what is remembered of the world: local zones."""
        self._supersede()

    @property
    def clock_fault(self) -> str | None:
        """Why the wall clock is not believed, so that nothing is validated; None where it is."""
        return self.trust.clock.fault(self._clock.wall()) if self.trust is not None else None

    def root_key_tags(self) -> frozenset[int]:
        """The tags of the keys by which the root is trusted."""
        anchor = self.trust.anchors.closest(ROOT) if self.trust is not None else None
        return frozenset(each.key_tag for each in anchor.ds) if anchor is not None else frozenset()

    def reconsider(self) -> None:
        """Everything is to be found out anew: the clock is believed now, or no more, or other keys are trusted."""
        self._supersede()
        self._forget()

    def set_anchors(self, anchors: TrustAnchors) -> None:
        """Trust these keys from now on, and nothing that was found out by others."""
        if self.trust is not None:
            self.trust.anchors = anchors
            self.reconsider()

    def set_negative(self, anchors: Mapping[Name, str]) -> None:
        """These are the negative trust anchors set at run time, and why: at once, for all that is at and below them."""
        changed = anchors.keys() ^ self._negative.keys()
        self._negative = anchors
        if self.trust is None:
            return
        self.trust.negative = negative_anchors(self._settings, anchors)
        if changed:
            self._supersede()
            self.mesh.forget_failures()
        for zone in changed:
            self.trust.forget(zone)
            self.rrsets.flush_below(zone, self._clock.monotonic())

    def delegate(self, upstreams: tuple[Upstream, ...]) -> None:
        """Ask the servers of these for the zones that local zones delegate."""
        if self.upstreams.set_local(upstreams):
            # What is remembered may have come by another way, and would be the answer until its TTL ends.
            self._supersede()
            self._forget()

    def flush(self, name: Name | None = None, rtype: int | None = None) -> int:
        """Forget a name's entries, of one type or of all; everything if `name` is None. How many records there were."""
        # An alias to this name may stand in replies about other names: all prepared replies go.
        self._supersede()
        if name is None:
            return self._forget()
        name = lower(name)
        self.mesh.forget_failures(name, rtype)
        if rtype is None:
            self.delegations.forget(name)
        if self.trust is not None:
            self.trust.forget(name)
        return self.rrsets.flush(name, rtype)

    def flush_below(self, name: Name) -> Sweep:
        """Forget everything of the names at and below `name`: at once for who asks, and with `sweep` to the end.

        The delegations forgotten are counted in what comes back.
        """
        self._supersede()
        name = lower(name)
        self.mesh.forget_failures_below(name)
        if self.trust is not None:
            self.trust.forget(name)
        below = self.rrsets.flush_below(name, self._clock.monotonic())
        below.count += self.delegations.forget_below(name)
        return below

    def sweep(self, entries: int) -> bool:
        """Go on with what is to be forgotten and freed, through so many entries; whether there is more to be done."""
        return self.rrsets.sweep(entries)

    def _forget(self) -> int:
        self.delegations.clear()
        self.mesh.forget_failures()
        if self.trust is not None:
            self.trust.forget()
        return self.rrsets.clear(self._clock.monotonic())

    def _supersede(self, hints: Hints | None = None, options: Options | None = None) -> None:
        """What is in flight goes on over caches of its own, and no reply to what was asked before is kept."""
        self.packets.flush()
        sizes = _Sizes.of(self._settings)
        if self.trust is not None:
            self.trust.supersede()
        self._caches = self._caches.succeed(sizes.rrsets, sizes.delegations, self._settings.cache.serve_stale)
        self._iterator = self._iterator.succeed(self._caches, _validators(self.trust), hints, self.upstreams, options)
        self.mesh.supersede(self._iterator, self._caches)


class _Sizes(NamedTuple):
    """Octets of each cache; of servers, their number."""

    packets: int
    rrsets: int
    delegations: int
    failures: int
    infra: int

    @classmethod
    def of(cls, settings: Settings) -> "_Sizes":
        size = settings.cache.size
        rrsets = int(size * (1 - _PACKETS - _DELEGATIONS - _SERVERS - _FAILURES))
        servers = min(bounds.MAX_SERVERS, int(size * _SERVERS / _SERVER))
        return cls(int(size * _PACKETS), rrsets, int(size * _DELEGATIONS), int(size * _FAILURES), servers)


def _shape(settings: Settings) -> list[object]:
    """What of the settings shapes what is remembered."""
    wanted, kept = settings.resolver, settings.cache
    shaping = [getattr(wanted, name) for name in wanted.__struct_fields__ if name not in _SHAPES_NOTHING]
    return [*shaping, kept.min_ttl, kept.max_ttl, kept.negative_max_ttl]


def _upstreams(settings: Settings) -> Upstreams:
    wanted = settings.resolver
    return Upstreams((
        *(Upstream(lower(from_text(each.zone)), each.servers, forward=True) for each in wanted.forward),
        *(Upstream(lower(from_text(each.zone)), each.servers) for each in wanted.stub),
    ))


def _builtin(settings: Settings, upstreams: Upstreams) -> BuiltinZones | None:
    wanted = settings.resolver
    if not wanted.builtin_zones:
        return None
    return BuiltinZones((*(lower(from_text(each)) for each in wanted.builtin_except), *upstreams.zones))


def _options(
    settings: Settings, hints: Hints, upstreams: Upstreams, list_zones: frozenset[Name], redactor: Redactor
) -> Options:
    wanted, kept = settings.resolver, settings.cache
    return Options(
        ipv4=wanted.ipv4,
        ipv6=wanted.ipv6,
        qmin=wanted.qname_minimisation,
        qmin_type=codes.type_from_text(wanted.qname_minimisation_type),
        random_case=wanted.case_randomisation,
        dnssec=wanted.dnssec,
        aggressive_nsec=wanted.aggressive_nsec,
        priming=wanted.priming,
        harden_glue=wanted.harden_glue,
        edns_size=wanted.edns_size,
        ttl_bounds=TtlBounds(int(kept.min_ttl), int(kept.max_ttl), int(kept.negative_max_ttl)),
        list_zones=list_zones,
        redactor=redactor,
        do_not_query=wanted.do_not_query,
        exempt=frozenset(hints.addresses) | upstreams.servers,
    )


def _validators(trust: TrustState | None) -> Validators | None:
    return None if trust is None else Validators(trust)


def _prefetch(settings: Settings) -> Prefetch:
    return Prefetch(settings.cache.prefetch, settings.resolver.prefetch_server_addresses)


def root_hints(wanted: ResolverSettings | None) -> Hints:
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
