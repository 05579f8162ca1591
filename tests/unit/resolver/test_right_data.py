"""What belongs into an answer and what does not: DNSSEC's records, records twice, contradictions, and refusals' flags."""

from ipaddress import ip_address
from pathlib import Path

import dns.flags
import dns.message
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from scriptednet import Message, Net, ScriptedResolver, addresses, errors, rcode, reply_to
from virtualtime import virtual

from resolverd.app import named_files
from resolverd.config.files import parse
from resolverd.config.settings import Forward
from resolverd.wire import codes
from resolverd.wire.ask import Ask, Server

GOOD = "193.0.0.1"
SIG = "8 {labels} 300 20300101000000 20200101000000 1 shop. AAAA"
NSEC = "a.shop 300 NSEC z.shop A NSEC RRSIG"
NSEC3 = "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.shop 300 NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A RRSIG"
SOA = "shop. 300 SOA a. b. 1 1 1 1 300"


async def ask(resolver: ScriptedResolver, name: str, rtype: str = "A", *, do: bool = False, rd: bool = True) -> Message:
    query = dns.message.make_query(name, rtype, want_dnssec=do, use_edns=0)
    if not rd:
        query.flags &= ~dns.flags.RD
    data = await resolver.stack.ask(query.to_wire(), udp=False)
    assert data is not None
    return dns.message.from_wire(data)


def types(section: list[object]) -> list[str]:
    return sorted(dns.rdatatype.to_text(rrset.rdtype) for rrset in section)  # type: ignore[attr-defined]


def house_with(folder: Path, answer: str = "", authority: str = "", code: str = "NOERROR", **more: str) -> ScriptedResolver:
    """A zone ``shop`` whose server says that of ``x.w.shop``, and what `more` says of other names (their first label)."""
    net = Net()
    zone = net.zone("shop", {"ns.shop": "45.1.0.1"}, f"target A {GOOD}\n{more.get('zone', '')}")

    def handler(query: Message, asked: Ask) -> Message:
        if query.question[0].name.to_text().lower() == "x.w.shop.":
            return reply_to(query, answer, authority, rcode=code)
        return zone(query, asked)

    net.serve("45.1.0.1", handler)
    return ScriptedResolver(net, folder, qname_minimisation=False)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("code", ["NOERROR", "NXDOMAIN"])
@pytest.mark.parametrize("proof", [NSEC, NSEC3])
@virtual
async def test_proofs_go_to_clients_that_ask_for_dnssec_only(proof: str, code: str, times: int, tmp_path: Path) -> None:
    resolver = house_with(tmp_path, "", f"{SOA}\n{proof}", code)
    for _ in range(times):
        plain = await ask(resolver, "x.w.shop")
        assert (rcode(plain), types(plain.authority)) == (code, ["SOA"])
        validating = await ask(resolver, "x.w.shop", do=True)
        assert types(validating.authority) == sorted(["SOA", proof.split()[2]])


@virtual
async def test_whoever_asks_for_a_proof_gets_it(tmp_path: Path) -> None:
    resolver = house_with(tmp_path, "x.w.shop 300 NSEC z.shop A NSEC")
    assert types((await ask(resolver, "x.w.shop", "NSEC")).answer) == ["NSEC"]


@virtual
async def test_the_proof_beside_a_wildcard_alias_goes_along(tmp_path: Path) -> None:
    """RFC 4035 §3.1.3.3: without it nobody can validate that nothing closer exists. The alias is not the answer's end."""
    alias = f"x.w.shop 300 CNAME target.shop.\nx.w.shop 300 RRSIG CNAME {SIG.format(labels=2)}"
    resolver = house_with(tmp_path, alias, NSEC)
    for _ in range(2):  # just asked, and from memory
        reply = await ask(resolver, "x.w.shop", do=True)
        assert addresses(reply) == [GOOD]
        assert types(reply.answer) == ["A", "CNAME", "RRSIG"]
        assert types(reply.authority) == ["NSEC"]
        assert types((await ask(resolver, "x.w.shop")).authority) == []


@virtual
async def test_the_proof_beside_a_wildcard_alias_stands_with_the_denial_at_its_end(tmp_path: Path) -> None:
    alias = f"x.w.shop 300 CNAME nobody.shop.\nx.w.shop 300 RRSIG CNAME {SIG.format(labels=2)}"
    resolver = house_with(tmp_path, alias, NSEC)
    for _ in range(2):
        reply = await ask(resolver, "x.w.shop", do=True)
        assert rcode(reply) == "NXDOMAIN"
        assert types(reply.authority) == ["NSEC", "SOA"]


@virtual
async def test_a_proof_beside_an_alias_of_its_own_is_nobodys(tmp_path: Path) -> None:
    alias = f"x.w.shop 300 CNAME target.shop.\nx.w.shop 300 RRSIG CNAME {SIG.format(labels=3)}"
    resolver = house_with(tmp_path, alias, NSEC)
    assert types((await ask(resolver, "x.w.shop", do=True)).authority) == []


@pytest.mark.parametrize("forward", [False, True])
@virtual
async def test_a_dname_that_is_crossed_twice_is_shown_once(forward: bool, tmp_path: Path) -> None:
    """RFC 2181 §5: an answer holds no record twice."""
    net = Net()

    def handler(query: Message, asked: Ask) -> Message:
        name = query.question[0].name.to_text().lower()
        first = "x.old.shop CNAME x.new.shop\nx.new.shop CNAME y.old.shop"
        second = "y.old.shop CNAME y.new.shop"
        dname = "old.shop DNAME new.shop"
        end = f"y.new.shop A {GOOD}"
        chain = [dname, *first.split("\n"), second, end]
        if forward:
            return reply_to(query, "\n".join(chain))
        known = {"x.old.shop.": f"{dname}\n{chain[1]}", "x.new.shop.": chain[2], "y.old.shop.": f"{dname}\n{second}",
                 "y.new.shop.": end}  # fmt: skip
        return reply_to(query, known[name])

    net.root.add("shop. NS ns.shop.\nns.shop. A 45.1.0.1")
    net.serve("45.1.0.1", handler)
    resolver = ScriptedResolver(net, tmp_path, qname_minimisation=False, **(forwarding("shop", "45.1.0.1") if forward else {}))
    for _ in range(2):
        data = await resolver.stack.ask(dns.message.make_query("x.old.shop", "A").to_wire(), udp=False)
        assert data is not None
        reply = dns.message.from_wire(data, one_rr_per_rrset=True)
        assert addresses(reply) == [GOOD]
        owners = [(rrset.name.to_text(), dns.rdatatype.to_text(rrset.rdtype)) for rrset in reply.answer]
        assert owners == [
            ("old.shop.", "DNAME"),
            ("x.old.shop.", "CNAME"),
            ("x.new.shop.", "CNAME"),
            ("y.old.shop.", "CNAME"),
            ("y.new.shop.", "A"),
        ]


def forwarding(zone: str, address: str) -> dict[str, object]:
    return {"forward": (Forward(zone, (Server(ip_address(address)),)),)}


LONG = "l" * 63
YXDOMAIN = {
    "data": (f"x.w.shop A {GOOD}", "SERVFAIL"),
    "data and a DNAME": (f"w.shop DNAME target.shop\nx.w.shop A {GOOD}", "SERVFAIL"),
    "an alias": ("x.w.shop CNAME target.shop.", "SERVFAIL"),
    "nothing": ("", "SERVFAIL"),
}


@pytest.mark.parametrize("case", YXDOMAIN)
@virtual
async def test_yxdomain_needs_its_dname(case: str, tmp_path: Path) -> None:
    """RFC 6672 §2.2: a DNAME makes too long a name. What comes with it and contradicts it is no data."""
    answer, expected = YXDOMAIN[case]
    assert rcode(await ask(house_with(tmp_path, answer, code="YXDOMAIN"), "x.w.shop")) == expected


@virtual
async def test_yxdomain_at_the_end_of_an_alias_is_found_there(tmp_path: Path) -> None:
    long = ".".join([LONG] * 3)
    net = Net()
    dname = f"old.shop DNAME {LONG}.shop"

    def handler(query: Message, asked: Ask) -> Message:
        name = query.question[0].name.to_text().lower()
        alias = f"x.w.shop CNAME {long}.old.shop."
        return reply_to(query, f"{alias}\n{dname}" if name == "x.w.shop." else dname, rcode="YXDOMAIN")

    net.root.add("shop. NS ns.shop.\nns.shop. A 45.1.0.1")
    net.serve("45.1.0.1", handler)
    reply = await ask(ScriptedResolver(net, tmp_path, qname_minimisation=False), "x.w.shop")
    assert (rcode(reply), types(reply.answer)) == ("YXDOMAIN", ["CNAME", "DNAME"])


@pytest.mark.parametrize("code", ["NOERROR", "NXDOMAIN"])
@pytest.mark.parametrize("signer", [b"\x3fshop", b"\xc0\x0c", (b"\x3f" + b"a" * 63) * 4 + b"\0"])
@virtual
async def test_signatures_that_cannot_be_read_cost_nothing_else(signer: bytes, code: str, tmp_path: Path) -> None:
    unreadable = dns.rdata.GenericRdata(dns.rdataclass.IN, dns.rdatatype.RRSIG, b"\0\5\x08\1" + bytes(14) + signer)
    net = Net()
    net.zone("shop", {"ns.shop": "45.1.0.1"})

    def handler(query: Message, asked: Ask) -> Message:
        name = query.question[0].name
        end, authority = ("a.shop. 300 A 193.0.0.1", "") if code == "NOERROR" else ("", SOA)
        if name.to_text().lower() != "x.w.shop.":
            return reply_to(query, end, authority, rcode=code)
        reply = reply_to(query, f"{name} 300 CNAME a.shop.\n{end}", authority, rcode=code)
        reply.answer.append(dns.rrset.from_rdata(name, 300, unreadable))
        return reply

    net.serve("45.1.0.1", handler)
    resolver = ScriptedResolver(net, tmp_path, qname_minimisation=False)
    for _ in range(2):
        reply = await ask(resolver, "x.w.shop")
        assert rcode(reply) == code
        assert addresses(reply) == ([GOOD] if code == "NOERROR" else [])


@virtual
async def test_whoever_does_not_want_recursion_hears_that_it_is_there(tmp_path: Path) -> None:
    resolver = house_with(tmp_path)
    reply = await ask(resolver, "target.shop", rd=False)
    assert rcode(reply) == "REFUSED"
    assert errors(reply) == [codes.EDE_NOT_AUTHORITATIVE], "RFC 8914 §4.21"
    assert reply.flags & dns.flags.RA
    assert addresses(await ask(resolver, "target.shop")) == [GOOD]
    assert addresses(await ask(resolver, "target.shop", rd=False)) == [GOOD]
    zone_transfer = await ask(resolver, "target.shop", "AXFR")
    assert (rcode(zone_transfer), bool(zone_transfer.flags & dns.flags.RA)) == ("REFUSED", False)


@pytest.mark.parametrize(
    ("text", "forward", "fault"),
    [
        ("", True, False),
        ("; nothing but a remark\n", True, False),
        ("", False, True),
        (". 3600 NS k.root-servers.net.\n", True, True),
        ("rubbish", True, True),
    ],
)
def test_empty_root_hints_are_no_fault_where_nobody_asks_the_root(text: str, forward: bool, fault: bool, tmp_path: Path) -> None:
    (tmp_path / "hints").write_text(text)
    lines = '[resolver]\nroot_hints = "hints"\n'
    if forward:
        lines += '[[resolver.forward]]\nzone = "."\nservers = ["45.1.0.1"]\n'
    read = named_files.read(parse(lines, tmp_path))
    assert [each.path for each in read.faults] == ["resolver.root_hints"] * fault
    assert read.hints.addresses
