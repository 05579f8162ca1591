"""From a question to its answer, cut by cut (RFC 1034 §5.3.3), as a generator that yields Asks.

    resolve            alias by alias, from memory where it can
      _iterate         from the nearest known cut downwards, names minimised, past zones that are out
        _ask_zone      server by server, looking up their addresses where none are known
          asking       one server: what it says is classified, scrubbed and learnt
"""

from collections.abc import Generator
from random import Random
from typing import Any, NamedTuple, TypeAlias

from resolverd import bounds
from resolverd.resolver.iterator import lookup as cached
from resolverd.resolver.iterator import scrub
from resolverd.resolver.iterator.budget import Exhausted, Refresh, Work
from resolverd.resolver.iterator.capabilities import Feature
from resolverd.resolver.iterator.delegation import Cut, Cuts, addresses_in
from resolverd.resolver.iterator.forwards import Hints, Routes
from resolverd.resolver.iterator.infra import Servers
from resolverd.resolver.iterator.interception import Root, RootCheck
from resolverd.resolver.iterator.options import Rules
from resolverd.resolver.iterator.outages import Outages, Standing
from resolverd.resolver.iterator.ports import Memory
from resolverd.resolver.iterator.qmin import Minimiser, Showing
from resolverd.resolver.iterator.query import Asking
from resolverd.resolver.iterator.reachability import Reach
from resolverd.resolver.iterator.response import Alias, Data, Denial, Outcome, Referral, Useless, Word
from resolverd.resolver.iterator.retries import Tries
from resolverd.resolver.iterator.targets import Targets
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer, ExtendedError, servfail
from resolverd.wire.ask import Core, Drop, First, Race, Raced, Server
from resolverd.wire.known import Delegation
from resolverd.wire.names import ROOT, Address, Name, ancestors, is_subdomain, lower, parent, to_text
from resolverd.wire.rrset import Trust, each_once

_MUTE = Useless("no answer for a minimised name", silent=True)
_MUTE_SERVERS = 2
"""Servers that are silent about a minimised name before a zone's servers are asked for the whole."""
_OUT = Useless("none of its servers has answered of late", silent=True)

Path: TypeAlias = tuple[tuple[Name, int], ...]
"""The questions that led to this one, outermost first: their number is the depth, a repetition is a cycle."""


class _Silent(NamedTuple):
    """A cut whose servers have not answered the whole question yet."""

    cut: Cut
    tries: Tries


class Iterator:
    """Iteration over one memory. Stateless itself: what changes is in `memory` and `servers`."""

    def __init__(
        self,
        memory: Memory,
        hints: Hints,
        routes: Routes,
        servers: Servers,
        rules: Rules,
        rng: Random,
        root_check: RootCheck | None = None,
    ):
        self._memory = memory
        self._hints = hints
        self._routes = routes
        self._servers = servers
        self._rules = rules
        self._rng = rng
        self.root_check = root_check or RootCheck()
        self._cuts = Cuts(memory, hints, routes, rules)
        self._asking = Asking(memory.records, servers, rules, self.root_check, self._root)
        self._outages = Outages(servers)
        self._reach = Reach(self._cuts, servers, rng)

    @property
    def unanswered(self) -> int:
        """Questions to servers in a row that got no answer in time, whoever was asked."""
        return self._servers.unanswered

    def reassure(self) -> None:
        """Begin counting anew who was silent."""
        self._servers.unanswered = 0

    def over(self, memory: Memory) -> "Iterator":
        """The same iteration over another memory."""
        # Where somebody else is known to answer, it looks for itself: whoever traces a name wants to see that.
        check = RootCheck() if self.root_check.contradicted else self.root_check
        return Iterator(memory, self._hints, self._routes, self._servers, self._rules, self._rng, check)

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

    def nearest(self, name: Name, rtype: int, now: float) -> Cut:
        """The cut that a question (the name in lower case) is put to first."""
        return self._cuts.nearest(_asked_at(name, rtype), now, self._rules.discretion.is_private(name))

    def is_out(self, name: Name, rtype: int, now: float) -> bool:
        """Whether a question (the name in lower case) can only fail: its zone is out, and nothing is remembered that helps."""
        if not self._outages or cached.step(self._memory.records, name, rtype, now) is not None:
            return False
        cut = self.nearest(name, rtype, now)
        return self._outages.is_out(cut.zone, self._known_servers(cut, now)[0], now)

    def suspect(self, work: Work, now: float) -> None:
        """Somebody was told that this work came to nothing: the zones that it still waits for may be out."""
        for cut in work.asking:
            self._outages.suspect(cut.zone, self._known_servers(cut, now)[0], now)

    def forget_outages(self) -> None:
        """Every zone may be asked again."""
        self._outages.clear()

    def forgive(self) -> None:
        """The network was out, not those who were silent: every zone may be asked again, and every server."""
        self._outages.clear()
        self._servers.forgive()

    def reaches(self, work: Work, patience: float) -> Generator[Any, Any, bool]:
        """Whether anybody answers within so many seconds who must if the internet can be reached."""
        return (yield from self._reach.look(work, patience))

    def is_routed(self, name: Name) -> bool:
        """Whether a name (lower case) is asked of servers configured for it, who need not be on the internet."""
        route = self._routes.closest(name)
        return route is not None and route.zone != ROOT

    def prime(self, work: Work) -> Generator[Any, Any, Delegation | None]:
        """Ask the hints for the root's servers and their addresses (RFC 9609 §3); None if none of them has told."""
        # Answers wait for this now and then: whoever is silent is not waited for to the end.
        cut = self._cuts.root()._replace(fresh=False)
        try:
            found = yield from self._ask_zone(work, cut, Tries(), ROOT, codes.NS, ((ROOT, codes.NS),))
        except Exhausted:
            self.root_check.look(False, work.now)
            return None
        outcome, message_glue = found
        self.root_check.look(isinstance(outcome, Data), work.now)
        if not isinstance(outcome, Data):
            return None
        ns = outcome.chain[-1]
        names = tuple(lower(rdata.target(codes.NS, each)) for each in ns.rdatas)[: bounds.MAX_NS]
        glue = message_glue or tuple((name, addresses) for name, addresses in self._hints.servers if name in names)
        # The root has no parent whose lease could be outlived: what it says of itself counts anew each time.
        self._memory.delegations.forget(ROOT)
        return self._memory.delegations.put(Delegation(ROOT, names, glue, work.now + max(ns.ttl, 60), work.now), work.now)

    def _root(self, work: Work) -> Generator[Any, Any, Root]:
        """Who answers in the root's name; it itself where nobody wants to know."""
        if not self._rules.priming:
            return Root.ITSELF
        if (known := self.root_check.remembered(work.now)) is not None:
            return known
        yield from self.prime(work)
        return self.root_check.shown

    def _resolve(self, work: Work, name: Name, rtype: int, path: Path, above: Name | None) -> Generator[Any, Any, Answer]:
        aliases: list[Alias] = []
        seen: set[Name] = set()
        while name not in seen:
            seen.add(name)
            found = cached.step(self._memory.records, name, rtype, work.now)
            outermost = len(path) == 1
            if not outermost and found is not None and found.hit is not None and found.hit.lease <= work.now:
                # An address for a delegation's server must not outlive the delegation it was learnt through.
                found = None
            if outermost and work.wants_anew(expiring=cached.is_expiring(found)):
                found = None
            known: Outcome = found or (yield from self._iterate(work, name, rtype, path, above))
            if isinstance(known, Useless | Referral):
                text = known.text if isinstance(known, Useless) else "referrals without end"
                failure = servfail(codes.EDE_NO_REACHABLE_AUTHORITY, f"{self._rules.discretion.text(name)}: {text}")
                if known is _OUT:
                    failure = failure._replace(errors=(*failure.errors, ExtendedError(codes.EDE_CACHED_ERROR)))
                return failure
            if not isinstance(known, Alias):
                return cached.finish(aliases, known)
            aliases.append(known)
            if len(cached.shown(aliases)) > bounds.MAX_CNAMES:
                break
            name = known.target
        # RFC 1034 §3.6.2: a loop is an error, and the chain shows whose.
        shown = self._rules.discretion.text(name)
        return servfail(codes.EDE_OTHER, f"aliases without end at {shown}")._replace(answer=each_once(cached.shown(aliases)))

    def _iterate(
        self, work: Work, name: Name, rtype: int, path: Path, above: Name | None
    ) -> Generator[Any, Any, Outcome]:
        below = _asked_at(name, rtype)
        of_the_parent = above is not None and is_subdomain(name, above)
        if above is not None and of_the_parent:
            below = parent(above)
        private = self._rules.discretion.is_private(name)
        cut = self._nearest(work, below, private)
        if cut.hinted:
            # Nobody is followed whom nobody but a file names, until the root has said who its servers are.
            if (yield from self._root(work)) is not Root.ITSELF:
                return Useless("the root's servers do not answer as such")
            cut = self._nearest(work, below, private)
        # A minimised name would only be referred to the zone that cannot be entered.
        minimise = self._rules.minimise and not (cut.forward or of_the_parent or self._rules.is_plain(name))
        minimiser = Minimiser(name, rtype, self._rules.minimise_type, minimise, private)
        silent: _Silent | None = None
        mute: frozenset[Address] = frozenset()
        spare: Word | None = None
        for _ in range(bounds.MAX_REFERRALS):
            work.move()
            if not private and self._are_mute(cut, work.now):
                minimiser.give_up()
            qname, qtype = minimiser.question(cut.zone)
            if not minimiser.is_full and self._is_known(qname, qtype, work.now):
                continue
            standing = Standing.CLEARED
            if self._outages and work.refresh is not Refresh.ALL:
                standing = yield from self._look(work, cut)
            if standing is Standing.OUT:
                return _OUT
            # Servers that were silent a moment ago are listened to meanwhile, and have had their share of sends.
            earlier = silent.tries if silent is not None else None
            tries = earlier if earlier is not None and silent is not None and silent.cut.zone == cut.zone else Tries()
            tries.mute, mute = mute, frozenset()
            found: tuple[Outcome, scrub.Glue] = _OUT, ()
            if standing is Standing.CLEARED:
                showing = Showing.WHOLE if minimiser.is_full else Showing.PART_EVER if private else Showing.PART
                found = yield from self._ask_cut(work, cut, tries, qname, qtype, path, showing, earlier)
            outcome, glue = found
            if outcome is _MUTE:
                mute = frozenset(tries.turns)
                minimiser.give_up()
                continue
            if earlier is not None and earlier.answered:
                return outcome
            if isinstance(outcome, Referral) and lower(outcome.ns.owner) == above:
                return Useless(f"{to_text(above)} has no server with a known address")
            if isinstance(outcome, Referral):
                cut = self._descend(work, cut, outcome, glue)
            elif isinstance(outcome, Useless) and not cut.fresh:
                # What is remembered of the zone may be outdated: its parent knows better. One level up only, so that an
                # outage of ours does not end in everybody asking the root.
                silent = _Silent(cut, tries) if minimiser.is_full and tries.under_way else None
                self._memory.delegations.forget(cut.zone)
                cut = self._cuts.nearest(parent(cut.zone), work.now, private)._replace(fresh=True)
                minimiser.give_up()
                spare = outcome.spare if minimiser.is_full else None
            elif isinstance(outcome, Useless) and silent is not None and cut.zone != silent.cut.zone and silent.tries.under_way:
                # The parent knows no better.
                cut = silent.cut._replace(fresh=True)
            elif minimiser.is_full:
                return spare if spare is not None and isinstance(outcome, Useless) else outcome
            elif isinstance(outcome, Useless) or (isinstance(outcome, Denial) and outcome.nxdomain):
                if private:
                    return outcome
                minimiser.give_up()
        return Useless(f"more than {bounds.MAX_REFERRALS} referrals")

    def _look(self, work: Work, cut: Cut) -> Generator[Any, Any, Standing]:
        """How the cut's zone stands, where its servers were silent."""
        servers, unknown = self._known_servers(cut, work.now)
        standing = yield from self._outages.look(work, cut, servers)
        # One that is silent still does not speak for those whose address has to be found out yet: one question goes on to do
        # that, and the others need not wait for it.
        return Standing.CLEARED if standing is Standing.SILENT and unknown else standing

    def _known_servers(self, cut: Cut, now: float) -> tuple[list[Server], list[Name]]:
        """The servers of a cut as far as addresses are known by now, and the names of those that have none."""
        servers, unknown = dict.fromkeys(cut.servers), []
        for name in cut.names:
            learnt = self._cuts.usable(self._cuts.known_addresses(name, now))
            servers.update(dict.fromkeys(learnt))
            unknown += [] if learnt else [name]
        return list(servers), unknown

    def _ask_cut(
        self,
        work: Work,
        cut: Cut,
        tries: Tries,
        qname: Name,
        qtype: int,
        path: Path,
        showing: Showing,
        earlier: Tries | None,
    ) -> Generator[Any, Any, tuple[Outcome, scrub.Glue]]:
        """Ask the cut's servers; a zone that comes to nothing by their silence is suspected."""
        if len(path) == 1 and work.arrives is not None:
            work.arrives(cut)
        work.asking.append(cut)
        try:
            found = yield from self._ask_zone(work, cut, tries, qname, qtype, path, showing, earlier)
        except Exhausted:
            self._suspect(cut, path, work)
            raise
        finally:
            work.asking.remove(cut)
        if isinstance(found[0], Useless) and found[0] is not _MUTE:
            self._suspect(cut, path, work)
        return found

    def _has_been_mute(self, servers: frozenset[Address], now: float) -> None:
        """These were silent about a minimised name, and one of them has answered for the whole."""
        able = self._servers.capabilities
        for address in servers:
            # Of one it may have been a packet that was lost.
            (able.lacks if len(servers) >= _MUTE_SERVERS else able.doubts)(address, Feature.MINIMISED, now)

    def _are_mute(self, cut: Cut, now: float) -> bool:
        """Whether the cut has servers that do not answer for minimised names."""
        able = self._servers.capabilities
        return able.doubts_anybody(Feature.MINIMISED) and not all(
            able.bears(server.address, Feature.MINIMISED, now) for server in cut.servers
        )

    def _suspect(self, cut: Cut, path: Path, work: Work) -> None:
        servers, _ = self._known_servers(cut, work.now)
        if servers:
            self._outages.suspect(cut.zone, servers, work.now)
        elif len(path) == 1 and not work.broke:
            # What a look-up on the way to something else could not find out, may be found out from here.
            self._outages.has_no_servers(cut.zone, work.now)

    def _is_known(self, name: Name, qtype: int, now: float) -> bool:
        """A minimised name that is known to be there, so that asking would show no deeper cut."""
        hit = self._memory.records.get(name, qtype, now)
        return hit is not None and not hit.denies_name

    def _descend(self, work: Work, cut: Cut, referral: Referral, glue: scrub.Glue) -> Cut:
        names = [lower(rdata.target(codes.NS, each)) for each in referral.ns.rdatas]
        if len(names) > bounds.MAX_NS:
            names = self._rng.sample(names, bounds.MAX_NS)
        glue = tuple(each for each in glue if each[0] in names)
        # The lease ends with the parent's: a withdrawn domain takes its sub-domains along.
        expires = min(work.now + min(referral.ns.ttl, bounds.MAX_DELEGATION_TTL), cut.expires)
        delegation = Delegation(lower(referral.ns.owner), tuple(names), glue, expires, work.now)
        self._memory.delegations.put(delegation, work.now)
        below = self._cuts.of(delegation, work.now, fresh=True)
        if expires < work.deadline:
            work.cuts[below.zone] = below
        return below

    def _nearest(self, work: Work, name: Name, private: bool) -> Cut:
        """The deepest cut known at or above a name, to anybody or to this question."""
        cut = self._cuts.nearest(name, work.now, private)
        if work.cuts and not cut.configured:
            for zone in ancestors(name):
                if len(zone) > len(cut.zone) and zone in work.cuts:
                    return work.cuts[zone]
        return cut

    def _ask_zone(
        self,
        work: Work,
        cut: Cut,
        tries: Tries,
        qname: Name,
        qtype: int,
        path: Path,
        showing: Showing = Showing.WHOLE,
        earlier: Tries | None = None,
    ) -> Generator[Any, Any, tuple[Outcome, scrub.Glue]]:
        """The first outcome that any of the zone's servers gives to the question, or one of those in `earlier` to theirs.

        Who does not answer in the time that he usually takes gets company, another server or his own packet once more, and is
        listened to all the same. Where what is known of the zone may be outdated, those who are silent are left in `tries`.
        """
        heard = (tries,) if earlier is None or earlier is tries else (tries, earlier)
        targets = Targets(cut, self._cuts, self._servers, work.now, self._rng, work.found)
        last = Useless("no server has an address that may be asked")
        spare: Word | None = None
        spent: Exhausted | None = None
        while work.now < work.deadline:
            look = due = None
            if tries.waiting:
                look = self._asking.hurry(cut, tries, work.now)
                for sent in tries.overdue(work.now):
                    last = self._asking.silent(work, cut, sent)
            if showing is Showing.PART and len(tries.turns) >= min(_MUTE_SERVERS, max(len(cut.servers), 1)):
                # Perhaps they do not answer for names that nobody has made: for the whole name they may (RFC 9156 §2.3).
                tries.answered = True
                yield Drop(tuple(targets.lookups))
                return _MUTE, ()
            if tries.waiting or targets.lookups:
                due = min((*(sent.due for sent in tries.waiting.values()), *targets.dues(work.now)), default=None)
                due = due if due is None or look is None else min(due, look)
            if due is None and spent is None:
                try:
                    due = yield from self._try_another(work, cut, targets, tries, qname, qtype, path, showing)
                except Exhausted as error:
                    spent = error
            racing = (*[each for one in heard for each in one.under_way.values()], *targets.lookups)
            # In the end all that is left is to listen: not to the dead, and not before the parent has been asked again.
            listens = bool(tries.under_way and tries.expected and cut.fresh)
            if due is None and not listens and not targets.lookups:
                break
            raced: Raced = yield Race(racing, (work.deadline if due is None else min(due, work.deadline)) - work.now)
            work.now = max(work.now, raced.now)
            if raced.error is not None and not isinstance(raced.error, Exhausted):
                raise raced.error
            spent = raced.error or spent
            if raced.branch in targets.lookups:
                targets.found(raced.branch, raced.result)
            elif raced.branch is not None:
                whose = next(each for each in heard if raced.branch in each.under_way.values())
                address = whose.ended(raced.branch)
                outcome, glue = raced.result or (last, ())
                if not isinstance(outcome, Useless):
                    whose.answered = tries.answered = True
                    if address in tries.mute:
                        self._has_been_mute(tries.mute, work.now)
                    if targets.lookups:
                        yield Drop(tuple(targets.lookups))
                    return outcome, glue
                whose.unanswered(address, silent=outcome.silent)
                if whose is tries:
                    last, spare = outcome, spare or outcome.spare
        yield Drop(tuple(targets.lookups))
        if spent is not None and not tries.under_way and spare is None:
            raise spent
        if spare is None:
            return last, ()
        if not cut.fresh:
            # The zone may have moved, and these know nothing of it any more.
            return last._replace(spare=spare), ()
        if isinstance(spare, Denial) and spare.soa is None:
            self._asking.learn(spare, Trust.UNPROVEN, work.now, cut.expires)
        return spare, ()

    def _try_another(
        self, work: Work, cut: Cut, targets: Targets, tries: Tries, qname: Name, qtype: int, path: Path, showing: Showing
    ) -> Generator[Any, Any, float | None]:
        """Ask one more server, or one once more, or look servers up; until when to wait for it, None if nothing is left."""
        now = work.now
        if (server := targets.server(tries, now)) is not None:
            address = server.address
            patience = self._asking.patience(cut, address, tries, now)
            if address not in tries.under_way:
                minimised = showing is not Showing.WHOLE
                tries.under_way[address] = self._asking.ask(work, cut, server, tries, qname, qtype, minimised)
                return now + (patience if self._servers.is_known(address, now) else min(patience, bounds.MIN_TIMEOUT))
            yield from self._asking.again(work, cut, tries.asked[address], tries, patience)
            return now + patience
        names = targets.names()
        if names:
            also = targets.completes
            lookup = _first(tuple(self._server_addresses(work, name, cut.zone, path, also) for name in names))
            return targets.looks_up(lookup, len(names), now)
        return None

    def _server_addresses(
        self, work: Work, name: Name, zone: Name, path: Path, also: bool
    ) -> Generator[Any, Any, list[Address] | None]:
        """Addresses of a server; with `also`, of the families that have not been looked up yet."""
        known = self._cuts.known_addresses(name, work.now)
        if self._cuts.usable(known) and not also:
            return known
        if name in work.found and not also:
            return work.found[name]
        # A server below the zone it serves, without glue (RFC 9471): nobody but the parent can know its address.
        above = zone if is_subdomain(name, zone) and zone != ROOT else None
        for rtype in self._cuts.missing(name, work.now) if also else self._rules.address_types:
            # Zones that name each other's servers: no way in (TsuNAME).
            if len(path) > bounds.MAX_DEPTH or (name, rtype) in path:
                continue
            work.look_up()
            answer = yield from self.resolve(work, name, rtype, path, above)
            rrset = answer.final(rtype)
            if rrset is not None:
                work.found[name] = addresses_in(rrset)[: bounds.MAX_ADDRESSES_PER_NS]
                return work.found[name]
        return None if also else work.found.setdefault(name, None)


def _asked_at(name: Name, rtype: int) -> Name:
    """The name at or above which the servers are that know: a DS lives above the cut, with its parent's (RFC 4035 §3.1.4.1)."""
    return parent(name) if rtype == codes.DS else name


def _first(branches: tuple[Core, ...]) -> Core:
    return (yield First(branches))
