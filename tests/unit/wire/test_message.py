"""Reading and writing messages: held against dnspython as second codec, and against crafted octets."""

import contextlib
import struct

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd import bounds
from resolverd.wire import codes, message, names, render
from resolverd.wire.answer import Answer, ExtendedError
from resolverd.wire.peek import Query, Refusal, peek
from resolverd.wire.rrset import RRset, Security
from tests.work import faulty_names, sound_names, staircase, steps_of

RECORDS = [
    ("a.example.", "A", ["192.0.2.1", "192.0.2.2"]),
    ("A.Example.", "AAAA", ["2001:db8::1"]),
    ("example.", "MX", ["10 mail.example.", "20 mail.other.test."]),
    ("example.", "SOA", ["ns.example. host.example. 1 2 3 4 5"]),
    ("example.", "TXT", ['"one" "two"', '"' + "x" * 255 + '"']),
    ("_sip.example.", "SRV", ["1 2 3 target.example."]),
    ("n.example.", "NAPTR", ['1 2 "u" "E2U+sip" "!^.*$!sip:x@example.!" .']),
    ("b.example.", "CNAME", ["a.example."]),
    ("d.example.", "DNAME", ["other.test."]),
    ("1.2.0.192.in-addr.arpa.", "PTR", ["a.example."]),
    ("r.example.", "RP", ["host.example. text.example."]),
    ("t.example.", "TLSA", ["3 1 1 " + "ab" * 32]),
    ("x.example.", "TYPE65400", ["\\# 4 0a000001"]),
    ("c.example.", "CAA", ['0 issue "ca.example"']),
]


QUESTION = b"\3www\7example\0\0\1\0\1"


def foreign_response(question: str = "www.example.", rtype: str = "A", **query: object) -> tuple[bytes, dns.message.Message]:
    asked = dns.message.make_query(question, rtype, **query)  # type: ignore[arg-type]
    return asked.to_wire(), dns.message.make_response(asked)


@pytest.mark.parametrize(("owner", "rtype", "datas"), RECORDS)
def test_every_type_reads_and_renders_as_dnspython_has_it(owner: str, rtype: str, datas: list[str]) -> None:
    packet, response = foreign_response(owner, rtype, use_edns=0, payload=1232)
    response.answer.append(dns.rrset.from_text_list(owner, 300, "IN", rtype, datas))
    parsed = message.parse(response.to_wire())
    (rrset,) = parsed.answer
    assert names.to_text(rrset.owner).lower() == owner.lower()
    assert set(rrset.rdatas) == {rdata.to_generic().data for rdata in response.answer[0]}
    query = peek(packet)
    assert isinstance(query, Query)
    again = dns.message.from_wire(render.render(query, Answer(0, parsed.answer), 65535).data)
    assert again.answer == response.answer
    assert again.question == response.question


SECTION = st.lists(st.sampled_from(RECORDS), max_size=6, unique_by=lambda record: record[:2])


@given(st.tuples(SECTION, SECTION, SECTION))
def test_whole_messages_are_read_as_dnspython_has_them(sections: tuple[list[tuple[str, str, list[str]]], ...]) -> None:
    _, response = foreign_response("A.b.Example.", use_edns=0, payload=1232)
    parts = response.answer, response.authority, response.additional
    for part, section in zip(parts, sections, strict=True):
        part += [dns.rrset.from_text_list(owner, 300, "IN", rtype, datas) for owner, rtype, datas in section]
    octets = response.to_wire(max_size=65535)
    parsed, again = message.parse(octets), dns.message.from_wire(octets)
    assert parsed.whole == 3
    assert parsed.edns is not None
    parts = again.answer, again.authority, again.additional
    for ours, theirs in zip((parsed.answer, parsed.authority, parsed.additional), parts, strict=True):
        read = [(names.to_text(each.owner), each.rtype, each.ttl, set(each.rdatas)) for each in ours]
        # An owner is in lower case, whatever it was sent in.
        sent = [(str(each.name).lower(), each.rdtype, 300, {rdata.to_generic().data for rdata in each}) for each in theirs]
        assert read == sent


def signature(covered: int, number: int) -> bytes:
    return struct.pack("!HBBIIIH", covered, 8, 2, 300, 2, 1, number) + b"\7example\0" + bytes([number])


def test_signatures_stand_with_what_they_cover_and_others_by_themselves() -> None:
    sigs = [(codes.A, 1), (codes.MX, 2), (codes.A, 3), (codes.TXT, 4)]
    body = A_RECORD + b"".join(
        b"\xc0\x0c\0\x2e\0\1" + struct.pack("!IH", 100 - number, len(signature(covered, number))) + signature(covered, number)
        for covered, number in sigs
    )
    address, orphans = message.parse(reply((5, 0, 0), body)).answer
    assert (address.rtype, address.ttl, address.sigs) == (codes.A, 300, (signature(codes.A, 1), signature(codes.A, 3)))
    assert (orphans.rtype, orphans.ttl) == (codes.RRSIG, 96)
    assert orphans.rdatas == (signature(codes.MX, 2), signature(codes.TXT, 4))


def test_records_of_one_set_may_stand_apart_and_count_once() -> None:
    other = A_RECORD[:-1] + b"\5"
    parsed = message.parse(reply((4, 0, 0), A_RECORD + b"\xc0\x10" + A_RECORD[2:] + other + A_RECORD))
    assert [rrset.rdatas for rrset in parsed.answer] == [(b"\1\2\3\4", b"\1\2\3\5"), (b"\1\2\3\4",)]


@pytest.mark.parametrize(("pointers", "excessive"), [(3900, False), (4200, True)])
def test_owners_that_are_pointers_count_against_the_budget(pointers: int, excessive: bool) -> None:
    rest = b"\0\x0a\0\1\0\0\0\0\0\0"
    written_out = (b"\1a" * 126 + b"\0" + rest) * 33
    octets = crafted(written_out + (b"\xc0\x0c" + rest) * pointers, 33 + pointers)
    assert 33 * 127 + 3900 < bounds.MESSAGE_NAME_BUDGET < 33 * 127 + 4200
    with pytest.raises(message.Excessive) if excessive else contextlib.nullcontext():
        assert message.parse(octets).whole == 3


@pytest.mark.attack("R-01")
@given(st.binary(max_size=600))
def test_random_octets_raise_nothing_but_malformed(data: bytes) -> None:
    try:
        message.parse(data)
    except message.Malformed:
        pass
    peek(data)


def crafted(names_part: bytes, answers: int) -> bytes:
    return struct.pack("!6H", 1, 0x8000, 0, answers, 0, 0) + names_part


@pytest.mark.attack("R-01")
@pytest.mark.parametrize(
    "octets",
    [
        crafted(b"\xc0\x0c", 1),  # a pointer to itself
        crafted(b"\xc0\x0e\xc0\x0c", 1),  # two that point at each other
        crafted(b"\x01a\xc0\x30" + b"\0" * 64, 1),  # forward
        crafted(b"\x80aaa", 1),  # reserved label type
        crafted(b"\x3f" + b"a" * 10, 1),  # label past the end
        crafted(b"\0", 65535),  # more records than octets
        crafted(b"\0\0\1\0\1\0\0\0\0\0\4\1\2\3", 1),  # rdata past the end
    ],
)
def test_of_crafted_messages_nothing_is_read(octets: bytes) -> None:
    parsed = message.parse(octets)
    assert parsed.whole == 0
    assert parsed.answer == parsed.authority == parsed.additional == ()


def test_addresses_of_another_length_are_left_out() -> None:
    records = [b"\1\2\3\4\5", b"\1\2\3\4", b"\1\2\3"]
    body = b"".join(b"\0\0\1\0\1\0\0\0\0" + struct.pack("!H", len(each)) + each for each in records)
    parsed = message.parse(crafted(body, 3))
    (rrset,) = parsed.answer
    assert rrset.rdatas == (b"\1\2\3\4",)
    assert parsed.whole == 0, "there may be more of them than could be read"


A_RECORD = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\1\2\3\4"
SOA_RECORD = b"\xc0\x10\0\6\0\1\0\0\1\x2c\0\x16\0\0" + b"\0\0\0\1" * 5
BAD_NAME = b"\xc0\x10\0\2\0\1\0\0\1\x2c\0\2\xc0\xff"
COOKIE = b"\0\x0a\0\x08clientco"
BAD_OPTION = b"\0\x0f\0\x40xx"


def opt(options: bytes = b"", owner: bytes = b"\0") -> bytes:
    return owner + b"\0\x29\x04\xd0\0\0\0\0" + struct.pack("!H", len(options)) + options


def reply(counts: tuple[int, int, int], body: bytes, flags: int = 0x8400) -> bytes:
    return struct.pack("!6H", 1, flags, 1, *counts) + QUESTION + body


FAULTS = {
    "none": (reply((1, 0, 1), A_RECORD + opt(COOKIE)), 3, 1, True),
    "a second OPT": (reply((1, 0, 2), A_RECORD + opt(COOKIE) + opt()), 3, 1, True),
    "an OPT with a name": (reply((1, 0, 1), A_RECORD + opt(COOKIE, b"\xc0\x0c")), 3, 1, True),
    "an option that runs past OPT": (reply((1, 0, 1), A_RECORD + opt(COOKIE + BAD_OPTION)), 3, 1, True),
    "an option without length": (reply((1, 0, 1), A_RECORD + opt(COOKIE + b"\0\x0f")), 3, 1, True),
    "an OPT that runs past the message": (reply((1, 0, 1), A_RECORD + opt(COOKIE)[:-4]), 2, 1, False),
    "one answer too many, OPT behind": (reply((2, 0, 1), A_RECORD + opt(COOKIE)), 2, 1, True),
    "one answer too many": (reply((2, 0, 0), A_RECORD), 0, 1, False),
    "one authority too many": (reply((1, 2, 0), A_RECORD + SOA_RECORD), 1, 1, False),
    "one additional too many": (reply((1, 0, 2), A_RECORD + opt(COOKIE)), 2, 1, True),
    "65535 of each": (reply((65535, 65535, 65535), A_RECORD), 0, 1, False),
    "a bad record in additional": (reply((1, 0, 2), A_RECORD + BAD_NAME + opt(COOKIE)), 2, 1, True),
    "a bad record in authority": (reply((1, 1, 1), A_RECORD + BAD_NAME + opt(COOKIE)), 1, 1, True),
    "a bad record in the answer": (reply((2, 0, 1), BAD_NAME + A_RECORD + opt(COOKIE)), 0, 1, True),
    "cut within the answer": (reply((2, 0, 1), A_RECORD + A_RECORD[:9]), 0, 1, False),
    "cut behind the question": (reply((2, 0, 1), b"", 0x8600), 0, 0, False),
    "octets behind the last record": (reply((1, 0, 1), A_RECORD + opt(COOKIE) + b"rubbish"), 3, 1, True),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_stands_before_a_fault_is_read(fault: str) -> None:
    data, whole, answers, cookie = FAULTS[fault]
    parsed = message.parse(data)
    assert parsed.whole == whole
    assert len(parsed.answer) == answers
    assert all(rrset.rdatas == (b"\1\2\3\4",) for rrset in parsed.answer)
    assert (parsed.edns is not None and parsed.edns.options == ((10, b"clientco"),)) is cookie


@pytest.mark.parametrize("length", range(12, 12 + 17))
def test_tc_is_read_wherever_the_packet_is_cut(length: int) -> None:
    assert message.parse(reply((1, 0, 0), A_RECORD, 0x8600)[:length]).tc
    if length < 29:
        with pytest.raises(message.Malformed):
            message.parse(reply((1, 0, 0), A_RECORD)[:length])


@given(st.integers(0, 100))
def test_no_fault_makes_a_record_of_what_was_none(at: int) -> None:
    """Wherever a sound reply is cut, what is read of it was in it."""
    sound = reply((2, 1, 1), A_RECORD + A_RECORD[:-1] + b"\5" + SOA_RECORD + opt(COOKIE))
    before = message.parse(sound)
    cut = message.parse(sound[: max(29, min(at + 29, len(sound)))])
    for shorter, longer in zip((cut.answer, cut.authority), (before.answer, before.authority), strict=True):
        read = {(rrset.owner, rrset.rtype, rdata) for rrset in shorter for rdata in rrset.rdatas}
        assert read <= {(rrset.owner, rrset.rtype, rdata) for rrset in longer for rdata in rrset.rdatas}
    assert cut.whole == 3 or cut != before


def read(octets: bytes) -> None:
    with contextlib.suppress(message.Malformed):
        message.parse(octets)


@pytest.mark.attack("R-02", "R-03")
def test_the_pointer_staircase_is_refused_at_once() -> None:
    octets = {steps: staircase(steps) for steps in (1000, 8000)}
    with pytest.raises(message.Excessive):
        message.parse(octets[8000])
    assert steps_of(lambda: read(octets[8000])) == steps_of(lambda: read(octets[1000])) < 5000


def test_faulty_names_cost_as_much_as_sound_ones() -> None:
    faulty, sound = faulty_names(4500), sound_names(4500)
    assert steps_of(lambda: read(faulty)) < steps_of(lambda: read(sound))


def test_a_short_staircase_is_read() -> None:
    parsed = message.parse(staircase(bounds.MAX_POINTER_HOPS - 1))
    assert parsed.answer[-1].owner == names.ROOT


def test_ttl_rules() -> None:
    body = b"".join(b"\0\0\1\0\1" + struct.pack("!IH", ttl, 4) + data for ttl, data in [(300, b"\1\1\1\1"), (60, b"\2\2\2\2")])
    (rrset,) = message.parse(crafted(body, 2)).answer
    assert rrset.ttl == 60, "RFC 2181 §5.2"
    (rrset,) = message.parse(crafted(b"\0\0\1\0\1" + struct.pack("!IH", 0x80000001, 4) + b"\1\1\1\1", 1)).answer
    assert rrset.ttl == 0, "RFC 2181 §8"


HEADER = struct.Struct("!6H")
OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"


@pytest.mark.parametrize(
    ("packet", "rcode"),
    [
        (b"", None),
        (b"\0" * 11, None),
        (HEADER.pack(7, 0x8000, 1, 0, 0, 0) + QUESTION, None),  # a reply
        (HEADER.pack(7, 0, 0, 0, 0, 0), codes.FORMERR),
        (HEADER.pack(7, 0, 2, 0, 0, 0) + QUESTION * 2, codes.FORMERR),
        (HEADER.pack(7, 0, 1, 1, 0, 0) + QUESTION, codes.FORMERR),
        (HEADER.pack(7, 0, 1, 0, 0, 0) + QUESTION[:-1], codes.FORMERR),
        (HEADER.pack(7, 0, 1, 0, 0, 1) + QUESTION + OPT[:-1], codes.FORMERR),
        (HEADER.pack(7, 0, 1, 0, 0, 2) + QUESTION + OPT * 2, codes.FORMERR),
        (HEADER.pack(7, 0, 1, 0, 0, 1) + QUESTION + b"\0\0\x29\x04\xd0\0\1\0\0\0\0", codes.BADVERS),
        (HEADER.pack(7, 0x1000, 1, 0, 0, 0) + QUESTION, codes.NOTIMP),  # STATUS
        (HEADER.pack(7, 0x2000, 1, 0, 0, 0) + QUESTION, codes.NOTIMP),  # NOTIFY
        (HEADER.pack(7, 0x2800, 1, 0, 0, 0) + QUESTION, codes.NOTIMP),  # UPDATE
        (HEADER.pack(7, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1", codes.FORMERR),
        (HEADER.pack(7, 0, 1, 0, 0, 0) + b"\1a\xc0\4\0\1\0\1", codes.FORMERR),  # a name that ends in the header
    ],
)
def test_what_is_no_question_gets_what_it_deserves(packet: bytes, rcode: int | None) -> None:
    peeked = peek(packet)
    if rcode is None:
        assert peeked is None
        return
    assert isinstance(peeked, Refusal)
    assert peeked.rcode == rcode
    reply = dns.message.from_wire(render.refuse(peeked))
    assert reply.id == 7
    assert reply.flags & dns.flags.QR
    assert int(reply.rcode()) == rcode
    assert (reply.edns == 0) == (rcode == codes.BADVERS)


def rendered(query: bytes, answer: Answer, udp: bool = True) -> dns.message.Message:
    peeked = peek(query)
    assert isinstance(peeked, Query)
    result = render.render(peeked, answer, render.limit(peeked, udp))
    assert len(result.data) <= render.limit(peeked, udp)
    return dns.message.from_wire(result.data)


TEXTS = tuple(bytes([200]) + bytes([n]) * 200 for n in range(20))
BIG = Answer(0, (RRset(names.from_text("www.example"), codes.TXT, 60, TEXTS),))


def test_what_does_not_fit_is_truncated_and_whole_over_tcp() -> None:
    query = dns.message.make_query("www.example.", "TXT", use_edns=0, payload=4096)
    short = rendered(query.to_wire(), BIG)
    assert short.flags & dns.flags.TC
    assert not short.answer
    assert short.edns == 0
    assert len(rendered(query.to_wire(), BIG, udp=False).answer[0]) == 20


def test_signatures_go_to_those_who_ask() -> None:
    rrset = RRset(names.from_text("www.example"), codes.A, 60, (b"\1\2\3\4",), (b"\0\1" + b"\0" * 16 + b"\7example\0sig",))
    plain = rendered(dns.message.make_query("www.example.", "A").to_wire(), Answer(0, (rrset,)))
    assert [each.rdtype for each in plain.answer] == [dns.rdatatype.A]
    wanted = rendered(dns.message.make_query("www.example.", "A", want_dnssec=True).to_wire(), Answer(0, (rrset,)))
    assert [each.rdtype for each in wanted.answer] == [dns.rdatatype.A, dns.rdatatype.RRSIG]
    assert wanted.ednsflags & dns.flags.DO


@pytest.mark.parametrize(
    ("flags", "do", "secure", "ad"),
    [
        (0x100, False, True, False),
        (0x120, False, True, True),
        (0x100, True, True, True),
        (0x120, True, False, False),
        (0x130, True, True, False),
    ],
)
def test_ad_is_for_those_who_understand_it(flags: int, do: bool, secure: bool, ad: bool) -> None:
    query = dns.message.make_query("www.example.", "A", want_dnssec=do)
    query.flags = dns.flags.Flag(flags)
    reply = rendered(query.to_wire(), Answer(0, security=Security.SECURE if secure else Security.UNKNOWN))
    assert bool(reply.flags & dns.flags.AD) is ad
    assert bool(reply.flags & dns.flags.CD) is bool(flags & 0x10)
    assert reply.flags & dns.flags.RA


def test_extended_errors_need_edns() -> None:
    answer = Answer(codes.SERVFAIL, errors=(ExtendedError(22, "nobody"), ExtendedError(13)))
    reply = rendered(dns.message.make_query("www.example.", "A", use_edns=0).to_wire(), answer)
    assert [(option.code, option.text) for option in reply.options] == [(22, "nobody"), (13, None)]
    assert not rendered(dns.message.make_query("www.example.", "A").to_wire(), answer).options
