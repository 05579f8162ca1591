"""Where to ask: zone cuts with their servers' addresses, from configured routes, remembered delegations, or the root hints."""

from collections.abc import Iterable
from typing import NamedTuple

from resolverd import bounds
from resolverd.resolver.iterator.forwards import Hints, Routes
from resolverd.resolver.iterator.options import Rules
from resolverd.resolver.iterator.ports import Memory
from resolverd.wire.ask import Server
from resolverd.wire.known import Delegation
from resolverd.wire.names import ROOT, Address, Name, address, is_subdomain
from resolverd.wire.rrset import RRset

_KEPT_FOR = 1.0
"""Seconds for which a cut serves as it was made: a registry's is wanted for every new name."""
_MOST_KEPT = 200
_MOST_SERVERS = 5000


class Cut(NamedTuple):
    """A zone and who can be asked for it: known addresses, and names whose addresses are not known yet; `named`: all names.

    `spare`: addresses that only the parent's glue vouches for, where the child has named others. `configured`: the admin has
    named these servers, so that what they say counts whatever their AA is; `hinted`: nothing but the root hints names them.
    """

    zone: Name
    servers: tuple[Server, ...]
    names: tuple[Name, ...] = ()
    named: tuple[Name, ...] = ()
    spare: tuple[Server, ...] = ()
    expires: float = float("inf")
    forward: bool = False
    fresh: bool = True
    configured: bool = False
    hinted: bool = False


class _Kept(NamedTuple):
    delegation: Delegation
    cut: Cut
    until: float


class Cuts:
    """Finds cuts in what is configured and remembered."""

    def __init__(self, memory: Memory, hints: Hints, routes: Routes, rules: Rules):
        self._memory = memory
        self._hints = hints
        self._routes = routes
        self._rules = rules
        self._servers: dict[Address, Server] = {}
        self._kept: dict[Name, _Kept] = {}

    def nearest(self, name: Name, now: float, private: bool) -> Cut:
        """The deepest cut known at or above a name (lower case); a configured route wins over a delegation above it.

        A `private` name has a key in it, which is nobody's business but its operator's: it goes to no forwarder.
        """
        route = self._routes.closest(name)
        if route is not None and route.forward and private:
            route = None
        if route is not None and route.forward:
            return Cut(route.zone, route.servers, forward=True, configured=True)
        delegation = self._memory.delegations.closest(name, now)
        if route is not None and (delegation is None or len(route.zone) >= len(delegation.zone)):
            return Cut(route.zone, route.servers, route.names, route.names, configured=True)
        if delegation is None:
            return self.hinted()
        fresh = now < delegation.learnt + bounds.DELEGATION_FRESH
        kept = self._kept.get(delegation.zone)
        if kept is not None and kept.delegation is delegation and now < kept.until and kept.cut.fresh is fresh:
            return kept.cut
        cut = self.of(delegation, now, fresh=fresh)
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[delegation.zone] = _Kept(delegation, cut, now + _KEPT_FOR)
        return cut

    def root(self) -> Cut:
        """The root as configured: forwarders, a stub, or the hints; nothing of what is remembered."""
        route = self._routes.closest(ROOT)
        return Cut(ROOT, route.servers, forward=route.forward, configured=True) if route else self.hinted()

    def hinted(self) -> Cut:
        """The root by its hints."""
        return Cut(ROOT, tuple(self.usable(self._hints.addresses)), hinted=True)

    def of(self, delegation: Delegation, now: float, *, fresh: bool) -> Cut:
        """A delegation with the addresses that are known of its servers: the child's own word first, its parent's glue else."""
        servers: dict[Server, None] = {}
        spare: dict[Server, None] = {}
        names = []
        for name in delegation.servers:
            known, glue = self.usable(self.known_addresses(name, now)), self.usable(delegation.addresses(name))
            servers.update(dict.fromkeys(known or glue))
            spare.update(dict.fromkeys(glue))
            if not known and not glue:
                names.append(name)
        return Cut(
            delegation.zone, tuple(servers), tuple(names), delegation.servers, tuple(spare), delegation.expires, fresh=fresh
        )

    def half_known(self, cut: Cut, now: float) -> list[Name]:
        """The cut's servers of which one family of addresses is known and another has not been looked up.

        None in the zone itself, whose addresses nobody knows better than those that do not answer.
        """
        return [
            name
            for name in cut.named
            if not is_subdomain(name, cut.zone)
            and self.missing(name, now)
            and (name not in cut.names or self.known_addresses(name, now))
        ]

    def missing(self, name: Name, now: float) -> list[int]:
        """The types of address of which nothing is known that counts for a server, not even that there is none."""
        hits = ((rtype, self._memory.records.get(name, rtype, now)) for rtype in self._rules.address_types)
        return [rtype for rtype, hit in hits if hit is None or hit.lease <= now]

    def parent_side(self, cut: Cut, now: float) -> list[Server]:
        """Addresses from glue: the cut's own, and that of all delegations on the way to its servers' names; and those learnt
        meanwhile."""
        servers = list(cut.spare)
        for name in cut.named:
            if name in cut.names:
                servers += self.usable(self.known_addresses(name, now))
            for delegation in self._memory.delegations.enclosing(name, now):
                servers += self.usable(delegation.addresses(name))
        return servers

    def usable(self, addresses: Iterable[Address]) -> list[Server]:
        """Those of the addresses that may be asked."""
        return [server for each in addresses if (server := self._servers.get(each) or self._server(each))]

    def _server(self, address: Address) -> Server | None:
        # Asked for every address of every cut, and the networks are many.
        if not self._rules.may_query(address):
            return None
        if len(self._servers) >= _MOST_SERVERS:
            self._servers.clear()
        server = self._servers[address] = Server(address)
        return server

    def known_addresses(self, name: Name, now: float) -> list[Address]:
        """A server's addresses as far as they are remembered."""
        found = self._memory.records.rdatas(name, self._rules.address_types, now)
        return [address(data) for data in found[: bounds.MAX_ADDRESSES_PER_NS]]


def addresses_in(rrset: RRset) -> list[Address]:
    """The addresses of an A or AAAA RRset."""
    return [address(data) for data in rrset.rdatas]
