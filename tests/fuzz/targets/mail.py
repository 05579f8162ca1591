"""What is read of mail's side: SPF records and macros, names and addresses as clients and administrators write them."""

import contextlib
import re
from ipaddress import ip_address

from resolverd.dnsbl.names import subject_of
from resolverd.greylist.triplet import normalize_sender, parts, triplet
from resolverd.logs import logfmt, one_line, postgrey
from resolverd.mail import domains, hostnames, patterns
from resolverd.mail.lookups import Absent, DnsLookup, Records
from resolverd.mail.sanitize import sanitize
from resolverd.overrides import records, rules, store
from resolverd.spf import evaluate, macros, record, resume
from resolverd.spf.header import received_spf
from resolverd.spf.identities import Identity
from resolverd.wire import codes, names, rdata
from tests.fuzz.target import target

_CLIENTS = ip_address("192.0.2.7"), ip_address("2001:db8::7")
_SPF = [
    b"v=spf1 a mx:b.example ip4:192.0.2.0/24 include:%{d2}.x exists:%{ir}.%{v}._spf.%{d} redirect=_s.example -all",
    b"v=spf1 ptr a/24//64 ip6:2001:db8::/32 ?all exp=%{s}.%{l1r-}.example\0v=spf1 +all",
    b"v=spf1 moo=%{C} mx -all\0why %{h} %{c} %{t}",
]  # fmt: skip


@target(lambda: _SPF, 0.02, 1000)
def spf(data: bytes) -> None:
    """An SPF record, read and applied; whatever it makes us ask is answered with the other records of the input."""
    texts = data.split(b"\0")
    for text in texts:
        record._parse(text)
        for spaces in (False, True):
            try:
                found = macros.read(text.decode("latin-1"), spaces=spaces)
            except macros.BadMacro:
                continue
            macros.fit(macros.expand(found, dict.fromkeys("slodiphcrtv", "a.b@c.example")))
    published = [_txt(text) for text in texts]
    for client in _CLIENTS:
        subject = evaluate.SpfSubject(client, "a.example", "x+y@a.example", "helo.example", "mx.example", 5)
        replies: dict[DnsLookup, Records | Absent] = {}
        for number in range(60):
            progress = resume.progress(subject, replies)
            if progress.outcome is not None:
                for identity in Identity:
                    field = received_spf(identity, subject, progress.outcome)
                    assert field.isprintable()
                break
            for asked in progress.wanted:
                assert len(asked.name) <= names.MAX_NAME
                replies[asked] = _reply(asked, published, number)
        else:
            raise AssertionError("it does not end")


def _txt(text: bytes) -> bytes:
    return rdata.text(*(text[at : at + 255] for at in range(0, max(len(text), 1), 255)))


def _reply(asked: DnsLookup, published: list[bytes], number: int) -> Records | Absent:
    datas = {
        codes.TXT: published[number % len(published)], codes.A: _CLIENTS[0].packed, codes.AAAA: _CLIENTS[1].packed,
        codes.MX: b"\0\1\1m\1x\0", codes.PTR: b"\1p\1a\7example\0",
    }  # fmt: skip
    data = datas.get(asked.rtype)
    return Records((data,), 300) if data is not None and asked.name[0] != 1 else Absent(True, 300)


_TEXTS = [
    b"Anna+tag@Example.COM", b"SRS0=abcd=ab=example.com=bob@fwd.example", b"prvs=1234567890=bob@example.org", b"[192.0.2.1]",
    "müller@bücher.example".encode(), b"2.0.0.127", b"192.0.2.0/24", b"IPv6:2001:db8::1", b"192.0.2.1-192.0.2.9",
    b"a=b, c=d\n\x1b[0m",
]  # fmt: skip


@target(lambda: _TEXTS, 0.02, 500)
def text(data: bytes) -> None:
    """Names, addresses and patterns, as they stand in requests, in files and on command lines."""
    word = data.decode("utf-8", "backslashreplace")
    found = domains.canonical(word)
    if found is not None:
        assert domains.canonical(found) == found
        domains.registrable(found)
        domains.is_suffix(found)
    assert len(domains.mailbox(word)) >= 0
    for judge in (hostnames.is_hostname, hostnames.is_ipv4, hostnames.is_ipv6, hostnames.is_address, hostnames.is_literal):
        judge(word)
    if not re.search(r"%|(^|:)0\.", word):  # Postfix takes no network 0
        with contextlib.suppress(ValueError):
            ip_address(word)
            assert hostnames.is_address(word)
    name = hostnames.name_of(word)
    if name is not None:
        assert hostnames.name_of(hostnames.hostname_of(name)) == name
        subject_of(name)
    for subject in (f"a.{word}", f"{word}.b@example.com"):
        store._order(subject)
    for read in (patterns.networks, patterns.host, patterns.recipient, rules.subject_of, rules.recipient_of):
        with contextlib.suppress(ValueError):
            read(word)
    try:
        key = rules.key_of("deny", word, "all", word if "@" in word else "")
    except rules.BadOverride:
        pass
    else:
        assert records.decode_key(records.encode_key(key)) == key
    levelled = normalize_sender(data)
    assert normalize_sender(levelled) == levelled or b"=" in data or data[:4].lower() in (b"srs0", b"srs1", b"prvs")
    origin, *_ = parts(triplet("192.0.2.0", word, word))
    assert origin == "192.0.2.0"
    assert sanitize(word).isprintable()
    fields = {"action": "pass", "client_name": word, "sender": word, "recipient": word}
    assert "\n" not in postgrey(fields)
    assert "\n" not in logfmt(fields)
    assert one_line(word).isprintable()
