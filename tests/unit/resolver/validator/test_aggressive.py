"""Answers made from others: always what the zone itself would say, for no longer than its records live, within bounds."""

import dns.name
import pytest
from denialzone import (
    EVERYTHING,
    FORMS,
    NAMES,
    QTYPES,
    ModelZone,
    Nsec3Form,
    Says,
    example_zone,
    from_zone_text,
    question,
    rtype,
    wire,
    zones,
)
from hypothesis import given
from hypothesis import strategies as st

from resolverd import bounds
from resolverd.resolver.validator import nsec3
from resolverd.resolver.validator.aggressive import AggressiveCache
from resolverd.resolver.validator.aggressive_zone import Synthesised, SynthesisedAnswer, SynthesisedDenial
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.dnssec import nsec3_hash
from resolverd.wire.names import from_text
from resolverd.wire.rrset import RRset, Security

ZONE = from_text("example")
SOA = from_zone_text("@ SOA ns.example. host.example. 1 7200 3600 86400 900")[0]
CHAIN = from_zone_text("@ NSEC b SOA NS; b NSEC d A; d NSEC e NS; e NSEC a.g A; a.g NSEC *.h A; *.h NSEC @ A")
BY_NAME = {each.owner: each for each in CHAIN}


def of(names: str) -> list[RRset]:
    return [BY_NAME[from_text("" if name == "@" else name)[:-1] + ZONE] for name in names.split()]


def said(found: Synthesised | None) -> Says | None:
    if found is None:
        return None
    if isinstance(found, SynthesisedAnswer):
        return Says.ALIAS if found.rrset.rtype == codes.CNAME else Says.DATA
    return Says.NXDOMAIN if found.nxdomain else Says.NODATA


def soa_ttl(found: Synthesised | None) -> int:
    """The denial's TTL, 0 for none."""
    return found.soa.ttl if isinstance(found, SynthesisedDenial) else 0


def soa_owner(found: Synthesised | None) -> bytes | None:
    return found.soa.owner if isinstance(found, SynthesisedDenial) else None


# -- against the model ------------------------------------------------------------------------------------------------------


def learn_answer(cache: AggressiveCache, zone: ModelZone, name: dns.name.Name, form: Nsec3Form, hashed: bool) -> None:
    """What its authority sends to a question for the name: a denial, or a wildcard's RRsets with the proof that it answers."""
    chain = zone.nsec3(form) if hashed else zone.nsec()
    if zone.hidden_by(name):
        return
    owners = zone.nsec3_proof(name, form) if hashed else zone.nsec_proof(name)
    cache.learn(ZONE, [chain[owner] for owner in owners], SOA, 0.0)
    if name not in zone.exists and not (hashed and form.opt_out):
        for text in zone.names.get(zone.wildcard(name), frozenset()):
            expanded = RRset(wire(name), rtype(text), 3600, (b"\1x\0",))
            cache.learn_wildcard(ZONE, wire(zone.encloser(name)), expanded, 0.0)


@EVERYTHING
@given(zones(), st.lists(NAMES, max_size=5), st.lists(NAMES, min_size=1, max_size=5), FORMS, st.booleans())
def test_what_is_made_is_what_the_zone_would_say(
    zone: ModelZone, learnt: list[str], names: list[str], form: Nsec3Form, hashed: bool
) -> None:
    cache = AggressiveCache()
    for each in learnt:
        learn_answer(cache, zone, question(each, zone), form, hashed)
    for each in [*names, *learnt]:
        name = question(each, zone)
        for text in QTYPES:
            says, made = zone.answer(name, text), cache.find(wire(name), rtype(text), 1.0)
            heard = Says.DATA if text == "CNAME" and said(made) is Says.ALIAS else said(made)
            assert heard in (None, says), text
            if isinstance(made, SynthesisedAnswer):
                assert made.rrset.owner == wire(name)
                assert name not in zone.exists
                assert not zone.hidden_by(name)
            # What was learnt for this name answers for it again, but for what is at it.
            if each in learnt and not (hashed and form.opt_out) and text != "ANY":
                known = says in (Says.NODATA, Says.NXDOMAIN) or (name not in zone.exists and not zone.hidden_by(name))
                assert (made is not None) is known, text


@EVERYTHING
@given(zones(), zones(), st.lists(NAMES, min_size=1, max_size=5), FORMS, st.booleans())
def test_a_zone_that_has_changed_says_what_it_says_now(
    old: ModelZone, new: ModelZone, names: list[str], form: Nsec3Form, hashed: bool
) -> None:
    cache = AggressiveCache()
    for zone in (old, new):
        chain = zone.nsec3(form) if hashed else zone.nsec()
        cache.learn(ZONE, chain.values(), SOA, 0.0)
    for each in names:
        for text in QTYPES:
            name = question(each, new)
            found = said(cache.find(wire(name), rtype(text), 1.0))
            assert found in (None, new.answer(name, text)), text
            if not (hashed and form.opt_out) and text != "ANY":
                assert (found is not None) is (new.answer(name, text) in (Says.NODATA, Says.NXDOMAIN)), text


# -- by hand ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "name", "qtype", "expected", "proofs"),
    [
        ("@ b", "c.example", codes.A, Says.NXDOMAIN, "b @"),
        ("@ b", "x.y.c.example", codes.A, Says.NXDOMAIN, "b @"),
        ("@ b", "b.example", codes.MX, Says.NODATA, "b"),
        ("@ b", "b.example", codes.A, None, ""),
        ("b", "c.example", codes.A, None, ""),
        ("@ b", "dd.example", codes.A, None, ""),
        # a delegation: its DS alone is denied, and nothing below
        ("@ d", "d.example", codes.DS, Says.NODATA, "d"),
        ("@ d", "d.example", codes.A, None, ""),
        ("@ d", "www.d.example", codes.A, None, ""),
        ("e", "g.example", codes.A, Says.NODATA, "e"),
        # a wildcard: what it lacks is denied of all that it answers for, and what it has is not made up
        ("a.g *.h", "x.h.example", codes.MX, Says.NODATA, "*.h"),
        ("a.g *.h", "!.h.example", codes.MX, Says.NODATA, "a.g *.h"),
        ("a.g *.h", "x.h.example", codes.A, None, ""),
        # a zone's own apex says nothing of its DS
        ("@ b", "example", codes.DS, None, ""),
        ("@ b", "example", codes.MX, Says.NODATA, "@"),
        ("@ b", "c.example", codes.ANY, None, ""),
    ],
)
def test_denials(known: str, name: str, qtype: int, expected: Says | None, proofs: str) -> None:
    cache = AggressiveCache()
    cache.learn(ZONE, of(known), SOA, 0.0)
    found = cache.find(from_text(name), qtype, 1.0)
    assert said(found) is expected
    if found is not None:
        assert {each.owner for each in found.proofs} == {each.owner for each in of(proofs)}
        assert len(found.proofs) == len(proofs.split())
        assert isinstance(found, SynthesisedDenial)
        assert {each.security for each in (found.soa, *found.proofs)} == {Security.SECURE}


def test_they_live_no_longer_than_the_soa_says_or_any_of_their_records() -> None:
    name = from_text("c.example")
    # RFC 9077 §3.1: the lesser of the SOA's TTL and its MINIMUM, here 900
    for of_soa, ttls, lives in ((3600, (3600, 3600), 900), (100, (3600, 3600), 100), (3600, (3600, 50), 50), (3600, (0, 50), 0)):
        cache = AggressiveCache()
        records = [replace(each, ttl=ttl) for each, ttl in zip(of("@ b"), ttls, strict=True)]
        cache.learn(ZONE, records, replace(SOA, ttl=of_soa), 1000.0)
        found = cache.find(name, codes.A, 1000.0)
        assert soa_ttl(found) == lives
        if found is not None:
            # As in an answer that a server gives, the proofs have TTLs of their own.
            assert sorted(each.ttl for each in found.proofs) == sorted(ttls)
        later = cache.find(name, codes.A, 1000.0 + lives / 2)
        assert soa_ttl(later) == lives // 2
        assert cache.find(name, codes.A, 1000.0 + lives) is None


def test_wildcards_answer_for_names_that_do_not_exist() -> None:
    cache = AggressiveCache()
    encloser, expanded = from_text("h.example"), RRset(from_text("x.h.example"), codes.A, 100, (b"\1\2\3\4",), (b"sig",))
    cache.learn_wildcard(ZONE, encloser, expanded, 0.0)
    cache.learn(ZONE, of("*.h a.g"), SOA, 0.0)
    assert cache.find(from_text("y.h.example"), codes.A, 1.0) is None, "of a zone of which nothing is known, it is not kept"
    cache.learn_wildcard(ZONE, encloser, expanded, 0.0)
    cache.learn_wildcard(ZONE, from_text("com"), replace(expanded, owner=from_text("x.com")), 0.0)
    found = cache.find(from_text("y.h.example"), codes.A, 40.0)
    assert isinstance(found, SynthesisedAnswer)
    assert found.rrset == replace(expanded, owner=from_text("y.h.example"), ttl=60)
    assert [(each.owner, each.ttl) for each in found.proofs] == [(from_text("*.h.example"), 3560)]
    for name in ("h.example", "a.g.example", "y.example", "x.com"):
        assert not isinstance(cache.find(from_text(name), codes.A, 40.0), SynthesisedAnswer), name
    assert said(cache.find(from_text("y.h.example"), codes.MX, 40.0)) is Says.NODATA
    assert cache.find(from_text("y.h.example"), codes.A, 100.0) is None


def test_wildcards_are_bounded() -> None:
    cache = AggressiveCache(100_000)
    cache.learn(ZONE, of("*.h a.g"), SOA, 0.0)
    for number in range(1000):
        encloser = from_text(f"z{number}.example")
        cache.learn_wildcard(ZONE, encloser, RRset(encloser, codes.A, 100, (b"\1\2\3\4",)), 0.0)
        assert cache.size <= 100_000
    assert cache.size > 40_000
    assert said(cache.find(from_text("y.h.example"), codes.MX, 40.0)) is Says.NODATA


def test_an_soa_that_is_learnt_later_prolongs_nothing() -> None:
    cache = AggressiveCache()
    cache.learn(ZONE, of("@ b"), replace(SOA, ttl=100), 0.0)
    cache.learn(ZONE, of("d"), SOA, 90.0)
    assert soa_ttl(cache.find(from_text("c.example"), codes.A, 99.0)) == 1
    assert cache.find(from_text("c.example"), codes.A, 100.0) is None
    assert cache.find(from_text("d.example"), codes.DS, 100.0) is not None


def test_without_its_soa_nothing_is_denied() -> None:
    cache = AggressiveCache()
    cache.learn(ZONE, of("@ b"), None, 0.0)
    cache.learn(ZONE, of("@ b"), replace(SOA, owner=from_text("a.example")), 0.0)
    cache.learn(ZONE, of("@ b"), replace(SOA, rdatas=(b"\0",)), 0.0)
    assert cache.find(from_text("c.example"), codes.A, 1.0) is None
    cache.learn(ZONE, [], SOA, 0.0)
    cache.learn(ZONE, of("@ b"), None, 0.0)
    assert cache.find(from_text("c.example"), codes.A, 1.0) is not None


def test_the_closest_zone_denies_and_none_above_who_may() -> None:
    cache = AggressiveCache()
    cache.learn(ZONE, of("@ b"), SOA, 0.0)
    name = from_text("www.c.example")
    assert cache.find(name, codes.A, 1.0, ZONE) is not None
    assert cache.find(name, codes.A, 1.0, from_text("c.example")) is None, "a forward zone's names may be unknown to the internet"
    # What is below a zone cut is that zone's to deny, as soon as anything is known of it; its DS stays its parent's.
    child = from_text("c.example")
    apex = replace(BY_NAME[ZONE], owner=child, rdatas=(b"\x01z" + child + b"\x00\x06\x22\x00\x00\x00\x00\x03",))
    cache.learn(child, [apex], replace(SOA, owner=child), 0.0)
    assert said(cache.find(name, codes.A, 1.0)) is Says.NXDOMAIN
    assert soa_owner(cache.find(name, codes.A, 1.0)) == child
    assert soa_owner(cache.find(child, codes.DS, 1.0)) == ZONE
    assert cache.find(child, codes.DS, 1.0, child) is None


def test_foreign_and_damaged_records_are_not_learnt() -> None:
    cache = AggressiveCache()
    for records in (
        from_zone_text("a.com. NSEC z.com. A; com. NSEC a.com. SOA NS"),
        from_zone_text("@ NSEC z. SOA NS; b NSEC a A"),
        [replace(each, rdatas=(each.rdatas[0][:-1],)) for each in of("@ b")],
    ):
        cache.learn(ZONE, records, SOA, 0.0)
        assert cache.size == 0
        assert cache.find(from_text("c.example"), codes.A, 1.0) is None


def test_opt_out_and_parameters_beyond_are_not_learnt() -> None:
    zone = example_zone([("b", "A"), ("d", "NS")])
    for form, learnt in ((Nsec3Form(), True), (Nsec3Form("-", 0, True), False), (Nsec3Form("-", 151), False)):
        cache = AggressiveCache()
        cache.learn(ZONE, zone.nsec3(form).values(), SOA, 0.0)
        assert (cache.find(from_text("c.example"), codes.A, 1.0) is not None) is learnt
        assert (cache.size > 0) is learnt
    # Of other parameters than before, what was known is void.
    cache.learn(ZONE, zone.nsec3(Nsec3Form()).values(), SOA, 0.0)
    before = cache.size
    cache.learn(ZONE, zone.nsec3(Nsec3Form("aa", 1)).values(), SOA, 0.0)
    assert cache.size == pytest.approx(before, rel=0.01)
    assert cache.find(from_text("c.example"), codes.A, 1.0) is not None


def test_flush_forgets_a_names_zone_and_all_below() -> None:
    cache = AggressiveCache()
    others = [from_text("a.c.example"), from_text("other")]
    for zone in (ZONE, *others):
        apex = replace(BY_NAME[ZONE], owner=zone, rdatas=(zone + b"\x00\x06\x22\x00\x00\x00\x00\x03",))
        cache.learn(zone, [apex], replace(SOA, owner=zone), 0.0)
    cache.flush(from_text("c.example"))
    assert cache.find(from_text("c.example"), codes.A, 1.0) is None
    assert cache.find(from_text("x.a.c.example"), codes.A, 1.0) is None
    assert cache.find(from_text("x.other"), codes.A, 1.0) is not None
    cache.clear()
    assert cache.find(from_text("x.other"), codes.A, 1.0) is None
    assert cache.size == 0


# -- bounds -----------------------------------------------------------------------------------------------------------------


def apex_of(zone: bytes) -> tuple[RRset, RRset]:
    soa = replace(SOA, owner=zone)
    return replace(BY_NAME[ZONE], owner=zone, rdatas=(zone + b"\x00\x06\x22\x00\x00\x00\x00\x03",)), soa


def test_zones_are_bounded_and_those_in_use_stay() -> None:
    size = 200_000
    cache = AggressiveCache(size)
    ours = from_text("ours.shop")
    cache.learn(ours, apex_of(ours)[:1], apex_of(ours)[1], 0.0)
    for number in range(1000):
        zone = from_text(f"z{number}.evil")
        apex, soa = apex_of(zone)
        cache.learn(zone, [apex], soa, 0.0)
        assert cache.size <= size
        if number % 20 == 0:
            assert cache.find(from_text("www.ours.shop"), codes.A, 1.0) is not None, number
    assert cache.size > size // 2
    assert AggressiveCache()._limit == bounds.AGGRESSIVE_OCTETS


def test_one_zone_is_bounded_and_others_stay() -> None:
    cache = AggressiveCache()
    ours = from_text("ours.shop")
    cache.learn(ours, apex_of(ours)[:1], apex_of(ours)[1], 0.0)
    names = [from_text(f"{number:06}.example") for number in range(10_000)]
    types = b"\x00\x01\x40"
    for at, name in enumerate(names[:-1]):
        cache.learn(ZONE, [RRset(name, codes.NSEC, 3600, (names[at + 1] + types,))], SOA, 0.0)
    assert bounds.AGGRESSIVE_ZONE_OCTETS * 0.9 < cache.size < bounds.AGGRESSIVE_ZONE_OCTETS * 1.1
    assert cache.find(from_text("www.ours.shop"), codes.A, 1.0) is not None
    # The newest are kept.
    assert cache.find(names[-2], codes.MX, 1.0) is not None
    assert cache.find(names[0], codes.MX, 1.0) is None


@pytest.mark.parametrize("iterations", [0, 20, 100, bounds.MAX_NSEC3_ITERATIONS])
def test_looking_costs_so_many_rounds_at_most(iterations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = 0

    def counted(name: bytes, salt: bytes, iterations: int) -> bytes:
        nonlocal rounds
        rounds += iterations + 1
        return nsec3_hash(name, salt, iterations)

    cache = AggressiveCache()
    zone = example_zone([("a", "A")])
    cache.learn(ZONE, zone.nsec3(Nsec3Form("-", iterations)).values(), SOA, 0.0)
    monkeypatch.setattr(nsec3, "nsec3_hash", counted)
    deep = ".".join("x" * 100)
    # Four hashes: the name, the apex, the next closer name, the wildcard.
    found = cache.find(from_text(f"{deep}.example"), codes.A, 1.0)
    assert (found is not None) is (4 * (iterations + 1) <= bounds.AGGRESSIVE_ROUNDS)
    # Of a name about which nothing is known all are hashed that it is below.
    cache = AggressiveCache()
    cache.learn(ZONE, [zone.nsec3(Nsec3Form("-", iterations))[question("a", zone)]], SOA, 0.0)
    rounds = 0
    assert cache.find(from_text(f"{deep}.example"), codes.A, 1.0) is None
    assert 0 < rounds <= bounds.AGGRESSIVE_ROUNDS
