"""Reading a message from a server: octets to RRsets, within a budget that no crafted message can exceed.

Names may be compressed by pointers (RFC 1035 §4.1.4). Ours must point strictly backwards, a name may take
`bounds.MAX_POINTER_HOPS` of them, and a whole message `bounds.MESSAGE_NAME_BUDGET` labels and hops: the aggregate stops the
"staircase", thousands of records whose owners all point at one long chain of pointers (CVE-2026-96405 and its kin).

Servers make mistakes, and a packet may end early. What stands before a fault and is whole is read all the same, and a record
whose length tells where the next begins costs nobody but itself; `Message.whole` tells how much of it can be relied on.
"""

from struct import Struct
from struct import error as struct_error

from resolverd import bounds
from resolverd.values import Value
from resolverd.wire import codes, rdata
from resolverd.wire.names import MAX_NAME, Name, lower
from resolverd.wire.rrset import RRset

_HEADER = Struct("!6H")
_QUESTION = Struct("!HH")
_RECORD = Struct("!HHIH")
_ADDRESS_LENGTHS = {codes.A: 4, codes.AAAA: 16}


class Malformed(ValueError):
    """Octets that are no DNS message, or one that is out of bounds; the text says where it breaks."""


class Excessive(Malformed):
    """More work than any honest message takes."""


class Edns(Value, frozen=True):
    """An OPT record's content (RFC 6891 §6.1): the sender's UDP size, version, DO, and options as (code, data)."""

    size: int
    version: int = 0
    do: bool = False
    options: tuple[tuple[int, bytes], ...] = ()


class Message(Value, frozen=True):
    """A whole message. `flags` is the header's second word; `rcode` includes the OPT record's upper bits.

    `qname` is None where there is no question. RRSIGs are within the RRset that they cover; without one they stand as
    RRsets of their own. `whole`: how many sections, from the answer on, are as announced and without a faulty record; of the
    others some records may be missing.
    """

    id: int
    flags: int
    rcode: int
    qname: Name | None
    qtype: int
    qclass: int
    answer: tuple[RRset, ...]
    authority: tuple[RRset, ...]
    additional: tuple[RRset, ...]
    edns: Edns | None
    whole: int = 3

    @property
    def aa(self) -> bool:
        """Authoritative answer."""
        return bool(self.flags & codes.AA)

    @property
    def tc(self) -> bool:
        """Truncated."""
        return bool(self.flags & codes.TC)


class MessageReader:
    """Names and fields of one message; holds the budget that all its names share."""

    __slots__ = ("_budget", "_known", "data")

    def __init__(self, data: bytes):
        self.data = data
        self._known: dict[int, Name] = {}
        self._budget = bounds.MESSAGE_NAME_BUDGET

    def name(self, at: int) -> tuple[Name, int]:
        """The name at this offset and the offset behind it. Raises Malformed."""
        data = self.data
        if data[at] >= 192 and (known := self._known.get((data[at] & 63) << 8 | data[at + 1])) is not None:
            # Nearly every name is nothing but a pointer to one that has been read, so further up.
            self._spend(1)
            return known, at + 2
        start = lowest = at
        end = -1
        parts: list[bytes] = []
        jumps: list[tuple[int, int]] = []
        steps = 0
        try:
            while True:
                length = data[at]
                steps += 1
                if length == 0:
                    parts.append(b"\x00")
                    at += 1
                    break
                if length < 64:
                    at += 1 + length
                    parts.append(data[at - 1 - length : at])
                    if len(parts) > 128:
                        raise Malformed("name of more than 127 labels")
                elif length >= 192:
                    target = (length & 63) << 8 | data[at + 1]
                    if end < 0:
                        end = at + 2
                    if target >= lowest:
                        raise Malformed("pointer that does not point backwards")
                    known = self._known.get(target)
                    if known is not None:
                        parts.append(known)
                        break
                    jumps.append((target, len(parts)))
                    if len(jumps) > bounds.MAX_POINTER_HOPS:
                        raise Excessive("too many pointers in a name")
                    at = lowest = target
                else:
                    raise Malformed("reserved label type")
        except (Malformed, IndexError):
            # A faulty name has cost as much, and there may be thousands.
            self._spend(steps)
            raise
        self._spend(steps)
        name = b"".join(parts)
        if len(name) > MAX_NAME:
            raise Malformed(f"name of {len(name)} octets")
        if end < 0:
            end = at
        self._known[start] = name
        for target, first in jumps:
            self._known[target] = b"".join(parts[first:])
        return name, end

    def _spend(self, steps: int) -> None:
        self._budget -= steps
        if self._budget < 0:
            raise Excessive("too many labels and pointers in a message")

    def rdata(self, rtype: int, at: int, length: int) -> bytes:
        """A record's rdata with its names uncompressed. Raises Malformed."""
        end = at + length
        if end > len(self.data):
            raise Malformed("rdata runs past the message")
        layout = rdata.LAYOUTS.get(rtype)
        if layout is None:
            return self.data[at:end]
        parts: list[bytes] = []
        for field in layout:
            if field == rdata.NAME:
                name, at = self.name(at)
                parts.append(name)
            else:
                size = field if field != rdata.STRING else 1 + self.data[at]
                parts.append(self.data[at : at + size])
                at += size
            if at > end:
                raise Malformed("field runs past the rdata")
        if at < end:
            if rtype not in (codes.SIG, codes.NXT):
                raise Malformed("octets behind the last field of rdata")
            parts.append(self.data[at:end])
        return b"".join(parts)


def parse(data: bytes) -> Message:
    """A message from its octets. Raises Malformed where header or question cannot be read, or the work is out of bounds.

    With TC set neither can be missed: such a message has nothing to say but that it is cut.
    """
    if len(data) < 12:
        raise Malformed("shorter than a header")
    ident, flags, questions, *counts = _HEADER.unpack_from(data)
    reader = MessageReader(data)
    try:
        qname, qtype, qclass, at = _question(reader, questions)
    except (Malformed, IndexError) as error:
        if not flags & codes.TC or isinstance(error, Excessive):
            raise Malformed("question cannot be read") from error
        return Message(ident, flags, flags & 15, None, 0, 0, (), (), (), None, 0)
    sections = _Sections(reader, at)
    for count in counts:
        sections.read(count)
    answer, authority, additional = sections.rrsets
    edns = sections.edns
    rcode = flags & 15 | (sections.upper_rcode if edns is not None else 0)
    return Message(ident, flags, rcode, qname, qtype, qclass, answer, authority, additional, edns, sections.whole)


def _question(reader: MessageReader, questions: int) -> tuple[Name | None, int, int, int]:
    if questions > 1:
        raise Malformed("more than one question")
    if not questions:
        return None, 0, 0, 12
    qname, at = reader.name(12)
    if at + 4 > len(reader.data):
        raise Malformed("question ends early")
    qtype, qclass = _QUESTION.unpack_from(reader.data, at)
    return qname, qtype, qclass, at + 4


class _Sections:
    """The sections behind the question, as far as they can be read."""

    def __init__(self, reader: MessageReader, at: int):
        self._reader = reader
        self._at = at
        self._ended = False
        self._faulty = False
        self.rrsets: list[tuple[RRset, ...]] = []
        self.whole = 0
        self.edns: Edns | None = None
        self.upper_rcode = 0

    def read(self, count: int) -> None:
        """The next section, of so many records. Raises Excessive."""
        if not count:
            self.rrsets.append(())
            self.whole += not self._faulty
            return
        gather = _Gather()
        for _ in range(count):
            if self._ended:
                break
            try:
                self._record(gather)
            except (Malformed, IndexError, struct_error) as error:
                if isinstance(error, Excessive):
                    raise
                # Nobody knows where the next one would begin.
                self._ended = self._faulty = True
        self.rrsets.append(gather.rrsets())
        self.whole += not self._faulty

    def _record(self, gather: "_Gather") -> None:
        reader = self._reader
        data = reader.data
        owner, at = reader.name(self._at)
        rtype, rclass, ttl, length = _RECORD.unpack_from(data, at)
        at += 10
        if at + length > len(data):
            raise Malformed("rdata runs past the message")
        self._at = at + length
        if rtype == codes.OPT:
            # It belongs to the root's name, to the last section, and there is one (RFC 6891 §6.1.1). Servers have been seen
            # to get each of these wrong, and a wrong count of the records before it moves it into another section.
            if self.edns is None:
                found = options(data, at, length, strict=False)
                self.edns = Edns(max(rclass, 512), ttl >> 16 & 255, bool(ttl & codes.DO), found)
                self.upper_rcode = ttl >> 24 << 4
            return
        if rclass != codes.IN:
            return
        try:
            if length != _ADDRESS_LENGTHS.get(rtype, length):
                raise Malformed("address of another length")
            gather.add(owner, rtype, ttl, reader.rdata(rtype, at, length))
        except (Malformed, IndexError) as error:
            # One bad record is no reason to lose its neighbours.
            if isinstance(error, Excessive):
                raise
            self._faulty = True


def options(data: bytes, at: int, length: int, *, strict: bool = True) -> tuple[tuple[int, bytes], ...]:
    """EDNS options, each code once and at most `bounds.MAX_EDNS_OPTIONS` (CVE-2026-41292, -42944).

    Raises Malformed for one that runs past its record; not `strict`, those before it count.
    """
    end = at + length
    if end > len(data):
        raise Malformed("OPT runs past the message")
    found: dict[int, bytes] = {}
    while at < end:
        code, size = _QUESTION.unpack_from(data, at) if at + 4 <= end else (0, 0)
        at += 4
        if at + size > end:
            if strict:
                raise Malformed("EDNS option runs past OPT")
            break
        found.setdefault(code, data[at : at + size])
        at += size
        if len(found) >= bounds.MAX_EDNS_OPTIONS:
            break
    return tuple(found.items())


class _Gather:
    """Collects a section's records into RRsets, in order of first appearance."""

    def __init__(self) -> None:
        self._sets: dict[tuple[Name, int], tuple[Name, int, dict[bytes, None]]] = {}
        self._sigs: dict[tuple[Name, int], list[tuple[Name, int, bytes]]] = {}

    def add(self, owner: Name, rtype: int, ttl: int, data: bytes) -> None:
        # RFC 2181 §8: a TTL with the top bit set counts as zero.
        if ttl & 0x80000000:
            ttl = 0
        if rtype == codes.RRSIG and len(data) > 18:
            self._sigs.setdefault((lower(owner), int.from_bytes(data[:2])), []).append((owner, ttl, data))
            return
        key = lower(owner), rtype
        entry = self._sets.get(key)
        if entry is None:
            self._sets[key] = owner, ttl, {data: None}
        else:
            # RFC 2181 §5.2: differing TTLs within an RRset: the smallest counts. §5: duplicates are one.
            entry[2][data] = None
            if ttl < entry[1]:
                self._sets[key] = entry[0], ttl, entry[2]

    def rrsets(self) -> tuple[RRset, ...]:
        out = []
        for key, (owner, ttl, datas) in self._sets.items():
            sigs = self._sigs.pop(key, ())
            out.append(RRset(owner, key[1], ttl, tuple(datas), tuple(sig[2] for sig in sigs)[: bounds.MAX_SIGNATURES]))
        for orphans in self._sigs.values():
            ttl = min(orphan[1] for orphan in orphans)
            out.append(RRset(orphans[0][0], codes.RRSIG, ttl, tuple(orphan[2] for orphan in orphans)))
        return tuple(out)
