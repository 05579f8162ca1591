"""What a client is called, and whether that leads back to it: the checks ptr and fcrdns, asked for by themselves."""

from typing import NamedTuple

from resolverd.clock import Clock
from resolverd.mail.lookups import Absent, ListLookup, Question, Records, Reply
from resolverd.mail.request import Attempt
from resolverd.policy.checks.fcrdns import Fcrdns, iprev_name
from resolverd.policy.checks.ptr import Ptr
from resolverd.policy.checks.rules import CheckRules, judged
from resolverd.policy.lookups import reply_of, run_lookups
from resolverd.resolver.ports import Resolver
from resolverd.wire.names import Address

_PTR, _FCRDNS = Ptr(CheckRules()), Fcrdns(CheckRules())


class ClientName(NamedTuple):
    """What is known of a client's names: one that leads back (RFC 8601 §2.7.3) or "", and the findings' codes.

    `ttl`: seconds for which that holds, None where nothing was answered. `partial`: some answer is missing.
    """

    name: str
    ptr: str
    fcrdns: str
    ttl: int | None
    partial: bool


class ClientNames:
    """Looks clients up; the resolver remembers."""

    def __init__(self, resolver: Resolver, clock: Clock) -> None:
        self._resolver = resolver
        self._clock = clock

    async def look(self, address: Address, *, deadline: float) -> ClientName:
        """What the client is called, as far as that is known by `deadline` (monotonic seconds)."""
        attempt = Attempt(client_address=address)

        async def ask(question: Question, of_sender: bool) -> Reply:
            assert not isinstance(question, ListLookup)
            answer = await self._resolver.resolve(question.name, question.rtype, deadline=deadline)
            return reply_of(answer, question.rtype)

        results = await run_lookups(attempt, (_PTR, _FCRDNS), ask, self._clock, deadline)
        ttls = [reply.ttl for reply in results.replies.values() if isinstance(reply, Records | Absent)]
        (ptr, *_), (fcrdns, *_) = judged(_PTR, attempt, results.replies), judged(_FCRDNS, attempt, results.replies)
        name = iprev_name(attempt, results.replies)
        return ClientName(name, ptr.code, fcrdns.code, min(ttls, default=None), results.partial)
