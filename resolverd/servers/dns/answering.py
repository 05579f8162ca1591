"""What UDP and TCP have in common: from a question's octets to its reply's, and what of it is remembered."""

import logging
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol, TypeAlias

from resolverd import bounds, logs
from resolverd.clock import Clock
from resolverd.generation import Generation
from resolverd.metrics import Counters
from resolverd.resolver.ports import Waiting
from resolverd.servers.access import AccessControl, AccessDecision
from resolverd.servers.dns.options import Options, cookie_of
from resolverd.wire import codes, render
from resolverd.wire.answer import Answer, ExtendedError
from resolverd.wire.names import Name, lower
from resolverd.wire.peek import Query, Refusal, peek
from resolverd.wire.redact import Redactor
from resolverd.wire.render import ReplyOptions
from resolverd.zones.answer import Answerer

log = logging.getLogger(__name__)

_PROHIBITED = ExtendedError(codes.EDE_PROHIBITED)
_INTERNAL = ExtendedError(codes.EDE_OTHER, "internal error")
_OWN = ExtendedError(codes.EDE_NOT_AUTHORITATIVE, "this resolver asks itself")
_NO_KEYS = Redactor()
_WITH_COOKIE = 12 + 5 + 11 + 12
"""Octets that a packet with a question and a client's cookie has at least."""

PacketKey: TypeAlias = bytes | str

Done: TypeAlias = Callable[[bytes | None], object]
"""Called once with a reply's octets; None for silence."""


class Packets(Protocol):
    """Prepared replies by a question's octets (`resolver.cache.packets`)."""

    def get(self, key: PacketKey, now: float) -> bytes | bytearray | None:
        """The reply's octets behind the ID, to be copied or sent at once."""
        ...

    @property
    def generation(self) -> Generation:
        """That of what replies are made of."""
        ...

    def put(
        self, key: PacketKey, reply: bytes, offsets: tuple[int, ...], name: Name, now: float, lifetime: float, begun: int
    ) -> None:
        """Remember a reply, unless its question came in an earlier generation."""
        ...


class Unanswered(NamedTuple):
    """A question that has to be asked for (`Responder.ask`): as it came, as it was read, and the options of its reply."""

    packet: bytes
    query: Query
    udp: bool
    options: ReplyOptions


class Responder:
    """Takes packets, gives packets. One for all sockets; a reload puts another answerer in its place.

    What else a socket calls may raise, where there is a bug: its packet gets what `failed` gives then, and the next its own.
    """

    def __init__(
        self,
        answerer: Answerer,
        packets: Packets,
        access: AccessControl,
        clock: Clock,
        counters: Counters,
        keep: float,
        redactor: Redactor = _NO_KEYS,
        is_own: Callable[[Query, bytes], bool] | None = None,
    ):
        """`keep`: the share of a TTL for which a prepared reply is used; behind it the record cache sees the question again.

        `redactor`: how names are shown in the log. `is_own`: whether a question with this cookie is one of our own.
        """
        self.packets = packets
        self.access = access
        self.counters = counters
        self.now = clock.monotonic
        self.answerer = answerer
        self.redactor = redactor
        self.keep = keep
        self._options = Options(clock)
        self._is_own = is_own
        self._answers = counters.counts("dns_answers", "rcode", codes.rcode_text)
        self._misses = counters.count("dns_cache_misses")
        self._seconds = counters.histogram("dns_answer_seconds")

    def limited(self, packet: bytes, address: bytes) -> bytes | Query | None:
        """The reply to a datagram of a client whose network is over its rate, or None for silence.

        Its address may be forged, and then it is the victim who would be answered, or whom the rate has been spent for. So a
        cookie of ours takes it back to a rate of its own (then the question, to be answered), and without one of ours BADCOOKIE
        is the way to it, within that rate too: it is hardly larger than the question (RFC 7873 §5.2.3, §5.2.4).
        """
        query = peek(packet) if len(packet) >= _WITH_COOKIE and packet[11] else None
        proven = self._options.is_proven(query, address) if isinstance(query, Query) else None
        if proven is None or not self.access.allows_alone(address, self.now()):
            self.counters.add("dns_limited")
            return None
        assert isinstance(query, Query)
        if proven:
            return query
        options = self._options.reply(query, address, udp=True, encrypted=False)
        if options is None:
            return None
        self._answers[codes.BADCOOKIE][0] += 1
        return render.refuse(Refusal(query.id, query.flags, codes.BADCOOKIE, query), options=options)

    def refuse(self, packet: bytes, admission: AccessDecision) -> bytes | None:
        """The reply to a client that may not ask, or not now; None for what deserves silence."""
        if admission is AccessDecision.LIMITED:
            self.counters.add("dns_limited")
            return None
        query = peek(packet)
        if query is None:
            return None
        self.counters.add("dns_refused")
        if isinstance(query, Refusal):
            return render.refuse(query)
        return render.refuse(Refusal(query.id, query.flags, codes.REFUSED, query), _PROHIBITED)

    def try_cached(self, packet: bytes, udp: bool, address: bytes, encrypted: bool = False) -> bytes | Unanswered | None:
        """The reply where it needs no waiting, the question where it has to be asked for (`ask`), or None for silence.

        `address`: the client's, in octets.
        """
        reply = self.answerer.reply(packet)
        if reply is not None:
            self._answers[reply[3] & 15][0] += 1
            return reply
        query = peek(packet)
        if query is None:
            return None
        if isinstance(query, Refusal):
            self.counters.add("dns_malformed", rcode=codes.rcode_text(query.rcode))
            return render.refuse(query)
        options = render.NO_OPTIONS
        if query.edns is not None and query.edns.options:
            found = self._options.reply(query, address, udp=udp, encrypted=encrypted)
            if found is None:
                self.counters.add("dns_malformed", rcode=codes.rcode_text(codes.FORMERR))
                return render.refuse(Refusal(query.id, query.flags, codes.FORMERR, query))
            options = found
            cookie = cookie_of(query)
            if cookie is not None and self._is_own is not None and self._is_own(query, cookie):
                return render.refuse(Refusal(query.id, query.flags, codes.REFUSED, query), _OWN)
        question = Unanswered(packet, query, udp, options)
        answer = self.answerer.try_cached(query)
        return question if answer is None else self._reply(question, answer, self.packets.generation.number)

    def ask(self, question: Unanswered, local: bool, done: Done) -> bytes | Waiting | None:
        """The reply to a question that `try_cached` has none for, or who waits for it: `done` is called with it.

        `local`: the client is on this machine. Never raises.
        """
        begun = self.packets.generation.number
        try:
            on_answer = partial(self._on_answer, question, begun, self.now(), done)
            answer = self.answerer.ask(question.query, on_answer, local=local)
            if isinstance(answer, Answer):
                self._misses[0] += answer.is_failure
                return self._reply(question, answer, begun)
            self._misses[0] += 1
            return answer
        except Exception as error:
            return self.failed(question.packet, error)

    def _on_answer(self, question: Unanswered, begun: int, since: float, done: Done, answer: Answer | Exception) -> None:
        self._seconds.observe(self.now() - since)
        try:
            if isinstance(answer, Exception):
                raise answer
            reply: bytes | None = self._reply(question, answer, begun)
        except Exception as error:
            reply = self.failed(question.packet, error)
        done(reply)

    def failed(self, packet: bytes, error: Exception) -> bytes | None:
        """The reply to a packet at which a bug was met (`failures`): SERVFAIL, or silence as for any that deserves it.

        Never raises. Where the packet cannot be read, SERVFAIL is its header alone.
        """
        reply: bytes | None
        try:
            query = peek(packet)
            if isinstance(query, Query):
                name = lower(query.qname)
                what = f"{self.redactor.text(name)} {codes.type_text(query.qtype)}"
                private = self.redactor.is_private(name)
                reply = render.refuse(Refusal(query.id, query.flags, codes.SERVFAIL, query), _INTERNAL)
            else:
                what, private = "a packet", True
                reply = None if query is None else render.refuse(query)
        except Exception:
            what, private, reply = "a packet", True, _bare_servfail(packet)
        logs.bug(log, self.counters, "dns", "answering %s failed", what, error=error, private=private)
        if reply is not None:
            self._answers[reply[3] & 15][0] += 1
        return reply

    def _reply(self, question: Unanswered, answer: Answer, begun: int) -> bytes:
        packet, query, udp, options = question
        rendered = render.render(query, answer, render.limit(query, udp), options)
        self._answers[answer.rcode][0] += 1
        given = query.edns.options if query.edns is not None else ()
        fits = len(rendered.data) <= bounds.MAX_KEPT_REPLY
        if answer.keep and fits and not answer.expiring and rendered.min_ttl and not given and not answer.is_failure:
            lifetime = rendered.min_ttl * self.keep
            # Without what may stand behind the question, or one question could fill the cache.
            as_asked = key(packet[: query.length], udp)
            self.packets.put(as_asked, rendered.data, rendered.ttls, query.qname, self.now(), lifetime, begun)
        return rendered.data


def _bare_servfail(packet: bytes) -> bytes | None:
    """SERVFAIL to a packet of which nothing but the header is read; None for a reply, and for what is shorter."""
    if len(packet) < 12 or packet[2] & 0x80:
        return None
    return packet[:2] + bytes((0x80 | packet[2] & 0x79, codes.SERVFAIL)) + bytes(8)


def key(packet: bytes, udp: bool) -> PacketKey:
    """A question's key in the packet cache: all behind the ID, and the transport, as a TCP reply may be too long for UDP.

    The kind of the key tells the transport: whatever stood in the octets, a client could send over the other.
    """
    return packet[2:] if udp else packet[2:].decode("latin-1")
