"""Where to ask: zones with their servers' addresses, from forward and stub zones, cached delegations, or the root hints."""

from collections import OrderedDict
from collections.abc import Iterable

from resolverd import bounds
from resolverd.resolver.cache import Caches
from resolverd.resolver.cache.delegations import Delegation
from resolverd.resolver.iterator.forwards import Hints, Upstreams
from resolverd.resolver.iterator.options import Options
from resolverd.values import Value
from resolverd.wire import codes
from resolverd.wire.ask import Server
from resolverd.wire.names import ROOT, Address, Name, address, is_subdomain
from resolverd.wire.rrset import RRset

_KEPT_FOR = 1.0
"""Seconds for which a delegation point serves as it was made: a registry's is wanted for every new name."""


class DelegationPoint(Value, frozen=True):
    """A zone and who can be asked for it: the servers' addresses, all their `names`, and those with no known address yet.

    `parent_glue`: addresses from the parent's glue alone, where the child has named others. `configured`: the admin has named
    these servers, so that what they say counts whatever their AA is; `hinted`: nothing but the root hints names them.
    """

    zone: Name
    servers: tuple[Server, ...]
    unresolved: tuple[Name, ...] = ()
    names: tuple[Name, ...] = ()
    parent_glue: tuple[Server, ...] = ()
    expires: float = float("inf")
    forward: bool = False
    fresh: bool = True
    configured: bool = False
    hinted: bool = False


class _Kept(Value, frozen=True):
    delegation: Delegation
    dp: DelegationPoint
    until: float


class DelegationPoints:
    """Finds delegation points in what is configured and cached."""

    def __init__(self, caches: Caches, hints: Hints, upstreams: Upstreams, options: Options):
        self._caches = caches
        self._hints = hints
        self._upstreams = upstreams
        self._options = options
        self._servers: OrderedDict[Address, Server] = OrderedDict()
        self._kept: OrderedDict[Name, _Kept] = OrderedDict()

    def nearest(self, name: Name, now: float, private: bool) -> DelegationPoint:
        """The deepest one known at or above a name (lower case); a forward or stub zone wins over a delegation above it.

        A `private` name has a key in it, which is nobody's business but its operator's: it goes to no forwarder.
        """
        upstream = self._upstreams.closest(name)
        if upstream is not None and upstream.forward and private:
            upstream = None
        if upstream is not None and upstream.forward:
            return DelegationPoint(upstream.zone, upstream.servers, forward=True, configured=True)
        delegation = self._caches.delegations.closest(name, now)
        if upstream is not None and (delegation is None or len(upstream.zone) >= len(delegation.zone)):
            return DelegationPoint(upstream.zone, upstream.servers, upstream.names, upstream.names, configured=True)
        if delegation is None:
            return self.from_hints()
        fresh = now < delegation.learnt + bounds.DELEGATION_FRESH
        kept = self._kept.get(delegation.zone)
        if kept is not None and kept.delegation is delegation and now < kept.until and kept.dp.fresh is fresh:
            self._kept.move_to_end(delegation.zone)
            return kept.dp
        dp = self.from_delegation(delegation, now, fresh=fresh)
        self._kept[delegation.zone] = _Kept(delegation, dp, now + _KEPT_FOR)
        self._kept.move_to_end(delegation.zone)
        if len(self._kept) > bounds.CACHED_DELEGATION_POINTS:
            self._kept.popitem(last=False)
        return dp

    def root(self) -> DelegationPoint:
        """The root as configured: forwarders, a stub, or the hints; nothing of what is remembered."""
        upstream = self._upstreams.closest(ROOT)
        if upstream is None:
            return self.from_hints()
        return DelegationPoint(ROOT, upstream.servers, forward=upstream.forward, configured=True)

    def from_hints(self) -> DelegationPoint:
        """The root by its hints."""
        return DelegationPoint(ROOT, tuple(self.usable(self._hints.addresses)), hinted=True)

    def from_delegation(self, delegation: Delegation, now: float, *, fresh: bool) -> DelegationPoint:
        """A delegation with the addresses that are known of its servers: the child's own data first, its parent's glue else."""
        servers: dict[Server, None] = {}
        parent_glue: dict[Server, None] = {}
        names = []
        for name in delegation.servers:
            known, glue = self.usable(self.cached_addresses(name, now)), self.usable(delegation.addresses(name))
            servers.update(dict.fromkeys(known or glue))
            parent_glue.update(dict.fromkeys(glue))
            if not known and not glue:
                names.append(name)
        return DelegationPoint(
            delegation.zone, tuple(servers), tuple(names), delegation.servers, tuple(parent_glue), delegation.expires, fresh=fresh
        )

    def known_servers(self, dp: DelegationPoint, now: float) -> tuple[list[Server], list[Name]]:
        """The servers of a zone as far as addresses are known by now, and the names of those that have none."""
        servers, unknown = dict.fromkeys(dp.servers), []
        for name in dp.unresolved:
            learnt = self.usable(self.cached_addresses(name, now))
            servers.update(dict.fromkeys(learnt))
            unknown += [] if learnt else [name]
        return list(servers), unknown

    def half_resolved(self, dp: DelegationPoint, now: float, *, answers: bool) -> list[Name]:
        """The servers of which one family of addresses is known and another has not been looked up.

        None in the zone itself, whose addresses nobody knows better than those that do not answer, unless one `answers`.
        """
        return [
            name
            for name in dp.names
            if (answers or not is_subdomain(name, dp.zone))
            and self.other_types(dp, name, now)
            and (name not in dp.unresolved or self.cached_addresses(name, now))
        ]

    def other_types(self, dp: DelegationPoint, name: Name, now: float) -> list[int]:
        """The types of address of one of its servers that may lead on from those that are known.

        In the zone itself those of which the parent has none: of the others it has said what it knows.
        """
        types = self.unknown_types(name, now)
        if is_subdomain(name, dp.zone):
            known = {codes.A if server.address.version == 4 else codes.AAAA for server in dp.servers}
            return [each for each in types if each not in known]
        return types

    def unknown_types(self, name: Name, now: float) -> list[int]:
        """The types of address of which nothing is known that counts for a server, not even that there is none."""
        hits = ((rtype, self._caches.rrsets.get(name, rtype, now)) for rtype in self._options.address_types)
        return [rtype for rtype, hit in hits if hit is None or hit.lease <= now]

    def parent_servers(self, dp: DelegationPoint, now: float) -> list[Server]:
        """Addresses from glue: the zone's own, and that of all delegations on the way to its servers' names; and those learnt
        meanwhile."""
        servers = list(dp.parent_glue)
        for name in dp.names:
            if name in dp.unresolved:
                servers += self.usable(self.cached_addresses(name, now))
            for delegation in self._caches.delegations.enclosing(name, now):
                servers += self.usable(delegation.addresses(name))
        return servers

    def usable(self, addresses: Iterable[Address]) -> list[Server]:
        """Those of the addresses that may be asked."""
        return [server for each in addresses if (server := self._server(each))]

    def _server(self, address: Address) -> Server | None:
        # Asked for every address of every delegation point, and the networks are many.
        if (known := self._servers.get(address)) is not None:
            self._servers.move_to_end(address)
            return known
        if not self._options.may_query(address):
            return None
        server = self._servers[address] = Server(address)
        if len(self._servers) > bounds.CACHED_SERVERS:
            self._servers.popitem(last=False)
        return server

    def cached_addresses(self, name: Name, now: float) -> list[Address]:
        """A server's addresses as far as they are remembered."""
        found = self._caches.rrsets.rdatas(name, self._options.address_types, now)
        return [address(data) for data in found[: bounds.MAX_ADDRESSES_PER_NS]]


def addresses_in(rrset: RRset) -> list[Address]:
    """The addresses of an A or AAAA RRset."""
    return [address(data) for data in rrset.rdatas]
