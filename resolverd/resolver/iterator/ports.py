"""What recursion is handed, as Protocols: the memory that it reads and writes (`cache`), and who counts what it sends."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from resolverd.wire.known import Delegation, Hit
from resolverd.wire.names import Name
from resolverd.wire.rrset import RRset, Trust


class Records(Protocol):
    """RRsets and denials by name in lower case and type."""

    def get(self, name: Name, rtype: int, now: float, trust: Trust = Trust.UNPROVEN) -> Hit | None:
        """Live data or a denial of at least that trust."""
        ...

    @property
    def has_dnames(self) -> bool:
        """Whether there is any DNAME."""
        ...

    def rdatas(self, name: Name, rtypes: Iterable[int], now: float) -> list[bytes]:
        """The live data of these types, and nothing else of it."""
        ...

    def stale(self, name: Name, rtype: int, now: float, ttl: int) -> Hit | None:
        """Data past its TTL, with `ttl` in its place."""
        ...

    def put(
        self,
        rrset: RRset,
        trust: Trust,
        now: float,
        name: Name,
        authority: tuple[RRset, ...] = (),
        lease: float = float("inf"),
    ) -> None:
        """Learn an RRset through a delegation that ends with its `lease`."""
        ...

    def deny(
        self,
        name: Name,
        rtype: int,
        ttl: int,
        authority: tuple[RRset, ...],
        trust: Trust,
        now: float,
        *,
        whole: bool = False,
    ) -> None:
        """Learn a denial, of the type or of the whole name."""
        ...


class Delegations(Protocol):
    """Zone cuts by zone in lower case."""

    def closest(self, name: Name, now: float) -> Delegation | None:
        """The deepest live delegation at or above `name`."""
        ...

    def enclosing(self, name: Name, now: float) -> list[Delegation]:
        """All live delegations at or above `name`, the deepest first."""
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


class Purse(Protocol):
    """Pays for what is asked on behalf of somebody whose questions are bounded together."""

    def pays(self, zone: Name) -> bool:
        """A query for servers of `zone` (lower case) is about to leave; False if there is nothing left for it."""
        ...


class Meter(Protocol):
    """Counts the queries that leave for zones whose operators have set a limit.

    `zone` is the zone whose servers are asked; a forwarder asks them for us, so there it is the name itself.
    """

    def charge(self, qname: Name, zone: Name) -> bool:
        """A query for `qname` is about to leave; False if it must not."""
        ...

    def adjust(self, qname: Name, zone: Name, copies: int) -> None:
        """So many copies of it left beyond the one that was counted; negative if none did after all."""
        ...

    def referred(self, qname: Name, zone: Name) -> None:
        """It was answered with a referral: servers of a zone above only showed the way."""
        ...
