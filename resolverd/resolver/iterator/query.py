"""Asking one server one question, in the forms that its turn takes (`turn`); what it says is scrubbed and learnt."""

from collections.abc import Callable, Generator
from typing import Any, TypeAlias

from resolverd import bounds
from resolverd.resolver.iterator import scrub
from resolverd.resolver.iterator.attempt import Turn
from resolverd.resolver.iterator.budget import Work
from resolverd.resolver.iterator.capabilities import Feature
from resolverd.resolver.iterator.caps_check import zone_of
from resolverd.resolver.iterator.carrying import carried
from resolverd.resolver.iterator.delegation import Cut
from resolverd.resolver.iterator.infra import Servers
from resolverd.resolver.iterator.interception import Root, RootCheck
from resolverd.resolver.iterator.options import Rules
from resolverd.resolver.iterator.ports import Records
from resolverd.resolver.iterator.response import (
    Alias,
    Data,
    Denial,
    Outcome,
    Overflow,
    Referral,
    Useless,
    classify,
    is_from_wildcard,
)
from resolverd.resolver.iterator.retries import Sent, Tries
from resolverd.resolver.iterator.ttl import Lifetimes
from resolverd.wire import codes, rdata
from resolverd.wire.ask import Again, Ask, Failed, Reply, Server, Transport
from resolverd.wire.message import Message
from resolverd.wire.names import ROOT, Address, Name, label_count, lower
from resolverd.wire.rrset import RRset, Trust

_SHORT = Lifetimes(max_ttl=bounds.DAMAGED_TTL)

AskRoot: TypeAlias = Callable[[Work], Generator[Any, Any, Root]]
"""Finds out who answers in the root's name."""


class Asking:
    """Asks servers, remembers how they fare (`servers`) and what they say (`records`)."""

    def __init__(self, records: Records, servers: Servers, rules: Rules, check: RootCheck, root: AskRoot):
        """`root` finds out who answers in the root's name; what was seen last is in `check`."""
        self._check = check
        self._root = root
        self._records = records
        self._servers = servers
        self._rules = rules

    def ask(
        self, work: Work, cut: Cut, server: Server, tries: Tries, qname: Name, qtype: int, minimised: bool
    ) -> Generator[Any, Any, tuple[Outcome, scrub.Glue]]:
        """What the server says to the question as one of the cut's zone, and the glue that came with a referral."""
        rules, servers, address = self._rules, self._servers, server.address
        turn = Turn(server, tries, servers.capabilities, rules.random_case)
        while (form := turn.form(work.now)) is not None:
            patience = self.patience(cut, address, tries, work.now, form.transport)
            size = rules.edns_size if form.edns else 0
            work.spend()
            asked = qname if cut.forward else cut.zone
            work.pay(qname, asked)
            # What may be had in another way is not waited for to the end.
            timeout = work.deadline - work.now
            timeout = min(patience, timeout) if turn.has_another_way else timeout
            dnssec, mixed, cookie = rules.dnssec, form.mixed, form.cookie
            ask = Ask(server, qname, qtype, form.transport, timeout, cut.forward, size, dnssec, mixed, cookie)
            tries.sent(ask, work.now, patience)
            reply = yield from carried(work, ask, asked)
            message = reply.message
            if message is not None:
                # What TCP takes says nothing of UDP.
                servers.answered(address, reply.sample if form.transport is not Transport.TCP else None, reply.now)
                tries.heard(address)
            if tries.answered:
                return Useless("too late", silent=True), ()
            work.received(reply)
            if message is None:
                work.note(cut.zone, ask, reply, f"no answer ({reply.failed.value if reply.failed else 'unknown'})")
                if turn.unheard(form, reply.failed, work.now):
                    continue
                if reply.failed not in (Failed.LOCAL, Failed.TIMEOUT) and form.transport is not Transport.TCP:
                    # Neither our own trouble is held against it, nor our own hurry, nor TCP against who answers over UDP.
                    servers.silent(address, work.now, reply.now - reply.rtt)
                form, reply = turn.instead(form, reply)
                message = reply.message
                if message is None:
                    return Useless(f"{server} did not answer", silent=reply.failed is not Failed.MALFORMED), ()
            form = turn.answered(form, reply)
            fault = turn.faulty(form, reply, message, work.now)
            if fault:
                work.note(cut.zone, ask, reply, fault)
                continue
            if message.tc:
                work.note(cut.zone, ask, reply, f"truncated over {form.transport.value.upper()}")
                return Useless(f"{server} truncates over TCP"), ()
            said = classify(message, qname, qtype, cut.zone, cut.forward, of_a_list=rules.is_plain(qname))
            outcome = rules.lifetimes_of(qname).bound(said)
            trust = Trust.AUTHORITATIVE if message.aa else Trust.ANSWER if cut.configured else Trust.UNPROVEN
            if not _is_complete(message, outcome):
                trust, outcome = Trust.UNPROVEN, _what_is_left(outcome, message)
            outcome = _marked(outcome, definite=trust >= Trust.ANSWER)
            work.note(cut.zone, ask, reply, outcome)
            if (qname, qtype) == (ROOT, codes.NS):
                if not isinstance(outcome, Data):
                    # Every server of the root, and every forwarder, knows that one.
                    self._check.strange = True
                    return Useless(f"{server} does not know the root's servers"), ()
            elif cut.configured:
                if self._check.contradicted:
                    return _marked(outcome, definite=False), ()
            elif _looks_strange(message, outcome, cut.zone):
                root = yield from self._root(work)
                if root is Root.SOMEBODY_ELSE:
                    return Useless("somebody else answers in the servers' place"), ()
                if root is Root.NOBODY:
                    trust, outcome = Trust.UNPROVEN, _marked(outcome, definite=False)
            if isinstance(outcome, Referral):
                work.referred(qname, asked)
            part = zone_of(outcome, qname) if cut.forward else ROOT
            if turn.takes(form, reply, outcome, part, not minimised, work.now):
                return self._taken(work, cut, message, outcome, trust, minimised)
        return turn.without_more() or Useless(f"{server} was asked often enough", silent=True), ()

    def _taken(
        self, work: Work, cut: Cut, message: Message, outcome: Outcome, trust: Trust, minimised: bool
    ) -> tuple[Outcome, scrub.Glue]:
        if not (minimised and isinstance(outcome, Denial) and outcome.nxdomain):
            # Old servers deny empty non-terminals: a minimised name's denial is no knowledge.
            self.learn(outcome, trust, work.now, cut.expires)
        servers_named = _named_servers(outcome)
        vouching = cut.zone if self._rules.harden_glue else ROOT
        return outcome, scrub.glue(message, servers_named, vouching) if servers_named else ()

    def patience(self, cut: Cut, address: Address, tries: Tries, now: float, transport: Transport = Transport.UDP) -> float:
        """Seconds to wait for a server of the cut before anything else is tried as well."""
        turns = tries.turns.get(address, 0)
        alone = len(cut.servers) == 1
        return self._servers.patience(address, now, turns, transport, forwarder=cut.forward, alone=alone)

    def hurry(self, cut: Cut, tries: Tries, now: float) -> float | None:
        """Wait less for those of whom it has turned out meanwhile how quick they are; when to look again, None if never."""
        strangers = False
        for address, sent in tries.waiting.items():
            if sent.ask.transport is Transport.UDP:
                due = sent.at + self.patience(cut, address, tries, now)
                if due < sent.due:
                    tries.waiting[address] = sent._replace(due=due)
                strangers |= not self._servers.is_known(address, now)
        return now + bounds.MIN_TIMEOUT if strangers else None

    def again(self, work: Work, cut: Cut, ask: Ask, tries: Tries, patience: float) -> Generator[Any, Any, None]:
        """Send what a server has been asked once more, as lost packets want it."""
        asked = ask.qname if cut.forward else cut.zone
        work.spend()
        work.pay(ask.qname, asked)
        tries.sent(ask, work.now, patience)
        address = ask.server.address
        if ask.cookie and not self._servers.capabilities.has_shown(address, Feature.COOKIE, work.now):
            # Some drop what they do not know. Whoever has had cookies lately is held to them (RFC 7873 §5.3).
            tries.give_up(address, Feature.COOKIE)
        if not (yield Again(ask, cookie=not tries.gave_up(address, Feature.COOKIE))):
            work.settle(ask.qname, asked, -1)

    def silent(self, work: Work, cut: Cut, sent: Sent) -> Useless:
        """A server has not answered in the time that it usually takes."""
        server = sent.ask.server
        if sent.ask.transport is not Transport.TCP:
            self._servers.silent(server.address, work.now, sent.at)
        reply = Reply(None, Failed.TIMEOUT, work.now, work.now - sent.at)
        work.note(cut.zone, sent.ask, reply, f"no answer ({Failed.TIMEOUT.value})")
        return Useless(f"{server} did not answer", silent=True)

    def learn(self, outcome: Outcome, trust: Trust, now: float, lease: float) -> None:
        """Remember what an outcome says."""
        records = self._records
        if isinstance(outcome, Data | Alias | Denial | Overflow):
            dname: tuple[RRset, ...] = ()
            proof = outcome.authority if isinstance(outcome, Data | Alias) else ()
            for rrset in outcome.chain:
                # A CNAME behind a DNAME was made from it; both are shown together.
                records.put(rrset, trust, now, lower(rrset.owner), proof if is_from_wildcard(rrset) else dname, lease)
                dname = (rrset,) if rrset.rtype == codes.DNAME else ()
        if isinstance(outcome, Denial):
            authority = (outcome.soa, *outcome.proofs) if outcome.soa else outcome.proofs
            records.deny(outcome.name, outcome.qtype, outcome.ttl, authority, trust, now, whole=outcome.nxdomain)


def _marked(outcome: Outcome, *, definite: bool) -> Outcome:
    """The outcome as what it is: an authority's word, or not."""
    if isinstance(outcome, Useless) and outcome.spare is not None:
        return outcome._replace(spare=outcome.spare._replace(definite=definite))
    if isinstance(outcome, Useless | Referral) or outcome.definite is definite:
        return outcome
    return outcome._replace(definite=definite)


def _is_complete(message: Message, outcome: Outcome) -> bool:
    """Whether all is there that the outcome is made of."""
    return message.whole >= (1 if isinstance(outcome, Data | Alias | Overflow) else 2)


def _what_is_left(outcome: Outcome, message: Message) -> Outcome:
    """Of a damaged message: the data that it gives for the question, for a short time; nothing that it seems to deny."""
    if isinstance(outcome, Data | Alias | Overflow):
        return _SHORT.bound(outcome)
    if isinstance(outcome, Denial) and message.whole:
        return outcome
    return outcome if isinstance(outcome, Useless | Referral) else Useless("damaged")


def _looks_strange(message: Message, outcome: Outcome, zone: Name) -> bool:
    """Whether it may be the answer of somebody on the way: of a resolver, without the zone's SOA, or not as registries answer.

    Honest servers answer so as well, some of them always. It is no more than a reason to look whether the root still answers.
    """
    if isinstance(outcome, Denial) and outcome.soa is None:
        return True
    if message.flags & codes.RA:
        return True
    return isinstance(outcome, Data | Alias) and label_count(zone) <= 1


def _named_servers(outcome: Outcome) -> tuple[Name, ...]:
    ns = outcome.ns if isinstance(outcome, Referral) else outcome.chain[-1] if isinstance(outcome, Data) else None
    if ns is None or ns.rtype != codes.NS:
        return ()
    return tuple(lower(rdata.target(codes.NS, each)) for each in ns.rdatas)
