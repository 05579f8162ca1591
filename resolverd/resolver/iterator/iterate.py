"""From a question to its answer, zone by zone (RFC 1034 §5.3.3), as a generator that yields Asks.

    resolve            step 1, and 4c: what is cached, CNAME by CNAME
      _iterate         steps 2 and 4b: from the nearest delegation point downwards, names minimised, past zones that are down
        ZoneQuery      steps 3 and 4d: server by server, looking up their addresses where none are known
          ServerQuery  step 4a: one server; what it says is classified and scrubbed
      _validated       what a client is to be told is validated, and asked of another server where it is bogus (RFC 4035 §5)
"""

from collections.abc import Generator
from random import Random
from typing import Any

from resolverd import bounds
from resolverd.resolver.cache import Caches
from resolverd.resolver.cache.delegations import Delegation
from resolverd.resolver.iterator import lookup, scrub
from resolverd.resolver.iterator.budget import Exhausted, QueryBudget, Refresh
from resolverd.resolver.iterator.capabilities import Feature
from resolverd.resolver.iterator.delegation import DelegationPoint, DelegationPoints
from resolverd.resolver.iterator.forwards import Hints, Upstreams
from resolverd.resolver.iterator.infra import InfraCache
from resolverd.resolver.iterator.interception import RootCheck, RootStatus
from resolverd.resolver.iterator.options import Options
from resolverd.resolver.iterator.outages import Outages, ZoneState
from resolverd.resolver.iterator.qmin import Exposure, Minimiser, is_redirected
from resolverd.resolver.iterator.query import Found, ServerQuery
from resolverd.resolver.iterator.reachability import Reachability
from resolverd.resolver.iterator.response import Cname, Conclusion, Negative, Positive, Referral, Response, Unusable
from resolverd.resolver.iterator.retries import Attempts
from resolverd.resolver.iterator.validation import Bogus, Path, Source, Sourced, Trusts, Validation
from resolverd.resolver.iterator.zone_query import QMIN_SILENCE, IteratorEnv, ZoneQuery
from resolverd.values import replace
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer, ExtendedError, servfail
from resolverd.wire.ask import Server
from resolverd.wire.names import ROOT, Name, ancestors, is_subdomain, lower, parent, to_text
from resolverd.wire.rrset import Security, each_once

_SYNTHESISED = (ExtendedError(codes.EDE_SYNTHESIZED),)
_DOWN = Unusable("none of its servers has answered of late", silent=True)


class Iterator:
    """Iteration over one set of caches. Stateless itself: what changes is in `caches`, `infra` and `trust`."""

    def __init__(
        self,
        caches: Caches,
        hints: Hints,
        upstreams: Upstreams,
        infra: InfraCache,
        options: Options,
        rng: Random,
        root_check: RootCheck | None = None,
        outages: Outages | None = None,
        trust: Trusts | None = None,
    ):
        """`trust`: what is believed of DNSSEC's keys; without it nothing is validated."""
        self._caches = caches
        self._hints = hints
        self._upstreams = upstreams
        self._infra = infra
        self._options = options
        self._rng = rng
        self.root_check = root_check or RootCheck()
        delegation_points = DelegationPoints(caches, hints, upstreams, options)
        server_query = ServerQuery(caches.rrsets, infra, options, self.root_check, self._root)
        self._env = IteratorEnv(delegation_points, infra, options, server_query, rng, self.resolve)
        self._outages = outages or Outages(infra)
        self._reachability = Reachability(delegation_points, infra, rng)
        self._trust = trust
        self._validator = None if trust is None else trust.validation(caches, self._fetch, upstreams.island)

    @property
    def validates(self) -> bool:
        """Whether answers are validated for who wants that."""
        return self._validator is not None

    @property
    def unanswered(self) -> int:
        """Questions to servers in a row that got no answer in time, whoever was asked."""
        return self._infra.unanswered

    def reset_unanswered(self) -> None:
        """Begin counting anew."""
        self._infra.unanswered = 0

    def with_caches(self, caches: Caches) -> "Iterator":
        """The same iteration over other caches, for one question."""
        # Where answers are known to be intercepted, it checks anew: whoever traces a name wants to see that.
        check = RootCheck() if self.root_check.intercepted else self.root_check
        trust = None if self._trust is None else self._trust.anew()
        return Iterator(caches, self._hints, self._upstreams, self._infra, self._options, self._rng, check, trust=trust)

    def succeed(
        self,
        caches: Caches,
        trust: Trusts | None,
        hints: Hints | None = None,
        upstreams: Upstreams | None = None,
        options: Options | None = None,
    ) -> "Iterator":
        """The iteration that takes the place of this one: what it knows of servers, zones that are out and the root stays."""
        upstreams, options = upstreams or self._upstreams, options or self._options
        hints = hints or self._hints
        return Iterator(caches, hints, upstreams, self._infra, options, self._rng, self.root_check, self._outages, trust)

    def resolve(
        self, budget: QueryBudget, name: Name, rtype: int, path: Path = (), above: Name | None = None
    ) -> Generator[Any, Any, Answer]:
        """The answer to a question, SERVFAIL with its reason included. Raises Exhausted only from sub-questions (`path`).

        With `above`, a zone that cannot be entered, names in it are asked of its parent's servers only. Where the work is
        to refresh, what is about to expire counts as unknown.
        """
        try:
            name = lower(name)
            return (yield from self._resolve(budget, name, rtype, (*path, (name, rtype)), above))
        except Exhausted as error:
            if path:
                raise
            return servfail(codes.EDE_NO_REACHABLE_AUTHORITY, str(error))

    def nearest(self, name: Name, rtype: int, now: float) -> DelegationPoint:
        """The delegation point whose servers a question (the name in lower case) is put to first."""
        return self._env.delegation_points.nearest(_asked_at(name, rtype), now, self._options.redactor.is_private(name))

    def unknown_address_types(self, name: Name, now: float) -> list[int]:
        """The types of address of a server (lower case) of which nothing is known, not even that there is none."""
        points = self._env.delegation_points
        return [] if points.cached_addresses(name, now) else points.unknown_types(name, now)

    def is_down(self, name: Name, rtype: int, now: float) -> bool:
        """Whether a question (the name in lower case) can only fail: its zone is down, and nothing that helps is cached."""
        if not self._outages or lookup.find(self._caches.rrsets, name, rtype, now) is not None:
            return False
        dp = self.nearest(name, rtype, now)
        return self._outages.is_down(dp.zone, self._env.delegation_points.known_servers(dp, now)[0], now)

    def suspect(self, budget: QueryBudget, now: float) -> None:
        """A client was answered without waiting any longer for this question: the zones that it still waits for may be down."""
        for dp in budget.querying:
            self._outages.suspect(dp.zone, self._env.delegation_points.known_servers(dp, now)[0], now)

    def forget_outages(self) -> None:
        """Every zone may be asked again."""
        self._outages.clear()

    def network_restored(self) -> None:
        """The network was out, not those who were silent: every zone may be asked again, and every server."""
        self._outages.clear()
        self._infra.reset_timeouts()

    def check_reachability(self, budget: QueryBudget, timeout: float) -> Generator[Any, Any, bool]:
        """Whether anybody answers within so many seconds who must if the internet can be reached."""
        return (yield from self._reachability.check(budget, timeout))

    def has_upstream(self, name: Name) -> bool:
        """Whether a name (lower case) is asked of servers configured for it, who need not be on the internet."""
        return self._upstreams.island(name) is not None

    def check_root(self, budget: QueryBudget) -> Generator[Any, Any, None]:
        """Look at the root's keys, for what they say of the clock. Raises Exhausted."""
        if self._validator is not None:
            yield from self._validator.check_root(budget)

    def fetch(self, budget: QueryBudget, name: Name, rtype: int) -> Generator[Any, Any, Response]:
        """What a server says of a name (lower case), neither validated nor remembered. Raises Exhausted."""
        response, _ = yield from self._fetch(budget, name, rtype, ())
        return response

    def prime(self, budget: QueryBudget) -> Generator[Any, Any, Delegation | None]:
        """Ask the hints for the root's servers and their addresses (RFC 9609 §3); None if none of them has answered."""
        # Answers wait for this now and then: whoever is silent is not waited for to the end.
        dp = replace(self._env.delegation_points.root(), fresh=False)
        try:
            response, message_glue = yield from ZoneQuery(self._env, budget, dp, ROOT, codes.NS, ((ROOT, codes.NS),)).run()
        except Exhausted:
            self.root_check.record(False, budget.now)
            return None
        self.root_check.record(isinstance(response, Positive), budget.now)
        if not isinstance(response, Positive):
            return None
        self._env.server_query.learn(response, budget.now, dp.expires)
        ns = response.chain[-1]
        names = tuple(lower(rdata.target(codes.NS, each)) for each in ns.rdatas)[: bounds.MAX_NS]
        glue = message_glue or tuple((name, addresses) for name, addresses in self._hints.servers if name in names)
        # The root has no parent whose lease could be outlived: what it says of itself counts anew each time.
        self._caches.delegations.forget(ROOT)
        return self._caches.delegations.put(Delegation(ROOT, names, glue, budget.now + max(ns.ttl, 60), budget.now), budget.now)

    def _root(self, budget: QueryBudget) -> Generator[Any, Any, RootStatus]:
        """Who answers in the root's name; it itself where nobody wants to know."""
        if not self._options.priming:
            return RootStatus.GENUINE
        if (known := self.root_check.cached(budget.now)) is not None:
            return known
        yield from self.prime(budget)
        return self.root_check.status

    def _resolve(
        self, budget: QueryBudget, name: Name, rtype: int, path: Path, above: Name | None
    ) -> Generator[Any, Any, Answer]:
        aliases: list[Cname] = []
        seen: set[Name] = set()
        synthesised = False
        while name not in seen:
            seen.add(name)
            found = lookup.find(self._caches.rrsets, name, rtype, budget.now)
            outermost = len(path) == 1
            if not outermost and found is not None and found.hit is not None and found.hit.lease <= budget.now:
                # An address for a delegation's server must not outlive the delegation it was learnt through.
                found = None
            if outermost and budget.bypass_cache(expiring=lookup.is_expiring(found)):
                found = None
            elif outermost and found is None:
                found = self._synthesised(budget, name, rtype)
                synthesised = synthesised or found is not None
            source: Source | None = None
            known: Response | Bogus
            if found is not None:
                known = found
            else:
                known, source = yield from self._iterate(budget, name, rtype, path, above)
            if self._validator is not None and budget.validate and outermost:
                known = yield from self._validated(self._validator, budget, name, rtype, path, known, source)
                if isinstance(known, Bogus):
                    # In the words may be any name on the way to one with a key in it.
                    why = "signed wrongly" if self._options.redactor.is_private(name) else known.text
                    failure = servfail(known.code, f"{self._options.redactor.text(name)}: {why}")
                    # Keys that cannot be had for want of somebody who answers say nothing against the data.
                    return replace(failure, security=Security.BOGUS) if known.code in codes.EDE_OF_VALIDATION else failure
            elif source is not None:
                self._env.server_query.learn(known, budget.now, source.lease)
            if isinstance(known, Unusable | Referral):
                text = known.text if isinstance(known, Unusable) else "referrals without end"
                failure = servfail(codes.EDE_NO_REACHABLE_AUTHORITY, f"{self._options.redactor.text(name)}: {text}")
                if known is _DOWN:
                    failure = replace(failure, errors=(*failure.errors, ExtendedError(codes.EDE_CACHED_ERROR)))
                return failure
            if not isinstance(known, Cname):
                answer = lookup.assemble(aliases, known)
                return replace(answer, errors=_SYNTHESISED) if synthesised else answer
            aliases.append(known)
            if len(lookup.chain_of(aliases)) > bounds.MAX_CNAMES:
                break
            name = known.target
        # RFC 1034 §3.6.2: a loop is an error, and the chain shows whose.
        shown = self._options.redactor.text(name)
        return replace(servfail(codes.EDE_OTHER, f"aliases without end at {shown}"), answer=each_once(lookup.chain_of(aliases)))

    def _synthesised(self, budget: QueryBudget, name: Name, rtype: int) -> Conclusion | None:
        """What is validated of other names and says what there is of this one (RFC 8198)."""
        if self._validator is None or not (budget.validate and self._options.aggressive_nsec):
            return None
        # A listing would stay unseen for as long as a name beside it counts as denied.
        return None if self._options.is_list_name(name) else self._validator.synthesised(name, rtype, budget.now)

    def _validated(
        self,
        validator: Validation,
        budget: QueryBudget,
        name: Name,
        rtype: int,
        path: Path,
        known: Response,
        source: Source | None,
    ) -> Generator[Any, Any, Response | Bogus]:
        """What is known, or a server says, as DNSSEC has it, and learnt; if it is bogus, what another server says."""
        bogus: Bogus | None = None
        # What was kept for a CD client is nobody's turn: who said it may be asked again, and be found out.
        for left in reversed(range(bounds.MAX_BOGUS_ANSWERS + (source is None))):
            if isinstance(known, Unusable | Referral):
                break
            if lookup.security_of(known) is not Security.UNKNOWN:
                return known
            judged = yield from validator.validate(budget, known, path)
            if not isinstance(judged, Bogus):
                lease = source.lease if source is not None else known.hit.lease if known.hit is not None else None
                if lease is not None:
                    self._env.server_query.learn(judged, budget.now, lease)
                return judged
            bogus = bogus or judged
            if not left or (source is None and known.hit is None):
                break
            if source is not None:
                budget.distrust(source.zone, source.server)
            known, source = yield from self._iterate(budget, name, rtype, path, None)
        return bogus or known

    def _fetch(self, budget: QueryBudget, name: Name, rtype: int, path: Path) -> Generator[Any, Any, Sourced]:
        """What a server says of a name, for those who validate it themselves."""
        return (yield from self._iterate(budget, name, rtype, (*path, (name, rtype)), None))

    def _iterate(
        self, budget: QueryBudget, name: Name, rtype: int, path: Path, above: Name | None
    ) -> Generator[Any, Any, Sourced]:
        """What the authorities say of a name, other than referrals."""
        # Step 2: the best servers to ask.
        from_parent = above is not None and is_subdomain(name, above)
        start = parent(above) if above is not None and from_parent else _asked_at(name, rtype)
        private = self._options.redactor.is_private(name)
        dp = self._nearest(budget, start, private)
        if dp.hinted:
            # Nobody is followed whom nobody but a file names, until the root has said who its servers are.
            if (yield from self._root(budget)) is not RootStatus.GENUINE:
                return Unusable("the root's servers do not answer as such"), None
            dp = self._nearest(budget, start, private)
        # A minimised name would only be referred to the zone that cannot be entered.
        qmin = self._options.qmin and not (dp.forward or from_parent or self._options.is_list_name(name))
        minimiser = Minimiser(name, rtype, self._options.qmin_type, qmin, private)
        # The whole question to a zone whose servers have not answered yet, while its parent is asked once more.
        silent: ZoneQuery | None = None
        qmin_silent: frozenset[Server] = frozenset()
        last_resort: Conclusion | None = None
        for _ in range(bounds.MAX_REFERRALS):
            # Step 3: send the question, unless it is known what comes of it.
            budget.charge_step()
            if not private and self._ignore_qmin(dp, budget.now):
                minimiser.disable()
            qname, qtype = minimiser.question(dp.zone)
            if not minimiser.is_full and self._is_known(qname, qtype, budget.now):
                continue
            state = yield from self._zone_state(budget, dp)
            if state is ZoneState.DOWN:
                return _DOWN, None
            # Servers that were silent a moment ago are listened to meanwhile, and have had their share of sends.
            earlier = silent.attempts if silent is not None else None
            attempts = earlier if earlier is not None and silent is not None and silent.dp.zone == dp.zone else Attempts()
            attempts.qmin_silent, qmin_silent = qmin_silent, frozenset()
            exposure = Exposure.FULL if minimiser.is_full else Exposure.STRICT if private else Exposure.MINIMISED
            query = ZoneQuery(self._env, budget, dp, qname, qtype, path, exposure, attempts, earlier)
            found: Found = _DOWN, ()
            if state is ZoneState.USABLE:
                found = yield from self._query_zone(budget, query)
            response, glue = found
            source = None if query.answered_by is None else Source(dp.zone, query.answered_by, dp.expires)
            # Step 4: what it says.
            if response is QMIN_SILENCE:
                qmin_silent = frozenset(attempts.failed)
                minimiser.disable()
                continue
            if earlier is not None and earlier.answered:
                return response, source
            if isinstance(response, Referral):
                if response.ns.owner == above:
                    return Unusable(f"{to_text(above)} has no server with a known address"), None
                dp = self._descend(budget, dp, response, glue)
            elif isinstance(response, Unusable) and not dp.fresh:
                # What is remembered of the zone may be outdated: its parent knows better. One level up only, so that an
                # outage of ours does not end in everybody asking the root.
                silent = query if minimiser.is_full and attempts.in_flight else None
                self._caches.delegations.forget(dp.zone)
                dp = replace(self._env.delegation_points.nearest(parent(dp.zone), budget.now, private), fresh=True)
                minimiser.disable()
                last_resort = response.last_resort if minimiser.is_full else None
            elif isinstance(response, Unusable) and silent and silent.dp.zone != dp.zone and silent.attempts.in_flight:
                # The parent knows no better.
                dp = replace(silent.dp, fresh=True)
            elif minimiser.is_full:
                return (last_resort, None) if last_resort is not None and isinstance(response, Unusable) else (response, source)
            elif isinstance(response, Unusable) or (isinstance(response, Negative) and response.nxdomain):
                if private:
                    return response, source
                minimiser.disable()
            elif isinstance(response, Negative) and is_redirected(qname, response.proofs):
                minimiser.disable()
        return Unusable(f"more than {bounds.MAX_REFERRALS} referrals"), None

    def _zone_state(self, budget: QueryBudget, dp: DelegationPoint) -> Generator[Any, Any, ZoneState]:
        """Whether the zone may be asked, after its servers were silent."""
        if not self._outages or budget.refresh is Refresh.ALL:
            return ZoneState.USABLE
        servers, unresolved = self._env.delegation_points.known_servers(dp, budget.now)
        state = yield from self._outages.check(budget, dp, servers)
        # One that is silent still does not speak for those whose address has to be found out yet: one question goes on to do
        # that, and the others need not wait for it.
        return ZoneState.USABLE if state is ZoneState.STILL_DOWN and unresolved else state

    def _query_zone(self, budget: QueryBudget, query: ZoneQuery) -> Generator[Any, Any, Found]:
        """Ask the servers of a delegation point; a zone whose servers are all silent is suspected to be down."""
        dp, path = query.dp, query.path
        if len(path) == 1:
            budget.asked_last = dp
            if budget.on_delegation is not None:
                budget.on_delegation(dp)
        budget.querying.append(dp)
        try:
            found = yield from query.run()
        except Exhausted:
            self._suspect(dp, path, budget)
            raise
        finally:
            budget.querying.remove(dp)
        if isinstance(found[0], Unusable) and found[0] is not QMIN_SILENCE:
            self._suspect(dp, path, budget)
        return found

    def _ignore_qmin(self, dp: DelegationPoint, now: float) -> bool:
        """Whether the zone has servers that do not answer for minimised names."""
        return not self._infra.capabilities.all_may_use(dp.servers, Feature.QMIN, now)

    def _suspect(self, dp: DelegationPoint, path: Path, budget: QueryBudget) -> None:
        servers, _ = self._env.delegation_points.known_servers(dp, budget.now)
        if servers:
            self._outages.suspect(dp.zone, servers, budget.now)
        elif len(path) == 1 and not budget.shared_exhausted:
            # What a look-up on the way to something else could not find out, may be found out from here.
            self._outages.add_without_servers(dp.zone, budget.now)

    def _is_known(self, name: Name, qtype: int, now: float) -> bool:
        """A minimised name that is known to be there, so that asking would show no deeper zone."""
        hit = self._caches.rrsets.get(name, qtype, now)
        return hit is not None and not hit.denies_name

    def _descend(self, budget: QueryBudget, dp: DelegationPoint, referral: Referral, glue: scrub.Glue) -> DelegationPoint:
        names = [lower(rdata.target(codes.NS, each)) for each in referral.ns.rdatas]
        if len(names) > bounds.MAX_NS:
            names = self._rng.sample(names, bounds.MAX_NS)
        glue = tuple(each for each in glue if each[0] in names)
        # The lease ends with the parent's: a withdrawn domain takes its sub-domains along.
        expires = min(budget.now + min(referral.ns.ttl, bounds.MAX_DELEGATION_TTL), dp.expires)
        delegation = Delegation(referral.ns.owner, tuple(names), glue, expires, budget.now)
        self._caches.delegations.put(delegation, budget.now)
        if self._validator is not None and referral.authority:
            self._validator.learn_referral(referral, budget.now, expires)
        below = self._env.delegation_points.from_delegation(delegation, budget.now, fresh=True)
        if expires < budget.deadline:
            budget.delegation_points[below.zone] = below
        return below

    def _nearest(self, budget: QueryBudget, name: Name, private: bool) -> DelegationPoint:
        """The deepest one known at or above a name, in the cache or to this question."""
        dp = self._env.delegation_points.nearest(name, budget.now, private)
        if budget.delegation_points and not dp.configured:
            for zone in ancestors(name):
                if len(zone) > len(dp.zone) and zone in budget.delegation_points:
                    return budget.delegation_points[zone]
        return dp


def _asked_at(name: Name, rtype: int) -> Name:
    """Where the servers are that know: those of a DS are the parent's, above the zone cut (RFC 4035 §3.1.4.1)."""
    return parent(name) if rtype == codes.DS else name
