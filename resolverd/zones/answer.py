"""A question from its arrival to its Answer, as an ordered list of steps; the first that knows, answers.

0. `reply`: what an own list alone tells is answered from the packet, as the steps below would.
1. `_not_for_us`: other classes, transfers, meta types: nothing below is meant for them.
2. DNSBL zones (the combined zone, guarded lists): before memory, or a cached denial of ``internal`` would hide them.
3. built-in zones and memory (`resolver.answer`).
4. RD not set: who does not want recursion gets what is known and nothing more.
5. recursion; of what comes from there, addresses below the zones of lists are left out that could be taken for a listing.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any, Protocol

from resolverd.resolver.answer import Resolve
from resolverd.resolver.local.replies import LocalReplies
from resolverd.resolver.ports import Done, Waiting
from resolverd.resolver.validator.sentinel import Sentinel
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

    def known(self, name: Name, rtype: int) -> Answer | None:
        """What they say of a name that they own, where it needs no waiting."""
        ...

    async def answer(self, name: Name, rtype: int, *, loopback: bool) -> Answer | None:
        """What they say; None for a name that is no list question after all, which is then resolved."""
        ...

    def filtered(self, name: Name, rtype: int, answer: Answer) -> Answer:
        """An answer about a name (lower case) of others, without what could be mistaken for a listing."""
        ...


class Answerer:
    """Answers questions."""

    def __init__(
        self, zones: DnsblZones | None, resolve: Resolve, sentinel: Sentinel | None = None, *, minimal: bool = True
    ):
        """`sentinel`: tells clients which of the root's keys are trusted, where that is wanted. Not `minimal`: what is known of
        the servers of a name's zone is shown as well."""
        self._zones = zones
        self._sentinel = sentinel
        self._minimal = minimal
        self._resolve = resolve
        self.reply = LocalReplies(resolve.local_zones, self._touches).reply
        """The reply to a packet where an own list alone tells it; None where the question has to be read."""

    def try_cached(self, query: Query) -> Answer | None:
        """The answer, where it needs no waiting; None where it has to be asked for (`ask`)."""
        if (answer := _not_for_us(query)) is not None:
            return answer
        name = lower(query.qname)
        if self._zones is not None and self._zones.owns(name):
            return self._zones.known(name, query.qtype)
        if (answer := self._resolve.known(name, query.qtype, validate=not query.cd)) is not None:
            return self._filtered(name, query.qtype, answer, validate=not query.cd)
        if query.rd:
            return None
        stale = self._resolve.stale(name, query.qtype, validate=not query.cd)
        return _NOT_RECURSING if stale is None else self._filtered(name, query.qtype, stale)

    def ask(self, query: Query, done: Done, *, local: bool) -> Answer | Waiting:
        """The answer that `try_cached` has not, or who waits for it: `done` is called with it, after `query_deadline` at most.

        `local`: the client is on this machine.
        """
        name, rtype = lower(query.qname), query.qtype
        if self._zones is not None and self._zones.owns(name):
            return _Task(self._from_lists(self._zones, name, rtype, local), done)
        validate = not query.cd
        plain = self._zones is None and self._sentinel is None and self._minimal
        filtered = done if plain else partial(self._on_answer, name, rtype, done, validate)
        answer = self._resolve.ask(name, rtype, filtered, local=local, validate=validate)
        return self._filtered(name, rtype, answer, validate=validate) if isinstance(answer, Answer) else answer

    async def _from_lists(self, zones: DnsblZones, name: Name, rtype: int, local: bool) -> Answer:
        answer = await zones.answer(name, rtype, loopback=local)
        if answer is not None:
            return answer
        return self._filtered(name, rtype, await self._resolve.resolve(name, rtype, local=local))

    def _on_answer(self, name: Name, rtype: int, done: Done, validate: bool, answer: Answer | Exception) -> None:
        if isinstance(answer, Answer):
            try:
                answer = self._filtered(name, rtype, answer, validate=validate)
            except Exception as error:
                answer = error
        done(answer)

    def _touches(self, zone: Name) -> bool:
        return self._zones is not None and self._zones.touches(zone)

    def _filtered(self, name: Name, rtype: int, answer: Answer, *, validate: bool = False) -> Answer:
        if validate and self._sentinel is not None:
            answer = self._sentinel.judged(name, rtype, answer)
        if not self._minimal:
            answer = self._resolve.with_servers(answer)
        return answer if self._zones is None else self._zones.filtered(name, rtype, answer)


class _Task:
    """What lists say is awaited."""

    __slots__ = ("_done", "_task")

    def __init__(self, answer: Coroutine[Any, Any, Answer], done: Done):
        self._done = done
        self._task = asyncio.get_running_loop().create_task(answer)
        self._task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._task.remove_done_callback(self._ended)
        self._task.cancel()

    def _ended(self, task: "asyncio.Task[Answer]") -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._done(task.result())
        elif isinstance(error, Exception):
            self._done(error)


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
