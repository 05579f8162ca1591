"""RRsets: the unit in which DNS data is kept, ranked, signed and answered (RFC 2181 §5)."""

from collections.abc import Iterable
from enum import IntEnum

from resolverd.values import Value
from resolverd.wire.names import Name, lower


class Security(IntEnum):
    """What DNSSEC says of data (RFC 4035 §4.3); UNKNOWN where nothing has validated it."""

    UNKNOWN = 0
    INSECURE = 1
    SECURE = 2
    BOGUS = 3


class Trust(IntEnum):
    """Where data came from, least to most trusted (RFC 2181 §5.4.1): lower never replaces higher while that lives."""

    GLUE = 1
    ADDITIONAL = 2
    REFERRAL = 3
    UNPROVEN = 4
    """An answer without AA from whoever was asked as an authority: good enough for a client, no evidence against anybody."""
    ANSWER = 5
    """The answer of a server that is configured to answer for us: a forwarder, or a stub zone's."""
    AUTHORITATIVE = 6
    VALIDATED = 7
    LOCAL = 8


class RRset(Value, frozen=True):
    """All records of one owner and type, class IN.

    `rdatas` are uncompressed rdata octets without the length; `sigs` the rdatas of the RRSIGs that cover them.
    `ttl` is in seconds, as of the moment the value was made.
    """

    owner: Name
    rtype: int
    ttl: int
    rdatas: tuple[bytes, ...]
    sigs: tuple[bytes, ...] = ()
    security: Security = Security.UNKNOWN


def each_once(rrsets: Iterable[RRset]) -> tuple[RRset, ...]:
    """The first RRset of each owner and type: a section holds none twice (RFC 2181 §5)."""
    found: dict[tuple[Name, int], RRset] = {}
    rrsets = tuple(rrsets)
    if len(rrsets) < 2:
        return rrsets
    for rrset in rrsets:
        found.setdefault((lower(rrset.owner), rrset.rtype), rrset)
    return tuple(found.values())
