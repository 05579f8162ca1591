"""What a store gives back, whole or damaged: a record that is none counts as absent, and what is read is written the same."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from types import ModuleType

from resolverd import bounds
from resolverd.clients.record import ClientRecord, decode_record, encode_record
from resolverd.dnsbl import health_view, quota_slots, quota_store, reply_record, watched
from resolverd.dnsbl.quota import Budget, parse_allowance
from resolverd.greylist.decide import Client, Triplet, decode_client, decode_triplet, encode_client, encode_triplet
from resolverd.mail.findings import Action, Consequence, Evidence, Finding, GreylistOutcome, SmtpReply, Verdict
from resolverd.overrides import records as override_records
from resolverd.overrides import rules
from resolverd.policy import verdict_records as verdicts
from resolverd.resolver.cache.delegations import Delegation
from resolverd.resolver.cache.entries import Cached
from resolverd.resolver.iterator.capabilities import Feature, SupportFact
from resolverd.resolver.iterator.infra import InfraCache, RttFact
from resolverd.resolver.persist import records as persisted
from resolverd.resolver.validator import nta, rfc5011
from resolverd.resolver.validator.anchors import shipped
from resolverd.servers.http import dump_format
from resolverd.state.base import count_of, encode_count
from resolverd.state.disk import sqlite_file
from resolverd.state.dump import Stored
from resolverd.telemetry import recorder, series
from resolverd.wire import canonical, codes, message, names, rdata, render
from resolverd.wire.answer import Answer
from resolverd.wire.ask import Server
from resolverd.wire.peek import Query
from resolverd.wire.rrset import RRset, Security, Trust
from tests.fuzz.target import target

NOW = 1_800_000_000.0
_ANCHOR = shipped().closest(names.ROOT)
assert _ANCHOR is not None
_BASE = _ANCHOR.ds
_REPLY = SmtpReply(550, "5.7.1", "no")
_VERDICT = Verdict(
    "ABCDEF12", Action.REJECT, 7.5, "because",
    (Finding("dnsbl", "listed", "text", 5.0, Consequence.REJECT, _REPLY, "link", (Evidence("a", "b"),), 3),),
    _REPLY, GreylistOutcome("new", missing=300), "X: y", True, 12, (), ip_address("192.0.2.7"),
)  # fmt: skip


@dataclass(frozen=True)
class _Form:
    """A record's form: `read` gives None for octets that are none, `write` what was read."""

    read: Callable[[bytes], object]
    write: Callable[..., bytes] | None = None
    exact: bool = True


def _override(octets: bytes) -> rules.Override | None:
    key, _, value = octets.partition(b"\n")
    return override_records.decode(key, value)


def _of_override(override: rules.Override) -> bytes:
    return override_records.encode_key(override.key) + b"\n" + override_records.encode(override)


def _negative_anchor(octets: bytes) -> nta.NegativeAnchor | None:
    zone, _, value = octets.partition(b"\n")
    found = nta.decode(zone, value, NOW)
    if found is not None:
        assert names.from_text(names.to_text(found.zone)) == found.zone
        assert found.zone == found.zone.lower()
        assert 0 <= found.since <= NOW
        assert nta.described(found.zone, found.text)
    return found


def _trust_point(octets: bytes) -> rfc5011.TrustPoint | None:
    try:
        point = rfc5011.decode(names.ROOT, _BASE, octets)
    except ValueError:
        return None
    assert all(isinstance(each.key_tag, int) for each in point.trusted)
    again = rfc5011.decode(names.ROOT, _BASE, point.encode())
    assert again.keys == point.keys
    return point


def _quota(octets: bytes) -> bool | None:
    key, _, value = octets.partition(b"\n")
    budget = Budget(parse_allowance("100/1d"))
    slot = quota_slots.slot_of(key)
    if slot is not None:
        assert slot.expires >= 0
        for spent in slot.as_spent(count_of(value)).values():
            budget.restore(spent, NOW)
    budget.restore(quota_store._decode_old(value), NOW)
    budget.left(NOW)
    json.dumps(budget.state(), allow_nan=False)
    return None


def _series(octets: bytes) -> series.Kept | None:
    found = recorder.decode(octets)
    if found is not None:
        ring = series.Ring(30, 288)
        if ring.restore(found, NOW):
            assert {len(values) for values in ring.columns().values()} <= {ring.size}
            assert 0 <= ring.covered <= ring.step
        assert 0 <= ring.ran <= ring.size * ring.step
        assert recorder.decode(recorder.encode(ring.kept(NOW))) is not None
    return None


def _count(octets: bytes) -> bytes | None:
    number = count_of(octets)
    assert count_of(encode_count(number)) == number
    return None


def _dumped(octets: bytes) -> Stored | None:
    try:
        found = dump_format.line_from(octets)
    except dump_format.BadLine:
        return None
    if found is None:
        return None
    again = dump_format.line_from(json.dumps(dump_format.record_json(found)))
    assert again == found
    return None


def _told(module: ModuleType) -> Callable[[bytes], object]:
    """What other hosts have told, as whoever reaches the store can have written it."""

    def read(octets: bytes) -> object:
        found = module.decode(octets)
        assert found is None or module.decode(module.encode(found)) == found
        return found

    return read


_FORMS: tuple[_Form, ...] = (
    _Form(decode_triplet, encode_triplet),
    _Form(decode_client, encode_client),
    _Form(decode_record, encode_record),
    _Form(_override, _of_override),
    _Form(_negative_anchor),
    _Form(_trust_point),
    _Form(_quota),
    _Form(_count),
    _Form(_dumped),
    _Form(sqlite_file.decode),
    _Form(lambda octets: verdicts.decode_page(octets) or None),
    _Form(lambda octets: verdicts.decode(octets, NOW)),
    _Form(_series),
    _Form(_told(reply_record)),
    _Form(_told(health_view)),
    _Form(_told(watched)),
)


def _seeds() -> Iterable[bytes]:
    override = rules.Override(rules.key_of("deny", "192.0.2.7", "all"), 1, 2, "me", "why", "ref")
    anchor = nta.encode(nta.NegativeAnchor(b"\1a\0", 1, 2_000_000_000, "me", "why"))
    key = rfc5011.TrackedKey(b"\1\1\3\x0d" + bytes(64), rfc5011.Phase.PENDING, 5.0)
    point = rfc5011.TrustPoint(names.ROOT, _BASE, (key,), 7.0)
    records: tuple[bytes, ...] = (
        encode_triplet(Triplet(1, 2, True)), encode_client(Client(1, 2)), encode_record(ClientRecord(1, 2, 3)),
        _of_override(override), b"\1a\0\n" + anchor, point.encode(),
        b"zen 21600.0 83333\n5", b"-12", json.dumps(dump_format.record_json(Stored("t", b"k\xff", b"v", 5.0))).encode(),
        bytes(8) + b"value", b"\1" + verdicts._encode((("ID", b"\xc0\0\2\1", 5),)), verdicts.encode(_VERDICT, 5.0),
        recorder.encode(series.Kept(NOW - 400, 2, (None, {}, {"verdicts.accept": 3, "dns.hit": -1}))),
        b"1 1800000000000 1800000300500 00000000000000ff,0123456789abcdef + 127.0.0.2,127.0.0.10",
        b"1 1800000000000 1800000300000 1799999998500 0 blocked answered its error code",
        b'{"asked":["psbl","spamhaus-zen"],"listed":["psbl"]}',
    )  # fmt: skip
    for number, octets in enumerate(records):
        yield bytes((number,)) + octets
    yield b"\6zen nan 5\n[[1e999, 1], [NaN, 2]]"
    yield b"\6zen inf 5\n" + b"[" * 3000
    yield b"\4" + b"\1a\0\n" + b"[" * 3000


@target(_seeds, 0.02, 1200)
def stored_record(data: bytes) -> None:
    """Records of every form; the first octet names the form."""
    if not data:
        return
    form = _FORMS[data[0] % len(_FORMS)]
    found = form.read(data[1:])
    if found is not None and form.write is not None:
        assert form.write(found) == data[1:]


def _cached(octets: bytes) -> None:
    types = persisted.decode_types(octets, 0.0, NOW, NOW - 10)
    if types is None:
        return
    again = persisted.encode_types(types, 0.0, NOW - 10)
    if again is not None:
        assert persisted.decode_types(again, 0.0, NOW, NOW - 10) is not None
    for entry in types.values():
        for rrset in (entry.rrset, *entry.authority):
            if rrset is None:
                continue
            assert names.from_text(names.to_text(rrset.owner)) == rrset.owner
            asked = Query(1, 0, rrset.owner, 1, 1, message.Edns(1232, do=True), rrset.owner + b"\0\1\0\1")
            written = render.render(asked, Answer(0, (rrset,)), 65535)
            assert written.truncated or message.parse(written.data).whole == 3
            for each in rrset.rdatas:
                rdata.summary(rrset.rtype, each)
            canonical.canonical_rdatas(rrset.rtype, rrset.rdatas)


def _delegated(octets: bytes) -> None:
    found = persisted.decode_delegation(b"\1a\0", octets, 0.0, NOW)
    if found is not None:
        assert persisted.decode_delegation(b"\1a\0", persisted.encode_delegation(found, 0.0), 0.0, NOW) == found
        for name in (*found.servers, *(name for name, _ in found.glue)):
            assert names.from_text(names.to_text(name)) == name


def _facts(octets: bytes) -> None:
    infra = InfraCache(100)
    for rtt in persisted.decode_rtts(octets, 0.0):
        infra.adopt(rtt, NOW)
    for support in persisted.decode_supports(octets, 0.0):
        infra.capabilities.adopt(support, NOW)
    for each in infra.facts(NOW):
        assert 0 < infra.rto(each.server, NOW) <= bounds.MAX_TIMEOUT
        assert 0 <= infra.expected(each.server, NOW) < 1000


def _row_name(octets: bytes) -> None:
    try:
        name = persisted.name_of(octets)
    except ValueError:
        return
    assert persisted.row_key(octets[:1], name) == octets or not octets
    assert names.from_text(names.to_text(name)) == name


_ROWS = (_cached, _delegated, _facts, _row_name)


def _rows() -> Iterable[bytes]:
    owner = b"\3www\7example\0"
    address = RRset(owner, codes.A, 300, (bytes(4),), (b"\0\1" + bytes(16) + b"\0sig",))
    soa = RRset(b"\7example\0", codes.SOA, 300, (b"\0\0" + bytes(20),))
    held = Cached(address, (), Trust.AUTHORITATIVE, NOW - 5, NOW + 100, NOW + 100, False, Security.SECURE, 100)
    denied = Cached(None, (soa,), Trust.AUTHORITATIVE, NOW - 5, NOW + 100, NOW + 100, True, Security.INSECURE, 100)
    yield b"\0" + (persisted.encode_types({codes.A: held, codes.MX: denied}, 0.0, NOW) or b"")
    glue = ((b"\2ns\1a\0", (ip_address("192.0.2.1"), ip_address("2001:db8::1"))),)
    yield b"\1" + persisted.encode_delegation(Delegation(b"\1a\0", (b"\2ns\1a\0",), glue, NOW + 100, NOW - 5), 0.0)
    server = Server(ip_address("192.0.2.1"))
    yield b"\2" + persisted.encode_rtts([RttFact(server, NOW - 5, 0.1, 0.05)], 0.0)
    yield b"\2" + persisted.encode_supports([SupportFact(server, next(iter(Feature)), b"\0", NOW - 5, 2, True)], 0.0)
    yield b"\3" + persisted.row_key(b"r", owner)


@target(_rows, 0.02, 600)
def cache_row(data: bytes) -> None:
    """Rows of the caches that were kept over a restart; the first octet says what kind."""
    if data:
        _ROWS[data[0] % len(_ROWS)](data[1:])
