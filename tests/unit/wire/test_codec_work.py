"""What the codec does at most for a packet, whatever is in it, in processor time; pointers that lead nowhere.

`tests.work` counts the steps of the worst of them in `test_message`; `bench.bounds` measures them against honest ones.
"""

import struct
from functools import partial

import pytest

from resolverd import bounds
from resolverd.wire import codes, message, names, rdata, render
from resolverd.wire.answer import Answer
from resolverd.wire.message import Excessive, Malformed, MessageReader
from resolverd.wire.peek import Query, Refusal, peek
from resolverd.wire.rrset import RRset
from tests.attacks import Figure
from tests.work import faulty_names, least_cpu, record, response, sound_names, staircase

FAR = 8180
"""Steps of a staircase that the 14 bits of a pointer still reach."""
UDP, TCP = 5.0, 50.0
"""Milliseconds for 1,232 octets and for 65,535."""
_QUESTION = b"\3www\7example\0\0\1\0\1"

LOST = {
    "itself": lambda at: 0xC000 | at,
    "the next octet": lambda at: 0xC000 | at + 1,
    "behind itself": lambda at: 0xC000 | at + 2,
    "the end of the message": lambda at: 0xC000 | at + 200,
    "as far as it goes": lambda at: 0xFFFF,
}
"""Where a pointer at an offset may point and must not."""


@pytest.mark.attack("R-01")
@pytest.mark.parametrize("where", LOST)
@pytest.mark.parametrize("labels", [b"", b"\1a", b"\3www\7example"])
def test_a_pointer_that_does_not_point_backwards_is_refused(where: str, labels: bytes) -> None:
    def lost(at: int) -> bytes:
        return labels + LOST[where](at + len(labels)).to_bytes(2)

    asked = struct.pack("!6H", 7, 0, 1, 0, 0, 0) + lost(12) + b"\0\1\0\1" + bytes(100)
    assert isinstance(peek(asked), Refusal)
    with pytest.raises(Malformed):
        message.parse(bytes((asked[0], asked[1], 0x80)) + asked[3:])
    head = struct.pack("!6H", 7, 0x8000, 1, 1, 0, 0) + _QUESTION
    owned = head + lost(len(head)) + record(codes.A, bytes(4))[1:] + bytes(100)
    assert (message.parse(owned).whole, message.parse(owned).answer) == (0, ())
    for rtype, layout in rdata.LAYOUTS.items():
        before = b"".join(bytes(field) if field > 0 else b"\0" for field in layout[: layout.index(rdata.NAME)])
        at = len(head) + 11 + len(before)
        after = b"".join(bytes(field) if field > 0 else b"\0" for field in layout[layout.index(rdata.NAME) + 1 :])
        found = message.parse(head + record(rtype, before + lost(at) + after) + bytes(100))
        assert (found.whole, found.answer) == (0, ()), codes.type_text(rtype)


@pytest.mark.attack("R-01")
def test_pointers_that_point_at_each_other_are_refused() -> None:
    ring = struct.pack("!HH", 0xC000 | 14, 0xC000 | 12)
    for at in (12, 14):
        with pytest.raises(Malformed):
            MessageReader(bytes(12) + ring).name(at)


@pytest.mark.attack("R-02")
def test_a_name_takes_128_hops_and_no_more(figure: Figure) -> None:
    stairs = bytes(12) + b"\0" + b"".join((0xC000 | 12 + (1 + 2 * (n - 1) if n else 0)).to_bytes(2) for n in range(FAR))
    last = 13 + 2 * (bounds.MAX_POINTER_HOPS - 1)
    assert MessageReader(stairs).name(last) == (names.ROOT, last + 2)
    for hops in (bounds.MAX_POINTER_HOPS + 1, 1000, FAR):
        with pytest.raises(Excessive):
            MessageReader(stairs).name(13 + 2 * (hops - 1))

    def far() -> None:
        with pytest.raises(Excessive):
            MessageReader(stairs).name(13 + 2 * (FAR - 1))

    figure("CPU of a name of 8 180 pointers", least_cpu(far), "ms", most=0.2)


@pytest.mark.attack("R-04")
def test_a_name_that_pointers_make_longer_than_255_octets_is_refused() -> None:
    tail = b"\x3f" + b"b" * 63 + b"\x3f" + b"b" * 63 + b"\x3e" + b"b" * 62 + b"\0"
    for first in (62, 63):
        octets = bytes(12) + tail + bytes((first,)) + b"a" * first + b"\xc0\x0c"
        if first + 1 + len(tail) == names.MAX_NAME:
            assert len(MessageReader(octets).name(12 + len(tail))[0]) == names.MAX_NAME
        else:
            with pytest.raises(Malformed):
                MessageReader(octets).name(12 + len(tail))


_OWNERS = [b"\4%04x\1a\0" % number for number in range(5000)]
_LABELS = record(codes.NULL, b"\1a" * 126 + b"\0")
_INTO_LABELS = [(0xC000 | 23 + 2 * (number % 126)).to_bytes(2) for number in range(5000)]
_LONG = record(codes.NS, (b"\x3f" + b"A" * 63) * 3 + b"\x3d" + b"A" * 61 + b"\0")
WORST = {
    "a staircase": [record(codes.NULL, staircase(FAR)[23 : 24 + 2 * FAR]), *[record(codes.A, bytes(4), b"\xff\xf0")] * 5000],
    "owners of their own": [record(codes.A, bytes(4), owner) for owner in _OWNERS],
    "owners at each label of a name": [_LABELS, *[record(codes.A, bytes(4), owner) for owner in _INTO_LABELS]],
    "types of their own": [record(256 + number, b"") for number in range(6000)],
    "addresses of one name": [record(codes.A, number.to_bytes(4)) for number in range(5000)],
    "signatures, each of its RRset": [
        record(256 + number // 2, b"") if number % 2 else record(codes.RRSIG, (256 + number // 2).to_bytes(2) + bytes(17))
        for number in range(4000)
    ],
    "signatures of nothing": [record(codes.RRSIG, number.to_bytes(2) + bytes(17)) for number in range(3000)],
    "fields of NAPTR": [record(codes.NAPTR, bytes(8)) for _ in range(4000)],
    "targets of one long name": [_LONG, *[record(codes.NS, b"\xc0\x17")] * 5000],
    "an OPT of one option after the other": [record(codes.OPT, bytes(65000))],
}
"""Records that cost most, of which a message is full."""


@pytest.mark.attack("R-03")
@pytest.mark.parametrize("what", WORST)
def test_no_message_takes_longer_than_it_may(what: str, figure: Figure) -> None:
    def read(octets: bytes) -> None:
        try:
            message.parse(octets)
        except Malformed:
            pass

    small, large = response(WORST[what], 1232), response(WORST[what])
    figure("CPU of a reply of 1 232 octets", least_cpu(lambda: read(small), 3), "ms", most=UDP)
    figure("CPU of a reply of 65 535", least_cpu(lambda: read(large), 3), "ms", most=TCP)
    asked = struct.pack("!6H", 7, 0, 1, 0, 0, 5000) + _QUESTION + large[12:-22]
    figure("CPU of a question of 1 232 octets", least_cpu(lambda: peek(asked[:1232]), 3), "ms", most=UDP)
    figure("CPU of a question of 65 535", least_cpu(lambda: peek(asked), 3), "ms", most=TCP)


@pytest.mark.attack("R-03")
@pytest.mark.parametrize("octets", [staircase(FAR), faulty_names(4500), sound_names(4500)], ids=["stairs", "faulty", "sound"])
def test_no_crafted_message_takes_longer_than_it_may(octets: bytes, figure: Figure) -> None:
    def read() -> None:
        try:
            message.parse(octets)
        except Malformed:
            pass

    figure("CPU of a crafted reply of 65 535", least_cpu(read, 3), "ms", most=TCP)


def rendered(rrsets: list[RRset]) -> render.Rendered:
    question = b"\1q\4test\0\0\1\0\1"
    return render.render(Query(1, 0, question[:-4], codes.A, 1, None, question), Answer(0, tuple(rrsets)), 65535)


@pytest.mark.attack("R-04")
def test_compression_counts_the_names_that_it_finds_and_those_that_it_does_not(figure: Figure) -> None:
    owner = names.from_text("owner.example")
    found = [RRset(owner, codes.CNAME, 60, (owner,) * 1000)]
    missed = [RRset(names.from_text(f"{n}.x{n}"), codes.CNAME, 60, (names.from_text(f"t{n}.y{n}"),)) for n in range(1000)]
    for rrsets in (found, missed):
        written = rendered(rrsets)
        assert len(message.parse(written.data).answer) == len(rrsets)
        figure("CPU of a reply of 1 000 names", least_cpu(partial(rendered, rrsets), 3), "ms", most=TCP)
    # The first names are pointers, and once the attempts are spent each is written out: a hit is an attempt as well.
    size = len(rendered(found).data)
    pointers = bounds.MAX_COMPRESSION_NAMES - 1
    assert size == 12 + 12 + (len(owner) + 10) + 999 * 12 + pointers * 2 + (1000 - pointers) * len(owner)
