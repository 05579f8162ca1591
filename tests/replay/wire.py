"""Messages octet by octet: records stand alone, in their order, with rdata as it is; nothing is merged, sorted or mended.

dnspython helps with names and with the forms of rdata, but doesn't decide what may stand in a message.
"""

import struct
from dataclasses import dataclass, field
from functools import cached_property

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.wire

FLAGS = {"QR": 0x8000, "AA": 0x400, "TC": 0x200, "RD": 0x100, "RA": 0x80, "AD": 0x20, "CD": 0x10}
SHOWN = sum(FLAGS.values())
SECTIONS = ("ANSWER", "AUTHORITY", "ADDITIONAL")
DO = 0x8000
OPT = 41
EDE = 15
_SIGNATURE = 46

Question = tuple[dns.name.Name, int, int]
"""Name, type, class."""


class Malformed(ValueError):
    """No DNS message."""


@dataclass(frozen=True)
class Record:
    """One record; its rdata has no compressed names."""

    owner: dns.name.Name
    rclass: int
    rtype: int
    ttl: int
    data: bytes

    @cached_property
    def key(self) -> tuple[str, int, int, bytes]:
        """What it says, the letter case of names aside."""
        rclass, rtype = dns.rdataclass.RdataClass(self.rclass), dns.rdatatype.RdataType.make(self.rtype)
        try:
            rdata = dns.rdata.from_wire(rclass, rtype, self.data, 0, len(self.data))
            slots = {slot for kind in type(rdata).__mro__ for slot in getattr(kind, "__slots__", ())}
            names = {slot: name.canonicalize() for slot in slots if isinstance(name := getattr(rdata, slot), dns.name.Name)}
            data = rdata.replace(**names).to_wire()
        except (dns.exception.DNSException, ValueError):
            data = None
        return self.owner.to_text().lower(), self.rclass, self.rtype, self.data if data is None else data

    @property
    def covered(self) -> int:
        """The type that it is about: that covered by a signature, else its own."""
        return int.from_bytes(self.data[:2]) if self.rtype == _SIGNATURE else self.rtype

    @property
    def is_expanded(self) -> bool:
        """Whether it is the signature of something expanded from a wildcard (RFC 4034 §3.1.3)."""
        labels = len(self.owner) - 1 - (self.owner.labels[0] == b"*")
        return self.rtype == _SIGNATURE and self.data[3] < labels

    @property
    def text(self) -> str:
        """Its presentation form."""
        rclass, rtype = dns.rdataclass.RdataClass(self.rclass), dns.rdatatype.RdataType.make(self.rtype)
        try:
            text = dns.rdata.from_wire(rclass, rtype, self.data, 0, len(self.data)).to_text()
        except (dns.exception.DNSException, ValueError):
            text = f"\\# {len(self.data)} {self.data.hex()}"
        return f"{self.owner} {self.ttl} {dns.rdataclass.to_text(rclass)} {dns.rdatatype.to_text(rtype)} {text}"

    def __str__(self) -> str:
        return self.text if len(self.text) < 100 else self.text[:97] + "…"


@dataclass
class Message:
    """`flags` without opcode and RCODE; `edns` is the version of the OPT record, None without one, `options` its octets."""

    ident: int = 0
    flags: int = 0
    opcode: int = 0
    rcode: int = 0
    question: Question | None = None
    sections: dict[str, list[Record]] = field(default_factory=lambda: {name: [] for name in SECTIONS})
    edns: int | None = None
    edns_size: int = 4096
    do: bool = False
    options: bytes = b""

    def to_wire(self) -> bytes:
        """Its octets; names are not compressed."""
        flags = self.flags | self.opcode << 11 | self.rcode & 15
        counts = [len(records) for records in self.sections.values()]
        counts[2] += self.edns is not None
        out = struct.pack("!6H", self.ident, flags, self.question is not None, *counts)
        if self.question is not None:
            name, rtype, rclass = self.question
            out += name.to_wire() + struct.pack("!HH", rtype, rclass)  # type: ignore[operator]
        for records in self.sections.values():
            for each in records:
                fixed = struct.pack("!HHIH", each.rtype, each.rclass, each.ttl, len(each.data))
                out += each.owner.to_wire() + fixed + each.data  # type: ignore[operator]
        if self.edns is not None:
            ttl = self.rcode >> 4 << 24 | self.edns << 16 | (DO if self.do else 0)
            out += b"\0" + struct.pack("!HHIH", OPT, self.edns_size, ttl, len(self.options)) + self.options
        return out

    @property
    def errors(self) -> dict[int, str]:
        """Its Extended DNS Errors (RFC 8914): their texts by code."""
        errors, options = {}, dns.wire.Parser(self.options)
        while options.remaining():
            code, length = options.get_struct("!HH")
            data = options.get_bytes(length)
            if code == EDE:
                errors[int.from_bytes(data[:2])] = data[2:].decode(errors="replace")
        return errors


def read(octets: bytes) -> Message:
    """A message from its octets. Raises Malformed."""
    try:
        parser = dns.wire.Parser(octets)
        ident, flags, questions, *counts = parser.get_struct("!6H")
        out = Message(ident, flags & SHOWN, flags >> 11 & 15, flags & 15)
        if questions > 1:
            raise Malformed(f"{questions} questions")
        if questions:
            out.question = (parser.get_name(decompress=True), *parser.get_struct("!HH"))  # type: ignore[assignment]
        for section, count in zip(SECTIONS, counts, strict=True):
            for _ in range(count):
                _record(parser, octets, out, section)
    except dns.exception.DNSException as error:
        raise Malformed(str(error) or type(error).__name__) from None
    return out


def _record(parser: dns.wire.Parser, octets: bytes, out: Message, section: str) -> None:
    owner = parser.get_name(decompress=True)
    rtype, rclass, ttl, length = parser.get_struct("!HHIH")
    at = parser.current
    data = parser.get_bytes(length)
    if rtype == OPT:
        out.edns, out.edns_size, out.do, out.options = ttl >> 16 & 255, rclass, bool(ttl & DO), data
        out.rcode |= ttl >> 24 << 4
        return
    try:
        # Compressed names are written out.
        rdata = dns.rdata.from_wire(dns.rdataclass.RdataClass(rclass), dns.rdatatype.RdataType.make(rtype), octets, at, length)
        data = rdata.to_wire() or b""
    except (dns.exception.DNSException, ValueError):
        pass
    out.sections[section].append(Record(owner, rclass, rtype, ttl, data))
