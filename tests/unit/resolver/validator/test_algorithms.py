"""Algorithms and digests: the RFCs' examples, and what counts."""

from collections.abc import Callable

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from signing import NOW, dnskeys, key, rrset, signed

from resolverd.resolver.iterator.work import Work
from resolverd.resolver.local import master_file
from resolverd.resolver.validator import algorithms
from resolverd.resolver.validator.algorithms import (
    Policy,
    algorithm_text,
    ds_digest,
    load_key,
    supported_algorithm,
    supported_digest,
)
from resolverd.resolver.validator.signatures import Unverified, Verified, verify, zone_keys
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.dnssec import dnskey, ds, key_tag, rrsig
from resolverd.wire.names import ROOT, from_text

EXAMPLES = {
    "RFC 5702 §6.1": """
example.net. 3600 IN DNSKEY 256 3 8 (
    AwEAAcFcGsaxxdgiuuGmCkVImy4h99CqT7jwY3pexPGcnUFtR2Fh36BponcwtkZ4cAgtvd4Qs8PkxUdp6p/DlUmObdk= )
www.example.net. 3600 IN A 192.0.2.91
www.example.net. 3600 IN RRSIG A 8 3 3600 20300101000000 20000101000000 9033 example.net. (
    kRCOH6u7l0QGy9qpC9l1sLncJcOKFLJ7GhiUOibu4teYp5VE9RncriShZNz85mwlMgNEacFYK/lPtPiVYP4bwg== )""",
    "RFC 6605 §6.1": """
example.net. 3600 IN DNSKEY 257 3 13 (
    GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA== )
example.net. 3600 IN DS 55648 13 2 b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17
www.example.net. 3600 IN A 192.0.2.1
www.example.net. 3600 IN RRSIG A 13 3 3600 20100909100439 20100812100439 55648 example.net. (
    qx6wLYqmh+l9oCKTN6qIc+bw6ya+KJ8oMz0YP107epXAyGmt+3SNruPFKG7tZoLBLlUzGGus7ZwmwWep666VCw== )""",
    "RFC 6605 §6.2": """
example.net. 3600 IN DNSKEY 257 3 14 (
    xKYaNhWdGOfJ+nPrL8/arkwf2EY3MDJ+SErKivBVSum1w/egsXvSADtNJhyem5RCOpgQ6K8X1DRSEkrbYQ+OB+v8/uX45NBwY8rp65F6Glur8I/mlVNgF6W/
    qTI37m40 )
example.net. 3600 IN DS 10771 14 4 (
    72d7b62976ce06438e9c0bf319013cf801f09ecc84b8d7e9495f27e305c6a9b0563a9b5f4d288405c3008a946df983d6 )
www.example.net. 3600 IN A 192.0.2.1
www.example.net. 3600 IN RRSIG A 14 3 3600 20100909102025 20100812102025 10771 example.net. (
    /L5hDKIvGDyI1fcARX3z65qrmPsVz73QD1Mr5CEqOiLP95hxQouuroGCeZOvzFaxsT8Glr74hbavRKayJNuydCuzWTSSPdz7wnqXL5bdcJzusdnI0RSMROxx
    wGipWcJm )""",
    "RFC 8080 §6.1": """
example.com. 3600 IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=
example.com. 3600 IN DS 3613 15 2 3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b
example.com. 3600 IN MX 10 mail.example.com.
example.com. 3600 IN RRSIG MX 15 2 3600 1440021600 1438207200 3613 example.com. (
    oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg== )""",
    # with the labels of erratum 4935
    "RFC 8080 §6.2": """
example.com. 3600 IN DNSKEY 257 3 16 3kgROaDjrh0H2iuixWBrc8g2EpBBLCdGzHmn+G2MpTPhpj/OiBVHHSfPodx1FYYUcJKm1MDpJtIA
example.com. 3600 IN DS 9713 16 2 6ccf18d5bc5d7fc2fceb1d59d17321402f2aa8d368048db93dd811f5cb2b19c7
example.com. 3600 IN MX 10 mail.example.com.
example.com. 3600 IN RRSIG MX 16 2 3600 1440021600 1438207200 9713 example.com. (
    3cPAHkmlnxcDHMyg7vFC34l0blBhuG1qpwLmjInI8w1CMB29FkEAIJUA0amxWndkmnBZ6SKiwZSAxGILn/NBtOXft0+Gj7FSvOKxE/07+4RQvE581N3Aj/Jt
    IyaiYVdnYtyMWbSNyGEY2213WKsJlwEA )""",
}
ZONE = from_text("example")
WWW = from_text("www.example")


@pytest.mark.parametrize("text", EXAMPLES.values(), ids=EXAMPLES)
def test_the_examples_of_the_rfcs(text: str) -> None:
    found = {each.rtype: each for each in master_file.parse(text, ROOT)}
    keys = found[codes.DNSKEY]
    (data,) = (each for each in found.values() if each.sigs)
    wall = rrsig(data.sigs[0]).inception + 1
    assert isinstance(verify(data, keys.owner, zone_keys(keys), wall, Work(), Policy(min_rsa_bits=512)), Verified)
    other = replace(data, rdatas=(data.rdatas[0][:-2] + b"x" + data.rdatas[0][-1:],))
    assert isinstance(verify(other, keys.owner, zone_keys(keys), wall, Work(), Policy(min_rsa_bits=512)), Unverified)
    if codes.DS in found:
        record = ds(found[codes.DS].rdatas[0])
        assert record.key_tag == key_tag(keys.rdatas[0])
        assert ds_digest(keys.owner, keys.rdatas[0], record.digest_type) == record.digest


@pytest.mark.parametrize(
    ("digest_type", "digest"),
    [  # RFC 4034 §5.4, RFC 4509 §2.3
        (1, "2BB183AF5F22588179A53B0A98631FAD1A292118"),
        (2, "D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A"),
    ],
)
def test_digests(digest_type: int, digest: str) -> None:
    text = """dskey.example.com. 86400 IN DNSKEY 256 3 5 (
        AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD99WYwYqUSdjMmmAphXdvxegXd/M5+X7OrzKBaMbCVdFLU
        Uh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmADjFDc2w/rljwvFw== )"""
    (keys,) = master_file.parse(text, ROOT)
    assert ds_digest(from_text("DSkey.Example.com"), keys.rdatas[0], digest_type) == bytes.fromhex(digest)


def test_what_is_supported() -> None:
    # RFC 8624 §3.1, §3.3: RSAMD5, DSA and GOST are not; SHA-1 is where it is allowed
    assert {number for number in range(256) if supported_algorithm(number, Policy())} == {5, 7, 8, 10, 13, 14, 15, 16}
    assert {number for number in range(256) if supported_digest(number, Policy())} == {1, 2, 4}
    without = Policy(allow_sha1=False)
    assert {number for number in range(256) if supported_algorithm(number, without)} == {8, 10, 13, 14, 15, 16}
    assert {number for number in range(256) if supported_digest(number, without)} == {2, 4}
    assert [algorithm_text(number) for number in (13, 12, 200)] == ["ECDSAP256SHA256", "ECC-GOST", "ALGORITHM200"]


@pytest.mark.parametrize("algorithm", [5, 7, 8, 10, 13, 14, 15, 16])
def test_a_signature_of_every_algorithm(algorithm: int) -> None:
    signer = key(algorithm)
    public = load_key(dnskey(signer.rdata), Policy())
    assert public is not None
    data = signed(rrset(WWW, codes.A, b"\1\2\3\4"), ZONE, signer)
    keys = zone_keys(dnskeys(ZONE, signer))
    assert isinstance(verify(data, ZONE, keys, NOW, Work(), Policy()), Verified)
    good = rrsig(data.sigs[0]).signature
    for signature in (b"", b"\0", good[:-1], good + b"\0", bytes(len(good)), b"\xff" * len(good), good[1:] + good[:1]):
        assert not public.verify(signature, b"data")
        with_bad = replace(data, sigs=(data.sigs[0][: -len(good)] + signature,))
        assert isinstance(verify(with_bad, ZONE, keys, NOW, Work(), Policy()), Unverified)


@pytest.mark.parametrize("algorithm", [5, 8, 13, 14, 15, 16])
@pytest.mark.parametrize(
    "public", [b"\0", b"\3", b"\0\xff\xff", b"\0\0\1", b"\3\1\0\1", bytes(31), bytes(64), b"\1" * 96, b"\xff" * 300]
)
def test_what_is_no_key(algorithm: int, public: bytes) -> None:
    made = load_key(dnskey(bytes([1, 1, 3, algorithm]) + public), Policy(min_rsa_bits=512))
    assert made is None or not made.verify(b"\1" * 128, b"data")


@pytest.mark.parametrize("algorithm", [13, 14, 15, 16])
def test_keys_of_curves_have_one_length(algorithm: int) -> None:
    rdata = key(algorithm).rdata
    assert load_key(dnskey(rdata), Policy()) is not None
    assert load_key(dnskey(rdata[:-1]), Policy()) is None
    assert load_key(dnskey(rdata + b"\0"), Policy()) is None


@pytest.mark.parametrize(("bits", "least", "counts"), [(512, 512, True), (1024, 1024, True), (1024, 1025, False)])
def test_how_long_rsa_keys_have_to_be(bits: int, least: int, counts: bool) -> None:
    modulus = b"\xff" * (bits // 8)
    made = load_key(dnskey(b"\1\1\3\x08\3\1\0\1" + modulus), Policy(min_rsa_bits=least))
    assert (made is not None) is counts


def test_a_machine_that_does_without_sha1(monkeypatch: pytest.MonkeyPatch) -> None:
    # As Red Hat's OpenSSL is set up: then SHA-1 zones are insecure there, not bogus.
    def rsa(algorithm: object, public: bytes) -> Callable[[bytes, bytes], None]:
        def refuse(signature: bytes, data: bytes) -> None:
            raise UnsupportedAlgorithm("SHA-1")

        return refuse

    monkeypatch.setattr(algorithms, "_rsa", rsa)
    algorithms._works.cache_clear()
    try:
        assert [supported_algorithm(number, Policy()) for number in (5, 7, 13, 15)] == [False, False, True, True]
    finally:
        algorithms._works.cache_clear()
