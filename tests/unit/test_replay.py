"""The scenario player reads what scenarios hold, compares what is on the wire, and hides nothing."""

import asyncio
import itertools
from pathlib import Path

import pytest
from virtualtime import VirtualClock, VirtualLoop

from tests.replay import dialect_d, dialect_u, match, rpl, wire
from tests.replay.stack import any_valid_moment, moment, question, trust_anchors
from tests.replay.unbound_conf import Header

ROOT = """
RANGE_BEGIN 0 1000
ADDRESS 193.0.14.129
ENTRY_BEGIN
MATCH opcode qtype qname
ADJUST copy_id
REPLY QR AA NOERROR
SECTION QUESTION
. IN NS
SECTION ANSWER
. IN NS k.root-servers.net.
SECTION ADDITIONAL
k.root-servers.net. IN A 193.0.14.129
ENTRY_END
RANGE_END
"""
ADDRESS = "SECTION QUESTION\nhost.example. IN A\nSECTION ANSWER\nhost.example. IN A 192.0.2.1\n"
SERVER = f"""
RANGE_BEGIN 0 1000
ADDRESS 193.0.14.129
ENTRY_BEGIN
MATCH opcode qtype qname
ADJUST copy_id
REPLY QR AA NOERROR
{ADDRESS}ENTRY_END
RANGE_END
"""
QUERY = "ENTRY_BEGIN\nREPLY RD\nSECTION QUESTION\nhost.example. 3600 IN A\nENTRY_END\n"
WRONG = "ENTRY_BEGIN\nMATCH all\nREPLY QR RD RA NXDOMAIN\nSECTION QUESTION\nhost.example. IN A\nENTRY_END\n"
RIGHT = f"ENTRY_BEGIN\nMATCH all\nREPLY QR RD RA NOERROR\n{ADDRESS}ENTRY_END\n"


def entry(tmp_path: Path, text: str) -> rpl.Entry:
    path = tmp_path / "entry.rpl"
    path.write_text(f"CONFIG_END\nSCENARIO_BEGIN an entry\nSTEP 1 QUERY\nENTRY_BEGIN\n{text}\nENTRY_END\nSCENARIO_END\n")
    found = rpl.load(path).steps[0].entry
    assert found is not None
    return found


def play(tmp_path: Path, body: str, header: str = "", dialect: str = "u") -> list[str]:
    path = tmp_path / f"{next(NUMBERS)}.rpl"
    path.write_text(f"{header}\nCONFIG_END\nSCENARIO_BEGIN a scenario\n{body}\nSCENARIO_END\n")
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        if dialect == "u":
            faults, _ = runner.run(dialect_u.play(rpl.load(path), tmp_path, VirtualClock()))
        else:
            faults, _ = runner.run(dialect_d.play(rpl.load(path), tmp_path, VirtualClock(), minimise=False))
    return faults


NUMBERS = itertools.count()
U = 'server:\nqname-minimisation: no\nstub-zone: name: "." stub-addr: 193.0.14.129'
D = "stub-addr: 193.0.14.129"

RECORDS = {
    "an unknown type of digest": ("a. DS 12345 RSASHA256 99 ab cd", bytes.fromhex("30390863abcd")),
    "a digest that is too short": ("a. IN DS 1 8 2 ab", bytes.fromhex("00010802ab")),
    "impossible rdata": ("a. 5 A \\# 3 010203", b"\1\2\3"),
    "a class": ("a. CH TXT x", b"\1x"),
}


@pytest.mark.parametrize("case", RECORDS)
def test_records_are_read(case: str) -> None:
    text, data = RECORDS[case]
    assert rpl.record(text).data == data


def test_impossible_rdata_survives_the_wire() -> None:
    message = wire.Message(
        sections={"ANSWER": [rpl.record(text) for text, _ in RECORDS.values()], "AUTHORITY": [], "ADDITIONAL": []}
    )
    assert wire.read(message.to_wire()) == message


def test_a_ttl_in_a_question_says_nothing(tmp_path: Path) -> None:
    assert entry(tmp_path, "SECTION QUESTION\na. 3600 IN A").question == entry(tmp_path, "SECTION QUESTION\na. A").question


def test_edns_options_are_asked_and_demanded_as_octets(tmp_path: Path) -> None:
    asked = entry(
        tmp_path,
        "MATCH ednsdata\nREPLY RD\nSECTION QUESTION\na. A\nSECTION ADDITIONAL\n"
        "HEX_EDNSDATA_BEGIN\n00 0a ; a cookie\n00 08 0102\n030405060708\nHEX_EDNSDATA_END",
    )
    packet = wire.read(question(asked, 7, 1232, True))
    assert packet.options == bytes.fromhex("000a00080102030405060708")
    assert match.query_matches(asked, packet)
    packet.options = b""
    assert not match.query_matches(asked, packet)
    assert match.essentially(asked, packet)


def reply_to(entry: rpl.Entry, *answers: str) -> wire.Message:
    out = entry.message()
    out.sections = {"ANSWER": [rpl.record(each) for each in answers], "AUTHORITY": [], "ADDITIONAL": []}
    return wire.read(out.to_wire())


@pytest.mark.parametrize(
    ("answers", "good"),
    [
        (("a. A 1.2.3.4", "a. MX 1 B."), True),
        (("A. MX 1 b.", "a. 7 A 1.2.3.4"), True),
        (("a. A 1.2.3.4", "a. A 1.2.3.4", "a. MX 1 b."), False),
        (("a. MX 1 b.",), False),
        (("a. A 1.2.3.4", "a. MX 2 b."), False),
    ],
)
def test_answers_are_compared_record_for_record(answers: tuple[str, ...], good: bool, tmp_path: Path) -> None:
    wanted = entry(tmp_path, "MATCH all\nREPLY QR\nSECTION QUESTION\na. A\nSECTION ANSWER\na. A 1.2.3.4\na. MX 1 b.")
    assert (not match.strictly(wanted, reply_to(wanted, *answers))) == good
    assert (not match.essentially(wanted, reply_to(wanted, *answers))) == good


@pytest.mark.parametrize(("wanted", "codes", "good"), [
    ("ede=6", [6], True), ("ede=6", [22, 6], True), ("ede=6", [9], False), ("ede=any", [9], True), ("ede=any", [], False),
])  # fmt: skip
def test_errors_are_demanded(wanted: str, codes: list[int], good: bool, tmp_path: Path) -> None:
    reply = wire.Message(edns=0, options=b"".join(b"\0\x0f\0\2" + code.to_bytes(2) for code in codes))
    demanded = entry(tmp_path, f"MATCH {wanted}")
    assert (not match.essentially(demanded, reply)) == good
    assert (not match.strictly(demanded, reply)) == good


PLAYED = {
    "an answer that is right": (U, f"STEP 1 QUERY\n{QUERY}STEP 2 CHECK_ANSWER\n{RIGHT}", 0),
    "one failed step hides none behind it": (
        U, f"STEP 1 QUERY\n{QUERY}STEP 2 CHECK_ANSWER\n{WRONG}STEP 3 QUERY\n{QUERY}STEP 4 CHECK_ANSWER\n{WRONG}", 4,
    ),
    "an answer that cannot come": (
        U, f"STEP 1 CHECK_ANSWER\n{RIGHT}STEP 2 QUERY\n{QUERY}STEP 3 CHECK_ANSWER\n{WRONG}", 3,
    ),
    "a question in octets": (
        U,
        "STEP 1 QUERY\nENTRY_BEGIN\nHEX_ANSWER_BEGIN\n0000 0100 0001 0000 0000 0000 ; header\n04686f7374 076578616d706c65 00\n"
        f"0001 0001\nHEX_ANSWER_END\nENTRY_END\nSTEP 2 CHECK_ANSWER\n{RIGHT}",
        0,
    ),
    "built-in zones answer": (
        U,
        "STEP 1 QUERY\nENTRY_BEGIN\nREPLY RD\nSECTION QUESTION\nhost.test. IN A\nENTRY_END\nSTEP 2 CHECK_ANSWER\n"
        "ENTRY_BEGIN\nMATCH rcode\nREPLY NXDOMAIN\nENTRY_END\n",
        0,
    ),
    "an option that means nothing": (f"server:\nfrobnicate: yes\n{U}", f"STEP 1 QUERY\n{QUERY}STEP 2 CHECK_ANSWER\n{RIGHT}", 1),
}  # fmt: skip


@pytest.mark.parametrize("case", PLAYED)
def test_dialect_u(case: str, tmp_path: Path) -> None:
    header, steps, expected = PLAYED[case]
    faults = play(tmp_path, ROOT + SERVER + steps, header)
    assert len(faults) == expected, faults


def test_what_is_checked_on_its_way_out_may_be_its_own_answer(tmp_path: Path) -> None:
    checked = f"ENTRY_BEGIN\nMATCH qname qtype\nADJUST copy_id\nREPLY QR AA NOERROR\n{ADDRESS}ENTRY_END\n"
    steps = f"STEP 1 QUERY\n{QUERY}STEP 2 CHECK_OUT_QUERY\n{checked}STEP 3 CHECK_ANSWER\n{RIGHT}"
    assert not play(tmp_path, ROOT + steps, U)
    faults = play(tmp_path, ROOT + steps.replace("ADJUST copy_id", ""), U)
    assert any("CHECK_ANSWER cannot come" in each for each in faults)
    assert any("still pending" in each for each in faults)


def test_a_server_at_an_address_of_this_machine_is_not_asked(tmp_path: Path) -> None:
    # Those of private networks are: dialect U forbids the machine itself only.
    glue = "ENTRY_BEGIN\nMATCH opcode subdomain\nADJUST copy_id copy_query\nREPLY QR NOERROR\nSECTION QUESTION\nexample. IN A\n"
    glue += "SECTION AUTHORITY\nexample. NS ns.example.\nSECTION ADDITIONAL\nns.example. A {}\nENTRY_END\nRANGE_END\n"
    steps = f"STEP 1 QUERY\n{QUERY}STEP 2 CHECK_ANSWER\n{RIGHT}"
    root = ROOT.replace("RANGE_END\n", "")
    for address, good in (("10.0.0.1", True), ("127.0.0.1", False)):
        server = SERVER.replace("193.0.14.129", address)
        assert (not play(tmp_path, root + glue.format(address) + server + steps, U)) == good


@pytest.mark.parametrize(("steps", "expected"), [
    (f"STEP 1 QUERY\n{QUERY}STEP 2 CHECK_ANSWER\n{RIGHT}", 0),
    (f"STEP 1 QUERY\n{QUERY}STEP 2 CHECK_ANSWER\n{WRONG}STEP 3 QUERY\n{QUERY}STEP 4 CHECK_ANSWER\n{WRONG}", 4),
    (f"STEP 1 CHECK_ANSWER\n{RIGHT}STEP 2 QUERY\n{QUERY}STEP 3 CHECK_ANSWER\n{RIGHT}", 1),
])  # fmt: skip
def test_dialect_d(steps: str, expected: int, tmp_path: Path) -> None:
    faults = play(tmp_path, SERVER + steps, D, "d")
    assert len(faults) == expected, faults


def test_the_clock_is_set(tmp_path: Path) -> None:
    assert moment("20070916134226") == moment("1189950146") == 1189950146.0
    path = tmp_path / "signed.rpl"
    signatures = [f"a. RRSIG A 8 1 60 {last} {first} 1 a. AAAA" for last, first in ((2000, 1000), (1900, 1500))]
    path.write_text("CONFIG_END\nSTEP 1 REPLY\nENTRY_BEGIN\nSECTION ANSWER\n" + "\n".join(signatures) + "\nENTRY_END\n")
    assert 1500 < any_valid_moment(rpl.load(path)) < 1900


def test_validation_is_configured_by_the_header(tmp_path: Path) -> None:
    lines = f"""server:
        trust-anchor: "example. DS 438 RSASHA512 2 ( ABAB {"ab" * 30} )"
        trust-anchor: "a.example. 3600 IN DNSKEY 257 3 8 AwEA"
        domain-insecure: "b.example."
        aggressive-nsec: no
        trust-anchor-signaling: no
        local-zone: test. nodefault
        do-not-query-localhost: no""".splitlines()
    wanted = Header(lines).settings(tmp_path)["resolver"]
    kept = {"dnssec", "negative_trust_anchors", "aggressive_nsec", "key_tag_signalling", "builtin_except", "do_not_query"}
    assert {key: value for key, value in wanted.items() if key in kept} == {
        "dnssec": True, "negative_trust_anchors": ("b.example",), "aggressive_nsec": False, "key_tag_signalling": False,
        "builtin_except": ("test",), "do_not_query": (),
    }  # fmt: skip
    anchors = wanted["trust_anchors"].read_text().splitlines()
    assert anchors == [f"example. 3600 IN DS 438 10 2 {'ab' * 32}", "a.example. 3600 IN DNSKEY 257 3 8 AwEA"]
    assert not Header(["server: module-config: iterator", *lines]).settings(tmp_path)["resolver"]["dnssec"]
    assert trust_anchors(tmp_path, []) == {"dnssec": False}
