"""The memory that recursion reads and writes, as Protocols; `cache` fulfils them."""

from typing import NamedTuple, Protocol

from resolverd.wire.known import Delegation, Hit
from resolverd.wire.names import Name
from resolverd.wire.rrset import RRset, Trust


class Records(Protocol):
    """RRsets and denials by name in lower case and type."""

    def get(self, name: Name, rtype: int, now: float, trust: Trust = Trust.ANSWER) -> Hit | None:
        """Live data or a denial of at least that trust."""
        ...

    def stale(self, name: Name, rtype: int, now: float, ttl: int) -> Hit | None:
        """Data past its TTL, with `ttl` in its place."""
        ...

    def put(self, rrset: RRset, trust: Trust, now: float, name: Name, authority: tuple[RRset, ...] = ()) -> None:
        """Learn an RRset."""
        ...

    def deny(self, name: Name, rtype: int, ttl: int, authority: tuple[RRset, ...], trust: Trust, now: float) -> None:
        """Learn a denial."""
        ...


class Delegations(Protocol):
    """Zone cuts by zone in lower case."""

    def closest(self, name: Name, now: float) -> Delegation | None:
        """The deepest live delegation at or above `name`."""
        ...

    def put(self, delegation: Delegation, now: float) -> Delegation:
        """Learn a delegation; what is then known of the zone."""
        ...

    def forget(self, zone: Name) -> None:
        """Forget a zone's delegation."""
        ...


class Memory(NamedTuple):
    """Both."""

    records: Records
    delegations: Delegations
