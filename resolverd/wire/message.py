"""Reading a message from a server: octets to RRsets, within a budget that no crafted message can exceed.

Names may be compressed by pointers (RFC 1035 §4.1.4). Ours must point strictly backwards, a name may take
`bounds.MAX_POINTER_HOPS` of them, and a whole message `bounds.MESSAGE_NAME_BUDGET` labels and hops: the aggregate stops the
"staircase", thousands of records whose owners all point at one long chain of pointers (CVE-2026-96405 and its kin).

Servers make mistakes, and a packet may end early. What stands before a fault and is whole is read all the same, and a record
whose length tells where the next begins costs nobody but itself; `Message.whole` tells how much of it can be relied on.
"""

from collections.abc import Collection
from struct import Struct
from struct import error as struct_error

from resolverd import bounds
from resolverd.values import Value, replace
from resolverd.wire import codes, rdata
from resolverd.wire.names import MAX_NAME, ROOT, Name
from resolverd.wire.rrset import RRset

_HEADER = Struct("!6H")
_QUESTION = Struct("!HH")
_RECORD = Struct("!HHIH")
_POINTER = 0xC000
"""The least of two octets that are a pointer (RFC 1035 §4.1.4)."""
_NAMES = frozenset({codes.NS, codes.CNAME, codes.PTR})
"""Common types whose rdata is a name and nothing else."""
_TOO_MUCH = "too many labels and pointers in a message"


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

    Owners are in lower case. `qname` is None where there is no question. RRSIGs are within the RRset that they cover; without
    one they stand as an RRset of their own. `whole`: how many sections, from the answer on, are as announced and without a
    faulty record; of the others some records may be missing.
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

    __slots__ = ("_budget", "data", "known")

    def __init__(self, data: bytes):
        self.data = data
        self.known: dict[int, Name] = {}
        """Names by the offsets at which they begin."""
        self._budget = bounds.MESSAGE_NAME_BUDGET

    def name(self, at: int) -> tuple[Name, int]:
        """The name at this offset and the offset behind it. Raises Malformed, or IndexError where the message ends early."""
        data, start, steps = self.data, at, 1
        try:
            while 0 < (length := data[at]) < 64:
                at += 1 + length
                steps += 1
                if at - start >= MAX_NAME:
                    raise Malformed(f"name of more than {MAX_NAME} octets")
            if not length:
                name, end = data[start : at + 1], at + 1
            elif length >= 192:
                target, end = (length & 63) << 8 | data[at + 1], at + 2
                name = self.known.get(target) or self._follow(target, start)
                if at == start:
                    return name, end
                name = data[start:at] + name
            else:
                raise Malformed("reserved label type")
        finally:
            # A faulty name has cost as much, and there may be thousands.
            self._budget -= steps
            if self._budget < 0:
                raise Excessive(_TOO_MUCH)
        if len(name) > MAX_NAME:
            raise Malformed(f"name of {len(name)} octets")
        self.known[start] = name
        return name, end

    def _follow(self, target: int, lowest: int) -> Name:
        """The name to which a pointer leads that stands in a name begun at `lowest`. Raises as `name` does."""
        data, known = self.data, self.known
        parts: list[bytes] = []
        jumps: list[int] = []
        steps = size = 0
        try:
            while True:
                if target >= lowest:
                    raise Malformed("pointer that does not point backwards")
                if (tail := known.get(target)) is not None:
                    parts.append(tail)
                    break
                jumps.append(target)
                if len(jumps) > bounds.MAX_POINTER_HOPS:
                    raise Excessive("too many pointers in a name")
                at = lowest = target
                while 0 < (length := data[at]) < 64:
                    at += 1 + length
                    steps += 1
                    if size + at - lowest >= MAX_NAME:
                        raise Malformed(f"name of more than {MAX_NAME} octets")
                steps += 1
                if not length:
                    parts.append(data[lowest : at + 1])
                    break
                if length < 192:
                    raise Malformed("reserved label type")
                parts.append(data[lowest:at])
                size += at - lowest
                target = (length & 63) << 8 | data[at + 1]
        finally:
            self.spend(steps)
        name = b"".join(parts)
        behind = 0
        for offset, part in zip(jumps, parts, strict=False):
            known[offset] = name[behind:]
            behind += len(part)
        return name

    def spend(self, steps: int) -> None:
        """So many labels and pointers have been read. Raises Excessive."""
        self._budget -= steps
        if self._budget < 0:
            raise Excessive(_TOO_MUCH)

    def rdata(self, rtype: int, at: int, length: int) -> bytes:
        """The rdata, within the message, of a type of `rdata.LAYOUTS`, its names uncompressed. Raises as `name` does."""
        end = at + length
        parts: list[bytes] = []
        for field in rdata.LAYOUTS[rtype]:
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
            if rtype not in rdata.OPEN_ENDED:
                raise Malformed("octets behind the last field of rdata")
            parts.append(self.data[at:end])
        return b"".join(parts)


def parse(data: bytes) -> Message:
    """A message from its octets. Raises Malformed where header or question cannot be read, or the work is out of bounds.

    Owners are in lower case. With TC set neither header nor question can be missed: such a message has nothing to say but that
    it is cut.
    """
    if len(data) < 12:
        raise Malformed("shorter than a header")
    ident, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(data)
    reader = MessageReader(data)
    qname, qtype, qclass, at = None, 0, 0, 12
    try:
        if questions > 1:
            raise Malformed("more than one question")
        if questions:
            qname, at = reader.name(12)
            qtype, qclass = _QUESTION.unpack_from(data, at)
            at += 4
    except (Malformed, IndexError, struct_error) as error:
        if not flags & codes.TC or isinstance(error, Excessive):
            raise Malformed("question cannot be read") from error
        return Message(ident, flags, flags & 15, None, 0, 0, (), (), (), None, 0)
    sections = _Sections(reader, at)
    answer, authority, additional = sections.read(answers), sections.read(authorities), sections.read(additionals)
    rcode = flags & 15 | sections.upper_rcode
    return Message(ident, flags, rcode, qname, qtype, qclass, answer, authority, additional, sections.edns, sections.whole)


class _Sections:
    """The sections behind the question, as far as they can be read."""

    __slots__ = ("_at", "_ended", "_faulty", "_owners", "_reader", "edns", "upper_rcode", "whole")

    def __init__(self, reader: MessageReader, at: int):
        self._reader = reader
        self._at = at
        self._ended = False
        self._faulty = False
        self._owners: dict[int, Name] = {}
        """Owners in lower case, by the pointers that name them."""
        self.whole = 0
        self.edns: Edns | None = None
        self.upper_rcode = 0

    def read(self, count: int) -> tuple[RRset, ...]:
        """The RRsets of the next section, which is of so many records, in order of first appearance. Raises Excessive."""
        if not count or self._ended:
            self.whole += not self._faulty
            return ()
        reader, owners, at = self._reader, self._owners, self._at
        data, unpack, layouts, lengths = reader.data, _RECORD.unpack_from, rdata.LAYOUTS, rdata.ADDRESS_LENGTHS
        known = reader.known
        found: dict[tuple[Name, int], RRset] = {}
        repeated: dict[tuple[Name, int], list[bytes]] = {}
        signed, pointers = False, 0
        try:
            for _ in range(count):
                pointer = data[at] << 8 | data[at + 1]
                owner = owners.get(pointer)
                if owner is not None:
                    # Nearly every owner is nothing but a pointer to one that has been read.
                    pointers += 1
                    at += 2
                elif pointer >= _POINTER and (name := known.get(pointer & 0x3FFF, b"")):
                    owner = owners[pointer] = name.lower()
                    pointers += 1
                    at += 2
                elif not data[at]:
                    owner = ROOT
                    pointers += 1
                    at += 1
                else:
                    name, at = reader.name(at)
                    owner = name.lower()
                    if pointer >= _POINTER:
                        owners[pointer] = owner
                rtype, rclass, ttl, length = unpack(data, at)
                begin, at = at + 10, at + 10 + length
                if at > len(data):
                    raise Malformed("rdata runs past the message")
                if rtype == codes.OPT:
                    self._read_opt(rclass, ttl, begin, length)
                    continue
                if rclass != codes.IN:
                    continue
                # One bad record is no reason to lose its neighbours.
                octets = data[begin:at]
                if rtype in layouts:
                    try:
                        if rtype in _NAMES:
                            octets, behind = reader.name(begin)
                            if behind != at:
                                raise Malformed("rdata is not as long as its name")
                        else:
                            octets = reader.rdata(rtype, begin, length)
                    except (Malformed, IndexError) as error:
                        if isinstance(error, Excessive):
                            raise
                        self._faulty = True
                        continue
                elif length != lengths.get(rtype, length):
                    self._faulty = True
                    continue
                key = owner, rtype
                if ttl & 0x80000000:
                    ttl = 0  # RFC 2181 §8
                rrset = found.get(key)
                if rrset is None:
                    found[key] = RRset(owner, rtype, ttl, (octets,))
                else:
                    repeated.setdefault(key, [*rrset.rdatas]).append(octets)
                    if ttl < rrset.ttl:
                        found[key] = replace(rrset, ttl=ttl)  # RFC 2181 §5.2: differing TTLs within an RRset
                if rtype == codes.RRSIG:
                    signed = True
        except (Malformed, IndexError, struct_error) as error:
            if isinstance(error, Excessive):
                raise
            # Nobody knows where the next one would begin.
            self._ended = self._faulty = True
        if pointers:
            reader.spend(pointers)
        self._at = at
        self.whole += not self._faulty
        for key, datas in repeated.items():
            found[key] = replace(found[key], rdatas=tuple(dict.fromkeys(datas)))  # duplicates are one (RFC 2181 §5)
        return tuple(_signed(found.values()) if signed else found.values())

    def _read_opt(self, rclass: int, ttl: int, at: int, length: int) -> None:
        # It belongs to the root's name, to the last section, and there is one (RFC 6891 §6.1.1). Servers have been seen
        # to get each of these wrong, and a wrong count of the records before it moves it into another section.
        if self.edns is None:
            found = options(self._reader.data, at, length, strict=False) if length else ()
            self.edns = Edns(max(rclass, 512), ttl >> 16 & 255, bool(ttl & codes.DO), found)
            self.upper_rcode = ttl >> 24 << 4


def _signed(rrsets: Collection[RRset]) -> list[RRset]:
    """The RRsets with the RRSIGs among them that cover them; those that cover none of them stay RRsets of their own."""
    sigs: dict[tuple[Name, int], list[bytes]] = {(each.owner, each.rtype): [] for each in rrsets if each.rtype != codes.RRSIG}
    alone = []
    for each in rrsets:
        if each.rtype == codes.RRSIG:
            covering = [sigs.get((each.owner, int.from_bytes(data[:2]))) if len(data) > 18 else None for data in each.rdatas]
            for data, place in zip(each.rdatas, covering, strict=True):
                if place is not None:
                    place.append(data)
            orphans = tuple(data for data, place in zip(each.rdatas, covering, strict=True) if place is None)
            alone += [replace(each, rdatas=orphans)] if orphans else []
    kept = [each for each in rrsets if each.rtype != codes.RRSIG]
    return [replace(each, sigs=tuple(sigs[each.owner, each.rtype][: bounds.MAX_SIGNATURES])) for each in kept] + alone


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
