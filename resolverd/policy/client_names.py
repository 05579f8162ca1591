"""What a client is called, and whether that leads back to it, asked for by itself."""

from typing import NamedTuple

from resolverd.clock import Clock
from resolverd.mail.lookups import Absent, ListLookup, LookupReply, Question, Records
from resolverd.mail.request import Attempt
from resolverd.policy.asking import outcome_of
from resolverd.policy.check import definite
from resolverd.policy.iprev import NamesOnly, iprev, iprev_name
from resolverd.policy.lookups import reply_of, run_lookups
from resolverd.policy.runs import CheckRuns
from resolverd.resolver.ports import Resolver
from resolverd.wire.names import Address


class ClientName(NamedTuple):
    """What is known of a client's names: one that leads back (RFC 8601 §2.7.3) or "".

    `nameless`: it is certain that there is no reverse name; `unconfirmed`: that none leads back. `ttl`: seconds for which that
    holds, None where nothing was answered. `partial`: some answer is missing.
    """

    name: str
    nameless: bool
    unconfirmed: bool
    ttl: int | None
    partial: bool


class ClientNames:
    """Looks clients up; the resolver remembers."""

    def __init__(self, resolver: Resolver, clock: Clock) -> None:
        self._resolver = resolver
        self._clock = clock

    async def lookup(self, address: Address, *, deadline: float) -> ClientName:
        """What the client is called, as far as that is known by `deadline` (monotonic seconds)."""
        attempt = Attempt(client_address=address)

        async def ask(question: Question, of_sender: bool) -> LookupReply:
            assert not isinstance(question, ListLookup)
            answer = await self._resolver.resolve(question.name, question.rtype, deadline=deadline)
            return reply_of(answer, question.rtype)

        results = await run_lookups(CheckRuns(attempt, (NamesOnly(),), {}), ask, self._clock, deadline)
        ttls = [reply.ttl for reply in results.replies.values() if isinstance(reply, Records | Absent)]
        sure = outcome_of(iprev(attempt), definite(results.replies))
        return ClientName(
            iprev_name(attempt, results.replies),
            nameless=not sure.names and sure.trouble is None,
            unconfirmed=not sure.name and sure.trouble is None,
            ttl=min(ttls, default=None),
            partial=results.partial,
        )
