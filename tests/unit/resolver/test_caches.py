"""The caches on a clock of their own: lifetimes, ranks, bounds, and delegations that nobody prolongs."""

import gc
import struct
from collections.abc import Callable
from ipaddress import IPv4Address
from time import thread_time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resolverd import bounds
from resolverd.resolver.cache import Caches
from resolverd.resolver.cache.delegations import Delegation, DelegationCache
from resolverd.resolver.cache.failures import FailureCache
from resolverd.resolver.cache.packets import PacketCache
from resolverd.resolver.cache.rrsets import RRsetCache
from resolverd.resolver.cache.sweep import Sweep
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.answer import ExtendedError
from resolverd.wire.names import from_text
from resolverd.wire.rrset import RRset, Trust
from tests.attacks import Figure

WWW = from_text("www.example")
SOA = RRset(from_text("example"), codes.SOA, 300, (b"\0\0" + b"\0" * 20,))


def address(ttl: int = 300, data: bytes = b"\1\1\1\1") -> RRset:
    return RRset(WWW, codes.A, ttl, (data,))


def test_records_live_as_long_as_their_ttl() -> None:
    cache = RRsetCache(10**6)
    cache.put(address(300), Trust.ANSWER, 1000.0, WWW)
    hit = cache.get(WWW, codes.A, 1100.0)
    assert hit is not None
    assert hit.rrset == address(200)
    assert hit.age == 100
    assert cache.get(WWW, codes.A, 1300.0) is None
    assert cache.get(WWW, codes.AAAA, 1000.0) is None


TRUSTS = st.sampled_from([Trust.GLUE, Trust.REFERRAL, Trust.ANSWER, Trust.AUTHORITATIVE])


@given(st.lists(st.tuples(TRUSTS, st.integers(1, 9)), min_size=1))
def test_less_trusted_data_never_replaces_more_trusted_that_lives(puts: list[tuple[Trust, int]]) -> None:
    cache = RRsetCache(10**6)
    best: tuple[Trust, int] | None = None
    for trust, value in puts:
        cache.put(address(300, bytes([value] * 4)), trust, 0.0, WWW)
        if best is None or trust >= best[0]:
            best = trust, value
    assert best is not None
    hit = cache.get(WWW, codes.A, 0.0, Trust.GLUE)
    assert hit is not None
    assert hit.rrset is not None
    assert (hit.trust, hit.rrset.rdatas[0][0]) == best


def test_glue_is_no_answer() -> None:
    cache = RRsetCache(10**6)
    cache.put(address(), Trust.GLUE, 0.0, WWW)
    assert cache.get(WWW, codes.A, 0.0) is None


def test_the_data_of_several_types_at_once() -> None:
    cache = RRsetCache(10**6)
    assert cache.rdatas(WWW, (codes.A, codes.AAAA), 0.0) == []
    cache.put(address(300), Trust.ANSWER, 0.0, WWW)
    cache.put(RRset(WWW, codes.AAAA, 200, (b"6" * 16,)), Trust.ANSWER, 0.0, WWW)
    cache.put_negative(WWW, codes.MX, 300, (SOA,), Trust.ANSWER, 0.0)
    assert cache.rdatas(WWW, (codes.A, codes.AAAA, codes.MX), 0.0) == [b"\1\1\1\1", b"6" * 16]
    assert cache.rdatas(WWW, (codes.A, codes.AAAA), 200.0) == [b"\1\1\1\1"]
    glue = RRsetCache(10**6)
    glue.put(address(), Trust.GLUE, 0.0, WWW)
    assert glue.rdatas(WWW, (codes.A,), 0.0) == []


def test_types_of_a_name_are_bounded() -> None:
    cache = RRsetCache(10**6)
    for rtype in range(1000, 1000 + 2 * bounds.MAX_TYPES_PER_NAME):
        cache.put(RRset(WWW, rtype, 300, (b"x",)), Trust.ANSWER, 0.0, WWW)
    assert len(cache) == len(cache.types(WWW, 0.0)) == bounds.MAX_TYPES_PER_NAME
    assert cache.get(WWW, 999 + 2 * bounds.MAX_TYPES_PER_NAME, 0.0) is not None
    cache.flush(WWW)
    assert (len(cache), cache.size) == (0, 0)


def test_dnames_are_counted() -> None:
    cache = RRsetCache(2000)
    for _ in range(2):
        cache.put(RRset(WWW, codes.DNAME, 300, (from_text("example.net"),)), Trust.ANSWER, 0.0, WWW)
        assert cache.has_dnames
    for number in range(5):
        name = from_text(f"{number}.example")
        cache.put(RRset(name, codes.A, 300, (b"\1\1\1\1",)), Trust.ANSWER, 0.0, name)
    assert not cache.has_dnames, "evicted"


def test_a_denied_name_denies_every_type_until_data_comes() -> None:
    cache = RRsetCache(10**6)
    cache.put_negative(WWW, codes.A, 300, (SOA,), Trust.ANSWER, 0.0, nxdomain=True)
    for rtype in (codes.A, codes.MX):
        hit = cache.get(WWW, rtype, 10.0)
        assert hit is not None
        assert hit.rrset is None
        assert hit.denies_name
        assert hit.authority[0].ttl == 290
    cache.put(address(), Trust.ANSWER, 20.0, WWW)
    assert cache.get(WWW, codes.MX, 20.0) is None


def test_stale_data_is_kept_for_its_window() -> None:
    cache = RRsetCache(10**6, stale=1000)
    cache.put(address(300), Trust.ANSWER, 0.0, WWW)
    assert cache.get(WWW, codes.A, 400.0) is None
    hit = cache.stale(WWW, codes.A, 400.0, 30)
    assert hit is not None
    assert hit.rrset == address(30)
    assert cache.stale(WWW, codes.A, 1300.0, 30) is None


def named(rtype: int, data: bytes, ttl: int = 300) -> RRset:
    return RRset(WWW, rtype, ttl, (data,))


ALIAS = named(codes.CNAME, from_text("other.example"), 60)
NEWS = {
    # what was known, what is heard later, what is asked when both have expired and nobody answers: and what is said
    "an alias in place of an address": (address(60), ALIAS, codes.A, None),
    "an address in place of an alias": (ALIAS, address(60), codes.CNAME, None),
    "an alias in place of another type's denial": (codes.MX, ALIAS, codes.MX, None),
    "the denial of the name, as another type was asked": (address(60), "whole", codes.A, "denied"),
    "an alias whose name is denied": (ALIAS, "whole", codes.CNAME, "denied"),
    "another type": (address(60), named(codes.TXT, b"\1x", 60), codes.A, "data"),
    "the denial of another type": (address(60), codes.MX, codes.A, "data"),
    "what may stand beside an alias": (named(codes.NSEC, b"\0\0\1\x40", 60), ALIAS, codes.NSEC, "data"),
    "an alias that is not for later": (address(60), replace(ALIAS, ttl=0), codes.A, None),
    "a denial that is not for later": (address(60), "whole 0", codes.A, None),
}


@pytest.mark.parametrize("name", NEWS)
@pytest.mark.parametrize("heard", [50.0, 100.0], ids=["live", "expired"])
def test_newer_knowledge_of_a_name_ends_older(name: str, heard: float) -> None:
    before, after, asked, said = NEWS[name]
    if heard == 50.0 and "not for later" in name:
        pytest.skip("what lives is not ended by what is forgotten at once")
    cache = RRsetCache(10**6)
    for at, what in ((0.0, before), (heard, after)):
        if isinstance(what, RRset):
            cache.put(what, Trust.AUTHORITATIVE, at, WWW)
        elif isinstance(what, str):
            cache.put_negative(WWW, codes.AAAA, 0 if "0" in what else 60, (SOA,), Trust.AUTHORITATIVE, at, nxdomain=True)
        else:
            cache.put_negative(WWW, what, 60, (SOA,), Trust.AUTHORITATIVE, at)
    if heard == 50.0 and isinstance(before, RRset):
        assert cache.get(WWW, before.rtype, 55.0) is not None, "what lives goes on to live"
    hit = cache.stale(WWW, asked, 5000.0, 30)
    shown = None if hit is None else "data" if hit.rrset is not None else "denied" if hit.denies_name else "no such type"
    assert shown == said


def test_a_server_that_denies_the_name_for_a_type_it_has_not_takes_no_address_away() -> None:
    # NXDOMAIN for AAAA of a name that has an A: the A is asked for again when it ends, and not denied for the SOA's time.
    cache = RRsetCache(10**6)
    cache.put(address(60), Trust.AUTHORITATIVE, 0.0, WWW)
    cache.put_negative(WWW, codes.AAAA, 3600, (SOA,), Trust.AUTHORITATIVE, 1.0, nxdomain=True)
    denied = cache.get(WWW, codes.AAAA, 2.0)
    assert denied is not None
    assert denied.denies_name
    found = cache.get(WWW, codes.A, 2.0)
    assert found is not None
    assert found.rrset is not None
    assert cache.get(WWW, codes.A, 61.0) is None
    assert cache.get(WWW, codes.MX, 2.0) is None


def test_what_is_too_large_is_forgotten() -> None:
    cache = RRsetCache(10**7)
    for count, kept in ((1000, True), (1400, False)):
        cache.clear(0.0)
        cache.put(RRset(WWW, codes.A, 60, tuple(number.to_bytes(4) for number in range(count))), Trust.ANSWER, 0.0, WWW)
        assert (cache.get(WWW, codes.A, 1.0) is not None) is kept


def test_no_more_than_the_soa_is_kept_of_a_fat_denial() -> None:
    cache = RRsetCache(10**7)
    proofs = tuple(RRset(from_text(f"{number}.example"), codes.NSEC, 60, (b"\0\0\1\x40",)) for number in range(2000))
    cache.put_negative(WWW, codes.A, 60, (SOA, *proofs[:4]), Trust.ANSWER, 0.0, nxdomain=True)
    hit = cache.get(WWW, codes.A, 1.0)
    assert hit is not None
    assert len(hit.authority) == 5
    cache.put_negative(WWW, codes.A, 60, (SOA, *proofs), Trust.ANSWER, 0.0, nxdomain=True)
    hit = cache.get(WWW, codes.A, 1.0)
    assert hit is not None
    assert [each.rtype for each in hit.authority] == [codes.SOA]
    assert cache.size < 8192


@pytest.mark.attack("R-13")
def test_addresses_of_servers_end_with_their_delegation() -> None:
    cache = RRsetCache(10**6)
    cache.put(address(86400), Trust.AUTHORITATIVE, 0.0, WWW, lease=3600.0)
    assert cache.rdatas(WWW, [codes.A], 3599.0)
    assert not cache.rdatas(WWW, [codes.A], 3600.0)
    hit = cache.get(WWW, codes.A, 3600.0)  # who asks for it as data may have it as long as it lives
    assert hit is not None
    assert hit.lease == 3600.0


def test_zero_ttl_is_not_kept() -> None:
    cache = RRsetCache(10**6)
    cache.put(address(0), Trust.ANSWER, 0.0, WWW)
    assert len(cache) == 0


@pytest.mark.attack("R-31")
def test_records_stay_within_their_size() -> None:
    cache = RRsetCache(20_000)
    for number in range(1000):
        name = from_text(f"{number}.example")
        cache.put(RRset(name, codes.A, 300, (b"\1\1\1\1",)), Trust.ANSWER, 0.0, name)
        if number % 7 == 0:
            cache.get(from_text("0.example"), codes.A, 0.0)
    assert cache.size <= 20_000
    assert 10 < len(cache) < 1000
    assert cache.get(from_text("0.example"), codes.A, 0.0) is not None, "what is used stays"
    assert cache.clear(0.0) > 0
    assert cache.size == 0


OTHER = from_text("other.example")


def asked(what: object, name: bytes = WWW) -> bytes:
    """A question for a name behind its ID, each another."""
    return bytes(10) + name + repr(what).encode()


def reply(ident: int, ttl: int) -> bytes:
    return struct.pack("!H", ident) + b"HEAD" + struct.pack("!I", ttl) + b"TAIL"


def test_packets_age_and_expire() -> None:
    cache = PacketCache(10**6)
    cache.put(asked("key"), reply(1, 300), (6,), WWW, 1000.0, 300, 0)
    assert cache.get(asked("key"), 1000.5) == reply(1, 300)[2:]
    assert cache.get(asked("key"), 1100.2) == reply(1, 200)[2:]
    assert cache.get(asked("key"), 1299.9) == reply(1, 1)[2:]
    assert cache.get(asked("key"), 1300.0) is None
    size = cache.size
    cache.put(asked("key"), reply(2, 300), (6,), WWW, 1300.0, 300, 0)
    assert (len(cache), cache.size) == (1, size), "in the place of what had expired"
    assert cache.get(asked("key"), 1301.0) == reply(2, 299)[2:]


@example([10, 6], 1.5, [300])
@given(st.lists(st.integers(0, 40), max_size=20), st.floats(0.1, 30), st.lists(st.integers(0, 2**31 - 1), max_size=4))
def test_ttls_are_counted_down_to_the_second_however_often_a_packet_is_asked_for(
    tenths: list[int], lifetime: float, ttls: list[int]
) -> None:
    cache = PacketCache(10**6)
    body = b"HEAD" + b"".join(struct.pack("!IH", ttl, 7) for ttl in ttls)
    cache.put(asked("key"), b"ID" + body, tuple(6 + 6 * number for number in range(len(ttls))), WWW, 1000.0, lifetime, 0)
    now = 10000
    for step in tenths:
        now += step
        aged = b"HEAD" + b"".join(struct.pack("!IH", max(ttl - (now - 10000) // 10, 0), 7) for ttl in ttls)
        assert cache.get(asked("key"), now / 10) == (aged if now / 10 < 1000.0 + lifetime else None)


def test_packets_are_flushed_by_name_in_any_letter_case() -> None:
    cache = PacketCache(10**6)
    cache.put(asked("one", from_text("WWW.example")), reply(1, 300), (6,), from_text("WWW.example"), 0.0, 300, 0)
    cache.put(asked("two", OTHER), reply(1, 300), (6,), OTHER, 0.0, 300, 0)
    assert cache.flush(WWW) == 1
    assert cache.get(asked("one", from_text("WWW.example")), 0.0) is None
    assert cache.get(asked("two", OTHER), 0.0) is not None
    assert cache.flush() == 1
    assert cache.size == 0


def test_packets_are_flushed_whatever_the_transport() -> None:
    cache = PacketCache(10**6)
    for key in (asked("key"), asked("key").decode("latin-1"), asked("\xff").decode("latin-1")):
        cache.put(key, reply(1, 300), (6,), WWW, 0.0, 300, 0)
    assert len(cache) == 3
    assert cache.flush(WWW) == 3
    assert len(cache) == cache.size == 0


def test_a_question_that_points_to_its_name_is_not_kept_or_no_flush_would_find_it() -> None:
    cache = PacketCache(10**6)
    cache.put(bytes(10) + b"\xc0\x00" + WWW, reply(1, 300), (6,), WWW, 0.0, 300, 0)
    assert len(cache) == 0


def test_packets_stay_within_their_size() -> None:
    cache = PacketCache(10_000)
    for number in range(100):
        cache.put(asked(str(number)), reply(1, 300), (6,), WWW, 0.0, 300, 0)
    assert cache.size <= 10_000
    assert cache.get(asked("99"), 0.0) is not None
    assert cache.get(asked("0"), 0.0) is None


def test_packets_that_are_used_stay_while_others_come_and_go() -> None:
    cache = PacketCache(100_000)
    for number in range(10_000):
        cache.put(asked(str(number)), reply(1, 300), (6,), WWW, 0.0, 300, 0)
        if number % 20 == 0:
            assert cache.get(asked("0"), 0.0) is not None
    assert cache.size <= 100_000
    assert len(cache) > 100
    assert cache.get(asked("9000"), 0.0) is None


def test_room_for_one_packet_is_little_work_though_all_are_in_use() -> None:
    def full(count: int) -> PacketCache:
        cache = PacketCache(100_000)
        for number in range(count):
            cache.put(asked(number), reply(1, 300), (6,), WWW, 0.0, 300, 0)
            assert cache.get(asked(number), 0.0) is not None
            assert cache.size <= 100_000
        return cache

    room = len(full(999))
    assert len(full(room)) == room
    cache = full(room + 1)
    gone = [number for number in range(room + 1) if cache.get(asked(number), 0.0) is None]
    assert gone != [0], "not all were passed over until the first was not in use any more"
    assert len(gone) == 1


@pytest.mark.attack("R-05")
def test_a_full_cache_is_nothing_to_look_through_for_garbage(figure: Figure) -> None:
    # With a million of them a full collection took more than a second, in which nobody was answered.
    records, packets = RRsetCache(10 << 20), PacketCache(10 << 20)
    gc.collect()
    before = len(gc.get_objects())
    for number in range(3000):
        owner = from_text(f"n{number}.example")
        records.put(RRset(owner, codes.A, 60, (b"\1\2\3\4",)), Trust.ANSWER, 0.0, owner)
        packets.put(bytes(10) + owner + b"\0\1\0\1", bytes(100), (40,), owner, 0.0, 60.0, packets.generation.number)
    gc.collect()
    assert (len(records), len(packets)) == (3000, 3000)
    figure("objects looked through for garbage, of 6 000 cached", max(0, len(gc.get_objects()) - before), most=20)


def test_an_expired_packet_goes_before_one_in_use() -> None:
    cache = PacketCache(1000)
    cache.put(asked("short"), reply(1, 1), (6,), WWW, 0.0, 1, 0)
    cache.put(asked("long"), reply(1, 300), (6,), WWW, 0.0, 300, 0)
    assert cache.get(asked("short"), 0.5) is not None
    assert cache.get(asked("long"), 0.5) is not None
    cache.put(asked("new"), reply(1, 300), (6,), WWW, 2.0, 300, 0)
    assert cache.get(asked("long"), 2.0) is not None
    assert cache.get(asked("new"), 2.0) is not None, "in the place of what had expired, though that had been used"


EVIL = from_text("evil.com")


def delegation(expires: float, *servers: str) -> Delegation:
    return Delegation(EVIL, tuple(map(from_text, servers)), ((from_text("ns.evil.com"), (IPv4Address("9.9.9.9"),)),), expires)


@pytest.mark.attack("R-13")
def test_a_delegation_is_never_prolonged() -> None:
    cache = DelegationCache(10**6)
    cache.put(delegation(100.0, "ns.evil.com"), 0.0)
    kept = cache.put(delegation(500.0, "ns2.evil.com"), 50.0)
    assert kept.expires == 100.0
    assert kept.servers == (from_text("ns2.evil.com"),)
    assert cache.closest(from_text("a.b.evil.com"), 99.0) == kept
    assert cache.closest(from_text("a.b.evil.com"), 100.0) is None
    assert cache.put(delegation(700.0, "ns.evil.com"), 200.0).expires == 700.0


def test_the_closest_delegation_is_found_by_labels() -> None:
    cache = DelegationCache(2200)
    cache.put(delegation(100.0, "ns.evil.com"), 0.0)
    assert cache.closest(from_text("notevil.com"), 0.0) is None
    assert delegation(100.0, "ns.evil.com").addresses(from_text("ns.evil.com")) == (IPv4Address("9.9.9.9"),)
    for zone in ("a.com", "b.com"):
        cache.put(replace(delegation(100.0, "ns.x"), zone=from_text(zone)), 0.0)
    assert len(cache) == 2
    assert cache.closest(EVIL, 0.0) is None


def test_failures_are_remembered_longer_each_time() -> None:
    cache = FailureCache(10**6)
    error = ExtendedError(22, "nobody answered")
    now, pauses = 0.0, []
    for _ in range(9):
        cache.put(WWW, codes.A, error, now)
        begun = now
        while cache.get(WWW, codes.A, now) is not None:
            now += 1
        pauses.append(now - begun)
    assert pauses == [5, *[10] * 8]
    cache.put(WWW, codes.A, error, now)
    cache.forget(WWW)
    assert cache.get(WWW, codes.A, now) is None


def test_failures_are_bounded() -> None:
    count = 200
    cache = FailureCache(100_000)
    for number in range(count):
        cache.put(from_text(f"{number}.example"), codes.A, ExtendedError(22), 0.0)
    assert cache.get(from_text("0.example"), codes.A, 0.0) is None
    assert cache.get(from_text(f"{count - 1}.example"), codes.A, 0.0) is not None


def test_caches_that_are_superseded_keep_nothing_and_grow_no_more() -> None:
    caches = Caches(RRsetCache(10**7), DelegationCache(10**7))
    for number in range(3000):
        name = from_text(f"{number}.example")
        caches.rrsets.put(RRset(name, codes.TXT, 300, (b"x" * 400,)), Trust.ANSWER, 0.0, name)
        caches.delegations.put(replace(delegation(100.0, "ns.x"), zone=name), 0.0)
    old, new = caches, caches.succeed(2 * bounds.SUPERSEDED_CACHE, 10**6, 86400)
    assert (len(old.rrsets), old.rrsets.size, len(old.delegations), old.delegations.size) == (0, 0, 0, 0)
    assert new.rrsets.get(name, codes.TXT, 1.0) is not None
    assert new.delegations.closest(name, 1.0) is not None
    assert bounds.SUPERSEDED_CACHE < new.rrsets.size <= 2 * bounds.SUPERSEDED_CACHE, "what is smaller holds what was used last"
    assert new.delegations.size <= 10**6
    for number in range(3000):
        name = from_text(f"{number}.late.example")
        old.rrsets.put(RRset(name, codes.TXT, 300, (b"x" * 400,)), Trust.ANSWER, 0.0, name)
        old.delegations.put(replace(delegation(100.0, "ns.x"), zone=name), 0.0)
    assert max(old.rrsets.size, old.delegations.size) <= bounds.SUPERSEDED_CACHE
    assert new.rrsets.get(name, codes.TXT, 1.0) is None


# -- flushing bit by bit -----------------------------------------------------------------------------------------------------


def many(count: int, zone: str = "example") -> RRsetCache:
    cache = RRsetCache(10**9)
    for number in range(count):
        name = from_text(f"host{number}.{zone}")
        cache.put(RRset(name, codes.A, 300, (b"\1\1\1\1",)), Trust.ANSWER, 0.0, name)
    return cache


def test_what_is_flushed_below_a_zone_is_gone_at_once_and_what_comes_later_stays() -> None:
    cache = many(3000)
    other = from_text("notexample")
    for name in (WWW, other, from_text("example")):
        cache.put(RRset(name, codes.A, 300, (b"\1\1\1\1",)), Trust.ANSWER, 0.0, name)
    sweep = cache.flush_below(from_text("example"), 0.0)
    assert not sweep.ended
    for name in (WWW, from_text("example"), from_text("host2999.example")):
        assert cache.peek(name) is None
        assert cache.get(name, codes.A, 1.0) is None
        assert cache.stale(name, codes.A, 1.0, 30) is None
        assert cache.rdatas(name, (codes.A,), 1.0) == []
        assert cache.types(name, 1.0) == []
    assert cache.get(other, codes.A, 1.0) is not None
    late = from_text("host1500.example")
    for name in (WWW, late):
        cache.put(RRset(name, codes.A, 300, (b"\2\2\2\2",)), Trust.GLUE, 0.0, name)
    while cache.sweep(100):
        pass
    assert sweep.ended
    assert sweep.count == 3002
    assert cache.get(late, codes.A, 0.0, Trust.GLUE) is not None
    assert cache.get(WWW, codes.A, 0.0, Trust.GLUE) is not None
    assert len(cache) == 3


def test_a_flush_ends_as_others_are_learnt_whoever_waits_for_it() -> None:
    cache = many(3000)
    sweep = cache.flush_below(from_text("example"), 0.0)
    for number in range(70):
        name = from_text(f"host{number}.test")
        cache.put(RRset(name, codes.A, 300, (b"\1\1\1\1",)), Trust.ANSWER, 2.0, name)
    assert (sweep.ended, sweep.count, len(cache)) == (True, 3000, 70)


def test_a_full_cache_is_forgotten_at_once_and_freed_bit_by_bit() -> None:
    cache = many(3000)
    assert cache.clear(0.0) == 3000
    assert cache.get(from_text("host2999.example"), codes.A, 1.0) is None
    turns = 1
    while cache.sweep(100):
        turns += 1
    assert turns == 31
    assert (len(cache), cache.size) == (0, 0)


def test_no_turn_of_a_flush_takes_long() -> None:
    cache = many(100_000)
    longest = 0.0

    def timed(work: Callable[[], object]) -> object:
        nonlocal longest
        begun = thread_time()
        try:
            return work()
        finally:
            longest = max(longest, thread_time() - begun)

    sweep = timed(lambda: cache.flush_below(from_text("example"), 0.0))
    while timed(lambda: cache.sweep(5000)):
        pass
    assert isinstance(sweep, Sweep)
    assert sweep.count == 100_000
    assert longest < 0.05
