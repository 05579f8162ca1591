"""Zones made to be dear to validate (KeyTrap, CVE-2023-50387): what they get is counted; and honest ones that look like them."""

from itertools import count
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from signing import NOW, Key, dnskeys, key, of_private, rrset, signature, signed

from resolverd import bounds
from resolverd.resolver.iterator.work import TooMuch, Work
from resolverd.resolver.validator import algorithms
from resolverd.resolver.validator.algorithms import ED25519, RSASHA256, SHA256, Policy, ds_digest, is_too_weak, load_key
from resolverd.resolver.validator.signatures import (
    NoSupported,
    Trusted,
    Unverified,
    Verified,
    ZoneKey,
    match_ds,
    verify,
    zone_keys,
)
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.dnssec import Ds, dnskey, key_tag
from resolverd.wire.names import Name, from_text
from resolverd.wire.rrset import RRset
from tests.attacks import Figure

ZONE = from_text("example")
WWW = from_text("www.example")
POLICY = Policy()


def address(owner: Name = WWW, last: int = 1) -> RRset:
    return rrset(owner, codes.A, bytes([192, 0, 2, last]))


def ds_of(zone: Name, *keys: Key) -> tuple[Ds, ...]:
    return tuple(Ds(each.tag, each.algorithm, SHA256, ds_digest(zone, each.rdata, SHA256)) for each in keys)


def forged_keys(tag: int, number: int) -> list[bytes]:
    """DNSKEYs that anybody can make up: RSA moduli of which nobody knows the factors, all with one tag."""
    rng = Random(number)
    keys = []
    for _ in range(number):
        rdata = bytearray(b"\x01\x01\x03\x08\x03\x01\x00\x01" + rng.randbytes(128))
        rdata[8] |= 0x80
        rdata[-1] |= 1
        rdata[20:22] = b"\0\0"
        rdata[20:22] = ((tag - key_tag(bytes(rdata))) % 0xFFFF).to_bytes(2)
        assert key_tag(bytes(rdata)) == tag
        keys.append(bytes(rdata))
    return keys


def colliding_keys(number: int) -> list[Key]:
    """Real keys of one algorithm that share a tag, as happens by chance."""
    found: dict[int, list[Key]] = {}
    for _ in count():
        made = of_private(ed25519.Ed25519PrivateKey.generate(), ED25519)
        group = found.setdefault(made.tag, [])
        group.append(made)
        if len(group) == number:
            return group
    raise AssertionError


def garbage_signatures(tag: int, number: int) -> tuple[bytes, ...]:
    real = signature(address(), ZONE, key(RSASHA256))
    rng = Random(number)
    return tuple(real[:16] + tag.to_bytes(2) + real[18:27] + rng.randbytes(128) for _ in range(number))


@pytest.mark.attack("R-30")
def test_many_keys_and_many_signatures(figure: Figure) -> None:
    keys = zone_keys(RRset(ZONE, codes.DNSKEY, 60, tuple(forged_keys(4711, 300))))
    assert len(keys) == 300
    assert len([each for each in keys[:8] if load_key(each.key, POLICY)]) == 8
    algorithms._load.cache_clear()
    work = Work()
    for _ in range(bounds.MAX_FAILED_VERIFICATIONS // bounds.MAX_FAILED_PER_RRSET):
        verdict = verify(replace(address(), sigs=garbage_signatures(4711, 8)), ZONE, keys, NOW, work, POLICY)
        assert isinstance(verdict, Unverified)
        assert verdict.code == codes.EDE_BOGUS
        assert not verdict.time
    assert work.verifications == work.failures == bounds.MAX_FAILED_VERIFICATIONS
    with pytest.raises(TooMuch, match="that fail"):
        verify(replace(address(), sigs=garbage_signatures(4711, 8)), ZONE, keys, NOW, work, POLICY)
    figure("signatures verified in vain", work.verifications, most=bounds.MAX_FAILED_VERIFICATIONS + 1)
    assert algorithms._load.cache_info().currsize == bounds.MAX_KEYS_PER_TAG


def test_expired_signatures_are_no_way_around() -> None:
    keys = zone_keys(RRset(ZONE, codes.DNSKEY, 60, tuple(forged_keys(4711, 300))))
    work = Work()
    verdict = verify(replace(address(), sigs=garbage_signatures(4711, 8)), ZONE, keys, NOW + 10**8, work, POLICY)
    assert isinstance(verdict, Unverified)
    assert not verdict.time
    assert work.verifications == bounds.MAX_FAILED_PER_RRSET


def test_signatures_that_hold_are_bounded_as_well() -> None:
    signer = key(ED25519)
    keys = zone_keys(dnskeys(ZONE, signer))
    data = signed(address(), ZONE, signer)
    work = Work()
    for _ in range(bounds.MAX_VERIFICATIONS):
        assert isinstance(verify(data, ZONE, keys, NOW, work, POLICY), Verified)
    with pytest.raises(TooMuch, match="to verify"):
        verify(data, ZONE, keys, NOW, work, POLICY)
    assert work.verifications == bounds.MAX_VERIFICATIONS
    assert work.failures == 0


def test_a_chain_of_zones_and_aliases_fits() -> None:
    # Eight zones deep, each zone's DS and keys; then as many aliases as a chain may have, denials of closer names beside.
    work = Work()
    zone = ZONE
    for depth in range(8):
        signer = key(ED25519, depth)
        keys = match_ds(ds_of(zone, signer), signed(dnskeys(zone, signer), zone, signer), zone, NOW, work, POLICY)
        assert isinstance(keys, Trusted)
        child = b"\x01z" + zone
        delegation = rrset(child, codes.DS, b"\x12\x34\x0f\x02" + bytes(32))
        assert isinstance(verify(signed(delegation, zone, signer), zone, keys.keys, NOW, work, POLICY), Verified)
        zone = child
    signer = key(ED25519, 0)
    for _ in range(2 * bounds.MAX_CNAMES):
        verdict = verify(signed(address(), ZONE, signer), ZONE, zone_keys(dnskeys(ZONE, signer)), NOW, work, POLICY)
        assert isinstance(verdict, Verified)


def test_keys_that_share_a_tag_by_chance() -> None:
    good = colliding_keys(bounds.MAX_KEYS_PER_TAG)
    keys = zone_keys(dnskeys(ZONE, *good))
    for signer in good:
        work = Work()
        for last in range(20):
            # The key that has worked is tried first: one failure for all RRsets of an answer, or they would soon be too many.
            assert isinstance(verify(signed(address(last=last), ZONE, signer), ZONE, keys, NOW, work, POLICY), Verified)
        assert work.failures <= 1
    anchors = ds_of(ZONE, *good)
    for signer in good:
        assert isinstance(match_ds(anchors, signed(dnskeys(ZONE, *good), ZONE, signer), ZONE, NOW, Work(), POLICY), Trusted)
        assert isinstance(
            match_ds(ds_of(ZONE, signer), signed(dnskeys(ZONE, *good), ZONE, signer), ZONE, NOW, Work(), POLICY), Trusted
        )


def test_no_more_of_one_tag_are_tried() -> None:
    signer = key(RSASHA256)
    forged = zone_keys(RRset(ZONE, codes.DNSKEY, 60, tuple(forged_keys(signer.tag, bounds.MAX_KEYS_PER_TAG))))
    data, own = signed(address(), ZONE, signer), ZoneKey(signer.tag, dnskey(signer.rdata))
    assert isinstance(verify(data, ZONE, (*forged, own), NOW, Work(), POLICY), Unverified)
    assert isinstance(verify(data, ZONE, (*forged[1:], own), NOW, Work(), POLICY), Verified)
    for forged_before, found in ((bounds.MAX_KEYS_PER_TAG, Unverified), (bounds.MAX_KEYS_PER_TAG - 1, Trusted)):
        keys = RRset(ZONE, codes.DNSKEY, 60, (*forged_keys(signer.tag, forged_before), signer.rdata))
        verdict = match_ds(ds_of(ZONE, signer), signed(keys, ZONE, signer), ZONE, NOW, Work(), POLICY)
        assert isinstance(verdict, found)


def test_keys_of_a_zone_are_bounded() -> None:
    signer = key(ED25519)
    for others, found in ((bounds.MAX_DNSKEYS - 1, Trusted), (bounds.MAX_DNSKEYS, Unverified)):
        more = tuple(bytes([1, 0, 3, 15]) + number.to_bytes(32) for number in range(others))
        keys = signed(RRset(ZONE, codes.DNSKEY, 60, (*more, signer.rdata)), ZONE, signer)
        work = Work()
        assert isinstance(match_ds(ds_of(ZONE, signer), keys, ZONE, NOW, work, POLICY), found)
        assert work.verifications == (found is Trusted)


def test_delegation_digests_are_bounded() -> None:
    signer = key(ED25519)
    keys = signed(dnskeys(ZONE, signer), ZONE, signer)
    (right,) = ds_of(ZONE, signer)
    for others, found in ((bounds.MAX_DS - 1, Trusted), (bounds.MAX_DS, Unverified)):
        wrong = tuple(replace(right, digest=number.to_bytes(32)) for number in range(others))
        assert isinstance(match_ds((*wrong, right), keys, ZONE, NOW, Work(), POLICY), found)


@pytest.mark.parametrize(
    ("bits", "exponent", "counts"),
    [
        (1024, 3, True),
        (bounds.MAX_RSA_BITS, 65537, True),
        (bounds.MAX_RSA_BITS + 1, 65537, False),
        (2048, (1 << 32) + 1, True),
        (2048, (1 << bounds.MAX_RSA_EXPONENT_BITS) - 1, True),
        (2048, (1 << bounds.MAX_RSA_EXPONENT_BITS) + 1, False),
        (3072, (1 << 3071) + 1, False),
        (1023, 65537, False),
    ],
)
def test_rsa_keys_are_neither_too_short_nor_too_dear(bits: int, exponent: int, counts: bool) -> None:
    modulus = (Random(bits).getrandbits(bits) | 1 | 1 << bits - 1).to_bytes((bits + 7) // 8)
    length = (exponent.bit_length() + 7) // 8
    head = bytes([length]) if length < 256 else b"\0" + length.to_bytes(2)
    rdata = b"\x01\x01\x03\x08" + head + exponent.to_bytes(length) + modulus
    assert (load_key(dnskey(rdata), POLICY) is not None) is counts
    assert is_too_weak(dnskey(rdata), POLICY) is not counts
    if not counts:
        anchor = (Ds(key_tag(rdata), 8, SHA256, ds_digest(ZONE, rdata, SHA256)),)
        verdict = match_ds(anchor, RRset(ZONE, codes.DNSKEY, 60, (rdata,)), ZONE, NOW, Work(), POLICY)
        assert isinstance(verdict, NoSupported)


@pytest.mark.attack("R-30")
def test_hashes_are_bounded() -> None:
    work = Work()
    work.charge_hashes(bounds.MAX_HASHES - 1)
    work.charge_hashes()
    with pytest.raises(TooMuch, match="NSEC3"):
        work.charge_hashes()
    assert work.hashes == bounds.MAX_HASHES


@pytest.mark.parametrize("algorithm", [8, 13, 14, 15, 16])
def test_keys_are_bounded_in_octets(algorithm: int) -> None:
    signer = key(ED25519)
    algorithms._load.cache_clear()
    public = b"\3\1\0\1" + b"\xff" * 256 if algorithm == RSASHA256 else b""
    for length, remembered in ((bounds.MAX_PUBLIC_KEY, True), (bounds.MAX_PUBLIC_KEY + 1, False), (60_000, False)):
        # Zeros in front of a modulus change nothing but its length.
        padded = bytes([1, 1, 3, algorithm]) + public[:4] + bytes(length - len(public)) + public[4:]
        load_key(dnskey(padded), POLICY)
        keys = signed(RRset(ZONE, codes.DNSKEY, 60, (padded, signer.rdata)), ZONE, signer)
        trusted = match_ds(ds_of(ZONE, signer), keys, ZONE, NOW, Work(), POLICY)
        assert isinstance(trusted, Trusted)
        assert len(trusted.keys) == 1 + remembered
        assert algorithms._load.cache_info().currsize == 2


def test_the_largest_rsa_key_is_within() -> None:
    largest = dnskey(b"\1\1\3\x08\x08" + b"\xff" * (bounds.MAX_RSA_EXPONENT_BITS // 8) + b"\xff" * (bounds.MAX_RSA_BITS // 8))
    assert len(largest.public) <= bounds.MAX_PUBLIC_KEY
    assert load_key(largest, POLICY) is not None


def test_loaded_keys_are_bounded() -> None:
    for number in range(bounds.LOADED_KEYS + 10):
        load_key(dnskey(b"\x01\x00\x03\x0f" + number.to_bytes(32)), POLICY)
    assert algorithms._load.cache_info().currsize == bounds.LOADED_KEYS
