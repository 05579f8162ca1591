"""What is known of names and zones: the values between the caches and those who ask them."""

from typing import Final, NamedTuple

from resolverd.wire.names import Address, Name
from resolverd.wire.rrset import RRset, Trust

NAME_DENIED: Final = 0
"""In place of a type: the whole name does not exist (NXDOMAIN)."""


class Hit(NamedTuple):
    """What is known of a name and type. `rrset` is None for a denial; `authority` holds its SOA, or a wildcard's proof.

    TTLs are what is left of them; `age` is seconds since it was learnt; `fraction` the share of its life that is left;
    `denies_name` tells NXDOMAIN from NODATA. `lease`: the end of the delegation through which it was learnt (monotonic seconds).
    """

    rrset: RRset | None
    authority: tuple[RRset, ...]
    trust: Trust
    age: float
    fraction: float
    denies_name: bool = False
    lease: float = float("inf")


class Delegation(NamedTuple):
    """A zone's servers: names and the glue that came with them. Learnt and expiring at monotonic seconds."""

    zone: Name
    servers: tuple[Name, ...]
    glue: tuple[tuple[Name, tuple[Address, ...]], ...]
    expires: float
    learnt: float = 0.0

    def addresses(self, server: Name) -> tuple[Address, ...]:
        """The glue of one server."""
        for name, addresses in self.glue:
            if name == server:
                return addresses
        return ()
