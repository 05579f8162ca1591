"""RRsets, signatures and keys (RFC 4035 §5.2, §5.3): dnspython signs, and each condition is broken alone."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signing import DAY, NOW, Key, dnskeys, key, of_private, rrset, signed

from resolverd.resolver.iterator.work import Work
from resolverd.resolver.validator.algorithms import Policy, ds_digest
from resolverd.resolver.validator.signatures import (
    NoSupported,
    Trusted,
    Unverified,
    Verified,
    ZoneKey,
    match_ds,
    supported_ds,
    verify,
    zone_keys,
)
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.canonical import signed_data
from resolverd.wire.dnssec import Ds, dnskey, key_tag, rrsig
from resolverd.wire.names import ROOT, Name, from_labels, from_text
from resolverd.wire.rrset import RRset

ZONE = from_text("example.org")
WWW = from_text("www.example.org")
POLICY = Policy()
NO_KEY = codes.EDE_DNSKEY_MISSING
SIGNER = key(15)
KEYS = zone_keys(dnskeys(ZONE, SIGNER))
DATA = rrset(WWW, codes.A, b"\xc0\0\2\1", b"\xc0\0\2\2")


def check(data: RRset, keys: tuple[ZoneKey, ...] = KEYS, wall: float = NOW, policy: Policy = POLICY) -> Verified | Unverified:
    return verify(data, ZONE, keys, wall, Work(), policy)


def signed_with(data: RRset, covering: RRset | None = None, **fields: Any) -> RRset:
    """With a signature that is right but for these fields of it; `covering` another RRset if given."""
    sig = replace(rrsig(signed(data, ZONE, SIGNER).sigs[0]), **fields)
    made = SIGNER.private.sign(signed_data(covering or data, sig))
    return replace(data, sigs=(sig.head() + made,))


# -- what dnspython signs ----------------------------------------------------------------------------------------------------

LABEL = st.text("abcXYZ019-_", min_size=1, max_size=5).map(str.encode)
NAME = st.lists(LABEL, max_size=3).map(from_labels)
HOST = st.one_of(NAME, st.just(ROOT))
RDATAS: dict[int, st.SearchStrategy[bytes]] = {
    codes.A: st.binary(min_size=4, max_size=4),
    codes.AAAA: st.binary(min_size=16, max_size=16),
    codes.TXT: st.binary(max_size=20).map(lambda data: bytes([len(data)]) + data),
    codes.NS: HOST,
    codes.PTR: HOST,
    codes.DNAME: HOST,
    codes.MX: st.tuples(st.binary(min_size=2, max_size=2), HOST).map(b"".join),
    codes.AFSDB: st.tuples(st.binary(min_size=2, max_size=2), HOST).map(b"".join),
    codes.SRV: st.tuples(st.binary(min_size=6, max_size=6), HOST).map(b"".join),
    codes.RP: st.tuples(HOST, HOST).map(b"".join),
    codes.SOA: st.tuples(HOST, HOST, st.binary(min_size=20, max_size=20)).map(b"".join),
    codes.NAPTR: st.tuples(st.just(b"\0\1\0\2\1U\7SIP+D2U\0"), HOST).map(b"".join),
    codes.NSEC: HOST.map(lambda name: name + b"\0\1\x40"),
    codes.DS: st.binary(min_size=32, max_size=32).map(lambda data: b"\0\1\x0d\2" + data),
    65280: st.binary(max_size=20),
}
SINGLETONS = {codes.SOA, codes.DNAME, codes.NSEC}
RRSETS = st.sampled_from(sorted(RDATAS)).flatmap(
    lambda rtype: st.builds(
        lambda rdatas, ttl: RRset(ROOT, rtype, ttl, tuple(rdatas)),
        st.sets(RDATAS[rtype], min_size=1, max_size=1 if rtype in SINGLETONS else 4),
        st.integers(0, 2**31 - 1),
    )
)


@settings(deadline=None, max_examples=200)
@given(RRSETS, st.lists(LABEL, max_size=3), st.sampled_from([8, 13, 15]), st.randoms())
def test_what_dnspython_signs_is_verified(data: RRset, labels: list[bytes], algorithm: int, rng: Any) -> None:
    owner = from_labels([*labels, b"Example", b"oRG"])
    signer = key(algorithm)
    made = signed(replace(data, owner=owner), ZONE.swapcase(), signer)
    # as it comes from the wire: in any order, the owner in lower case
    came = replace(made, owner=owner.lower(), rdatas=tuple(rng.sample(made.rdatas, len(made.rdatas))))
    keys = zone_keys(dnskeys(ZONE, signer))
    assert verify(came, ZONE, keys, NOW, Work(), POLICY) == Verified(min(data.ttl, 10 * DAY), None, signer.tag, signer.algorithm)
    for other in (
        replace(came, rdatas=(*came.rdatas, b"\1" + came.rdatas[0])),
        replace(came, owner=b"\1q" + came.owner),
        replace(came, rtype=codes.NULL),
        replace(came, sigs=(came.sigs[0][:-1] + bytes([came.sigs[0][-1] ^ 1]),)),
    ):
        assert isinstance(verify(other, ZONE, keys, NOW, Work(), POLICY), Unverified)
    if len(came.rdatas) > 1 and len({rdata.lower() for rdata in came.rdatas}) == len(came.rdatas):
        assert isinstance(verify(replace(came, rdatas=came.rdatas[1:]), ZONE, keys, NOW, Work(), POLICY), Unverified)


@settings(deadline=None)
@given(st.lists(LABEL, max_size=2), st.lists(LABEL, min_size=1, max_size=3))
def test_expanded_wildcards_tell_the_closest_encloser(above: list[bytes], below: list[bytes]) -> None:
    encloser = from_labels([*above, b"example", b"org"]).lower()
    wild = signed(replace(DATA, owner=b"\1*" + encloser), ZONE, SIGNER)
    assert check(wild) == Verified(3600, None, SIGNER.tag, 15)
    name = from_labels(below)[:-1].lower() + encloser
    assert check(replace(wild, owner=name)) == Verified(3600, encloser, SIGNER.tag, 15)
    # A wildcard may be asked for below another one, and a name that is not below it has not been signed.
    assert check(replace(wild, owner=b"\1*\1x" + encloser)) == Verified(3600, encloser, SIGNER.tag, 15)
    assert isinstance(check(replace(wild, owner=b"\1x\2qq" + encloser[1 + encloser[0] :])), Unverified)


def test_the_same_data_twice_and_in_other_letters_is_signed_once() -> None:
    data = rrset(WWW, codes.NS, from_text("ns.example.org"))
    made = signed(data, ZONE, SIGNER)
    assert isinstance(check(replace(made, rdatas=(from_text("NS.example.org"), from_text("ns.Example.org")))), Verified)


def test_what_is_signed_has_its_owner_in_lower_case() -> None:
    sig = rrsig(signed(DATA, ZONE, SIGNER).sigs[0])
    assert signed_data(replace(DATA, owner=WWW.upper()), sig) == signed_data(DATA, sig)


# -- each condition of RFC 4035 §5.3.1 alone ----------------------------------------------------------------------------------

OTHER = key(15, 1)
FLAGGED = {flags: of_private(SIGNER.private, 15, flags) for flags in (0, 1, 256, 385)}


def protocol(number: int) -> Key:
    return Key(SIGNER.private, SIGNER.rdata[:2] + bytes([number]) + SIGNER.rdata[3:])


def keyed(signer: Key) -> tuple[RRset, tuple[ZoneKey, ...]]:
    return signed_with(DATA, key_tag=signer.tag), zone_keys(dnskeys(ZONE, signer))


FAULTS: list[tuple[str, Callable[[], Verified | Unverified], int, str]] = [
    ("no signature", lambda: check(DATA), codes.EDE_RRSIGS_MISSING, "not signed"),
    ("no RRSIG", lambda: check(replace(DATA, sigs=(b"\0\1\x0f",))), codes.EDE_RRSIGS_MISSING, "no signature"),
    ("other type", lambda: check(signed_with(DATA, covered=codes.MX)), codes.EDE_BOGUS, "of type MX"),
    ("by the parent", lambda: check(signed_with(DATA, signer=from_text("org"), labels=3)), codes.EDE_BOGUS, "signed by org."),
    ("by a child", lambda: check(signed_with(DATA, signer=WWW)), codes.EDE_BOGUS, "signed by www.example.org."),
    ("by another", lambda: check(signed_with(DATA, signer=from_text("evil"))), codes.EDE_BOGUS, "signed by evil."),
    ("not its zone", lambda: check(signed_with(replace(DATA, owner=from_text("www.example.net")))), codes.EDE_BOGUS, "not in"),
    ("not its label", lambda: check(signed_with(replace(DATA, owner=from_text("anexample.org")))), codes.EDE_BOGUS, "not in"),
    ("more labels", lambda: check(replace(signed_with(DATA, labels=3), owner=ZONE)), codes.EDE_BOGUS, "counts 3 labels"),
    # A wildcard above the zone itself (CVE-2026-44690 and its kin): *.org is nothing that example.org could sign.
    ("fewer labels", lambda: check(signed_with(DATA, labels=1)), codes.EDE_BOGUS, "counts 1 labels"),
    ("no labels", lambda: check(signed_with(DATA, labels=0)), codes.EDE_BOGUS, "counts 0 labels"),
    ("ended", lambda: check(signed_with(DATA, inception=0, expiration=NOW - 3 * DAY)), codes.EDE_EXPIRED, "expired 3 days ago"),
    ("yet to begin", lambda: check(signed_with(DATA, inception=NOW + 2 * DAY)), codes.EDE_NOT_YET_VALID, "begins in 2 days"),
    ("upside down", lambda: check(signed_with(DATA, inception=NOW + 60, expiration=NOW)), codes.EDE_EXPIRED, "ends before"),
    ("no such tag", lambda: check(signed_with(DATA, key_tag=SIGNER.tag ^ 1)), NO_KEY, "has none"),
    ("other algorithm", lambda: check(signed_with(DATA, algorithm=13)), NO_KEY, "has none"),
    ("no keys", lambda: check(signed_with(DATA), keys=()), NO_KEY, "has none"),
    ("no zone key", lambda: check(*keyed(FLAGGED[1])), codes.EDE_NO_ZONE_KEY_BIT, "not meant"),
    ("no flag", lambda: check(*keyed(FLAGGED[0])), codes.EDE_NO_ZONE_KEY_BIT, "not meant"),
    ("other protocol", lambda: check(*keyed(protocol(2))), codes.EDE_NO_ZONE_KEY_BIT, "not meant"),
    ("revoked", lambda: check(*keyed(FLAGGED[385])), codes.EDE_BOGUS, "revoked"),
    ("other data", lambda: check(signed_with(DATA, covering=replace(DATA, rdatas=(b"abcd",)))), codes.EDE_BOGUS, "does not fit"),
    ("other owner", lambda: check(signed_with(DATA, covering=replace(DATA, owner=ZONE), labels=2)), codes.EDE_BOGUS, "not fit"),
    ("SHA-1", lambda: check(signed(DATA, ZONE, key(7)), zone_keys(dnskeys(ZONE, key(7))), policy=Policy(allow_sha1=False)),
     codes.EDE_UNSUPPORTED_ALGORITHM, "RSASHA1-NSEC3-SHA1"),
    ("short", lambda: check(signed(DATA, ZONE, key(8)), zone_keys(dnskeys(ZONE, key(8))), policy=Policy(min_rsa_bits=2048)),
     codes.EDE_UNSUPPORTED_ALGORITHM, "too weak"),
    ("impossible", lambda: check(replace(signed(rrset(WWW, codes.MX, b"\0\1\0"), ZONE, SIGNER), rdatas=(b"\0\1\3ab",))),
     codes.EDE_BOGUS, "cannot be signed"),
]  # fmt: skip


@pytest.mark.parametrize(("verdict", "code", "words"), [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS])
def test_a_condition_that_is_not_met(verdict: Callable[[], Verified | Unverified], code: int, words: str) -> None:
    found = verdict()
    assert isinstance(found, Unverified)
    assert (found.code, words in found.text) == (code, True), found
    assert found.time is (found.code in (codes.EDE_EXPIRED, codes.EDE_NOT_YET_VALID))


def test_right_ones_are_taken() -> None:
    assert isinstance(check(signed_with(DATA)), Verified)
    assert isinstance(check(*keyed(FLAGGED[256])), Verified)
    assert verify(signed(rrset(ROOT, codes.NS, WWW), ROOT, SIGNER), ROOT, KEYS, NOW, Work(), POLICY) == Verified(
        3600, None, SIGNER.tag, 15
    )
    upper = signed_with(DATA)
    at = 18
    upper = replace(upper, sigs=(upper.sigs[0][:at] + ZONE.upper() + upper.sigs[0][at + len(ZONE) :],))
    assert isinstance(check(upper), Verified)


@pytest.mark.parametrize(
    ("begins", "ends", "ttl"),
    [
        (-DAY, DAY, 3600),
        (-DAY, 1800, 1800),
        (-DAY, 0, 0),
        (-7200, -3600, 0),
        (-7201, -3601, None),
        (3600, 7200, 3600),
        (3601, 7201, None),
        (-11 * DAY, -DAY, 0),
        (-11 * DAY - 1, -DAY - 1, None),
        (DAY, 101 * DAY, 3600),
        (DAY + 1, 101 * DAY, None),
        (0, 0, 0),
    ],
)
def test_signatures_have_their_time_and_a_little_more(begins: int, ends: int, ttl: int | None) -> None:
    found = check(signed_with(DATA, inception=NOW + begins, expiration=NOW + ends), wall=NOW + 0.9)
    assert (found.ttl if isinstance(found, Verified) else None) == ttl
    exact = check(signed_with(DATA, inception=NOW + begins, expiration=NOW + ends), policy=Policy(min_skew=0, max_skew=0))
    assert isinstance(exact, Verified) is (begins <= 0 <= ends)


@pytest.mark.parametrize(
    ("wall", "begins", "ends", "good"),
    [
        # RFC 1982: the numbers begin anew in 2106.
        (2**32 - 10, 2**32 - DAY, DAY, True),
        (2**32 + 10, 2**32 - DAY, DAY, True),
        (2**32 + 10, 5, DAY, True),
        (2**32 + 2 * DAY, 2**32 - DAY, DAY, False),
        (2**32 - 2 * DAY, 2**32 - DAY, DAY, False),
        (2**33 + 10, 2**32 - DAY, DAY, True),
        (NOW, (NOW + 2**31 + DAY) % 2**32, (NOW + DAY) % 2**32, False),
    ],
)
def test_times_are_serial_numbers(wall: int, begins: int, ends: int, good: bool) -> None:
    found = check(signed_with(DATA, inception=begins, expiration=ends), wall=wall)
    assert isinstance(found, Verified) is good


def test_ttls_are_those_of_the_zone() -> None:
    # RFC 4035 §5.3.3: no more than was signed, and the signature holds whatever the TTL has become.
    data = signed_with(DATA, original_ttl=300)
    for ttl, kept in ((100, 100), (300, 300), (86400, 300)):
        found = check(replace(data, ttl=ttl))
        assert isinstance(found, Verified)
        assert found.ttl == kept


# -- several signatures ---------------------------------------------------------------------------------------------------------


def test_one_that_holds_is_enough() -> None:
    good = signed_with(DATA).sigs
    expired = signed_with(DATA, expiration=NOW - DAY).sigs
    forged = (good[0][:-64] + bytes(64),)
    unknown = signed(DATA, ZONE, OTHER).sigs
    junk = (b"", b"\xff" * 30)
    for sigs in (good + forged, forged + good, expired + good, unknown + expired + junk + good, junk + forged + unknown + good):
        assert isinstance(check(replace(DATA, sigs=sigs)), Verified)


def test_the_fault_that_tells_most_is_told() -> None:
    good = signed_with(DATA).sigs
    expired = signed_with(DATA, expiration=NOW - DAY).sigs
    forged = (good[0][:-64] + bytes(64),)
    unknown = signed(DATA, ZONE, OTHER).sigs
    for sigs, code, time in (
        (unknown + expired, codes.EDE_EXPIRED, True),
        (expired + unknown, codes.EDE_EXPIRED, True),
        (unknown + forged, codes.EDE_BOGUS, False),
        ((b"\xff" * 5,), codes.EDE_RRSIGS_MISSING, False),
        ((b"\xff" * 5, *unknown), NO_KEY, False),
        (forged + expired, codes.EDE_EXPIRED, True),
    ):
        found = check(replace(DATA, sigs=sigs))
        assert isinstance(found, Unverified)
        assert (found.code, found.time) == (code, time)


def test_an_expired_forgery_says_nothing_of_the_clock() -> None:
    # Or anybody could make the clock look wrong.
    expired = signed_with(DATA, expiration=NOW - DAY).sigs[0]
    found = check(replace(DATA, sigs=(expired[:-64] + bytes(64),)))
    assert isinstance(found, Unverified)
    assert not found.time
    found = check(replace(DATA, sigs=(expired,)), keys=zone_keys(dnskeys(ZONE, OTHER)))
    assert isinstance(found, Unverified)
    assert not found.time


def test_nothing_is_verified_that_cannot_hold() -> None:
    work = Work()
    for data in (DATA, signed_with(DATA, covered=codes.MX), signed_with(DATA, labels=1), signed(DATA, ZONE, OTHER)):
        verify(data, ZONE, KEYS, NOW, work, POLICY)
    assert (work.verifications, work.failures) == (0, 0)
    verify(signed_with(DATA), ZONE, KEYS, NOW, work, POLICY)
    assert (work.verifications, work.failures) == (1, 0)


# -- delegations and trust anchors --------------------------------------------------------------------------------------------

KSK, ZSK = key(13), key(13, 1, 256)


def ds_of(signer: Key, digest_type: int = 2, zone: Name = ZONE, **fields: Any) -> Ds:
    made = Ds(signer.tag, signer.algorithm, digest_type, ds_digest(zone, signer.rdata, digest_type))
    return replace(made, **fields) if fields else made


def match(ds: tuple[Ds, ...], keys: RRset, policy: Policy = POLICY, wall: float = NOW) -> Trusted | Unverified | NoSupported:
    return match_ds(ds, keys, ZONE, wall, Work(), policy)


ZONE_KEYS = signed(dnskeys(ZONE, ZSK, KSK), ZONE, KSK)


@pytest.mark.parametrize("digest_type", [1, 2, 4])
def test_a_key_that_the_parent_names_vouches_for_all(digest_type: int) -> None:
    found = match((ds_of(KSK, digest_type),), ZONE_KEYS)
    assert found == Trusted((ZoneKey(ZSK.tag, dnskey(ZSK.rdata)), ZoneKey(KSK.tag, dnskey(KSK.rdata))), 3600)
    # An owner in other letters is the same (RFC 4034 §5.1.4).
    assert match((ds_of(KSK, digest_type, from_text("Example.ORG")),), ZONE_KEYS) == found


WEAK, STRONG = key(8, 0), key(8, 1, bits=2048)
LONG = Policy(min_rsa_bits=2048)
WEAK_KEYS = signed(dnskeys(ZONE, WEAK, STRONG), ZONE, WEAK, STRONG)
WITHOUT_SHA1 = Policy(allow_sha1=False)
DIGESTS: list[tuple[str, tuple[Ds, ...], RRset, Policy, type, int]] = [
    ("one that is not there", (ds_of(KSK, digest=bytes(32)), ds_of(KSK)), ZONE_KEYS, POLICY, Trusted, 0),
    ("another digest", (ds_of(KSK, digest=bytes(32)),), ZONE_KEYS, POLICY, Unverified, NO_KEY),
    ("another tag", (ds_of(KSK, key_tag=1),), ZONE_KEYS, POLICY, Unverified, NO_KEY),
    ("another algorithm", (ds_of(KSK, algorithm=14),), ZONE_KEYS, POLICY, Unverified, NO_KEY),
    ("another zone's", (ds_of(KSK, 2, from_text("example.net")),), ZONE_KEYS, POLICY, Unverified, NO_KEY),
    ("not signed", (ds_of(KSK),), replace(ZONE_KEYS, sigs=()), POLICY, Unverified, codes.EDE_RRSIGS_MISSING),
    ("signed by another of its keys", (ds_of(ZSK),), ZONE_KEYS, POLICY, Unverified, NO_KEY),
    # RFC 4509 §3: a SHA-1 digest doesn't count beside a better one, right or wrong
    ("SHA-1 beside SHA-256", (ds_of(KSK, 1), ds_of(KSK, digest=bytes(32))), ZONE_KEYS, POLICY, Unverified, NO_KEY),
    ("SHA-1 beside SHA-384", (ds_of(KSK, 1), ds_of(KSK, 4, digest=bytes(48))), ZONE_KEYS, POLICY, Unverified, NO_KEY),
    ("SHA-1 beside the unknown", (ds_of(KSK, 1), Ds(1, 13, 3, bytes(32))), ZONE_KEYS, POLICY, Trusted, 0),
    ("SHA-1 beside SHA-256 of the unknown", (ds_of(KSK, 1), Ds(1, 12, 2, bytes(32))), ZONE_KEYS, POLICY, Trusted, 0),
    ("SHA-1 digest not allowed", (ds_of(KSK, 1),), ZONE_KEYS, WITHOUT_SHA1, NoSupported, codes.EDE_UNSUPPORTED_DIGEST),
    ("SHA-1 signatures not allowed", (ds_of(key(7)),), ZONE_KEYS, WITHOUT_SHA1, NoSupported, codes.EDE_UNSUPPORTED_ALGORITHM),
    ("unknown algorithm", (Ds(1, 12, 2, bytes(32)),), ZONE_KEYS, POLICY, NoSupported, codes.EDE_UNSUPPORTED_ALGORITHM),
    ("private algorithm", (Ds(1, 253, 2, bytes(32)),), ZONE_KEYS, POLICY, NoSupported, codes.EDE_UNSUPPORTED_ALGORITHM),
    ("unknown digest", (Ds(1, 13, 3, bytes(32)),), ZONE_KEYS, POLICY, NoSupported, codes.EDE_UNSUPPORTED_DIGEST),
    ("unknown and known", (Ds(1, 12, 3, bytes(32)), ds_of(KSK)), ZONE_KEYS, POLICY, Trusted, 0),
    ("known and wrong beside unknown", (Ds(1, 12, 3, bytes(32)), ds_of(KSK, key_tag=2)), ZONE_KEYS, POLICY, Unverified, NO_KEY),
    ("weak", (ds_of(WEAK),), WEAK_KEYS, LONG, NoSupported, codes.EDE_UNSUPPORTED_ALGORITHM),
    ("weak and strong", (ds_of(WEAK), ds_of(STRONG)), WEAK_KEYS, LONG, Trusted, 0),
    # Who takes the strong one away has not made the zone insecure.
    ("the strong one gone", (ds_of(WEAK), ds_of(STRONG)), signed(dnskeys(ZONE, WEAK), ZONE, WEAK), LONG, Unverified, NO_KEY),
    ("short, and allowed", (ds_of(WEAK),), WEAK_KEYS, POLICY, Trusted, 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("ds", "keys", "policy", "kind", "code"), [each[1:] for each in DIGESTS], ids=[each[0] for each in DIGESTS]
)
def test_what_a_delegation_says(ds: tuple[Ds, ...], keys: RRset, policy: Policy, kind: type, code: int) -> None:
    found = match(ds, keys, policy)
    assert type(found) is kind, found
    if isinstance(found, Unverified | NoSupported):
        assert found.code == code


@pytest.mark.parametrize(
    ("flags", "code"), [(0, codes.EDE_NO_ZONE_KEY_BIT), (1, codes.EDE_NO_ZONE_KEY_BIT), (385, codes.EDE_BOGUS)]
)
def test_keys_that_may_not_sign_are_no_entry(flags: int, code: int) -> None:
    signer = of_private(KSK.private, 13, flags)
    found = match((ds_of(signer),), signed(dnskeys(ZONE, signer), ZONE, signer))
    assert isinstance(found, Unverified)
    assert found.code == code


def test_a_signature_that_is_over_breaks_the_chain() -> None:
    found = match((ds_of(KSK),), ZONE_KEYS, wall=NOW + 30 * DAY)
    assert isinstance(found, Unverified)
    assert (found.code, found.time) == (codes.EDE_EXPIRED, True)


def test_ds_records_before_any_key_is_known() -> None:
    right = ds_of(KSK)
    rdata = right.key_tag.to_bytes(2) + bytes([13, 2]) + right.digest
    assert supported_ds((rdata, b"\0\1"), POLICY) == (right,)
    assert isinstance(supported_ds((b"\0\1\x0d\2",), POLICY), Unverified)
    assert isinstance(supported_ds((b"\0\1\x0c\2" + bytes(32),), POLICY), NoSupported)


def test_keys_that_cannot_be_read_are_left_out() -> None:
    rdatas = (b"", b"\1", b"\1\1\3\x0d", KSK.rdata)
    assert zone_keys(RRset(ZONE, codes.DNSKEY, 60, rdatas)) == (ZoneKey(key_tag(KSK.rdata), dnskey(KSK.rdata)),)
