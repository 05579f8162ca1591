"""Trust anchors: the shipped ones, files, and which vouches for a name."""

from base64 import b64encode

import pytest
from signing import NOW, dnskeys, key, signed

from resolverd.resolver.iterator.work import Work
from resolverd.resolver.validator.algorithms import Policy, ds_digest
from resolverd.resolver.validator.anchors import TrustAnchors, shipped
from resolverd.resolver.validator.signatures import Trusted, Unverified, match_ds
from resolverd.wire.names import ROOT, from_text, to_text

KSK_2017 = "20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"
KSK_2024 = "38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16"


def test_the_shipped_ones_are_those_that_iana_publishes() -> None:
    anchor = shipped().closest(from_text("www.example.org"))
    assert anchor is not None
    assert anchor.zone == ROOT
    texts = {f"{each.key_tag} {each.algorithm} {each.digest_type} {each.digest.hex().upper()}" for each in anchor.ds}
    assert texts == {KSK_2017, KSK_2024}
    digests = TrustAnchors.parse(f". IN DS {KSK_2017}\n. IN DS {KSK_2024}")
    assert set(digests.closest(ROOT).ds) == set(anchor.ds)  # type: ignore[union-attr]


def test_a_file_as_people_have_it() -> None:
    anchors = TrustAnchors.parse(
        "; autotrust trust anchor file\n;;id: . 1\n"
        f". 172800\tIN\tDS ( {KSK_2017[:30]}\n {KSK_2017[30:]} ) ;;state=2 [  VALID  ]\n\n"
        f"Corp.Example. IN DS {KSK_2024}\ncorp.example. DS 1 13 2 {'00' * 32}\n"
    )
    assert {to_text(zone) for zone in anchors.zones} == {".", "corp.example."}
    for name, zone, count in (
        ("a.corp.example", "corp.example", 2),
        ("corp.example", "corp.example", 2),
        ("xcorp.example", ".", 1),
    ):
        anchor = anchors.closest(from_text(name))
        assert anchor is not None
        assert (anchor.zone, len(anchor.ds)) == (from_text(zone), count)
    only = TrustAnchors.parse(f"corp.example. IN DS {KSK_2024}")
    assert only.closest(from_text("example")) is None
    assert TrustAnchors().closest(from_text("example")) is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no DS or DNSKEY"),
        ("; nothing yet\n", "no DS or DNSKEY"),
        (f". IN DS {KSK_2017}\n. IN DS 1 8 2 00\n", "line 2: "),
        (". IN DNSKEY 257 3 8 A!\n", "line 1: "),
        (f". IN DS {KSK_2017}\n\n. IN DS one 8 2 00\n", "line 3: "),
        (f". IN DS {KSK_2017}\n. IN NS a.root-servers.net.\n", "neither DS nor DNSKEY"),
        ('trust-anchors { . initial-key 257 3 8 "AwEA"; };', "line 1: "),
        (". IN DNSKEY 0 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=", "no zone's key"),
        (". IN DNSKEY 385 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=", "revoked"),
    ],
)
def test_faults_are_said(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        TrustAnchors.parse(text)


@pytest.mark.parametrize("kind", ["DS", "DNSKEY"])
def test_either_kind_vouches_for_a_zones_keys(kind: str) -> None:
    good, other = key(13), key(13, 1)
    zone = from_text("corp.example")
    rdata = good.rdata
    if kind == "DNSKEY":
        text = f"corp.example. IN DNSKEY 257 3 13 {b64encode(rdata[4:]).decode()}"
    else:
        text = f"corp.example. IN DS {good.tag} 13 4 {ds_digest(zone, rdata, 4).hex()}"
    anchors = TrustAnchors.parse(text)
    anchor = anchors.closest(from_text("www.corp.example"))
    assert anchor is not None
    keys = signed(dnskeys(zone, good, other), zone, good)
    assert isinstance(match_ds(anchor.ds, keys, zone, NOW, Work(), Policy()), Trusted)
    forged = signed(dnskeys(zone, other), zone, other)
    assert isinstance(match_ds(anchor.ds, forged, zone, NOW, Work(), Policy()), Unverified)
