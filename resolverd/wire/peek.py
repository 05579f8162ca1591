"""Reading a client's question: the least that tells what is asked, and what the sender of anything else deserves.

The table of wire behaviour (RFC 8906, RFC 9619, RFC 6891): shorter than a header or QR set, silence; other opcodes, NOTIMP;
not exactly one question, two OPT records, anything unreadable, FORMERR; EDNS version above 0, BADVERS. Octets behind the last
record are not looked at: rspamd sends some over TCP, and other resolvers answer it.
"""

from struct import Struct

from resolverd.values import Value
from resolverd.wire import codes
from resolverd.wire.message import Edns, Malformed, MessageReader, options
from resolverd.wire.names import Name

_HEADER = Struct("!6H")
_RECORD = Struct("!HHIH")


class Query(Value, frozen=True):
    """A client's question, as asked. `qname` has the client's letter case; `question` is the section's octets, for the reply.

    `length`: octets of the packet that belong to it.
    """

    id: int
    flags: int
    qname: Name
    qtype: int
    qclass: int
    edns: Edns | None
    question: bytes
    length: int = 0

    @property
    def rd(self) -> bool:
        """Recursion desired."""
        return bool(self.flags & codes.RD)

    @property
    def do(self) -> bool:
        """The client takes DNSSEC records (RFC 3225)."""
        return self.edns is not None and self.edns.do

    @property
    def cd(self) -> bool:
        """Checking disabled: the client validates by itself."""
        return bool(self.flags & codes.CD)


class Refusal(Value, frozen=True):
    """A packet that is no question we take: what to say to it. `query` where it could be read."""

    id: int
    flags: int
    rcode: int
    query: Query | None = None


def peek(packet: bytes) -> Query | Refusal | None:
    """The question of a packet, the refusal it deserves, or None for silence. Never raises."""
    if len(packet) < 12:
        return None
    ident, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(packet)
    if flags & codes.QR:
        # A reply to a reply would let two servers talk for ever.
        return None
    if flags >> 11 & 15 != codes.QUERY:
        return Refusal(ident, flags, codes.NOTIMP)
    if questions != 1 or answers or authorities:
        return Refusal(ident, flags, codes.FORMERR)
    try:
        reader = MessageReader(packet)
        qname, at = reader.name(12)
        at += 4
        if at > len(packet):
            return Refusal(ident, flags, codes.FORMERR)
        question = packet[12:at]
        if len(question) != len(qname) + 4:
            # Before the question there is only the header for a pointer to point at, and the reply's is another: it would ask
            # for another name (RFC 1035 §4.1.4: a pointer is to a prior occurrence of the name).
            return Refusal(ident, flags, codes.FORMERR)
        qtype = packet[at - 4] << 8 | packet[at - 3]
        qclass = packet[at - 2] << 8 | packet[at - 1]
        edns = None
        for _ in range(additionals):
            owner, at = reader.name(at)
            if at + 10 > len(packet):
                raise Malformed("record ends early")
            rtype, rclass, ttl, length = _RECORD.unpack_from(packet, at)
            at += 10
            if rtype == codes.OPT:
                if edns is not None or owner != b"\x00":
                    raise Malformed("OPT twice or not at the root")
                # RFC 6891 §6.2.3: sizes below 512 count as 512.
                edns = Edns(max(rclass, 512), ttl >> 16 & 255, bool(ttl & codes.DO), options(packet, at, length))
            at += length
        if at > len(packet):
            raise Malformed("record runs past the packet")
    except (Malformed, IndexError):
        return Refusal(ident, flags, codes.FORMERR)
    query = Query(ident, flags, qname, qtype, qclass, edns, question, at)
    if edns is not None and edns.version > 0:
        return Refusal(ident, flags, codes.BADVERS, query)
    return query
