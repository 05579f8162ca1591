"""What is held of a name and type, how it is told to who asks, what it costs, and which news ends it."""

from typing import Final, TypeAlias

from resolverd import bounds
from resolverd.resolver.cache import weight
from resolverd.values import Value
from resolverd.wire import codes
from resolverd.wire.rrset import RRset, Security, Trust

NAME_DENIED: Final = 0
"""In place of a type: the whole name does not exist (NXDOMAIN)."""

ENTRY = 320
"""Octets that an entry costs beside its records."""
MOST_BESIDE = bounds.MAX_KEPT_AUTHORITY // weight.LEAST
"""So many RRsets beside an entry are too many whatever they are."""
_BESIDE_AN_ALIAS = frozenset({codes.CNAME, codes.RRSIG, codes.NSEC})
"""Types that an alias may have beside it (RFC 4034 §3, §4; RFC 2181 §10.1 forbids all others)."""


class Hit(Value, frozen=True):
    """What is known of a name and type. `rrset` is None for a denial; `authority` holds its SOA, or a wildcard's proof.

    TTLs are what is left of them; `age` is seconds since it was learnt; `fraction` the share of its life that is left;
    `denies_name` tells NXDOMAIN from NODATA. `lease`: the end of the delegation through which it was learnt (monotonic seconds).
    `security`: what DNSSEC says of it.
    """

    rrset: RRset | None
    authority: tuple[RRset, ...]
    trust: Trust
    age: float
    fraction: float
    denies_name: bool = False
    lease: float = float("inf")
    security: Security = Security.UNKNOWN


class Cached(Value, frozen=True):
    """An RRset or a denial (`rrset` is None) as it is held, from `stored` until `expires` (monotonic seconds).

    `lease`: the end of the delegation through which it was learnt. `denies_name`: an NXDOMAIN. `size`: its octets in memory.
    """

    rrset: RRset | None
    authority: tuple[RRset, ...]
    trust: Trust
    stored: float
    expires: float
    lease: float
    denies_name: bool
    security: Security
    size: int


Types: TypeAlias = dict[int, Cached]
"""What is held of one name, by type."""


def size_of(rrset: RRset | None, authority: tuple[RRset, ...]) -> int:
    """Octets in memory of an entry that was learnt before."""
    return ENTRY + weight.rrsets(authority) + (weight.rrset(rrset) if rrset is not None else 0)


def ended_by(types: dict[int, Cached], rtype: int, entry: Cached) -> Cached | None:
    """The newest of what is known of a name that is newer than `entry`, about `rtype`, and contradicts it."""
    newer = [
        other
        for kind, other in types.items()
        if other.stored > entry.stored and contradicts(kind, other.rrset is not None, other.denies_name, rtype)
    ]
    return max(newer, key=lambda other: other.stored, default=None)


def contradicts(new: int, is_data: bool, denies_name: bool, old: int) -> bool:
    """Whether news of type `new` says that what was known of type `old` is so no more."""
    if denies_name:
        return True
    if not is_data or new == old:
        return False
    return old not in _BESIDE_AN_ALIAS if new == codes.CNAME else old == codes.CNAME and new not in _BESIDE_AN_ALIAS
