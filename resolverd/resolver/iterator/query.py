"""One question to one server, in the forms that `fallback` takes; what it says is classified, scrubbed and cached."""

from collections.abc import Callable, Generator
from typing import Any, TypeAlias

from resolverd import bounds
from resolverd.resolver.cache.rrsets import RRsetCache
from resolverd.resolver.iterator import scrub
from resolverd.resolver.iterator.budget import QueryBudget, exchange
from resolverd.resolver.iterator.capabilities import Feature
from resolverd.resolver.iterator.caps_check import answering_zone
from resolverd.resolver.iterator.delegation import DelegationPoint
from resolverd.resolver.iterator.fallback import Fallback
from resolverd.resolver.iterator.infra import InfraCache
from resolverd.resolver.iterator.interception import RootCheck, RootStatus
from resolverd.resolver.iterator.options import Options, TtlBounds
from resolverd.resolver.iterator.response import (
    Cname,
    DnameTooLong,
    Negative,
    Positive,
    Referral,
    Response,
    Unusable,
    classify,
    is_from_wildcard,
)
from resolverd.resolver.iterator.retries import Attempts, Sent
from resolverd.values import replace
from resolverd.wire import codes, rdata
from resolverd.wire.ask import Again, Ask, Failed, Reply, Server, Transport
from resolverd.wire.message import Message
from resolverd.wire.names import ROOT, Name, label_count, lower
from resolverd.wire.rrset import RRset, Security, Trust

_SHORT = TtlBounds(max_ttl=bounds.DAMAGED_TTL)

AskRoot: TypeAlias = Callable[[QueryBudget], Generator[Any, Any, RootStatus]]
"""Finds out who answers in the root's name."""


Found: TypeAlias = tuple[Response, scrub.Glue]
"""What a server says to the question, and the glue that came with a referral."""


class ServerQuery:
    """Asks servers, remembers how they fare (`infra`) and what they say (`rrsets`)."""

    def __init__(self, rrsets: RRsetCache, infra: InfraCache, options: Options, check: RootCheck, root: AskRoot):
        """`root` finds out who answers in the root's name; what was seen last is in `check`."""
        self._check = check
        self._root = root
        self._rrsets = rrsets
        self._infra = infra
        self._options = options

    def ask(
        self,
        budget: QueryBudget,
        dp: DelegationPoint,
        server: Server,
        attempts: Attempts,
        qname: Name,
        qtype: int,
        minimised: bool,
    ) -> Generator[Any, Any, Found]:
        """What the server says to the question as one of the zone `dp`, and the glue that came with a referral."""
        options, infra = self._options, self._infra
        sends = attempts.of(server)
        fallback = Fallback(server, sends, infra.capabilities, options.random_case, attempts.useless)
        while (form := fallback.form(budget.now)) is not None:
            rto = self.rto(dp, server, attempts, budget.now, form.transport)
            size = options.edns_size if form.edns else 0
            asked = qname if dp.forward else dp.zone
            budget.charge(qname, asked)
            # What may be had in another way is not waited for to the end.
            timeout = budget.deadline - budget.now
            timeout = min(rto, timeout) if fallback.has_alternative else timeout
            dnssec, random_case, cookie = options.dnssec, form.random_case, form.cookie
            ask = Ask(server, qname, qtype, form.transport, timeout, dp.forward, size, dnssec, random_case, cookie)
            attempts.sent(ask, budget.now, rto)
            reply = yield from exchange(budget, ask, asked)
            message = reply.message
            if message is not None:
                # What TCP takes says nothing of UDP.
                infra.rtt_update(server, reply.sample if form.transport is not Transport.TCP else None, reply.now)
                sends.has_replied = True
            if attempts.answered:
                return Unusable("too late", silent=True), ()
            budget.received(reply)
            if message is None:
                budget.trace(dp.zone, ask, reply, f"no answer ({reply.failed.value if reply.failed else 'unknown'})")
                if fallback.no_reply(form, reply.failed, budget.now):
                    continue
                if reply.failed not in (Failed.LOCAL, Failed.TIMEOUT) and form.transport is not Transport.TCP:
                    # Neither a local failure counts against it, nor a shortened wait, nor TCP against who answers over UDP.
                    infra.timed_out(server, budget.now, reply.now - reply.rtt)
                form, reply = fallback.substitute(form, reply)
                message = reply.message
                if message is None:
                    return Unusable(f"{server} did not answer", silent=reply.failed is not Failed.MALFORMED), ()
            if reply.repeated is not None or reply.plain_letters:
                form = fallback.answered_form(form, reply)
            fault = fallback.fault(form, reply, message, budget.now)
            if fault:
                budget.trace(dp.zone, ask, reply, fault)
                continue
            if message.flags & codes.TC:
                budget.trace(dp.zone, ask, reply, f"truncated over {form.transport.value.upper()}")
                return Unusable(f"{server} truncates over TCP"), ()
            response = self._read(message, dp, qname, qtype)
            budget.trace(dp.zone, ask, reply, response)
            if (qname, qtype) == (ROOT, codes.NS):
                if not isinstance(response, Positive):
                    # Every server of the root, and every forwarder, knows that one.
                    self._check.odd_answer = True
                    return Unusable(f"{server} does not know the root's servers"), ()
            elif dp.configured:
                if self._check.intercepted:
                    return _trusted(response, None), ()
            elif _may_be_intercepted(message, response, dp.zone):
                root = yield from self._root(budget)
                if root is RootStatus.INTERCEPTED:
                    return Unusable("somebody else answers in the servers' place"), ()
                if root is RootStatus.SILENT:
                    response = _trusted(response, Trust.UNPROVEN)
            if isinstance(response, Referral):
                budget.referred(qname, asked)
            part = answering_zone(response, qname) if dp.forward else ROOT
            if fallback.accept(form, reply, response, part, not minimised, budget.now):
                attempts.useless += isinstance(response, Unusable) and fallback.has_confirmed
                return self._accepted(budget, dp, message, response, minimised)
        return fallback.final() or Unusable(f"{server} was asked often enough", silent=True), ()

    def _read(self, message: Message, dp: DelegationPoint, qname: Name, qtype: int) -> Response:
        """What a message says, its TTLs within their bounds, and how far it is trusted."""
        options = self._options
        of_a_list = options.is_list_name(qname)
        said = classify(message, qname, qtype, dp.zone, dp.forward, of_a_list=of_a_list)
        response = (options.list_ttl_bounds if of_a_list else options.ttl_bounds).clamp(said)
        trust = Trust.AUTHORITATIVE if message.flags & codes.AA else Trust.ANSWER if dp.configured else Trust.UNPROVEN
        if not _is_complete(message, response):
            trust, response = Trust.UNPROVEN, _what_is_left(response, message)
        return _trusted(response, trust)

    def _accepted(
        self, budget: QueryBudget, dp: DelegationPoint, message: Message, response: Response, minimised: bool
    ) -> Found:
        if minimised and not (isinstance(response, Negative) and response.nxdomain):
            # Old servers deny empty non-terminals: a minimised name's denial is no knowledge.
            self.learn(response, budget.now, dp.expires)
        servers_named = _named_servers(response)
        bailiwick = dp.zone if self._options.harden_glue else ROOT
        return response, scrub.glue(message, servers_named, bailiwick) if servers_named else ()

    def rto(
        self, dp: DelegationPoint, server: Server, attempts: Attempts, now: float, transport: Transport = Transport.UDP
    ) -> float:
        """Seconds to wait for a server of the zone before anything else is tried as well."""
        timeouts = attempts.failed.get(server, 0)
        alone = len(dp.servers) == 1
        return self._infra.rto(server, now, timeouts, transport, forwarder=dp.forward, alone=alone)

    def shorten_waits(self, dp: DelegationPoint, attempts: Attempts, now: float) -> float | None:
        """Wait less for those of whom it has turned out meanwhile how quick they are; when to look again, None if never."""
        unmeasured = False
        for server, sent in attempts.waiting.items():
            if sent.ask.transport is Transport.UDP:
                due = sent.at + self.rto(dp, server, attempts, now)
                if due < sent.due:
                    attempts.waiting[server] = replace(sent, due=due)
                unmeasured |= not self._infra.has_rtt(server, now)
        return now + bounds.MIN_TIMEOUT if unmeasured else None

    def resend(
        self, budget: QueryBudget, dp: DelegationPoint, server: Server, attempts: Attempts, rto: float
    ) -> Generator[Any, Any, None]:
        """Send what a server has been asked once more, as lost packets want it."""
        sends = attempts.of(server)
        ask = sends.last_ask
        if ask is None:
            raise LookupError(f"{server} has been asked nothing")
        asked = ask.qname if dp.forward else dp.zone
        budget.charge(ask.qname, asked)
        attempts.sent(ask, budget.now, rto)
        if ask.cookie and not self._infra.capabilities.is_proven(server, Feature.COOKIE, budget.now):
            # Some drop what they do not know. Whoever has had cookies lately is held to them (RFC 7873 §5.3).
            sends.disable(Feature.COOKIE)
        if not (yield Again(ask, cookie=Feature.COOKIE not in sends.disabled)):
            budget.adjust(ask.qname, asked, -1)

    def timed_out(self, budget: QueryBudget, dp: DelegationPoint, sent: Sent) -> Unusable:
        """A server has not answered in the time that it usually takes."""
        server = sent.ask.server
        if sent.ask.transport is not Transport.TCP:
            self._infra.timed_out(server, budget.now, sent.at)
        reply = Reply(None, Failed.TIMEOUT, budget.now, budget.now - sent.at)
        budget.trace(dp.zone, sent.ask, reply, f"no answer ({Failed.TIMEOUT.value})")
        return Unusable(f"{server} did not answer", silent=True)

    def learn(self, response: Response, now: float, lease: float) -> None:
        """Remember what an outcome says, as far as its `trust` goes; `lease` as `RRsetCache.put` has it."""
        if isinstance(response, (Unusable, Referral)) or response.trust is None:
            return
        rrsets, trust = self._rrsets, response.trust
        dname: tuple[RRset, ...] = ()
        proof = response.authority if isinstance(response, (Positive, Cname)) else ()
        for rrset in response.chain:
            # A CNAME behind a DNAME was made from it; both are shown together.
            beside = proof if rrset.sigs and is_from_wildcard(rrset) else dname
            rrsets.put(rrset, _by(rrset.security, trust), now, rrset.owner, beside, lease)
            dname = (rrset,) if rrset.rtype == codes.DNAME else ()
        if isinstance(response, Negative):
            authority = (response.soa, *response.proofs) if response.soa else response.proofs
            trust = _by(response.security, trust)
            rrsets.put_negative(
                response.name, response.qtype, response.ttl, authority, trust, now,
                nxdomain=response.nxdomain, security=response.security,
            )  # fmt: skip


def _by(security: Security, trust: Trust) -> Trust:
    """How far data is trusted that somebody of such trust has said."""
    return Trust.VALIDATED if security is Security.SECURE else trust


def _trusted(response: Response, trust: Trust | None) -> Response:
    """The response as what it is: from an authority, or not."""
    if isinstance(response, Unusable):
        last_resort = response.last_resort
        return response if last_resort is None else replace(response, last_resort=replace(last_resort, trust=trust))
    if isinstance(response, Referral) or response.trust is trust:
        return response
    return replace(response, trust=trust)


def _is_complete(message: Message, response: Response) -> bool:
    """Whether all is there that the outcome is made of."""
    return message.whole >= 2 or (message.whole == 1 and isinstance(response, (Positive, Cname, DnameTooLong)))


def _what_is_left(response: Response, message: Message) -> Response:
    """Of a damaged message: the data that it gives for the question, for a short time; nothing that it seems to deny."""
    if isinstance(response, (Positive, Cname, DnameTooLong)):
        return _SHORT.clamp(response)
    if isinstance(response, Negative) and message.whole:
        return response
    return response if isinstance(response, Unusable | Referral) else Unusable("damaged")


def _may_be_intercepted(message: Message, response: Response, zone: Name) -> bool:
    """Whether it may have been intercepted: it is a resolver's, or without the zone's SOA, or not as registries answer.

    Honest servers answer so as well, some of them always. It is no more than a reason to check whether the root still answers.
    """
    if isinstance(response, Negative) and response.soa is None:
        return True
    if message.flags & codes.RA:
        return True
    return isinstance(response, (Positive, Cname)) and label_count(zone) <= 1


def _named_servers(response: Response) -> tuple[Name, ...]:
    ns = response.ns if isinstance(response, Referral) else response.chain[-1] if isinstance(response, Positive) else None
    if ns is None or ns.rtype != codes.NS:
        return ()
    return tuple(lower(rdata.target(codes.NS, each)) for each in ns.rdatas)
