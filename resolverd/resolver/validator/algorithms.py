"""Which algorithms and digests count (RFC 8624 §3, RFC 9904, RFC 9905), and public keys, through ``cryptography``.

What does not count makes a zone insecure, never bogus (RFC 4035 §5.2): it is as if the zone had not been signed with it.
"""

import hashlib
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from resolverd import bounds
from resolverd.values import Value
from resolverd.wire.dnssec import Dnskey
from resolverd.wire.names import Name, lower

RSASHA1: Final = 5
RSASHA1_NSEC3: Final = 7
RSASHA256: Final = 8
RSASHA512: Final = 10
ECDSAP256SHA256: Final = 13
ECDSAP384SHA384: Final = 14
ED25519: Final = 15
ED448: Final = 16

SHA1: Final = 1
SHA256: Final = 2
SHA384: Final = 4

_TEXTS: Final = {
    1: "RSAMD5", 3: "DSA", 5: "RSASHA1", 6: "DSA-NSEC3-SHA1", 7: "RSASHA1-NSEC3-SHA1", 8: "RSASHA256", 10: "RSASHA512",
    12: "ECC-GOST", 13: "ECDSAP256SHA256", 14: "ECDSAP384SHA384", 15: "ED25519", 16: "ED448",
}  # fmt: skip
_RSA: Final[dict[int, hashes.HashAlgorithm]] = {
    RSASHA1: hashes.SHA1(),
    RSASHA1_NSEC3: hashes.SHA1(),
    RSASHA256: hashes.SHA256(),
    RSASHA512: hashes.SHA512(),
}
_EC: Final[dict[int, tuple[ec.EllipticCurve, hashes.HashAlgorithm, int]]] = {
    ECDSAP256SHA256: (ec.SECP256R1(), hashes.SHA256(), 32),
    ECDSAP384SHA384: (ec.SECP384R1(), hashes.SHA384(), 48),
}
"""Curve, hash and octets of one number (RFC 6605 §4)."""
_SUPPORTED: Final = frozenset({*_RSA, *_EC, ED25519, ED448})
_WITH_SHA1: Final = frozenset({RSASHA1, RSASHA1_NSEC3})
_DIGESTS: Final = {SHA1: hashlib.sha1, SHA256: hashlib.sha256, SHA384: hashlib.sha384}

_Verify: TypeAlias = Callable[[bytes, bytes], None]


class Policy(Value, frozen=True):
    """What counts of the algorithms, by configuration, and for how long a signature counts before and after its time.

    That is a tenth of its life, within `min_skew` and `max_skew` seconds: clocks go wrong, ours and the signer's, and a zone that
    is signed anew an hour late is no attack.
    """

    allow_sha1: bool = True
    min_rsa_bits: int = 1024
    min_skew: int = 3600
    max_skew: int = 86400


def algorithm_text(number: int) -> str:
    """The mnemonic of a DNSSEC algorithm, ``ALGORITHMn`` for one without."""
    return _TEXTS.get(number) or f"ALGORITHM{number}"


def supported_algorithm(number: int, policy: Policy) -> bool:
    """Whether signatures of this algorithm count."""
    return number in _SUPPORTED and (policy.allow_sha1 or number not in _WITH_SHA1) and _works(number)


def supported_digest(number: int, policy: Policy) -> bool:
    """Whether DS digests of this type count."""
    return number in _DIGESTS and (policy.allow_sha1 or number != SHA1)


def ds_digest(zone: Name, dnskey_rdata: bytes, digest_type: int) -> bytes:
    """What a DS of this supported type says of a zone's key (RFC 4034 §5.1.4)."""
    return _DIGESTS[digest_type](lower(zone) + dnskey_rdata).digest()


class PublicKey:
    """A key that verifies signatures."""

    __slots__ = ("_verify",)

    def __init__(self, verify: _Verify):
        self._verify = verify

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Whether the signature is of this key over these octets."""
        try:
            self._verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True


def is_too_weak(key: Dnskey, policy: Policy) -> bool:
    """Whether it is an RSA key that doesn't count for its size: too short to prove anything, or too dear to verify with."""
    if key.algorithm not in _RSA:
        return False
    try:
        exponent, modulus = _rsa_numbers(key.public)
    except ValueError:
        return False
    bits = modulus.bit_length()
    too_dear = bits > bounds.MAX_RSA_BITS or exponent.bit_length() > bounds.MAX_RSA_EXPONENT_BITS
    return too_dear or bits < policy.min_rsa_bits or len(key.public) > bounds.MAX_PUBLIC_KEY


def load_key(key: Dnskey, policy: Policy) -> PublicKey | None:
    """The key, ready to verify; None if it doesn't count, or is none."""
    if not supported_algorithm(key.algorithm, policy) or len(key.public) > bounds.MAX_PUBLIC_KEY or is_too_weak(key, policy):
        return None
    return _load(key.algorithm, key.public)


@lru_cache(maxsize=bounds.LOADED_KEYS)
def _load(algorithm: int, public: bytes) -> PublicKey | None:
    try:
        return PublicKey(_verifier(algorithm, public))
    except (ValueError, UnsupportedAlgorithm):
        return None


def _verifier(algorithm: int, public: bytes) -> _Verify:
    if algorithm in _RSA:
        return _rsa(_RSA[algorithm], public)
    if algorithm in _EC:
        return _ecdsa(*_EC[algorithm], public)
    if algorithm == ED25519:
        return ed25519.Ed25519PublicKey.from_public_bytes(public).verify
    return ed448.Ed448PublicKey.from_public_bytes(public).verify


@cache
def _works(algorithm: int) -> bool:
    """Whether the machine's OpenSSL verifies with it: systems are set up to do without SHA-1, or are built without EdDSA."""
    if algorithm in _RSA:
        public = b"\x03\x01\x00\x01" + b"\xff" * 256
    elif algorithm in _EC:
        point = ec.derive_private_key(1, _EC[algorithm][0]).public_key().public_numbers()
        public = b"".join(number.to_bytes(_EC[algorithm][2]) for number in (point.x, point.y))
    else:
        public = bytes(32 if algorithm == ED25519 else 57)
    try:
        _verifier(algorithm, public)(b"\x01" * 256, b"")
    except (InvalidSignature, ValueError):
        return True
    except UnsupportedAlgorithm:
        return False
    return True


def _rsa_numbers(public: bytes) -> tuple[int, int]:
    # RFC 3110 §2: the exponent's length in one octet, or in two behind a zero; then the exponent, then the modulus.
    at, length = (1, public[0]) if public and public[0] else (3, int.from_bytes(public[1:3]))
    if not length or len(public) <= at + length:
        raise ValueError("no RSA key")
    return int.from_bytes(public[at : at + length]), int.from_bytes(public[at + length :])


def _rsa(algorithm: hashes.HashAlgorithm, public: bytes) -> _Verify:
    exponent, modulus = _rsa_numbers(public)
    verify = rsa.RSAPublicNumbers(exponent, modulus).public_key().verify
    scheme = padding.PKCS1v15()
    return lambda signature, data: verify(signature, data, scheme, algorithm)


def _ecdsa(curve: ec.EllipticCurve, algorithm: hashes.HashAlgorithm, octets: int, public: bytes) -> _Verify:
    # RFC 6605 §4: keys and signatures are two numbers of fixed length; SEC 1 puts a 4 before an uncompressed point.
    key = ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + public)
    scheme = ec.ECDSA(algorithm)

    def verify(signature: bytes, data: bytes) -> None:
        if len(signature) != 2 * octets:
            raise InvalidSignature
        r, s = int.from_bytes(signature[:octets]), int.from_bytes(signature[octets:])
        key.verify(encode_dss_signature(r, s), data, scheme)

    return verify
