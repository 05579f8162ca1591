"""Asking one server one question: EDNS and its fall-back, truncation, near misses; what it says is scrubbed and learnt."""

from collections.abc import Generator
from typing import Any

from resolverd import bounds
from resolverd.recursion import scrub
from resolverd.recursion.classify import Alias, Data, Denial, Outcome, Overflow, Referral, Useless, classify
from resolverd.recursion.cuts import Cut
from resolverd.recursion.ports import Records
from resolverd.recursion.rules import Rules
from resolverd.recursion.servers import Servers
from resolverd.recursion.tries import Tries
from resolverd.recursion.work import Work
from resolverd.wire import codes, rdata
from resolverd.wire.ask import Ask, Failed, Reply, Server, Transport
from resolverd.wire.known import NAME_DENIED
from resolverd.wire.names import ROOT, Name, lower
from resolverd.wire.rrset import RRset, Trust


class Asking:
    """Asks servers, remembers how they fare (`servers`) and what they say (`records`)."""

    def __init__(self, records: Records, servers: Servers, rules: Rules):
        self._records = records
        self._servers = servers
        self._rules = rules

    def ask(
        self, work: Work, cut: Cut, server: Server, tries: Tries, qname: Name, qtype: int, minimised: bool
    ) -> Generator[Any, Any, tuple[Outcome, scrub.Glue]]:
        """What the server says to the question as one of the cut's zone, and the glue that came with a referral."""
        rules, servers, address = self._rules, self._servers, server.address
        transport = Transport.TLS if server.tls_name else Transport.UDP
        edns = servers.edns(address, work.now) and tries.edns(address)
        letters_changed = False
        while tries.send(address, transport):
            case = rules.random_case and transport is Transport.UDP and servers.random_case(address, work.now)
            patience = servers.timeout(address, work.now) * (1 if transport is Transport.UDP else 2)
            size = rules.edns_size if edns else 0
            work.spend()
            asked = qname if cut.forward else cut.zone
            work.pay(qname, asked)
            timeout = min(patience, work.deadline - work.now)
            ask = Ask(server, qname, qtype, transport, timeout, cut.forward, size, rules.dnssec, case)
            reply: Reply = yield ask
            work.settle(qname, asked, reply)
            work.received(reply)
            message = reply.message
            if message is None:
                work.note(cut.zone, ask, reply, f"no answer ({reply.failed.value if reply.failed else 'unknown'})")
                if reply.failed in (Failed.SPOOFED, Failed.LETTERS) and transport is Transport.UDP:
                    # One packet with the wrong ID or letters: somebody may be guessing, and TCP cannot be guessed.
                    transport, letters_changed = Transport.TCP, reply.failed is Failed.LETTERS
                    continue
                if timeout == patience and reply.failed is not Failed.LOCAL:
                    # Neither our own trouble nor our own hurry is held against it.
                    servers.silent(address, work.now, reply.now - reply.rtt)
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
                if message.edns is None:
                    servers.doubts_edns(address, work.now)
                tries.without_edns(address)
                edns = False
                continue
            if message.edns is not None:
                servers.speaks_edns(address, work.now)
            if letters_changed:
                servers.breaks_case(address, work.now)
            outcome = rules.lifetimes_of(qname).bound(classify(message, qname, qtype, cut.zone, cut.forward))
            work.note(cut.zone, ask, reply, outcome)
            if isinstance(outcome, Referral):
                work.referred(qname, asked)
            if not (minimised and isinstance(outcome, Denial) and outcome.nxdomain):
                # Old servers deny empty non-terminals: a minimised name's denial is no knowledge.
                self._learn(outcome, Trust.AUTHORITATIVE if message.aa else Trust.ANSWER, work.now)
            servers_named = _named_servers(outcome)
            vouching = cut.zone if rules.harden_glue else ROOT
            return outcome, scrub.glue(message, servers_named, vouching) if servers_named else ()
        return Useless(f"{server} was asked often enough", silent=True), ()

    def _learn(self, outcome: Outcome, trust: Trust, now: float) -> None:
        records = self._records
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


def _named_servers(outcome: Outcome) -> tuple[Name, ...]:
    ns = outcome.ns if isinstance(outcome, Referral) else outcome.chain[-1] if isinstance(outcome, Data) else None
    if ns is None or ns.rtype != codes.NS:
        return ()
    return tuple(lower(rdata.target(codes.NS, each)) for each in ns.rdatas)
