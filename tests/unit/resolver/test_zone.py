"""A zone from a master file: RFC 1034 §4.3.2, RFC 4592 (wildcards), RFC 6672 (DNAME), RFC 8020 (empty non-terminals)."""

import pytest

from resolverd import bounds
from resolverd.resolver.local import master_file
from resolverd.resolver.local.local_zone import LocalZone
from resolverd.resolver.local.master_file import BadZone
from resolverd.resolver.local.table import LocalZones
from resolverd.resolver.local.zone import LocalAnswer
from resolverd.wire import codes, rdata
from resolverd.wire.names import from_text, lower, to_text

EXAMPLE = """
$TTL 1h
@       SOA   ns1 admin 1 7200 3600 1209600 300
@       NS    ns1
@       NS    ns.elsewhere.org.
ns1     A     192.0.2.1
www     A     192.0.2.2
        A     192.0.2.3
        TXT   "hello"
WeB     CNAME www
far     CNAME www.elsewhere.org.
loop    CNAME pool
pool    CNAME loop
dangle  CNAME nothing
b.c.d   A     192.0.2.4
*.wild  A     192.0.2.5
*.wild  MX    10 mail
host.wild TXT "no address"
a.ent.wild A  192.0.2.6
*.alias CNAME www
sub     NS    ns.sub
sub     NS    ns.elsewhere.org.
sub     DS    1 8 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
ns.sub  A     192.0.2.53
ns.sub  AAAA  2001:db8::53
into    CNAME deep.sub
old     DNAME new
old     TXT   "moved"
www.new A     192.0.2.7
out     DNAME elsewhere.org.
"""


def zone(text: str = EXAMPLE, origin: str = "example.org") -> LocalZone:
    name = from_text(origin)
    return LocalZone(name, master_file.zone(text, name))


def ask(name: str, rtype: str, *zones: LocalZone) -> LocalAnswer:
    said = LocalZones(zones or (zone(),)).ask(lower(from_text(name)), codes.type_from_text(rtype))
    assert said is not None
    return said


def shown(said: LocalAnswer) -> str:
    """What is said, in one line: RCODE, records, and where it goes on."""
    words = [codes.rcode_text(said.answer.rcode)]
    for rrset in said.answer.answer:
        datas = " ".join(sorted(rdata.summary(rrset.rtype, data) for data in rrset.rdatas))
        words.append(f"{to_text(rrset.owner)} {codes.type_text(rrset.rtype)} {datas}")
    if any(rrset.rtype == codes.SOA for rrset in said.answer.authority):
        words.append("SOA")
    if said.continue_at is not None:
        words.append(f"-> {to_text(said.continue_at)}")
    return "; ".join(words)


@pytest.mark.parametrize(("name", "rtype", "wanted"), [
    ("www.example.org", "A", "NOERROR; www.example.org. A 192.0.2.2 192.0.2.3"),
    ("www.example.org", "AAAA", "NOERROR; SOA"),
    ("nothing.example.org", "A", "NXDOMAIN; SOA"),
    ("x.www.example.org", "A", "NXDOMAIN; SOA"),
    ("example.org", "NS", "NOERROR; example.org. NS ns.elsewhere.org. ns1.example.org."),
    ("example.org", "A", "NOERROR; SOA"),
    ("d.example.org", "A", "NOERROR; SOA"),
    ("c.d.example.org", "A", "NOERROR; SOA"),
    ("b.c.d.example.org", "A", "NOERROR; b.c.d.example.org. A 192.0.2.4"),
    ("web.example.org", "A", "NOERROR; web.example.org. CNAME www.example.org.; www.example.org. A 192.0.2.2 192.0.2.3"),
    ("web.example.org", "CNAME", "NOERROR; web.example.org. CNAME www.example.org."),
    ("web.example.org", "MX", "NOERROR; web.example.org. CNAME www.example.org.; SOA"),
    ("dangle.example.org", "A", "NXDOMAIN; dangle.example.org. CNAME nothing.example.org.; SOA"),
    ("far.example.org", "A", "NOERROR; far.example.org. CNAME www.elsewhere.org.; -> www.elsewhere.org."),
    ("q.wild.example.org", "A", "NOERROR; q.wild.example.org. A 192.0.2.5"),
    ("q.r.wild.example.org", "MX", "NOERROR; q.r.wild.example.org. MX 10 mail.example.org."),
    ("q.wild.example.org", "TXT", "NOERROR; SOA"),
    ("*.wild.example.org", "A", "NOERROR; *.wild.example.org. A 192.0.2.5"),
    ("host.wild.example.org", "A", "NOERROR; SOA"),
    ("x.host.wild.example.org", "A", "NXDOMAIN; SOA"),
    ("ent.wild.example.org", "A", "NOERROR; SOA"),
    ("x.ent.wild.example.org", "A", "NXDOMAIN; SOA"),
    ("wild.example.org", "A", "NOERROR; SOA"),
    ("q.alias.example.org", "TXT", 'NOERROR; q.alias.example.org. CNAME www.example.org.; www.example.org. TXT "hello"'),
    ("www.old.example.org", "A",
     "NOERROR; old.example.org. DNAME new.example.org.; www.old.example.org. CNAME www.new.example.org.; "
     "www.new.example.org. A 192.0.2.7"),
    ("old.example.org", "A", "NOERROR; SOA"),
    ("old.example.org", "TXT", 'NOERROR; old.example.org. TXT "moved"'),
    ("a.b.out.example.org", "A",
     "NOERROR; out.example.org. DNAME elsewhere.org.; a.b.out.example.org. CNAME a.b.elsewhere.org.; -> a.b.elsewhere.org."),
    ("sub.example.org", "DS", "NOERROR; sub.example.org. DS \\# 36 "
     "000108020123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
    ("into.example.org", "A", "NOERROR; into.example.org. CNAME deep.sub.example.org.; -> deep.sub.example.org."),
])  # fmt: skip
def test_what_it_says(name: str, rtype: str, wanted: str) -> None:
    said = ask(name, rtype)
    assert shown(said) == wanted
    assert said.answer.aa


@pytest.mark.parametrize(("name", "rtype"), [
    ("sub.example.org", "A"), ("sub.example.org", "NS"), ("deep.sub.example.org", "A"), ("ns.sub.example.org", "A"),
    ("deep.sub.example.org", "DS"),
])  # fmt: skip
def test_delegated_names_are_referred(name: str, rtype: str) -> None:
    said = ask(name, rtype)
    assert said.continue_at == from_text(name)
    assert not said.answer.aa
    assert not said.answer.answer
    (ns,) = said.answer.authority
    assert to_text(ns.owner) == "sub.example.org."
    assert {rrset.rtype for rrset in said.answer.additional} == {codes.A, codes.AAAA}


def test_delegations_come_with_the_addresses_that_own_zones_know() -> None:
    other = zone("@ 60 SOA a b 1 2 3 4 5\nns 60 A 192.0.2.99\n", "elsewhere.org")
    table = LocalZones([zone(), other])
    ((ns, glue),) = table.delegations()
    assert to_text(ns.owner) == "sub.example.org."
    assert [rdata.summary(rrset.rtype, rrset.rdatas[0]) for rrset in glue] == ["192.0.2.53", "2001:db8::53", "192.0.2.99"]


def test_aliases_are_followed_from_one_own_zone_into_another() -> None:
    other = zone("@ 60 SOA a b 1 2 3 4 5\nwww 60 A 192.0.2.99\n", "elsewhere.org")
    said = ask("far.example.org", "A", zone(), other)
    assert shown(said) == "NOERROR; far.example.org. CNAME www.elsewhere.org.; www.elsewhere.org. A 192.0.2.99"


def test_a_loop_of_aliases_ends() -> None:
    said = ask("loop.example.org", "A")
    assert said.answer.rcode == codes.SERVFAIL
    assert said.continue_at is None


def test_a_dname_that_makes_a_name_too_long() -> None:
    text = "@ 60 SOA a b 1 2 3 4 5\nd 60 DNAME " + ".".join(["x" * 60] * 3) + ".example.org.\n"
    said = ask(".".join(["y" * 60] * 2) + ".d.example.org", "A", zone(text))
    assert shown(said).startswith("YXDOMAIN; d.example.org. DNAME ")


def test_negative_answers_live_as_long_as_the_smaller_of_soa_and_minimum() -> None:
    """RFC 2308 §3."""
    assert ask("nothing.example.org", "A").answer.authority[0].ttl == 300
    long = zone("@ 60 SOA a b 1 2 3 4 500\n")
    assert ask("nothing.example.org", "A", long).answer.authority[0].ttl == 60


def test_the_closest_zone_answers() -> None:
    inner = zone("@ 60 SOA a b 1 2 3 4 5\nq 60 A 192.0.2.99\n", "wild.example.org")
    delegated_away = [from_text("b.c.d.example.org"), from_text("wild.example.org"), from_text("org")]
    table = LocalZones([zone(), inner], delegated_away=delegated_away)
    assert table.find(from_text("q.wild.example.org")) is inner
    found = table.find(from_text("d.example.org"))
    assert found is not None
    assert found.origin == from_text("example.org")
    for name in ("x.b.c.d.example.org", "other.org", "com"):
        assert table.find(from_text(name)) is None
        assert table.ask(from_text(name), codes.A) is None


def test_signatures_stay_beside_what_they_sign() -> None:
    signature = "A 8 2 60 20300101000000 20200101000000 1 example.org. AAAA"
    said = ask("www.example.org", "A", zone(f"$TTL 60\n@ SOA a b 1 2 3 4 5\nwww A 192.0.2.1\nwww RRSIG {signature}\n"))
    (rrset,) = said.answer.answer
    assert len(rrset.sigs) == 1


@pytest.mark.parametrize(("text", "wanted"), [
    ("$TTL 60\n@ SOA a b 1 2 3 4 5\nwww A 192.0.2.1\nwww CNAME x\nz A 192.0.2.1\n", "line 4: CNAME"),
    ("$TTL 60\n@ SOA a b 1 2 3 4 5\nx CNAME a\n\nx CNAME b", "line 5: a second CNAME record at x.example.org."),
    ("$TTL 60\n@ SOA a b (\n1 2\n3 4 5 )\n@ SOA a c 1 2 3 4 5\n", "line 5: a second SOA record"),
    ("$TTL 60\n@ SOA a b 1 2 3 4 5\nwww.other.org. A 192.0.2.1\n", "line 3: www.other.org. is not in the zone"),
    ("$TTL 60\n@ SOA a b 1 2 3 4 5\nsub SOA a b 1 2 3 4 5\n", "line 3: "),
    ("$TTL 60\n@ SOA a b 1 2 3 4 5\nwww A 192.0.2.256\n", "line 3: "),
    ("$TTL 60\n@ SOA a b 1 2 3 4 5\n$INCLUDE /etc/passwd\n", "line 3: "),
    ("$TTL 60\nwww A 192.0.2.1\n", "no SOA record at example.org."),
    ("www A 192.0.2.1\n", "line 1: "),
    ("", "no SOA record"),
])  # fmt: skip
def test_a_faulty_file_says_where(text: str, wanted: str) -> None:
    with pytest.raises(BadZone, match=wanted.replace(".", r"\.")):
        zone(text)


def test_what_a_line_generates_is_bounded_however_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "GENERATED", 100)
    head = "$TTL 60\n@ SOA a b 1 2 3 4 5\n"
    names = "".join(f"n{number} A 192.0.2.1\n" for number in range(200))
    found = zone(f"{head}{names}$GENERATE 0-199/2 host-${{0,3}} A 192.0.2.$\n")
    assert ask("host-198.example.org", "A", found).answer.answer[0].rdatas == (bytes([192, 0, 2, 198]),)
    for lines in (
        "$GENERATE 0-100 host-$ A 192.0.2.$",
        "$GENERATE 1-99999999999999999999 host-$ A 192.0.2.1",
        "$GENERATE 1-99999999999999999999 one A 192.0.2.1",
        "$GENERATE 0-69 a$ A 192.0.2.$\n$GENERATE 0-69 b$ A 192.0.2.$",
    ):
        with pytest.raises(BadZone, match=r"line \d+: \$GENERATE makes more than 100 records"):
            zone(f"{head}{lines}\n")
