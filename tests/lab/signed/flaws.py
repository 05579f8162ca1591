"""What can be wrong with a signed zone, or looks wrong and is not: each kind is a zone of its own in the lab.

A flaw's `truth` is what validators make of it, for `www` A and for a name that does not exist, by RFC 4035 §5 and RFC 6840 (None:
that depends on the name). The zones' contents are those of `world.FLAWED`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import dns.name
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.DS import DS

from tests.lab.signed.signer import DAY, HOUR, KSK, NSEC, REVOKED, RRSIGS, ZONE, Key, Nsec3, Signed, Signing, make_key, nsec

Security = Literal["secure", "insecure", "bogus"]
SECURE, INSECURE, BOGUS = "secure", "insecure", "bogus"

UNKNOWN_ALGORITHM, UNKNOWN_DIGEST = 100, 200
"""Numbers that IANA has given to nobody."""


def _nothing(zone: Signed) -> None:
    """Leave the zone as it is."""


class Flaw(NamedTuple):
    """What is wrong: with the zone once it is signed, with how it is signed, with what the parent says of it."""

    truth: tuple[Security | None, Security | None]
    spoil: Callable[[Signed], None] = _nothing
    ds: Callable[[Signed], list[DS]] = Signed.ds
    signing: Signing = Signing()
    unsigned: bool = False
    """The zone is served as it was before it was signed."""


def _each_signature(odd: Callable[[Signed, tuple[dns.name.Name, dns.rdatatype.RdataType]], None]) -> Callable[[Signed], None]:
    def spoil(zone: Signed) -> None:
        for site in list(zone.signatures):
            odd(zone, site)

    return spoil


def _at(
    rdtype: str, change: Callable[[Signed, tuple[dns.name.Name, dns.rdatatype.RdataType]], None], owner: str = "www"
) -> Callable[[Signed], None]:
    return lambda zone: change(zone, zone.site(owner, rdtype))


def _unsign(zone: Signed, site: tuple[dns.name.Name, dns.rdatatype.RdataType]) -> None:
    del zone.signatures[site]


def _signed_oddly(**odd: object) -> Callable[[Signed, tuple[dns.name.Name, dns.rdatatype.RdataType]], None]:
    def change(zone: Signed, site: tuple[dns.name.Name, dns.rdatatype.RdataType]) -> None:
        zone.signatures[site] = [zone.sign(site, **odd)]

    return change


def _garbled(zone: Signed, site: tuple[dns.name.Name, dns.rdatatype.RdataType]) -> None:
    (signature,) = zone.signatures[site]
    octets = signature.signature
    zone.signatures[site] = [signature.replace(signature=octets[:-5] + bytes([octets[-5] ^ 1]) + octets[-4:])]


def garbled_at(rdtype: str, owner: str) -> Callable[[Signed], None]:
    """Spoil the signature of one RRset."""
    return _at(rdtype, _garbled, owner)


def _by_a_stranger(zone: Signed, site: tuple[dns.name.Name, dns.rdatatype.RdataType]) -> None:
    zone.signatures[site] = [zone.sign(site, make_key(zone.signing.algorithm))]


def _beside_garbage(zone: Signed, site: tuple[dns.name.Name, dns.rdatatype.RdataType]) -> None:
    good = zone.signatures[site]
    _garbled(zone, site)
    zone.signatures[site] += good


def _expired(zone: Signed, site: tuple[dns.name.Name, dns.rdatatype.RdataType]) -> None:
    now = zone.signatures[site][0]
    zone.signatures[site] = [zone.sign(site, inception=now.inception - 9 * DAY, expiration=now.inception - DAY)]


def _without_denials(zone: Signed) -> None:
    for site in [*zone.of_type(NSEC), *zone.of_type(dns.rdatatype.NSEC3)]:
        zone.drop(site)


def _without_keys(zone: Signed) -> None:
    zone.drop((zone.origin, dns.rdatatype.DNSKEY))


def _with_keys(*keys: Key, sign: Callable[[Signed], list[Key]] = lambda zone: [zone.ksk]) -> Callable[[Signed], None]:
    """Put other keys into the DNSKEY RRset than the zone is signed with, and sign that."""

    def spoil(zone: Signed) -> None:
        _publish(zone, [*zone.keys, *keys], sign(zone))

    return spoil


def _publish(zone: Signed, keys: list[Key], signers: list[Key]) -> None:
    site = zone.put(dns.rrset.from_rdata_list(zone.origin, 3600, [key.public for key in keys]))
    zone.signatures[site] = [zone.sign(site, key) for key in signers]


def _zsk_as(**odd: object) -> Callable[[Signed], None]:
    """Publish the ZSK with other fields, and sign all with it as it then is: its key tag follows."""

    def spoil(zone: Signed) -> None:
        zone.keys[1] = Key(zone.keys[1].public.replace(**odd), zone.keys[1].private)
        _publish(zone, zone.keys, [zone.ksk])
        zone.sign_all([site for site in zone.signatures if site[1] != dns.rdatatype.DNSKEY])

    return spoil


def _ksk_revoked(zone: Signed) -> None:
    zone.keys[0] = Key(zone.keys[0].public.replace(flags=REVOKED), zone.keys[0].private)
    _publish(zone, zone.keys, [zone.ksk])


def _signed_by_zsk_alone(zone: Signed) -> None:
    _publish(zone, zone.keys, [zone.zsk])


def _chain_leaps(zone: Signed) -> None:
    """Every second NSEC record is gone: what it proved, nobody proves."""
    for site in sorted(zone.of_type(NSEC))[1::2]:
        zone.drop(site)


def _chain_lies(zone: Signed) -> None:
    """Every NSEC record says that nothing stands between its owner and the apex: those in the middle deny names that are."""
    for owner, rdtype in zone.of_type(NSEC):
        site = zone.put(dns.rrset.from_rdata(owner, 900, nsec(zone.origin, {dns.rdatatype.A, NSEC, RRSIGS})))
        zone.sign_all([site])
        del rdtype


def _chain_of_one(zone: Signed) -> None:
    """The apex alone, its NSEC pointing to itself: names that are there are denied to who asks for others."""
    for site in zone.of_type(NSEC):
        if site[0] != zone.origin:
            zone.drop(site)
    site = zone.put(
        dns.rrset.from_rdata(
            zone.origin, 900, nsec(zone.origin, {dns.rdatatype.SOA, dns.rdatatype.NS, NSEC, RRSIGS, dns.rdatatype.DNSKEY})
        )
    )
    zone.sign_all([site])


def _denials_expired(zone: Signed) -> None:
    for site in [*zone.of_type(NSEC), *zone.of_type(dns.rdatatype.NSEC3)]:
        _expired(zone, site)


def _denials_beyond(zone: Signed) -> None:
    """The last NSEC record names a name of another zone as the next."""
    owner, _ = max(zone.of_type(NSEC))
    types = {dns.rdatatype.A, NSEC, RRSIGS}
    zone.sign_all([zone.put(dns.rrset.from_rdata(owner, 900, nsec(dns.name.from_text("zz.example."), types)))])


def _two_algorithms(zone: Signed) -> None:
    """A second algorithm in DNSKEY RRset, whose keys sign nothing else (RFC 4035 §2.2 forbids it; RFC 6840 §5.11 bears it)."""
    second = make_key("ED25519", KSK)
    _publish(zone, [*zone.keys, second], [zone.ksk, second])


def _colliding(zone: Signed) -> None:
    """Keys that share the ZSK's tag: the order of a key's octets does not change their sum (RFC 4034 Appendix B)."""
    octets = zone.zsk.public.key
    others = [octets[2 * n :] + octets[: 2 * n] for n in (1, 3)]
    _publish(zone, [zone.ksk, *(Key(zone.zsk.public.replace(key=key), zone.zsk.private) for key in others), zone.zsk], [zone.ksk])


def _flipped(zone: Signed) -> list[DS]:
    return [record.replace(digest=bytes([record.digest[0] ^ 1]) + record.digest[1:]) for record in zone.ds()]


def _ds_as(**odd: object) -> Callable[[Signed], list[DS]]:
    return lambda zone: [record.replace(**odd) for record in zone.ds()]


def _old_key(zone: Signed) -> list[DS]:
    """The parent still has the DS of a key that is gone."""
    gone = Signed(zone.origin, zone.signing, [make_key(zone.signing.algorithm, KSK)])
    return gone.ds()


_ALL_EXPIRED = Signing(inception=-30 * DAY, expiration=-DAY)
_NSEC3 = Signing(nsec3=Nsec3(1, b"\xca\xfe"))

FLAWS: dict[str, Flaw] = {
    # times (RFC 4035 §5.3.1)
    "expired": Flaw((BOGUS, BOGUS), signing=_ALL_EXPIRED),
    "expired-nsec3": Flaw((BOGUS, BOGUS), signing=Signing(nsec3=Nsec3(), inception=-30 * DAY, expiration=-DAY)),
    "not-yet-valid": Flaw((BOGUS, BOGUS), signing=Signing(inception=2 * DAY)),
    "backwards": Flaw((BOGUS, BOGUS), signing=Signing(inception=30 * DAY, expiration=-HOUR)),
    "www-expired": Flaw((BOGUS, SECURE), _at("A", _expired)),
    "keys-expired": Flaw((BOGUS, BOGUS), _at("DNSKEY", _expired, "@")),
    "denials-expired": Flaw((SECURE, BOGUS), _denials_expired),
    # what the parent says
    "wrong-digest": Flaw((BOGUS, BOGUS), ds=_flipped),
    "old-ds": Flaw((BOGUS, BOGUS), ds=_old_key),
    "wrong-tag": Flaw((BOGUS, BOGUS), ds=lambda zone: [each.replace(key_tag=each.key_tag ^ 1) for each in zone.ds()]),
    "wrong-algorithm-in-ds": Flaw((BOGUS, BOGUS), ds=_ds_as(algorithm=8)),
    "old-and-good-ds": Flaw((SECURE, SECURE), ds=lambda zone: [*_old_key(zone), *zone.ds()]),
    "sha1-ds": Flaw((SECURE, SECURE), ds=lambda zone: zone.ds(["SHA1"])),
    "sha384-ds": Flaw((SECURE, SECURE), ds=lambda zone: zone.ds(["SHA384"])),
    "all-digests": Flaw((SECURE, SECURE), ds=lambda zone: zone.ds(["SHA1", "SHA256", "SHA384"])),
    "good-sha1-bad-sha256": Flaw((BOGUS, BOGUS), ds=lambda zone: [*zone.ds(["SHA1"]), *_flipped(zone)]),
    "unknown-digest": Flaw((INSECURE, INSECURE), ds=_ds_as(digest_type=UNKNOWN_DIGEST)),
    "unknown-algorithm": Flaw((INSECURE, INSECURE), ds=_ds_as(algorithm=UNKNOWN_ALGORITHM)),
    "unknown-and-good": Flaw((SECURE, SECURE), ds=lambda zone: [*_ds_as(algorithm=UNKNOWN_ALGORITHM)(zone), *zone.ds()]),
    "unknown-and-bad": Flaw((BOGUS, BOGUS), ds=lambda zone: [*_ds_as(digest_type=UNKNOWN_DIGEST)(zone), *_flipped(zone)]),
    "island": Flaw((INSECURE, INSECURE), ds=lambda _: []),
    "broken-island": Flaw((INSECURE, INSECURE), ds=lambda _: [], signing=_ALL_EXPIRED),
    "never-signed": Flaw((BOGUS, BOGUS), unsigned=True),
    # keys
    "without-keys": Flaw((BOGUS, BOGUS), _without_keys),
    "keys-unsigned": Flaw((BOGUS, BOGUS), _at("DNSKEY", _unsign, "@")),
    "keys-signed-by-zsk": Flaw((BOGUS, BOGUS), _signed_by_zsk_alone),
    "ksk-revoked": Flaw((BOGUS, BOGUS), _ksk_revoked),
    "zsk-revoked": Flaw((BOGUS, BOGUS), _zsk_as(flags=ZONE | 128)),
    "zsk-of-no-zone": Flaw((BOGUS, BOGUS), _zsk_as(flags=0)),
    "zsk-of-protocol-2": Flaw((BOGUS, BOGUS), _zsk_as(protocol=2)),
    "zsk-is-sep": Flaw((SECURE, SECURE), _zsk_as(flags=KSK)),
    "one-key": Flaw((SECURE, SECURE), signing=Signing(keys=1)),
    "many-keys": Flaw((SECURE, SECURE), signing=Signing(keys=12)),
    "many-rsa-keys": Flaw((SECURE, SECURE), signing=Signing("RSASHA256", keys=8)),
    "colliding-tags": Flaw((SECURE, SECURE), _colliding),
    "two-algorithms": Flaw((SECURE, SECURE), _two_algorithms),
    "spare-unknown-key": Flaw((SECURE, SECURE), _with_keys(Key(make_key("ED25519").public.replace(algorithm=UNKNOWN_ALGORITHM),
                                                             make_key("ED25519").private))),
    # signatures (RFC 4035 §5.3.1 to §5.3.4)
    "www-unsigned": Flaw((BOGUS, SECURE), _at("A", _unsign)),
    "www-garbled": Flaw((BOGUS, SECURE), _at("A", _garbled)),
    "www-by-a-stranger": Flaw((BOGUS, SECURE), _at("A", _by_a_stranger)),
    "all-by-a-stranger": Flaw((BOGUS, BOGUS), _each_signature(
        lambda zone, site: None if site[1] == dns.rdatatype.DNSKEY else _by_a_stranger(zone, site))),
    "www-beside-garbage": Flaw((SECURE, SECURE), _at("A", _beside_garbage)),
    "signed-by-the-parent": Flaw((BOGUS, SECURE), _at("A", _signed_oddly(signer=dns.name.from_text("net.")))),
    "signed-by-a-sibling": Flaw((BOGUS, SECURE), _at("A", _signed_oddly(signer=dns.name.from_text("one-key.net.")))),
    "signed-by-itself": Flaw((BOGUS, SECURE), lambda zone: _signed_oddly(signer=zone.name("www"))(zone, zone.site("www", "A"))),
    "labels-too-few": Flaw((BOGUS, SECURE), _at("A", _signed_oddly(labels=2))),
    "labels-too-many": Flaw((BOGUS, SECURE), _at("A", _signed_oddly(labels=4))),
    "other-tag": Flaw((BOGUS, SECURE), _at("A", _signed_oddly(key_tag=1))),
    "unknown-algorithm-signs": Flaw((BOGUS, SECURE), _at("A", _signed_oddly(algorithm=UNKNOWN_ALGORITHM))),
    "covers-another-type": Flaw((BOGUS, SECURE), _at("A", _signed_oddly(type_covered=dns.rdatatype.TXT))),
    "longer-original-ttl": Flaw((SECURE, SECURE), _at("A", _signed_oddly(original_ttl=7200))),
    "shorter-original-ttl": Flaw((SECURE, SECURE), _at("A", _signed_oddly(original_ttl=60))),
    "stripped": Flaw((BOGUS, BOGUS), lambda zone: zone.signatures.clear()),
    "stripped-but-keys": Flaw((BOGUS, BOGUS), _each_signature(
        lambda zone, site: None if site[1] == dns.rdatatype.DNSKEY else _unsign(zone, site))),
    "soa-unsigned": Flaw((SECURE, BOGUS), _at("SOA", _unsign, "@")),
    "ns-unsigned": Flaw((SECURE, SECURE), _at("NS", _unsign, "@")),
    "dname-unsigned": Flaw((SECURE, SECURE), _at("DNAME", _unsign, "tree")),
    "alias-unsigned": Flaw((SECURE, SECURE), _at("CNAME", _unsign, "alias")),
    "wildcard-unsigned": Flaw((SECURE, SECURE), _at("A", _unsign, "*.wild")),
    "wildcard-garbled": Flaw((SECURE, SECURE), _at("A", _garbled, "*.wild")),
    # denials (RFC 4035 §5.4, RFC 5155 §8)
    "without-denials": Flaw((SECURE, BOGUS), _without_denials),
    "without-denials-nsec3": Flaw((SECURE, BOGUS), _without_denials, signing=_NSEC3),
    "denials-expired-nsec3": Flaw((SECURE, BOGUS), _denials_expired, signing=_NSEC3),
    "chain-leaps": Flaw((SECURE, None), _chain_leaps),
    "chain-lies": Flaw((SECURE, SECURE), _chain_lies),
    "chain-of-one": Flaw((SECURE, SECURE), _chain_of_one),
    "chain-beyond": Flaw((SECURE, None), _denials_beyond),
}  # fmt: skip
