"""The codec and dnspython's make the same of the same octets, but where `tests.fuzz.oracle.DIFFERENCES` says why not.

``pytest --hypothesis-profile=thorough`` looks at a hundred times as many.
"""

import struct

import dns.edns
import dns.flags
import dns.message
import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd.wire import codes, message, names, rdata, render
from resolverd.wire.peek import Query, peek
from tests.fuzz import oracle
from tests.fuzz.targets import messages

_COMMON = st.sampled_from([b"a", b"www", b"Example", b"com", b"*", b"\0", b"a.b", b"x" * 63])
_LABEL = st.one_of(_COMMON, st.binary(min_size=1, max_size=63))
_LABELS = st.lists(_LABEL, max_size=8).filter(lambda found: sum(map(len, found)) + len(found) < 255)
_KNOWN = [*rdata.LAYOUTS, 1, 28, 16, 41, 43, 46, 47, 48, 50, 64, 65, 99, 250, 257]
_TYPES = st.one_of(st.sampled_from(_KNOWN), st.integers(1, 300))


@given(_LABELS)
def test_names_are_written_and_read_alike(labels: list[bytes]) -> None:
    ours, theirs = names.from_labels(labels), dns.name.Name((*labels, b""))
    assert ours == theirs.to_wire()
    assert names.from_text(theirs.to_text()) == ours
    assert dns.name.from_text(names.to_text(ours)) == theirs
    assert names.lower(ours) == theirs.canonicalize().to_wire()
    reader = message.MessageReader(ours)
    assert reader.name(0) == (ours, len(ours))


class Packet:
    """Octets of a message that is being made, and where names begin in it."""

    def __init__(self, draw: st.DrawFn):
        self.draw = draw
        self.octets = bytearray()
        self.names = [12]

    def name(self) -> bytes:
        """A name, perhaps with a pointer at its end: mostly to where one begins."""
        labels = self.draw(st.lists(_LABEL, max_size=3))
        spelt = b"".join(bytes((len(label),)) + label for label in labels)
        if not self.draw(st.booleans()):
            return spelt + b"\0"
        target = self.draw(st.one_of(st.sampled_from(self.names), st.integers(0, len(self.octets) + 20)))
        return spelt + (0xC000 | target & 0x3FFF).to_bytes(2)

    def add_name(self) -> None:
        self.names.append(len(self.octets))
        self.octets += self.name()

    def add_record(self) -> None:
        self.add_name()
        rtype = self.draw(_TYPES)
        rclass = self.draw(st.sampled_from([1, 1, 1, 1, 3, 1232]))
        ttl = self.draw(st.sampled_from([0, 300, 1 << 15, 0x80000001]))
        self.octets += struct.pack("!HHI", rtype, rclass, ttl)
        at = len(self.octets)
        self.octets += bytes(2)
        for field in rdata.LAYOUTS.get(rtype, (self.draw(st.sampled_from([0, 4, 16, 20])),)):
            if field == rdata.NAME:
                self.add_name()
            elif field == rdata.STRING:
                text = self.draw(st.binary(max_size=5))
                self.octets += bytes((len(text),)) + text
            else:
                self.octets += self.draw(st.binary(min_size=field, max_size=field))
        length = len(self.octets) - at - 2 + self.draw(st.sampled_from([0] * 12 + [1, -1]))
        self.octets[at : at + 2] = max(length, 0).to_bytes(2)


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """Messages that are nearly sound."""
    packet = Packet(draw)
    counts = [draw(st.integers(0, 3)) for _ in range(3)]
    flags = draw(st.sampled_from([0x8180, 0x8583, 0x8400, 0x8200]))
    packet.octets += struct.pack("!6H", 7, flags, 1, *counts)
    packet.octets += packet.name() + struct.pack("!HH", draw(_TYPES), 1)
    for _ in range(sum(counts)):
        packet.add_record()
    return bytes(packet.octets)


@given(packets())
def test_messages_are_read_alike(data: bytes) -> None:
    assert oracle.compare(data) in ("same", "refused", *oracle.DIFFERENCES)


@given(packets(), st.data())
def test_faulty_messages_are_read_alike(data: bytes, more: st.DataObject) -> None:
    octets = bytearray(data)
    for _ in range(more.draw(st.integers(1, 3))):
        octets[more.draw(st.integers(2, len(octets) - 1))] = more.draw(st.integers(0, 255))
    found = bytes(octets[: more.draw(st.integers(0, len(octets)))]) if more.draw(st.booleans()) else bytes(octets)
    assert oracle.compare(found) in ("same", "refused", *oracle.DIFFERENCES)


@given(packets())
def test_what_is_read_is_written_and_read_the_same(data: bytes) -> None:
    messages.response(data)


@given(_TYPES, st.binary(max_size=60))
def test_rdata_of_every_type_has_the_canonical_form_that_dnspython_gives_it(rtype: int, octets: bytes) -> None:
    messages.record(rtype.to_bytes(2) + octets)


_OPTIONS = st.lists(st.tuples(st.sampled_from([3, 8, 9, 10, 11, 12, 13, 14, 15, 65001]), st.binary(max_size=40)), max_size=5)


@given(st.integers(0, 65535), st.booleans(), _OPTIONS)
def test_edns_is_read_alike(size: int, do: bool, options: list[tuple[int, bytes]]) -> None:
    generic = [dns.edns.GenericOption(dns.edns.OptionType(code), octets) for code, octets in options]
    query = dns.message.make_query("www.example.", "A", use_edns=0, payload=size, want_dnssec=do, options=generic)
    query.use_edns(0, 0x8000 if do else 0, size, options=generic)
    found = peek(query.to_wire())
    assert isinstance(found, Query)
    once: dict[int, bytes] = {}
    for code, octets in options:
        once.setdefault(code, octets)
    assert found.edns == message.Edns(max(size, 512), 0, do, tuple(once.items()))
    query.flags |= dns.flags.QR
    assert message.parse(query.to_wire()).edns == found.edns


@given(_LABELS, st.sampled_from([0, 0x100, 0x110]), st.integers(1, 65535), st.sampled_from([0, 512, 1232]), st.booleans())
def test_our_questions_are_read_as_meant(labels: list[bytes], flags: int, qtype: int, size: int, dnssec: bool) -> None:
    name = names.from_labels(labels)
    theirs = dns.message.from_wire(render.question(7, flags, name, qtype, size, dnssec, b"12345678"))
    assert (theirs.id, int(theirs.flags)) == (7, flags)
    assert (theirs.question[0].name.to_wire(), int(theirs.question[0].rdtype)) == (name, qtype)
    assert theirs.edns == (0 if size else -1)
    if size:
        assert theirs.payload == size
        assert bool(theirs.ednsflags & dns.flags.DO) is dnssec
        assert [int(each.otype) for each in theirs.options] == [10]


def reply(body: bytes, counts: tuple[int, int, int] = (1, 0, 0), questions: int = 1) -> bytes:
    question = b"\1a\7example\0\0\1\0\1"
    return struct.pack("!6H", 7, 0x8180, questions, *counts) + question * questions + body


def record(rtype: int, octets: bytes, owner: bytes = b"\xc0\x0c") -> bytes:
    return owner + struct.pack("!HHIH", rtype, 1, 300, len(octets)) + octets


_OPT = b"\0" + struct.pack("!HHIH", codes.OPT, 1232, 0, 0)
_EXAMPLES = {
    "budget": reply(record(codes.NULL, b"\1a" * 127) + record(codes.A, bytes(4), b"\1a" * 126 + b"\0") * 70, (71, 0, 0)),
    "questions": reply(b"", (0, 0, 0), 2),
    "tolerated": reply(record(codes.A, bytes(4)) + record(codes.A, bytes(3)), (2, 0, 0)),
    "types": reply(record(codes.MINFO, b"\0")),
    "rdata": reply(record(codes.CAA, b"\0\5ab")),
    "opt": reply(_OPT + _OPT, (0, 0, 2)),
    "tsig": reply(b"\0" + struct.pack("!HHIH", 250, 255, 0, 17) + bytes(17), (0, 0, 1)),
}
"""An instance of each difference."""


@pytest.mark.parametrize("difference", oracle.DIFFERENCES)
def test_each_difference_is_there(difference: str) -> None:
    assert oracle.compare(_EXAMPLES[difference]) == difference
