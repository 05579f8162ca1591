"""From a question to its answer, cut by cut (RFC 1034 §5.3.3), as a generator that yields Asks.

    resolve            alias by alias, from memory where it can
      _iterate         from the nearest known cut downwards, names minimised
        _ask_zone      server by server, looking up their addresses where none are known
          _ask_server  one server: EDNS, truncation, near misses; what it says is classified, scrubbed and learnt
"""

from collections.abc import Generator, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from random import Random
from typing import Any, NamedTuple, TypeAlias

from resolverd import bounds
from resolverd.recursion import cached, scrub
from resolverd.recursion.classify import Alias, Data, Denial, Outcome, Overflow, Referral, Useless, classify
from resolverd.recursion.lifetimes import Lifetimes
from resolverd.recursion.minimise import Minimiser
from resolverd.recursion.ports import Memory
from resolverd.recursion.routes import Hints, Routes
from resolverd.recursion.servers import Servers
from resolverd.recursion.work import Exhausted, Work
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer, servfail
from resolverd.wire.ask import Ask, Failed, First, Reply, Server, Transport
from resolverd.wire.known import NAME_DENIED, Delegation
from resolverd.wire.names import ROOT, Address, Name, ancestors, is_subdomain, lower, parent, to_text
from resolverd.wire.rrset import RRset, Trust

Path: TypeAlias = tuple[tuple[Name, int], ...]
"""The questions that led to this one, outermost first: their number is the depth, a repetition is a cycle."""


class Rules(NamedTuple):
    """How to iterate. `plain_zones`: DNS lists, whose names are never minimised; `do_not_query`: addresses
    never asked, except those in `exempt`, which the configuration names itself.
    """

    ipv4: bool = True
    ipv6: bool = True
    minimise: bool = True
    minimise_type: int = codes.A
    random_case: bool = True
    dnssec: bool = True
    edns_size: int = bounds.MAX_UDP_SIZE
    lifetimes: Lifetimes = Lifetimes()
    plain_zones: frozenset[Name] = frozenset()
    do_not_query: tuple[IPv4Network | IPv6Network, ...] = ()
    exempt: frozenset[Address] = frozenset()


class Cut(NamedTuple):
    """A zone and who can be asked for it: known addresses, and names whose addresses are not known yet.

    `spare`: addresses that only the parent's glue vouches for, where the child has named others.
    """

    zone: Name
    servers: tuple[Server, ...]
    names: tuple[Name, ...] = ()
    spare: tuple[Server, ...] = ()
    expires: float = float("inf")
    forward: bool = False
    fresh: bool = True


class Iterator:
    """Iteration over one memory. Stateless itself: what changes is in `memory` and `servers`."""

    def __init__(self, memory: Memory, hints: Hints, routes: Routes, servers: Servers, rules: Rules, rng: Random):
        self._memory = memory
        self._hints = hints
        self._routes = routes
        self._servers = servers
        self._rules = rules
        self._rng = rng

    def over(self, memory: Memory) -> "Iterator":
        """The same iteration over another memory."""
        return Iterator(memory, self._hints, self._routes, self._servers, self._rules, self._rng)

    def resolve(
        self, work: Work, name: Name, rtype: int, path: Path = (), above: Name | None = None
    ) -> Generator[Any, Any, Answer]:
        """The answer to a question, SERVFAIL with its reason included. Raises Exhausted only from sub-questions (`path`).

        With `above`, a zone that cannot be entered, names in it are asked of its parent's servers only. Where the work is
        to refresh, what is about to expire counts as unknown.
        """
        try:
            return (yield from self._resolve(work, lower(name), rtype, (*path, (lower(name), rtype)), above))
        except Exhausted as error:
            if path:
                raise
            return servfail(codes.EDE_NO_REACHABLE_AUTHORITY, str(error))

    def prime(self, work: Work) -> Generator[Any, Any, Delegation | None]:
        """Ask the hints for the root's servers and their addresses (RFC 9609 §3); None if no server answered."""
        route = self._routes.closest(ROOT)
        cut = Cut(ROOT, route.servers, forward=route.forward) if route else self._hinted_cut()
        try:
            found = yield from self._ask_zone(work, cut, ROOT, codes.NS, ((ROOT, codes.NS),))
        except Exhausted:
            return None
        outcome, message_glue = found
        if not isinstance(outcome, Data):
            return None
        ns = outcome.chain[-1]
        names = tuple(lower(rdata.target(codes.NS, each)) for each in ns.rdatas)[: bounds.MAX_NS]
        glue = message_glue or tuple((name, addresses) for name, addresses in self._hints.servers if name in names)
        return self._memory.delegations.put(Delegation(ROOT, names, glue, work.now + max(ns.ttl, 60), work.now), work.now)

    def _resolve(self, work: Work, name: Name, rtype: int, path: Path, above: Name | None) -> Generator[Any, Any, Answer]:
        chain: list[RRset] = []
        seen: set[Name] = set()
        while name not in seen:
            seen.add(name)
            found = cached.step(self._memory.records, name, rtype, work.now)
            outermost = len(path) == 1
            if outermost and work.wants_anew(expiring=cached.is_expiring(found)):
                found = None
            known: Outcome = found or (yield from self._iterate(work, name, rtype, path, above))
            if isinstance(known, Useless | Referral):
                text = known.text if isinstance(known, Useless) else "referrals without end"
                return servfail(codes.EDE_NO_REACHABLE_AUTHORITY, f"{to_text(name)}: {text}")
            if not isinstance(known, Alias):
                return cached.finish(chain, known)
            chain += known.chain
            if len(chain) > bounds.MAX_CNAMES:
                break
            name = known.target
        # RFC 1034 §3.6.2: a loop is an error, and the chain shows whose.
        return servfail(codes.EDE_OTHER, f"aliases without end at {to_text(name)}")._replace(answer=tuple(chain))

    def _iterate(
        self, work: Work, name: Name, rtype: int, path: Path, above: Name | None
    ) -> Generator[Any, Any, Outcome]:
        # RFC 4035 §3.1.4.1: a DS lives above the cut, with the parent's servers.
        below = parent(name) if rtype == codes.DS else name
        if above is not None and is_subdomain(name, above):
            below = parent(above)
        cut = self._nearest_cut(below, work.now)
        minimise = self._rules.minimise and not (cut.forward or self._is_plain(name))
        minimiser = Minimiser(name, rtype, self._rules.minimise_type, minimise)
        for _ in range(bounds.MAX_REFERRALS):
            qname, qtype = minimiser.question(cut.zone)
            if not minimiser.is_full and self._is_known(qname, qtype, work.now):
                continue
            outcome, glue = yield from self._ask_zone(work, cut, qname, qtype, path, not minimiser.is_full)
            if isinstance(outcome, Referral) and lower(outcome.ns.owner) == above:
                return Useless(f"{to_text(above)} has no server with a known address")
            if isinstance(outcome, Referral):
                cut = self._descend(work, cut, outcome, glue)
            elif isinstance(outcome, Useless) and not cut.fresh:
                # What is remembered of the zone may be outdated: its parent knows better. One level up only, so that an
                # outage of ours does not end in everybody asking the root.
                self._memory.delegations.forget(cut.zone)
                cut = self._nearest_cut(parent(cut.zone), work.now)._replace(fresh=True)
                minimiser.give_up()
            elif minimiser.is_full:
                return outcome
            elif isinstance(outcome, Useless) or (isinstance(outcome, Denial) and outcome.nxdomain):
                minimiser.give_up()
        return Useless(f"more than {bounds.MAX_REFERRALS} referrals")

    def _is_known(self, name: Name, qtype: int, now: float) -> bool:
        """A minimised name that is known to be there, so that asking would show no deeper cut."""
        hit = self._memory.records.get(name, qtype, now)
        return hit is not None and not hit.denies_name

    def _is_plain(self, name: Name) -> bool:
        return not self._rules.plain_zones.isdisjoint(ancestors(name))

    def _lifetimes(self, name: Name) -> Lifetimes:
        # A list's TTLs are its own: a longer one would hide listings, and delistings, from mail.
        return self._rules.lifetimes._replace(min_ttl=0) if self._is_plain(name) else self._rules.lifetimes

    def _nearest_cut(self, name: Name, now: float) -> Cut:
        route = self._routes.closest(name)
        if route is not None and route.forward:
            return Cut(route.zone, route.servers, forward=True)
        delegation = self._memory.delegations.closest(name, now)
        if route is not None and (delegation is None or len(route.zone) >= len(delegation.zone)):
            return Cut(route.zone, route.servers)
        if delegation is None:
            return self._hinted_cut()
        return self._cut(delegation, now, fresh=now < delegation.learnt + bounds.DELEGATION_FRESH)

    def _hinted_cut(self) -> Cut:
        return Cut(ROOT, tuple(self._usable(self._hints.addresses)))

    def _cut(self, delegation: Delegation, now: float, fresh: bool) -> Cut:
        servers: dict[Server, None] = {}
        spare: dict[Server, None] = {}
        names = []
        for name in delegation.servers:
            known, glue = self._usable(self._known_addresses(name, now)), self._usable(delegation.addresses(name))
            servers.update(dict.fromkeys(known or glue))
            spare.update(dict.fromkeys(glue))
            if not known and not glue:
                names.append(name)
        return Cut(delegation.zone, tuple(servers), tuple(names), tuple(spare), delegation.expires, fresh=fresh)

    def _usable(self, addresses: Iterable[Address]) -> list[Server]:
        return [Server(address) for address in addresses if self._may_query(address)]

    def _descend(self, work: Work, cut: Cut, referral: Referral, glue: scrub.Glue) -> Cut:
        names = [lower(rdata.target(codes.NS, each)) for each in referral.ns.rdatas]
        if len(names) > bounds.MAX_NS:
            names = self._rng.sample(names, bounds.MAX_NS)
        glue = tuple(each for each in glue if each[0] in names)
        # The lease ends with the parent's: a withdrawn domain takes its sub-domains along.
        expires = min(work.now + min(referral.ns.ttl, bounds.MAX_DELEGATION_TTL), cut.expires)
        delegation = Delegation(lower(referral.ns.owner), tuple(names), glue, expires, work.now)
        self._memory.delegations.put(delegation, work.now)
        return self._cut(delegation, work.now, fresh=True)

    def _known_addresses(self, name: Name, now: float) -> list[Address]:
        out: list[Address] = []
        for rtype in self._address_types():
            hit = self._memory.records.get(name, rtype, now)
            if hit is not None and hit.rrset is not None:
                out += _addresses(hit.rrset)
        return out[: bounds.MAX_ADDRESSES_PER_NS]

    def _address_types(self) -> list[int]:
        return [codes.A] * self._rules.ipv4 + [codes.AAAA] * self._rules.ipv6

    def _may_query(self, address: Address) -> bool:
        if not (self._rules.ipv4 if address.version == 4 else self._rules.ipv6):
            return False
        return address in self._rules.exempt or not any(address in network for network in self._rules.do_not_query)

    def _ask_zone(
        self, work: Work, cut: Cut, qname: Name, qtype: int, path: Path, minimised: bool = False
    ) -> Generator[Any, Any, tuple[Outcome, scrub.Glue]]:
        by_address = {server.address: server for server in cut.servers}
        names = list(cut.names)
        self._rng.shuffle(names)
        sends: dict[Address, int] = {}
        last = Useless("no server has an address that may be asked")
        spare: Outcome | None = None
        lookups = failures = 0
        parent_side = False
        while True:
            address = self._next_server(by_address, sends, work.now, hopeless=not names)
            if address is None and names and lookups < bounds.MAX_NS_LOOKUPS and failures < bounds.MAX_NS_FAILURES:
                batch = _side_by_side(names)
                names = [name for name in names if name not in batch]
                found = yield First(tuple(self._server_addresses(work, name, cut.zone, path) for name in batch))
                lookups += len(batch)
                failures += 0 if found else len(batch)
                by_address.update((server.address, server) for server in self._usable(found or ()))
                continue
            if address is None and not parent_side:
                # What the child says of its servers may be wrong where its parent is right.
                parent_side = True
                by_address.update((server.address, server) for server in self._parent_side(cut, work.now))
                continue
            if address is None:
                return spare or last, ()
            outcome, glue = yield from self._ask_server(work, cut, by_address[address], qname, qtype, minimised)
            if not isinstance(outcome, Useless):
                return outcome, glue
            last, spare = outcome, spare or outcome.spare
            # Who answered nonsense will do so again; who was silent may have lost a packet.
            sends[address] = sends.get(address, 0) + 1 if outcome.silent else bounds.SENDS_PER_SERVER

    def _parent_side(self, cut: Cut, now: float) -> list[Server]:
        """Addresses from the glue of the cut itself, of the zones that its servers' names are in, and those learnt meanwhile."""
        servers = list(cut.spare)
        for name in cut.names:
            servers += self._usable(self._known_addresses(name, now))
            delegation = self._memory.delegations.closest(name, now)
            if delegation is not None:
                servers += self._usable(delegation.addresses(name))
        return servers

    def _next_server(
        self, servers: dict[Address, Server], sends: dict[Address, int], now: float, hopeless: bool
    ) -> Address | None:
        open_ = [address for address in servers if sends.get(address, 0) < bounds.SENDS_PER_SERVER]
        if not open_:
            return None
        fewest = min(sends.get(address, 0) for address in open_)
        turn = [address for address in open_ if sends.get(address, 0) == fewest]
        alive = [address for address in turn if not self._servers.is_dead(address, now)]
        if alive:
            return self._servers.order(alive, now, self._rng)[0]
        # All dead: one try all the same, so that the end of an outage is noticed by the next question.
        return self._rng.choice(turn) if hopeless and not sends else None

    def _server_addresses(
        self, work: Work, name: Name, zone: Name, path: Path
    ) -> Generator[Any, Any, list[Address] | None]:
        known = self._known_addresses(name, work.now)
        if known:
            return known
        # A server below the zone it serves, without glue (RFC 9471): nobody but the parent can know its address.
        above = zone if is_subdomain(name, zone) and zone != ROOT else None
        for rtype in self._address_types():
            # Zones that name each other's servers: no way in (TsuNAME).
            if len(path) > bounds.MAX_DEPTH or (name, rtype) in path:
                continue
            answer = yield from self.resolve(work, name, rtype, path, above)
            rrset = answer.final(rtype)
            if rrset is not None:
                return _addresses(rrset)[: bounds.MAX_ADDRESSES_PER_NS]
        return None

    def _ask_server(
        self, work: Work, cut: Cut, server: Server, qname: Name, qtype: int, minimised: bool
    ) -> Generator[Any, Any, tuple[Outcome, scrub.Glue]]:
        rules, servers, address = self._rules, self._servers, server.address
        transport = Transport.TLS if server.tls_name else Transport.UDP
        edns = servers.edns(address, work.now)
        letters_changed = False
        while True:
            case = rules.random_case and transport is Transport.UDP and servers.random_case(address, work.now)
            timeout = servers.timeout(address, work.now) * (1 if transport is Transport.UDP else 2)
            size = rules.edns_size if edns else 0
            ask = Ask(server, qname, qtype, transport, timeout, cut.forward, size, rules.dnssec, case)
            work.spend()
            reply: Reply = yield ask
            work.received(reply)
            message = reply.message
            if message is None:
                work.note(cut.zone, ask, reply, f"no answer ({reply.failed.value if reply.failed else 'unknown'})")
                if reply.failed in (Failed.SPOOFED, Failed.LETTERS) and transport is Transport.UDP:
                    # One packet with the wrong ID or letters: somebody may be guessing, and TCP cannot be guessed.
                    transport, letters_changed = Transport.TCP, reply.failed is Failed.LETTERS
                    continue
                servers.silent(address, work.now)
                return Useless(f"{server} did not answer", silent=True), ()
            servers.answered(address, reply.rtt, work.now)
            if message.tc:
                work.note(cut.zone, ask, reply, f"truncated over {transport.value.upper()}")
                if transport is not Transport.UDP:
                    return Useless(f"{server} truncates over TCP"), ()
                transport = Transport.TCP
                continue
            if edns and message.rcode in (codes.FORMERR, codes.NOTIMP, codes.BADVERS):
                work.note(cut.zone, ask, reply, f"{codes.rcode_text(message.rcode)}, again without EDNS")
                servers.doubts_edns(address, work.now)
                edns = False
                continue
            if letters_changed:
                servers.breaks_case(address, work.now)
            outcome = self._lifetimes(qname).bound(classify(message, qname, qtype, cut.zone, cut.forward))
            work.note(cut.zone, ask, reply, outcome.described())
            if not (minimised and isinstance(outcome, Denial) and outcome.nxdomain):
                # Old servers deny empty non-terminals: a minimised name's denial is no knowledge.
                self._learn(outcome, Trust.AUTHORITATIVE if message.aa else Trust.ANSWER, work.now)
            servers_named = _named_servers(outcome)
            return outcome, scrub.glue(message, servers_named, cut.zone) if servers_named else ()

    def _learn(self, outcome: Outcome, trust: Trust, now: float) -> None:
        records = self._memory.records
        if isinstance(outcome, Data | Alias | Denial | Overflow):
            beside: tuple[RRset, ...] = ()
            for rrset in outcome.chain:
                if isinstance(outcome, Data) and rrset is outcome.chain[-1]:
                    beside = outcome.authority
                if len(rrset.rdatas) <= bounds.MAX_RRSET_RECORDS:
                    records.put(rrset, trust, now, lower(rrset.owner), beside)
                # A CNAME behind a DNAME was made from it; both are shown together.
                beside = (rrset,) if rrset.rtype == codes.DNAME else ()
        if isinstance(outcome, Denial):
            authority = (outcome.soa, *outcome.proofs) if outcome.soa else outcome.proofs
            records.deny(outcome.name, NAME_DENIED if outcome.nxdomain else outcome.qtype, outcome.ttl, authority, trust, now)


def _side_by_side(names: list[Name]) -> list[Name]:
    """Names of servers to look up at the same time: the first that has an address will do, so that a dead zone costs no time.

    Two, and only from different domains: the way to one domain is not gone twice.
    """
    return [names[0], *(name for name in names[1:] if parent(name) != parent(names[0]))][:2]


def _addresses(rrset: RRset) -> list[Address]:
    make = IPv4Address if rrset.rtype == codes.A else IPv6Address
    return [make(data) for data in rrset.rdatas]


def _named_servers(outcome: Outcome) -> tuple[Name, ...]:
    ns = outcome.ns if isinstance(outcome, Referral) else outcome.chain[-1] if isinstance(outcome, Data) else None
    if ns is None or ns.rtype != codes.NS:
        return ()
    return tuple(lower(rdata.target(codes.NS, each)) for each in ns.rdatas)
