"""Messages and what they are made of, held against dnspython."""

import struct
from collections.abc import Iterable
from ipaddress import ip_address

import dns.edns
import dns.message
import dns.name
import dns.rrset

from resolverd.net.cookies import Cookies
from resolverd.values import replace
from resolverd.wire import canonical, codes, dnssec, message, names, rdata, render
from resolverd.wire.answer import Answer, ExtendedError
from resolverd.wire.names import BadName, Name
from resolverd.wire.peek import Query, Refusal, peek
from resolverd.wire.redact import Redactor
from resolverd.wire.rrset import RRset, Security
from tests.fuzz import oracle
from tests.fuzz.target import packet_limit, target
from tests.work import faulty_names, sound_names, staircase

RECORDS = [
    ("a.example.", "A", "192.0.2.1"), ("a.example.", "AAAA", "2001:db8::1"), ("example.", "MX", "10 mail.example."),
    ("example.", "NS", "ns.example."), ("example.", "SOA", "ns.example. host.example. 1 2 3 4 5"),
    ("example.", "TXT", '"one" "two"'), ("_sip.example.", "SRV", "1 2 3 target.example."),
    ("n.example.", "NAPTR", '1 2 "u" "E2U+sip" "!^.*$!sip:x@example.!" .'), ("b.example.", "CNAME", "a.example."),
    ("d.example.", "DNAME", "other.test."), ("1.2.0.192.in-addr.arpa.", "PTR", "a.example."),
    ("r.example.", "RP", "host.example. text.example."), ("r.example.", "AFSDB", "1 host.example."),
    ("r.example.", "RT", "1 host.example."), ("r.example.", "PX", "1 host.example. x.example."),
    ("r.example.", "KX", "1 host.example."), ("t.example.", "TLSA", "3 1 1 " + "ab" * 32),
    ("x.example.", "TYPE65400", "\\# 4 0a000001"), ("c.example.", "CAA", '0 issue "ca.example"'),
    ("example.", "DS", "1 13 2 " + "ab" * 32), ("example.", "DNSKEY", "257 3 13 " + "A" * 88),
    ("example.", "NSEC", "a.example. A NS SOA TYPE257"),
    ("0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example.", "NSEC3", "1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr A RRSIG"),
    ("a.example.", "RRSIG", "A 13 2 300 20300101000000 20200101000000 1 example. " + "A" * 86 + "=="),
    ("h.example.", "HTTPS", "1 . alpn=h2 ipv4hint=192.0.2.1"), ("h.example.", "HINFO", "a b"),
]  # fmt: skip


def _messages() -> Iterable[bytes]:
    for owner, rtype, text in RECORDS:
        response = dns.message.make_response(dns.message.make_query(owner, rtype, use_edns=0, payload=1232, want_dnssec=True))
        response.answer.append(dns.rrset.from_text(owner, 300, "IN", rtype, text))
        yield response.to_wire()
    response = dns.message.make_response(dns.message.make_query("a.b.Example.", "A", use_edns=0))
    for at, (owner, rtype, text) in enumerate(RECORDS):
        response.sections[1 + at % 3].append(dns.rrset.from_text(owner, 300, "IN", rtype, text))
    yield response.to_wire()
    yield from (staircase(100), staircase(8000), faulty_names(4500), sound_names(4500))


@target(_messages, packet_limit, 8192)
def response(data: bytes) -> None:
    """A server's message: read, held against dnspython, written and read again."""
    try:
        ours = message.parse(data)
    except message.Malformed:
        return
    if ours.qname is None:
        return
    for rrset in (*ours.answer, *ours.authority, *ours.additional):
        assert rrset.owner == rrset.owner.lower()
        assert rrset.rdatas
        assert 0 <= rrset.ttl < 1 << 31
    asked = Query(ours.id, codes.RD, ours.qname, ours.qtype, 1, message.Edns(1232, do=True), _question(ours))
    written = render.render(asked, Answer(0, ours.answer, ours.authority, ours.additional), 65535)
    if written.truncated:
        return
    again = message.parse(written.data)
    assert again.whole == 3
    assert again.qname == ours.qname
    assert _contents(ours.answer) == _contents(again.answer)
    assert _contents(ours.authority) == _contents(again.authority)
    assert _contents(ours.additional) == _contents(again.additional)
    for at in written.ttls:
        assert at + 4 <= len(written.data)
    for size, secure in ((1232, Security.SECURE), (512, Security.UNKNOWN)):
        plain = replace(asked, edns=None) if size == 512 else asked
        told = Answer(
            ours.rcode & 15, ours.answer, ours.authority, ours.additional,
            aa=ours.aa, security=secure, errors=(ExtendedError(22, "why"),),
        )  # fmt: skip
        short = render.render(plain, told, size)
        assert len(short.data) <= max(size, 12 + len(asked.question) + 11 + 9)
        assert short.truncated == message.parse(short.data).tc


@target(_messages, 5.0, 4096)
def agreement(data: bytes) -> None:
    """Ours and dnspython's codec agree but where they are meant to differ."""
    assert oracle.compare(data) in ("same", "refused", *oracle.DIFFERENCES)


def _question(ours: message.Message) -> bytes:
    assert ours.qname is not None
    return ours.qname + struct.pack("!HH", ours.qtype, 1)


def _contents(rrsets: tuple[RRset, ...]) -> set[tuple[Name, int, int, bytes]]:
    """Names in rdata that is compressed may come back in other letters, as what they are compressed against has them."""
    plain = {
        (rrset.owner, rrset.rtype, rrset.ttl, data.lower() if rrset.rtype in rdata.COMPRESSIBLE else data)
        for rrset in rrsets
        for data in rrset.rdatas
        if rrset.rtype != codes.OPT
    }
    signatures = {(rrset.owner, codes.RRSIG, 0, data) for rrset in rrsets for data in rrset.sigs}
    return {each for each in plain if each[1] != codes.RRSIG} | signatures | {
        (owner, rtype, 0, data) for owner, rtype, _, data in plain if rtype == codes.RRSIG
    }


def _queries() -> Iterable[bytes]:
    yield dns.message.make_query("www.Example.", "A").to_wire()
    yield dns.message.make_query("www.example.", "TXT", use_edns=0, payload=4096, want_dnssec=True).to_wire()
    yield dns.message.make_query("www.example.", "A", use_edns=1).to_wire()
    for code, octets in ((10, b"12345678"), (8, b"\0\1\x18\0\xc0\0\2"), (12, bytes(16)), (3, b"")):
        option = dns.edns.GenericOption(dns.edns.OptionType(code), octets)
        yield dns.message.make_query("example.", "MX", use_edns=0, options=[option]).to_wire()
    yield struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + b"\1a\xc0\4\0\1\0\1"


@target(_queries, packet_limit, 1400)
def question(data: bytes) -> None:
    """A client's question: what is echoed of it is read as what was read of it, by dnspython as well."""
    peeked = peek(data)
    if peeked is None:
        return
    if not isinstance(peeked, Query):
        refused = render.refuse(peeked)
        assert refused[:2] == data[:2]
        assert refused[2] & 0x80
        dns.message.from_wire(refused, question_only=True)
        return
    assert len(peeked.question) == len(peeked.qname) + 4
    for answer in (Answer(codes.NOERROR), Answer(codes.SERVFAIL)):
        reply = dns.message.from_wire(render.render(peeked, answer, render.limit(peeked, True)).data)
        assert reply.question[0].name.to_wire() == peeked.qname
        assert int(reply.question[0].rdtype) == peeked.qtype
        assert reply.id == peeked.id
    # The octets behind it are no part of it, unless one of its names has taken them for a label.
    alone = peek(data[: peeked.length])
    assert alone == peeked or isinstance(alone, Refusal)


def _names() -> Iterable[bytes]:
    for text in (
        "www.Example.com.", ".", "a\\.b.example", "a\\032b\\255.x", "straße.example", "\\\\.", "x" * 63 + ".de", "*.a", "a\\",
        "a..b", "a\\256", "a\\25", "x" * 64, "x." * 130, "ü" * 60, "ü" * 300, "☃.example", "a\u200db.example", "ａ☃-.x",
        "ü\\.x", "\\ü", "\\٣.x",
        "1.2.0.192.in-addr.arpa", "1." * 31 + "f.ip6.arpa", "256.0.0.1", "g." + "1." * 31,
    ):  # fmt: skip
        yield text.encode()


@target(_names, 0.005, 400)
def name(data: bytes) -> None:
    """Names as text, and back."""
    text = data.decode("utf-8", "replace")
    try:
        found = names.from_text(text)
    except BadName:
        return
    assert len(found) <= names.MAX_NAME
    shown = names.to_text(found)
    assert names.from_text(shown) == found
    assert dns.name.from_text(shown).to_wire() == found
    assert names.from_labels(names.labels(found)) == found
    assert names.label_count(found) == len(names.labels(found)) == len(names.ancestors(found)) - 1
    assert canonical.name_key(found)[::-1] == tuple(names.labels(found.lower()))
    for above in names.ancestors(found):
        assert names.is_subdomain(found, above)
        assert names.suffix(found, names.label_count(above)) == above
    assert names.is_within(found, frozenset(names.ancestors(found)[-1:]))
    address = names.address_of_reversed(found)
    assert address is None or names.reversed_address(address) == found.lower()
    secret = Redactor(frozenset(names.ancestors(found.lower())[2:3])).text(found)
    assert names.label_count(found) < 2 or "KEY" in secret


def _rdatas() -> Iterable[bytes]:
    for _, rtype, text in RECORDS:
        rrset = dns.rrset.from_text("a.example.", 300, "IN", rtype, text)
        whole = int(rrset.rdtype).to_bytes(2) + rrset[0].to_generic().data
        yield whole
        yield whole[:-1]
        yield whole[:4]
    yield codes.DNSKEY.to_bytes(2) + b"\1\1\3\1" + bytes(8)  # RSAMD5, whose tag is made otherwise
    yield codes.DNSKEY.to_bytes(2) + b"\1\1\3\1\0"
    yield codes.NSEC3.to_bytes(2) + b"\1\0\0\1\0\0"
    yield codes.NSEC.to_bytes(2) + b"\0\1\0"
    yield codes.RRSIG.to_bytes(2) + b"\0\1\x0d\1" + bytes(14) + b"\7example\0sig"
    yield codes.RRSIG.to_bytes(2) + b"\0\1\x0d\3" + bytes(14) + b"\7example\0sig"
    yield codes.TXT.to_bytes(2) + b"\5ab"
    yield codes.MX.to_bytes(2) + b"\0\1\xc0\0"
    yield b"\xff\0" + b"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"


_PARSERS = {
    codes.DNSKEY: dnssec.dnskey, codes.DS: dnssec.ds, codes.RRSIG: dnssec.rrsig, codes.NSEC: dnssec.nsec,
    codes.NSEC3: dnssec.nsec3, codes.SOA: rdata.soa, codes.TXT: rdata.strings,
}  # fmt: skip
_SHOWN = (codes.NS, codes.CNAME, codes.PTR, codes.DNAME, codes.MX, codes.SRV)


@target(_rdatas, packet_limit, 600)
def record(data: bytes) -> None:
    """Rdata of each type that something is read of; its canonical form is dnspython's."""
    rtype, octets = int.from_bytes(data[:2]), data[2:]
    rdata.summary(rtype, octets)
    theirs = oracle.digestable(rtype, octets)
    try:
        found = canonical.canonical_rdata(rtype, octets)
    except ValueError:
        assert theirs is None or max(octets) >= 0xC0, "only dnspython follows a pointer within rdata that stands alone"
    else:
        if theirs is not None and rtype in rdata.LAYOUTS and rtype not in (codes.SIG, codes.NXT):
            assert found == theirs
        assert canonical.canonical_rdata(rtype, found) == found
    read = _PARSERS.get(rtype)
    if read is not None:
        try:
            value = read(octets)
        except ValueError:
            # A key of no octets, a name of compressed labels and the like: dnspython is less strict with some of these.
            pass
        else:
            if isinstance(value, dnssec.Nsec3):
                assert value.is_opt_out == bool(octets[1] & 1)
                dnssec.nsec3_hash(b"\1a\0", value.salt, value.iterations % 100)
            if isinstance(value, dnssec.Dnskey):
                assert value.is_zone_key <= bool(value.flags & 256)
                assert value.is_sep == bool(value.flags & 1)
                assert value.is_revoked == bool(value.flags & 128)
            if isinstance(value, dnssec.Nsec | dnssec.Nsec3):
                for each in (0, 1, 255, 256, 65535):
                    dnssec.has_type(value.types, each)
            if isinstance(value, rdata.Soa):
                assert value.pack() == octets
            if isinstance(value, dnssec.Dnskey):
                assert 0 <= dnssec.key_tag(octets) < 65536
            if isinstance(value, dnssec.Rrsig):
                rrset = RRset(b"\1a\7example\0", codes.A, 1, (octets[:4],), (octets,))
                try:
                    canonical.signed_data(rrset, value)
                except ValueError:
                    pass
    try:
        rdata.check(rtype, octets)
    except ValueError:
        pass
    try:
        assert dnssec.hash_label(dnssec.label_hash(octets)) == octets.lower()
    except ValueError:
        assert len(octets) != 32 or not octets.isalnum() or max(octets.lower()) > ord("v") or not octets.isascii()
    if rtype in _SHOWN:
        try:
            rdata.target(rtype, octets)
        except ValueError:
            pass


def _options() -> Iterable[bytes]:
    yield b""
    yield b"\0\x0a\0\x08clientco"
    yield b"\0\x0f\0\4\0\x16ab" + b"\0\x0a\0\x18" + bytes(24)
    yield b"\0\x0a\0\x40" + bytes(8)


@target(_options, packet_limit, 1200)
def options(data: bytes) -> None:
    """EDNS options, strictly as from clients and leniently as from servers, and what cookies make of them."""
    lenient = message.options(data, 0, len(data), strict=False)
    try:
        assert message.options(data, 0, len(data)) == lenient
    except message.Malformed:
        pass
    rebuilt = b"".join(struct.pack("!HH", code, len(octets)) + octets for code, octets in lenient)
    assert message.options(rebuilt, 0, len(rebuilt)) == lenient
    cookies, server = Cookies(), ip_address("192.0.2.1")
    own = cookies.option(server, None)
    for found in (lenient, ((10, own + data[:40]), *lenient)):
        said = message.Message(1, 0x8000, 0, None, 0, 0, (), (), (), message.Edns(1232, options=tuple(found)))
        cookies.check(server, None, said)
        assert cookies.option(server, None)[:8] == own[:8]
        assert len(cookies.option(server, None)) <= 40
