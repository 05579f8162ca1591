"""Answers to octets: the one place where a reply takes a client's form (ID, flags, DO, size, compression)."""

from struct import Struct
from typing import Final, NamedTuple

from resolverd import bounds
from resolverd.values import Value
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer, ExtendedError
from resolverd.wire.names import ROOT, Name, lower
from resolverd.wire.peek import Query, Refusal
from resolverd.wire.rrset import RRset, Security

_HEADER = Struct("!6H")
_FIXED = Struct("!HHIH")
_OPTION = Struct("!HH")
_EDE = 15
_COOKIE = 10
_PADDING = 12
_QNAME = b"\xc0\x0c"
"""A pointer to the question's name, which stands behind the header."""
_WITHOUT_RA = (codes.FORMERR, codes.NOTIMP, codes.REFUSED)
"""Answers that are no recursion, and do not claim that it is there for this client or question, unless they say so."""
_DNSSEC = (codes.RRSIG, codes.NSEC, codes.NSEC3, codes.DS)
"""What stands in authority and additional sections for those who validate (RFC 4035 §3.2.1)."""


class ReplyOptions(NamedTuple):
    """EDNS options of a reply beside extended errors: their octets, and of how many octets the padded whole is a multiple."""

    data: bytes = b""
    block: int = 0


NO_OPTIONS: Final = ReplyOptions()


class Rendered(Value, frozen=True):
    """A reply's octets, and for the packet cache the offsets of the TTLs in it and the smallest of them (None: no records)."""

    data: bytes
    ttls: tuple[int, ...]
    min_ttl: int | None
    truncated: bool


def limit(query: Query, udp: bool) -> int:
    """How many octets the reply may have on this transport."""
    if not udp:
        return 65535
    if query.edns is None:
        return bounds.MIN_UDP_SIZE
    return max(bounds.MIN_UDP_SIZE, min(query.edns.size, bounds.MAX_UDP_SIZE))


def render(query: Query, answer: Answer, size: int, options: ReplyOptions = NO_OPTIONS) -> Rendered:
    """The reply to this query, at most `size` octets: with TC and without records where the whole does not fit (RFC 2181 §9)."""
    do = query.do
    flags = codes.QR | query.flags & (codes.RD | codes.CD)
    if answer.rcode not in _WITHOUT_RA or answer.recursion_available:
        flags |= codes.RA
    if answer.aa:
        flags |= codes.AA
    # RFC 6840 §5.7, §5.8: AD only for clients that show that they understand it.
    if answer.security is Security.SECURE and (do or query.flags & codes.AD) and not query.cd:
        flags |= codes.AD
    opt = _opt(query, answer.rcode, answer.errors, options.data) if query.edns is not None else b""
    sections = answer.answer, answer.authority, answer.additional
    if not do and (answer.authority or answer.additional):
        # Whoever has not asked for DNSSEC's records gets them only where they are what he asked for.
        sections = answer.answer, _without_dnssec(answer.authority), _without_dnssec(answer.additional)
    room = size - len(opt)
    # What cannot fit is not written out to find that it does not: a reply costs what it is worth.
    answers, authorities, _ = sections
    # Additional records are a courtesy, and so are a zone's servers beside an answer: without them is not truncated.
    needed = tuple([each for each in authorities if each.rtype != codes.NS]) if answers and authorities else authorities
    truncated = _least(answers, do) + _least(needed, do) > room
    writer = _written(query, do, () if truncated else sections)
    if len(writer.out) > room and sections[2]:
        writer = _written(query, do, (answers, authorities))
    if len(writer.out) > room and len(needed) < len(authorities):
        writer = _written(query, do, (answers, needed))
    if len(writer.out) > room:
        truncated = True
        writer = _written(query, do, ())
    if truncated:
        flags |= codes.TC
    _HEADER.pack_into(
        writer.out, 0, query.id, flags | answer.rcode & 15, 1, writer.counts[0], writer.counts[1], writer.counts[2] + bool(opt)
    )
    writer.out += opt
    if options.block and opt:
        _pad(writer.out, len(opt), options.block, size)
    return Rendered(bytes(writer.out), tuple(writer.ttl_offsets), writer.min_ttl, truncated)


def _without_dnssec(rrsets: tuple[RRset, ...]) -> tuple[RRset, ...]:
    return tuple([rrset for rrset in rrsets if rrset.rtype not in _DNSSEC])


def _least(rrsets: tuple[RRset, ...], dnssec: bool) -> int:
    """Octets that the records take at least, however well their names can be compressed."""
    least = 0
    for rrset in rrsets:
        count = len(rrset.rdatas)
        least += 12 * count + (2 * count if rrset.rtype in rdata.COMPRESSIBLE else sum(map(len, rrset.rdatas)))
        if dnssec and rrset.sigs:
            least += 12 * len(rrset.sigs) + sum(map(len, rrset.sigs))
    return least


def _pad(out: bytearray, opt: int, block: int, size: int) -> None:
    """Pad a reply that ends with an OPT of so many octets (RFC 7830 §3)."""
    count = min(-(len(out) + 4) % block, size - len(out) - 4)
    if count >= 0:
        at = len(out) - opt + 9
        out[at : at + 2] = (opt - 11 + 4 + count).to_bytes(2)
        out += _OPTION.pack(_PADDING, count) + bytes(count)


def refuse(refusal: Refusal, error: ExtendedError | None = None, options: ReplyOptions = NO_OPTIONS) -> bytes:
    """The reply to a packet that is no question we take: header, the question where it could be read, OPT where there was one."""
    flags = codes.QR | refusal.flags & (0x7800 | codes.RD | codes.CD) | refusal.rcode & 15
    query = refusal.query
    if query is None:
        return _HEADER.pack(refusal.id, flags, 0, 0, 0, 0)
    opt = _opt(query, refusal.rcode, (error,) if error else (), options.data)
    return _HEADER.pack(refusal.id, flags, 1, 0, 0, bool(opt)) + query.question + opt


def question(
    ident: int, flags: int, qname: Name, qtype: int, edns_size: int, dnssec: bool, cookie: bytes = b""
) -> bytes:
    """A question as we send it to servers; `edns_size` 0 for no OPT, and then no `cookie` (RFC 6891 §6.1, RFC 7873 §4)."""
    packet = _HEADER.pack(ident, flags, 1, 0, 0, 1 if edns_size else 0) + qname + qtype.to_bytes(2) + b"\x00\x01"
    if edns_size:
        data = _OPTION.pack(_COOKIE, len(cookie)) + cookie if cookie else b""
        packet += b"\x00" + _FIXED.pack(codes.OPT, edns_size, codes.DO if dnssec else 0, len(data)) + data
    return packet


def _opt(query: Query, rcode: int, errors: tuple[ExtendedError, ...], options: bytes) -> bytes:
    # RFC 6891 §7: OPT in a reply only where the query had one; §6.1.4: unknown flags are not echoed.
    if query.edns is None:
        return b""
    for error in errors:
        text = error.text.encode()[:200]
        options += _OPTION.pack(_EDE, 2 + len(text)) + error.code.to_bytes(2) + text
    ttl = rcode >> 4 << 24 | (codes.DO if query.edns.do else 0)
    return b"\x00" + _FIXED.pack(codes.OPT, bounds.MAX_UDP_SIZE, ttl, len(options)) + options


def _written(query: Query, dnssec: bool, sections: tuple[tuple[RRset, ...], ...]) -> "_Writer":
    """Header, question and these sections."""
    writer = _Writer(query, dnssec)
    for place, rrsets in enumerate(sections):
        if rrsets:
            writer.counts[place] = writer.rrsets(rrsets)
    return writer


class _Writer:
    __slots__ = ("_attempts", "_dnssec", "_offsets", "_qname", "counts", "min_ttl", "out", "ttl_offsets")

    def __init__(self, query: Query, dnssec: bool):
        self.out = bytearray(12)
        self.out += query.question
        self._offsets: dict[Name, int] = {}
        self._attempts = bounds.MAX_COMPRESSION_NAMES
        self._dnssec = dnssec
        self._qname = lower(query.qname)
        self.counts = [0, 0, 0]
        self.ttl_offsets: list[int] = []
        self.min_ttl: int | None = None

    def rrsets(self, rrsets: tuple[RRset, ...]) -> int:
        count = 0
        for rrset in rrsets:
            owner = b""
            for data in rrset.rdatas:
                owner = self._record(rrset, rrset.rtype, owner, data)
            count += len(rrset.rdatas)
            if self._dnssec and rrset.sigs:
                for data in rrset.sigs:
                    owner = self._record(rrset, codes.RRSIG, owner, data)
                count += len(rrset.sigs)
        return count

    def _record(self, rrset: RRset, rtype: int, owner: bytes, data: bytes) -> bytes:
        """Write one record; `owner` is the pointer to its owner, empty for the RRset's first. That pointer for the next."""
        out, ttl = self.out, rrset.ttl
        if owner:
            out += owner
        else:
            owner = self._owner(rrset.owner)
        self.ttl_offsets.append(len(out) + 4)
        if self.min_ttl is None or ttl < self.min_ttl:
            self.min_ttl = ttl
        at = len(out)
        out += _FIXED.pack(rtype, codes.IN, ttl, len(data))
        if rtype not in rdata.COMPRESSIBLE:
            out += data
            return owner
        position = 0
        for field in rdata.LAYOUTS[rtype]:
            if field == rdata.NAME:
                name = rdata.name_at(data, position)
                self._name(name)
                position += len(name)
            else:
                out += data[position : position + field]
                position += field
        length = len(out) - at - 10
        out[at + 8 : at + 10] = length.to_bytes(2)
        return owner

    def _owner(self, name: Name) -> bytes:
        """Write an RRset's owner; the pointer with which its further records name it, empty where none reaches it."""
        out = self.out
        if name == self._qname and name != ROOT:
            out += _QNAME
            return _QNAME
        start = len(out)
        self._name(name)
        if len(out) - start <= 2:
            return bytes(out[start:])
        return (0xC000 | start).to_bytes(2) if start < 0x4000 else b""

    def _name(self, name: Name) -> None:
        out = self.out
        if self._attempts <= 0:
            out += name
            return
        self._attempts -= 1
        if not self._offsets:
            self._add_question()
        key = lower(name)
        at = 0
        while key[at]:
            tail = key[at:]
            offset = self._offsets.get(tail)
            if offset is not None:
                out += name[:at]
                out += (0xC000 | offset).to_bytes(2)
                return
            here = len(out) + at
            if here < 0x4000:
                self._offsets[tail] = here
            at += 1 + key[at]
        out += name

    def _add_question(self) -> None:
        """The question's name and those above it can be pointed at."""
        name, at = self._qname, 12
        while name[0]:
            self._offsets[name] = at
            step = 1 + name[0]
            at += step
            name = name[step:]
