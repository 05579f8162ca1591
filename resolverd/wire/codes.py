"""The numbers of the DNS, by their IANA names, as plain module constants (the hot path compares integers).

RR types and classes: RFC 1035 §3.2 and successors; RCODEs: RFC 6895 §2.3; Extended DNS Errors: RFC 8914 §5.2.
"""

from typing import Final

from resolverd.spelling import did_you_mean

# RR types
A: Final = 1
NS: Final = 2
MD: Final = 3
MF: Final = 4
CNAME: Final = 5
SOA: Final = 6
MB: Final = 7
MG: Final = 8
MR: Final = 9
NULL: Final = 10
PTR: Final = 12
HINFO: Final = 13
MINFO: Final = 14
MX: Final = 15
TXT: Final = 16
RP: Final = 17
AFSDB: Final = 18
RT: Final = 21
SIG: Final = 24
PX: Final = 26
AAAA: Final = 28
NXT: Final = 30
SRV: Final = 33
NAPTR: Final = 35
KX: Final = 36
DNAME: Final = 39
OPT: Final = 41
DS: Final = 43
RRSIG: Final = 46
NSEC: Final = 47
DNSKEY: Final = 48
NSEC3: Final = 50
TLSA: Final = 52
SVCB: Final = 64
HTTPS: Final = 65
SPF: Final = 99
TKEY: Final = 249
TSIG: Final = 250
IXFR: Final = 251
AXFR: Final = 252
MAILB: Final = 253
MAILA: Final = 254
ANY: Final = 255
CAA: Final = 257

# classes
IN: Final = 1
CH: Final = 3
HS: Final = 4

# opcodes
QUERY: Final = 0
NOTIFY: Final = 4
UPDATE: Final = 5

# RCODEs
NOERROR: Final = 0
FORMERR: Final = 1
SERVFAIL: Final = 2
NXDOMAIN: Final = 3
NOTIMP: Final = 4
REFUSED: Final = 5
YXDOMAIN: Final = 6
BADVERS: Final = 16
BADCOOKIE: Final = 23

# header flags, as bits of the second 16-bit word (RFC 1035 §4.1.1, RFC 4035 §3)
QR: Final = 0x8000
AA: Final = 0x0400
TC: Final = 0x0200
RD: Final = 0x0100
RA: Final = 0x0080
AD: Final = 0x0020
CD: Final = 0x0010

# EDNS (RFC 6891 §6.1.4)
DO: Final = 0x8000

# Extended DNS Errors
EDE_OTHER: Final = 0
EDE_UNSUPPORTED_ALGORITHM: Final = 1
EDE_UNSUPPORTED_DIGEST: Final = 2
EDE_STALE: Final = 3
EDE_FORGED: Final = 4
EDE_INDETERMINATE: Final = 5
EDE_BOGUS: Final = 6
EDE_EXPIRED: Final = 7
EDE_NOT_YET_VALID: Final = 8
EDE_DNSKEY_MISSING: Final = 9
EDE_RRSIGS_MISSING: Final = 10
EDE_NO_ZONE_KEY_BIT: Final = 11
EDE_NSEC_MISSING: Final = 12
EDE_CACHED_ERROR: Final = 13
EDE_NOT_READY: Final = 14
EDE_BLOCKED: Final = 15
EDE_PROHIBITED: Final = 18
EDE_NOT_AUTHORITATIVE: Final = 20
EDE_NOT_SUPPORTED: Final = 21
EDE_NO_REACHABLE_AUTHORITY: Final = 22
EDE_NETWORK_ERROR: Final = 23
EDE_NSEC3_ITERATIONS: Final = 27
EDE_SYNTHESIZED: Final = 29

EDE_OF_VALIDATION: Final = frozenset(range(EDE_INDETERMINATE, EDE_NSEC_MISSING + 1))
"""Those that say that the zone's data has come, and is not to be believed."""

_TYPES = {
    name: number
    for name, number in globals().items()
    if name.isupper() and isinstance(number, int) and name
    in {"A", "NS", "MD", "MF", "CNAME", "SOA", "MB", "MG", "MR", "NULL", "PTR", "HINFO", "MINFO", "MX", "TXT", "RP", "AFSDB",
        "RT", "SIG", "PX", "AAAA", "NXT", "SRV", "NAPTR", "KX", "DNAME", "OPT", "DS", "RRSIG", "NSEC", "DNSKEY", "NSEC3",
        "TLSA", "SVCB", "HTTPS", "SPF", "TKEY", "TSIG", "IXFR", "AXFR", "MAILB", "MAILA", "ANY", "CAA"}
}  # fmt: skip
_TYPE_NAMES = {number: name for name, number in _TYPES.items()}
_RCODE_NAMES = {
    0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN", 7: "YXRRSET",
    8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 16: "BADVERS", 23: "BADCOOKIE",
}  # fmt: skip


def type_text(rtype: int) -> str:
    """The mnemonic of an RR type, ``TYPEn`` for one without (RFC 3597 §5)."""
    return _TYPE_NAMES.get(rtype) or f"TYPE{rtype}"


def type_from_text(text: str) -> int:
    """The number of an RR type given as mnemonic or ``TYPEn``. Raises ValueError."""
    upper = text.upper()
    if upper in _TYPES:
        return _TYPES[upper]
    if upper.startswith("TYPE") and upper[4:].isdigit() and int(upper[4:]) < 65536:
        return int(upper[4:])
    raise ValueError(f"{text!r} is no RR type{did_you_mean(upper, _TYPES)}")


def rcode_text(rcode: int) -> str:
    """The mnemonic of an RCODE, ``RCODEn`` for one without."""
    return _RCODE_NAMES.get(rcode) or f"RCODE{rcode}"
