"""A question from its arrival to its Answer, as an ordered list of steps; the first that knows, answers.

0. `reply`: what an own list alone tells is answered from the packet, as the steps below would.
1. `_not_for_us`: other classes, transfers, meta types: nothing below is meant for them.
2. DNSBL zones (the combined zone, guarded lists): before memory, or a cached denial of ``internal`` would hide them.
3. built-in zones and memory (`resolver.answer`).
4. RD not set: who does not want recursion gets what is known and nothing more.
5. recursion; of what comes from there, addresses below the zones of lists are left out that could be taken for a listing.
"""

from typing import Protocol

from resolverd.resolver.answer import Resolve
from resolverd.resolver.local.replies import LocalReplies
from resolverd.wire import codes
from resolverd.wire.answer import Answer, ExtendedError
from resolverd.wire.names import Name, lower
from resolverd.wire.peek import Query
from resolverd.wire.rrset import RRset

_REFUSED = Answer(codes.REFUSED, errors=(ExtendedError(codes.EDE_NOT_SUPPORTED),))
_NOTIMP = Answer(codes.NOTIMP, errors=(ExtendedError(codes.EDE_NOT_SUPPORTED),))
_FORMERR = Answer(codes.FORMERR)
_NO_RECURSION = ExtendedError(codes.EDE_NOT_AUTHORITATIVE, "not in the cache, and RD is not set")
_NOT_RECURSING = Answer(codes.REFUSED, errors=(_NO_RECURSION,), keep=False, recursion_available=True)
"""RFC 8914 §4.21. Whoever sets RD gets recursion."""
_RFC8482 = b"\x07RFC8482\x00"
_RFC8482_TTL = 3600


class DnsblZones(Protocol):
    """Zones made of what the lists say (`zones.lists`)."""

    def owns(self, name: Name) -> bool:
        """Whether the name (lower case) is one of theirs."""
        ...

    def touches(self, zone: Name) -> bool:
        """Whether they own a name at or below a zone (lower case), or filter answers about one."""
        ...

    async def answer(self, name: Name, rtype: int, *, loopback: bool) -> Answer | None:
        """What they say; None for a name that is no list question after all, which is then resolved."""
        ...

    def filtered(self, name: Name, rtype: int, answer: Answer) -> Answer:
        """An answer about a name (lower case) of others, without what could be mistaken for a listing."""
        ...


class Answerer:
    """Answers questions."""

    def __init__(self, zones: DnsblZones | None, resolve: Resolve):
        self._zones = zones
        self._resolve = resolve
        self.reply = LocalReplies(resolve.local_zones, self._touches).reply
        """The reply to a packet where an own list alone tells it; None where the question has to be read."""

    def try_cached(self, query: Query) -> Answer | None:
        """The answer, where it needs no waiting; None where `answer` has to be awaited."""
        if (answer := _not_for_us(query)) is not None:
            return answer
        name = lower(query.qname)
        if self._zones is not None and self._zones.owns(name):
            return None
        if (answer := self._resolve.known(name, query.qtype)) is not None:
            return self._filtered(name, query.qtype, answer)
        if query.rd:
            return None
        stale = self._resolve.stale(name, query.qtype)
        return _NOT_RECURSING if stale is None else self._filtered(name, query.qtype, stale)

    async def answer(self, query: Query, *, local: bool) -> Answer:
        """The answer, after as long as it takes, `query_deadline` at most; `local`: the client is on this machine."""
        name = lower(query.qname)
        if self._zones is not None and self._zones.owns(name):
            answer = await self._zones.answer(name, query.qtype, loopback=local)
            if answer is not None:
                return answer
        return self._filtered(name, query.qtype, await self._resolve.resolve(name, query.qtype, local=local))

    def _touches(self, zone: Name) -> bool:
        return self._zones is not None and self._zones.touches(zone)

    def _filtered(self, name: Name, rtype: int, answer: Answer) -> Answer:
        return answer if self._zones is None else self._zones.filtered(name, rtype, answer)


def _not_for_us(query: Query) -> Answer | None:
    if query.qclass != codes.IN:
        # Nothing but IN is cached or recursed for (CVE-2026-5946), and version.bind is nobody's business.
        return _REFUSED
    qtype = query.qtype
    if qtype == codes.ANY:
        return _any(query)
    if qtype in (codes.AXFR, codes.IXFR):
        return _REFUSED
    if qtype == codes.OPT or qtype == 0:
        return _FORMERR
    return _NOTIMP if 128 <= qtype < 255 else None


def _any(query: Query) -> Answer:
    """RFC 8482 §4.2: a small answer, so that ANY is no amplifier and nobody takes a part for the whole."""
    return Answer(codes.NOERROR, (RRset(query.qname, codes.HINFO, _RFC8482_TTL, (_RFC8482,)),))
