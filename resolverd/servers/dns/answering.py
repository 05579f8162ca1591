"""What UDP and TCP have in common: from a question's octets to its reply's, and what of it is remembered."""

from typing import Protocol, TypeAlias

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.metrics import Counters
from resolverd.servers.access import Access, Admission
from resolverd.wire import codes, render
from resolverd.wire.answer import Answer, ExtendedError
from resolverd.wire.names import Name
from resolverd.wire.peek import Query, Refusal, peek
from resolverd.zones.answer import Answerer

_PROHIBITED = ExtendedError(codes.EDE_PROHIBITED)


Key: TypeAlias = bytes | str


class Packets(Protocol):
    """Prepared replies by a question's octets (`resolver.cache.packets`)."""

    def get(self, key: Key, now: float) -> bytes | None:
        """The reply's octets behind the ID."""
        ...

    def put(self, key: Key, reply: bytes, offsets: tuple[int, ...], name: Name, now: float, lifetime: float) -> None:
        """Remember a reply."""
        ...


class Responder:
    """Takes packets, gives packets. One for all sockets; a reload puts another answerer in its place."""

    def __init__(self, answerer: Answerer, packets: Packets, access: Access, clock: Clock, counters: Counters, keep: float):
        """`keep`: the share of a TTL for which a prepared reply is used; behind it the record cache sees the question again."""
        self.packets = packets
        self.access = access
        self.counters = counters
        self.now = clock.monotonic
        self.answerer = answerer
        self._keep = keep

    def refuse(self, packet: bytes, admission: Admission) -> bytes | None:
        """The reply to a client that may not ask, or not now; None for what deserves silence."""
        if admission is Admission.LIMITED:
            self.counters.add("dns_limited")
            return None
        query = peek(packet)
        if query is None:
            return None
        self.counters.add("dns_refused")
        if isinstance(query, Refusal):
            return render.refuse(query)
        return render.refuse(Refusal(query.id, query.flags, codes.REFUSED, query), _PROHIBITED)

    def at_once(self, packet: bytes, udp: bool) -> bytes | Query | None:
        """The reply where it needs no waiting, the question where `answer` has to be awaited, or None for silence."""
        query = peek(packet)
        if query is None:
            return None
        if isinstance(query, Refusal):
            self.counters.add("dns_malformed", rcode=codes.rcode_text(query.rcode))
            return render.refuse(query)
        answer = self.answerer.at_once(query)
        return query if answer is None else self._reply(packet, query, answer, udp)

    async def answer(self, packet: bytes, query: Query, udp: bool, local: bool) -> bytes:
        """The reply to a question, after as long as its answer takes; `local`: the client is on this machine."""
        return self._reply(packet, query, await self.answerer.answer(query, local=local), udp)

    def _reply(self, packet: bytes, query: Query, answer: Answer, udp: bool) -> bytes:
        rendered = render.render(query, answer, render.limit(query, udp))
        self.counters.add("dns_answers", rcode=codes.rcode_text(answer.rcode))
        options = query.edns.options if query.edns is not None else ()
        fits = len(rendered.data) <= bounds.MAX_KEPT_REPLY
        if answer.keep and fits and not answer.expiring and rendered.min_ttl and not options and not answer.is_failure:
            lifetime = rendered.min_ttl * self._keep
            # Without what may stand behind the question, or one question could fill the cache.
            self.packets.put(key(packet[: query.length], udp), rendered.data, rendered.ttls, query.qname, self.now(), lifetime)
        return rendered.data


def key(packet: bytes, udp: bool) -> Key:
    """A question's key in the packet cache: all behind the ID, and the transport, as a TCP reply may be too long for UDP.

    The kind of the key tells the transport: whatever stood in the octets, a client could send over the other.
    """
    return packet[2:] if udp else packet[2:].decode("latin-1")
