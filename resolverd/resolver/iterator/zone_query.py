"""One question to the servers of one zone, until one of them has answered (RFC 1034 §5.3.3, steps 3 and 4d).

Who does not answer in the time that it usually takes gets company, another server or its own packet once more, and is listened
to all the same. Servers that are known by name only are looked up meanwhile.
"""

from collections.abc import Callable, Generator
from random import Random
from typing import Any, NamedTuple

from resolverd import bounds
from resolverd.resolver.iterator.budget import Exhausted, QueryBudget
from resolverd.resolver.iterator.capabilities import Feature
from resolverd.resolver.iterator.delegation import DelegationPoint, DelegationPoints, addresses_in
from resolverd.resolver.iterator.infra import InfraCache
from resolverd.resolver.iterator.options import Options
from resolverd.resolver.iterator.qmin import Exposure
from resolverd.resolver.iterator.query import Found, ServerQuery
from resolverd.resolver.iterator.response import Conclusion, Negative, Unusable
from resolverd.resolver.iterator.retries import Attempts
from resolverd.resolver.iterator.targets import Targets
from resolverd.resolver.iterator.validation import Path
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.answer import Answer
from resolverd.wire.ask import Core, Drop, First, Race, Raced, Server
from resolverd.wire.names import ROOT, Address, Name, is_subdomain
from resolverd.wire.rrset import Trust

QMIN_SILENCE = Unusable("no answer for a minimised name", silent=True)
_QMIN_SILENT_SERVERS = 2
"""Servers that are silent about a minimised name before a zone's servers are asked for the whole."""

_NOBODY: frozenset[Server] = frozenset()


class IteratorEnv(NamedTuple):
    """What all queries of an iterator share. `resolve` answers a sub-question, for a server's address."""

    delegation_points: DelegationPoints
    infra: InfraCache
    options: Options
    server_query: ServerQuery
    rng: Random
    resolve: Callable[[QueryBudget, Name, int, Path, Name | None], Generator[Any, Any, Answer]]


class ZoneQuery:
    """The question `qname` `qtype` to the servers of `dp`."""

    __slots__ = (
        "_budget", "_env", "_exhausted", "_exposure", "_last", "_last_resort", "_qname", "_qtype", "_received_from", "_targets",
        "answered_by", "attempts", "dp", "path",
    )  # fmt: skip

    def __init__(
        self,
        env: IteratorEnv,
        budget: QueryBudget,
        dp: DelegationPoint,
        qname: Name,
        qtype: int,
        path: Path,
        exposure: Exposure = Exposure.FULL,
        attempts: Attempts | None = None,
        earlier: Attempts | None = None,
    ):
        """`attempts`: those made so far; `earlier`: those of a question whose answer is still waited for and counts as well."""
        self._env = env
        self._budget = budget
        self._qname = qname
        self._qtype = qtype
        self._exposure = exposure
        self.dp = dp
        self.path = path
        self.attempts = attempts or Attempts()
        self.answered_by: Server | None = None
        """Whose response ended it; None where nobody's did."""
        self._received_from = (self.attempts,) if earlier is None or earlier is attempts else (self.attempts, earlier)
        self._targets: Targets
        self._last = Unusable("no server has an address that may be asked")
        self._last_resort: Conclusion | None = None
        self._exhausted: Exhausted | None = None

    def run(self) -> Generator[Any, Any, Found]:
        """The first response that any server gives to the question, or any in `earlier` to theirs. Raises Exhausted.

        Where what is known of the zone may be outdated, those who have not answered yet are left in `attempts`.
        """
        env, budget, attempts = self._env, self._budget, self.attempts
        # Addresses of servers are believed of anybody: who gives bogus answers to one question may lead on to who does not.
        is_lookup = len(self.path) > 1 and self.path[-1][1] in (codes.A, codes.AAAA)
        distrusted = _NOBODY if is_lookup else budget.distrusted.get(self.dp.zone, _NOBODY)
        self._targets = Targets(
            self.dp, env.delegation_points, env.infra, budget.now, env.rng, budget.server_addresses, distrusted
        )
        lookups = self._targets.lookups
        while budget.now < budget.deadline:
            due = self._due()
            if self._is_qmin_ignored():
                attempts.answered = True
                yield Drop(tuple(lookups))
                return QMIN_SILENCE, ()
            if due is None and self._exhausted is None:
                try:
                    due = yield from self._ask_next()
                except Exhausted as error:
                    self._exhausted = error
            # In the end all that is left is to listen: not to the dead, and not before the parent has been asked again.
            listens = bool(attempts.in_flight and attempts.expected and self.dp.fresh)
            if due is None and not listens and not lookups:
                break
            branches = (*[each for one in self._received_from for each in one.in_flight.values()], *lookups)
            raced: Raced = yield Race(branches, (budget.deadline if due is None else min(due, budget.deadline)) - budget.now)
            budget.now = max(budget.now, raced.now)
            found = self._take(raced)
            if found is not None:
                if lookups:
                    yield Drop(tuple(lookups))
                return found
        yield Drop(tuple(lookups))
        return self._without_answer()

    def _due(self) -> float | None:
        """Until when nothing else is tried (monotonic seconds), None if that is over; who has not answered in time is noted."""
        attempts, now, look = self.attempts, self._budget.now, None
        if attempts.waiting:
            look = self._env.server_query.shorten_waits(self.dp, attempts, now)
            for sent in attempts.overdue(now):
                self._last = self._env.server_query.timed_out(self._budget, self.dp, sent)
        if not attempts.waiting and not self._targets.lookups:
            return None
        dues = (*(sent.due for sent in attempts.waiting.values()), *self._targets.lookup_deadlines(now))
        due = min(dues, default=None)
        return due if due is None or look is None else min(due, look)

    def _is_qmin_ignored(self) -> bool:
        """Whether its servers may answer for the whole name only, as nobody has made the others (RFC 9156 §2.3)."""
        if self._exposure is not Exposure.MINIMISED:
            return False
        return len(self.attempts.failed) >= min(_QMIN_SILENT_SERVERS, max(len(self.dp.servers), 1))

    def _ask_next(self) -> Generator[Any, Any, float | None]:
        """Ask one more server, or one once more, or look servers up; until when to wait for it, None if nothing is left."""
        env, budget, dp, attempts, targets = self._env, self._budget, self.dp, self.attempts, self._targets
        now = budget.now
        if (server := targets.next_server(attempts, now)) is not None:
            rto = env.server_query.rto(dp, server, attempts, now)
            if server not in attempts.in_flight:
                minimised = self._exposure is not Exposure.FULL
                attempts.in_flight[server] = env.server_query.ask(
                    budget, dp, server, attempts, self._qname, self._qtype, minimised
                )
                return now + (rto if rto <= bounds.MIN_TIMEOUT or env.infra.has_rtt(server, now) else bounds.MIN_TIMEOUT)
            yield from env.server_query.resend(budget, dp, server, attempts, rto)
            return now + rto
        names = targets.next_names()
        if names:
            second_family = targets.second_family
            return targets.lookup_started(_first(tuple(self._look_up(each, second_family) for each in names)), len(names), now)
        return None

    def _look_up(self, name: Name, second_family: bool) -> Generator[Any, Any, list[Address] | None]:
        """Addresses of a server, where wanted those of the family that has not been looked up yet."""
        env, budget, zone = self._env, self._budget, self.dp.zone
        known = env.delegation_points.cached_addresses(name, budget.now)
        if env.delegation_points.usable(known) and not second_family:
            return known
        if name in budget.server_addresses and not second_family:
            return budget.server_addresses[name]
        # A server below the zone it serves, without glue (RFC 9471): nobody but the parent can know its address.
        above = zone if is_subdomain(name, zone) and zone != ROOT and not second_family else None
        rtypes = env.delegation_points.other_types(self.dp, name, budget.now) if second_family else env.options.address_types
        for rtype in rtypes:
            # Zones that name each other's servers: no way in (TsuNAME).
            if len(self.path) > bounds.MAX_DEPTH or (name, rtype) in self.path:
                continue
            budget.charge_lookup()
            answer = yield from env.resolve(budget, name, rtype, self.path, above)
            rrset = answer.final(rtype)
            if rrset is not None:
                budget.server_addresses[name] = addresses_in(rrset)[: bounds.MAX_ADDRESSES_PER_NS]
                return budget.server_addresses[name]
        return None if second_family else budget.server_addresses.setdefault(name, None)

    def _take(self, raced: Raced) -> Found | None:
        """What a race has come to: the response that ends the question, None where it goes on."""
        if raced.error is not None:
            if not isinstance(raced.error, Exhausted):
                raise raced.error
            self._exhausted = raced.error
        if raced.branch is None:
            return None
        if raced.branch in self._targets.lookups:
            self._targets.lookup_finished(raced.branch, raced.result)
            return None
        for attempts in self._received_from:
            if (server := attempts.finish(raced.branch)) is not None:
                break
        else:
            raise LookupError("no attempt of that branch is in flight")
        response, glue = raced.result or (self._last, ())
        if isinstance(response, Unusable):
            attempts.fail(server, silent=response.silent)
            if attempts is self.attempts:
                self._last, self._last_resort = response, self._last_resort or response.last_resort
            return None
        attempts.answered = self.attempts.answered = True
        self.answered_by = server
        if server in self.attempts.qmin_silent:
            self._learn_qmin_silence(self.attempts.qmin_silent)
        return response, glue

    def _learn_qmin_silence(self, servers: frozenset[Server]) -> None:
        """These were silent about a minimised name, and one of them has answered for the whole."""
        able, now = self._env.infra.capabilities, self._budget.now
        for server in servers:
            # Of one it may have been a packet that was lost.
            (able.rule_out if len(servers) >= _QMIN_SILENT_SERVERS else able.add_failure)(server, Feature.QMIN, now)

    def _without_answer(self) -> Found:
        """What counts where no server has answered. Raises Exhausted."""
        last, last_resort = self._last, self._last_resort
        if self._exhausted is not None and not self.attempts.in_flight and last_resort is None:
            raise self._exhausted
        if last_resort is None:
            return last, ()
        if not self.dp.fresh:
            # The zone may have moved, and these know nothing of it any more.
            return replace(last, last_resort=last_resort), ()
        if isinstance(last_resort, Negative) and last_resort.soa is None:
            self._env.server_query.learn(replace(last_resort, trust=Trust.UNPROVEN), self._budget.now, self.dp.expires)
        return last_resort, ()


def _first(branches: tuple[Core, ...]) -> Core:
    return (yield First(branches))
