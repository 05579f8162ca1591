"""Denials by the examples of RFC 4035 appendix B and RFC 5155 appendix B, and by what must not be taken for a proof."""

from collections.abc import Callable

import pytest
from denialzone import Nsec3Form, Work, example_zone, from_zone_text

from resolverd import bounds
from resolverd.resolver.validator import denial
from resolverd.resolver.validator.denial import NoDs, Proof
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.names import ROOT, from_text
from resolverd.wire.rrset import RRset

# The NSEC records of RFC 4035 appendix A.
NSECS = from_zone_text("""
example. NSEC a.example. NS SOA MX RRSIG NSEC DNSKEY
a.example. NSEC ai.example. NS DS RRSIG NSEC
ai.example. NSEC b.example. A HINFO AAAA RRSIG NSEC
b.example. NSEC ns1.example. NS RRSIG NSEC
ns1.example. NSEC ns2.example. A RRSIG NSEC
ns2.example. NSEC *.w.example. A RRSIG NSEC
*.w.example. NSEC x.w.example. MX RRSIG NSEC
x.w.example. NSEC x.y.w.example. MX RRSIG NSEC
x.y.w.example. NSEC xx.example. MX RRSIG NSEC
xx.example. NSEC example. A HINFO AAAA RRSIG NSEC
""")
# The NSEC3 records of RFC 5155 appendix A, in the order of their hashes; all have Opt-Out.
NSEC3S = from_zone_text("""
0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. NSEC3 1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX DNSKEY NS SOA NSEC3PARAM RRSIG
2t7b4g4vsa5smi47k61mv5bv1a22bojr.example. NSEC3 1 1 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG
2vptu5timamqttgl4luu9kg21e0aor3s.example. NSEC3 1 1 12 aabbccdd 35mthgpgcu1qg68fab165klnsnk3dpvl MX RRSIG
35mthgpgcu1qg68fab165klnsnk3dpvl.example. NSEC3 1 1 12 aabbccdd b4um86eghhds6nea196smvmlo4ors995 NS DS RRSIG
b4um86eghhds6nea196smvmlo4ors995.example. NSEC3 1 1 12 aabbccdd gjeqe526plbf1g8mklp59enfd789njgi MX RRSIG
gjeqe526plbf1g8mklp59enfd789njgi.example. NSEC3 1 1 12 aabbccdd ji6neoaepv8b5o6k4ev33abha8ht9fgc HINFO A AAAA RRSIG
ji6neoaepv8b5o6k4ev33abha8ht9fgc.example. NSEC3 1 1 12 aabbccdd k8udemvp1j2f7eg6jebps17vp3n8i58h
k8udemvp1j2f7eg6jebps17vp3n8i58h.example. NSEC3 1 1 12 aabbccdd kohar7mbb8dc2ce8a9qvl8hon4k53uhi
kohar7mbb8dc2ce8a9qvl8hon4k53uhi.example. NSEC3 1 1 12 aabbccdd q04jkcevqvmu85r014c7dkba38o0ji5r A RRSIG
q04jkcevqvmu85r014c7dkba38o0ji5r.example. NSEC3 1 1 12 aabbccdd r53bq7cc2uvmubfu5ocmm6pers9tk9en A RRSIG
r53bq7cc2uvmubfu5ocmm6pers9tk9en.example. NSEC3 1 1 12 aabbccdd t644ebqk9bibcna874givr6joj62mlhv MX RRSIG
t644ebqk9bibcna874givr6joj62mlhv.example. NSEC3 1 1 12 aabbccdd 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom HINFO A AAAA RRSIG
""")
ZONE = from_text("example")
Decision = Callable[[list[RRset]], object]


def of(prefixes: str, records: list[RRset] = [*NSECS, *NSEC3S]) -> list[RRset]:  # noqa: B006
    """The records whose owners are or begin with these."""
    wanted = prefixes.split()
    return [
        each for each in records
        if any(each.owner == from_text(name) or (len(name) == 4 and each.owner[1:5] == name.encode()) for name in wanted)
    ]  # fmt: skip


def nodata(name: str, rtype: int) -> Decision:
    return lambda proofs: denial.nodata(proofs, ZONE, from_text(name), rtype, Work()).proof


def nxdomain(name: str) -> Decision:
    return lambda proofs: denial.nxdomain(proofs, ZONE, from_text(name), Work()).proof


def wildcard(name: str, encloser: str) -> Decision:
    return lambda proofs: denial.wildcard(proofs, ZONE, from_text(name), from_text(encloser), Work()).proof


def no_ds(cut: str) -> Decision:
    return lambda proofs: denial.no_ds(proofs, ZONE, from_text(cut), Work()).result


RFC_4035 = [
    # B.2 name error, B.3 no data, B.5 referral to an unsigned zone, B.6 wildcard expansion, B.7 wildcard no data
    (nxdomain("ml.example"), "b.example example", Proof.PROVEN),
    (nodata("ns1.example", codes.MX), "ns1.example", Proof.PROVEN),
    (no_ds("b.example"), "b.example", NoDs.INSECURE_DELEGATION),
    (wildcard("a.z.w.example", "w.example"), "x.y.w.example", Proof.PROVEN),
    (nodata("a.z.w.example", codes.AAAA), "x.y.w.example *.w.example", Proof.PROVEN),
    # B.8: the child's apex says nothing about its DS; B.4: there is one
    (nodata("example", codes.DS), "example", Proof.MISSING),
    (no_ds("a.example"), "a.example", NoDs.MISSING),
]
RFC_5155 = [
    # B.1 name error, B.2 no data, B.2.1 empty non-terminal, B.3 Opt-Out referral, B.4 wildcard expansion, B.5 wildcard no data
    (nxdomain("a.c.x.w.example"), "0p9m b4um 35mt", Proof.INSECURE),
    (nodata("ns1.example", codes.MX), "2t7b", Proof.PROVEN),
    (nodata("y.w.example", codes.A), "ji6n", Proof.PROVEN),
    (no_ds("c.example"), "35mt 0p9m", NoDs.INSECURE_DELEGATION),
    (wildcard("a.z.w.example", "w.example"), "q04j", Proof.INSECURE),
    (nodata("a.z.w.example", codes.AAAA), "k8ud q04j r53b", Proof.INSECURE),
    # B.6: the child's apex says nothing about its DS
    (nodata("example", codes.DS), "0p9m", Proof.MISSING),
]


@pytest.mark.parametrize(("decide", "records", "expected"), [*RFC_4035, *RFC_5155])
def test_examples_of_the_rfcs(decide: Decision, records: str, expected: object) -> None:
    proofs = of(records)
    assert len(proofs) == len(records.split())
    assert decide(proofs) is expected
    # Whatever else is there changes nothing.
    assert decide([*proofs, *of("xx.example t644")]) is expected


def rdata_of(proof: RRset, change: Callable[[bytes], bytes]) -> list[RRset]:
    return [replace(proof, rdatas=(change(proof.rdatas[0]),))]


NS1, B, EXAMPLE = (of(name)[0] for name in ("ns1.example", "b.example", "example"))
NOT_A_PROOF = {
    "a delegation denies no type of its child": (nodata("b.example", codes.A), "b NSEC ns1 NS RRSIG NSEC"),
    "a delegation denies no name below it": (nxdomain("www.b.example"), "b NSEC ns1 NS RRSIG NSEC; @ NSEC b SOA NS"),
    "a delegation denies no delegation below it": (no_ds("www.b.example"), "b NSEC ns1 NS RRSIG NSEC"),
    "a DNAME denies no name below it": (nxdomain("www.d.example"), "d NSEC e DNAME; @ NSEC d SOA NS"),
    "an alias would have been the answer": (nodata("c.example", codes.A), "c NSEC d CNAME RRSIG NSEC"),
    "the type is there": (nodata("c.example", codes.A), "c NSEC d A RRSIG NSEC"),
    "some type is there": (nodata("c.example", codes.ANY), "c NSEC d A RRSIG NSEC"),
    "a child's apex denies no DS": (no_ds("c.example"), "c NSEC @ NS SOA RRSIG NSEC"),
    "a name that exists": (nxdomain("c.example"), "c NSEC d A; @ NSEC c SOA NS"),
    "an empty non-terminal exists": (nxdomain("c.example"), "b NSEC a.c A; @ NSEC b SOA NS"),
    "its end exists": (nxdomain("d.example"), "c NSEC d A; @ NSEC c SOA NS"),
    "the wildcard is not denied": (nxdomain("cc.example"), "c NSEC d A"),
    "the wildcard exists": (nxdomain("cc.example"), "c NSEC d A; * NSEC c A"),
    "the wildcard is an empty non-terminal": (nxdomain("cc.example"), "c NSEC d A; @ NSEC a.* SOA NS"),
    "the wildcard has the type": (nodata("cc.example", codes.A), "c NSEC d A; * NSEC c A"),
    "the wildcard has an alias": (nodata("cc.example", codes.A), "c NSEC d A; * NSEC c CNAME"),
    "another wildcard than the closest encloser's": (nodata("a.b.cc.example", codes.A), "a.cc NSEC d A; * NSEC c MX"),
    "something closer exists": (wildcard("a.b.c.example", "example"), "a.c NSEC d A"),
    "the wildcard's encloser does not exist": (wildcard("a.b.cc.example", "cc.example"), "c NSEC d A"),
    "no wildcard answers for an empty non-terminal": (wildcard("c.example", "example"), "b NSEC a.c A"),
    "no wildcard answers for its encloser": (wildcard("example", "example"), "@ NSEC @ SOA NS"),
    "from outside the zone": (nxdomain("c.example"), "a.com. NSEC @ A"),
    "to the outside of the zone": (nxdomain("c.example"), "@ NSEC f. SOA NS"),
    "backwards, and not to the apex": (nxdomain("c.example"), "b NSEC a A; @ NSEC b SOA NS"),
    "beyond the last": (nxdomain("z.other"), "a NSEC @ A"),
    "of the apex, which has no parent here": (no_ds("example"), "@ NSEC a A"),
    "not below the zone itself": (nodata("ns1.example", codes.MX), """
        2t7b4g4vsa5smi47k61mv5bv1a22bojr.w NSEC3 1 0 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG"""),
    "half of the proof with other parameters": (nodata("a.z.w.example", codes.AAAA), """
        k8udemvp1j2f7eg6jebps17vp3n8i58h.example. NSEC3 1 0 12 aabbccdd kohar7mbb8dc2ce8a9qvl8hon4k53uhi
        q04jkcevqvmu85r014c7dkba38o0ji5r.example. NSEC3 1 0 12 aabbccdd r53bq7cc2uvmubfu5ocmm6pers9tk9en A RRSIG
        r53bq7cc2uvmubfu5ocmm6pers9tk9en.example. NSEC3 1 0 12 aabbccde t644ebqk9bibcna874givr6joj62mlhv MX RRSIG"""),
    "the encloser is a delegation": (nxdomain("x.a.example"), """
        35mthgpgcu1qg68fab165klnsnk3dpvl.example. NSEC3 1 0 12 aabbccdd 35mthgpgcu1qg68fab165klnsnk3dpvl NS DS RRSIG"""),
}  # fmt: skip


@pytest.mark.parametrize("why", NOT_A_PROOF)
def test_what_is_no_proof(why: str) -> None:
    decide, records = NOT_A_PROOF[why]
    assert decide(from_zone_text(records)) in (Proof.MISSING, NoDs.MISSING)


PROOFS = {
    "letters in any case": (nxdomain("c.example"), "b NSEC D.EXAMPLE. A; @ NSEC B.eXample. SOA NS", Proof.PROVEN),
    "an apex alone denies all names": (nxdomain("a.b.example"), "@ NSEC @ SOA NS", Proof.PROVEN),
    "the wildcard asked for itself": (nxdomain("*.example"), "@ NSEC a SOA NS", Proof.PROVEN),
    "an empty non-terminal has no type": (nodata("c.example", codes.ANY), "b NSEC a.c A", Proof.PROVEN),
    "a wildcard may be an empty non-terminal": (nodata("c.example", codes.A), "@ NSEC a.* A; "
        "a.* NSEC d A", Proof.PROVEN),
    "the parent's side has no DS": (nodata("b.example", codes.DS), "b NSEC ns1 NS RRSIG NSEC", Proof.PROVEN),
    "an alias is no cut": (no_ds("c.example"), "c NSEC d CNAME", NoDs.NO_CUT),
    "what has no NS is no cut": (no_ds("c.example"), "c NSEC d A", NoDs.NO_CUT),
    "an empty non-terminal is no cut": (no_ds("c.example"), "b NSEC a.c A", NoDs.NO_CUT),
    "what does not exist is no cut": (no_ds("c.example"), "b NSEC d A", NoDs.NO_CUT),
    "by hash, neither": (no_ds("zz.example"), "35mthgpgcu1qg68fab165klnsnk3dpvl.example. NSEC3 1 0 12 aabbccdd "
        "35mthgpgcu1qg68fab165klnsnk3dpvl A\n0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. NSEC3 1 0 12 aabbccdd "
        "2t7b4g4vsa5smi47k61mv5bv1a22bojr NS SOA", NoDs.NO_CUT),
    # RFC 9824 §3.1: compact denials say so of every name
    "compact denial": (nodata("c.example", codes.A), "c NSEC \\000.c RRSIG NSEC TYPE128", Proof.PROVEN),
}  # fmt: skip


@pytest.mark.parametrize("why", PROOFS)
def test_what_is_a_proof(why: str) -> None:
    decide, records, expected = PROOFS[why]
    assert decide(from_zone_text(records)) is expected


def test_the_root_has_no_parent_to_deny_its_ds() -> None:
    root = from_zone_text(". NSEC aaa. NS SOA RRSIG NSEC DNSKEY")
    assert denial.nodata(root, ROOT, ROOT, codes.DS, Work()).proof is Proof.PROVEN
    assert denial.nxdomain(root, ROOT, from_text("aa"), Work()).proof is Proof.PROVEN


@pytest.mark.parametrize("cut", range(40))
def test_damaged_records_are_none(cut: int) -> None:
    """Cut off anywhere; what is left of an NSEC's bitmap, or of an NSEC3's, may at most still be one of fewer types."""
    nsec, nsec3 = of("b.example example"), of("0p9m b4um 35mt")
    for decide, records in ((nxdomain("ml.example"), nsec), (nxdomain("a.c.x.w.example"), nsec3)):
        for at, record in enumerate(records):
            damaged = [*records[:at], *rdata_of(record, lambda data: data[: max(0, len(data) - 1 - cut)]), *records[at + 1 :]]
            assert decide(damaged) in (Proof.MISSING, decide(records))
    assert decide(rdata_of(EXAMPLE, lambda data: data[:cut])) is Proof.MISSING


def test_two_records_where_there_is_one_are_none() -> None:
    assert nodata("ns1.example", codes.MX)([NS1]) is Proof.PROVEN
    assert nodata("ns1.example", codes.MX)([replace(NS1, rdatas=(*NS1.rdatas, *B.rdatas))]) is Proof.MISSING


# -- NSEC3: parameters, and what it costs --------------------------------------------------------------------------------


def with_iterations(count: int, records: list[RRset]) -> list[RRset]:
    return [each for old in records for each in rdata_of(old, lambda data: data[:2] + count.to_bytes(2) + data[4:])]


def with_octet(at: int, value: int, records: list[RRset]) -> list[RRset]:
    return [each for old in records for each in rdata_of(old, lambda data: data[:at] + bytes([value]) + data[at + 1 :])]


def test_parameters_beyond_what_is_evaluated_are_insecure() -> None:
    zone = example_zone([("a", "A")])
    for iterations, expected in ((bounds.MAX_NSEC3_ITERATIONS, Proof.PROVEN), (bounds.MAX_NSEC3_ITERATIONS + 1, Proof.INSECURE)):
        records = list(zone.nsec3(Nsec3Form("-", iterations)).values())
        assert nxdomain("b.example")(records) is expected
    found = denial.nxdomain(records, ZONE, from_text("b.example"), Work())
    assert found.why == f"NSEC3 with {iterations} iterations"
    assert no_ds("b.example")(records) is NoDs.BEYOND
    # What is evaluated counts alone, whatever stands beside it: others' parameters may be replayed.
    assert nodata("ns1.example", codes.TXT)([*records, *of("ns1.example")]) is Proof.PROVEN
    assert nxdomain("b.example")([*records, *of("ns1.example")]) is Proof.MISSING
    assert nxdomain("b.example")([*records, *of("0p9m")]) is Proof.MISSING
    work = Work()
    denial.nxdomain(records, ZONE, from_text("b.example"), work)
    assert work.hashes == 0


def test_unknown_hashes_are_insecure_and_unknown_flags_nothing() -> None:
    proof = of("0p9m b4um 35mt")
    assert nxdomain("a.c.x.w.example")(with_octet(0, 2, proof)) is Proof.INSECURE
    assert no_ds("c.example")(with_octet(0, 2, proof)) is NoDs.BEYOND
    assert nxdomain("a.c.x.w.example")(with_octet(1, 3, proof)) is Proof.MISSING
    # A longer hash has a longer label.
    longer = [replace(each, owner=b"\x34" + (each.owner[1:33] * 2)[:52] + ZONE) for each in with_octet(0, 2, proof)]
    assert nxdomain("a.c.x.w.example")(longer) is Proof.INSECURE
    assert nxdomain("a.c.x.w.example")(with_octet(0, 1, longer)) is Proof.MISSING


def test_so_many_nsec3_records_are_looked_at() -> None:
    proof = of("2t7b")
    others = [each for each in NSEC3S if each not in proof]
    assert nodata("ns1.example", codes.MX)([*others[: bounds.MAX_NSEC3_RECORDS - 1], *proof]) is Proof.PROVEN
    assert nodata("ns1.example", codes.MX)([*others[: bounds.MAX_NSEC3_RECORDS], *proof]) is Proof.MISSING


def test_a_deep_name_costs_no_more_hashes_than_its_encloser_is_deep() -> None:
    zone = example_zone([("b.a", "A")])
    records = list(zone.nsec3(Nsec3Form()).values())
    deep = ".".join("x" * 110)
    for name, hashes in ((f"{deep}.example", 3), (f"{deep}.a.example", 4), (f"{deep}.b.a.example", 5)):
        work = Work()
        assert denial.nxdomain(records, ZONE, from_text(name), work).proof is Proof.PROVEN
        assert work.hashes == hashes, name
    # Without a proof every name above it is hashed, until the question may cost no more.
    work = Work(limit=64)
    with pytest.raises(Work.TooMuch):
        denial.nxdomain(of("2t7b"), ZONE, from_text(f"{deep}.example"), work)
    assert work.hashes == 65


def test_each_name_is_hashed_once_for_a_set_of_parameters() -> None:
    work = Work()
    assert denial.nodata(of("k8ud q04j r53b"), ZONE, from_text("a.z.w.example"), codes.AAAA, work).proof is Proof.INSECURE
    # the name itself, the apex, w, z.w, as none of them is asked for twice
    assert work.hashes == 4


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (denial.nxdomain([], ZONE, from_text("a.example"), Work()), "no NSEC or NSEC3 of example."),
        (denial.nxdomain([NS1], ZONE, from_text("a.com"), Work()), "a.com. is not in example."),
        (denial.nxdomain([NS1], ZONE, from_text("m.example"), Work()), "no NSEC covers m.example."),
        (denial.nxdomain([B], ZONE, from_text("m.example"), Work()), "no NSEC covers *.example."),
        (denial.nodata([B], ZONE, from_text("m.example"), codes.A, Work()), "no NSEC matches *.example."),
        (denial.nodata([NS1], ZONE, from_text("ns1.example"), codes.A, Work()), "NSEC of ns1.example., which has A"),
        (denial.nodata([B], ZONE, from_text("b.example"), codes.A, Work()), "NSEC of b.example., which is a delegation"),
        (denial.nodata([EXAMPLE], ZONE, ZONE, codes.DS, Work()), "NSEC of example., which is a zone's own apex"),
        (denial.no_ds([NS1], ZONE, from_text("m.example"), Work()), "no NSEC matches or covers m.example."),
        (denial.nxdomain(of("q04j"), ZONE, from_text("m.example"), Work()), "no NSEC3 proves the closest encloser of m.example."),
        (denial.wildcard(of("k8ud"), ZONE, from_text("a.w.example"), ZONE, Work()), "no NSEC3 covers w.example."),
        (denial.nodata([B], ZONE, from_text("b.example"), codes.DS, Work()), ""),
    ],
)
def test_words(found: denial.Denial | denial.DsDenial, why: str) -> None:
    assert found.why == why
