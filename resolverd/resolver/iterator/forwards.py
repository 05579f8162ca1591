"""Where iteration begins: the root's servers, and zones configured to be asked of servers of one's own choice."""

from collections.abc import Sequence
from typing import NamedTuple

from resolverd.wire import codes, rdata
from resolverd.wire.ask import Server
from resolverd.wire.names import ROOT, Address, Name, address, ancestors, lower
from resolverd.wire.rrset import RRset


class Upstream(NamedTuple):
    """Servers configured for a zone. `forward`: they recurse for us (RD set); otherwise they are its authorities (stub).

    `names`: servers of which only the name is known.
    """

    zone: Name
    servers: tuple[Server, ...]
    forward: bool = False
    names: tuple[Name, ...] = ()


class Hints(NamedTuple):
    """The root's servers by name, with their addresses (RFC 9609 §2)."""

    servers: tuple[tuple[Name, tuple[Address, ...]], ...]

    @classmethod
    def of(cls, rrsets: Sequence[RRset]) -> "Hints":
        """The hints in a zone file's RRsets: the root's NS and their addresses. Raises ValueError where they name nobody."""
        found: dict[Name, list[Address]] = {}
        for rrset in rrsets:
            if rrset.rtype == codes.NS and rrset.owner == ROOT:
                for data in rrset.rdatas:
                    found.setdefault(lower(rdata.target(codes.NS, data)), [])
        for rrset in rrsets:
            if rrset.rtype in (codes.A, codes.AAAA) and (addresses := found.get(lower(rrset.owner))) is not None:
                addresses += map(address, rrset.rdatas)
        if not any(found.values()):
            raise ValueError("no root server with an address in it")
        return cls(tuple((name, tuple(addresses)) for name, addresses in found.items()))

    @property
    def addresses(self) -> tuple[Address, ...]:
        """All addresses."""
        return tuple(address for _, addresses in self.servers for address in addresses)


class Upstreams:
    """Forward and stub zones (lower case), and those that local zones delegate."""

    def __init__(self, upstreams: tuple[Upstream, ...] = ()):
        self._upstreams = {upstream.zone: upstream for upstream in upstreams}
        self._delegated: dict[Name, Upstream] = {}
        self.zones = tuple(zone for zone in self._upstreams if zone != ROOT)
        self.servers = frozenset(server.address for upstream in upstreams for server in upstream.servers)

    def closest(self, name: Name) -> Upstream | None:
        """The deepest zone with configured servers at or above `name`."""
        if not self._upstreams and not self._delegated:
            return None
        for zone in ancestors(name):
            if (upstream := self._upstreams.get(zone) or self._delegated.get(zone)) is not None:
                return upstream
        return None

    def island(self, name: Name) -> Name | None:
        """The zone, other than the root, at or above `name` whose servers are configured: its parent need not know of it."""
        upstream = self.closest(name)
        return None if upstream is None or upstream.zone == ROOT else upstream.zone

    def after(self, old: "Upstreams") -> "Upstreams":
        """These, with what local zones have delegated among the `old` ones."""
        self._delegated = old._delegated
        return self

    def set_local(self, upstreams: tuple[Upstream, ...]) -> bool:
        """Take these in place of what local zones have delegated so far; whether they are others."""
        before, self._delegated = self._delegated, {upstream.zone: upstream for upstream in upstreams}
        return before != self._delegated

    @property
    def local(self) -> tuple[Upstream, ...]:
        """What local zones delegate."""
        return tuple(self._delegated.values())

    @property
    def forwards_root(self) -> bool:
        """Whether everything is forwarded, so that the root itself is not needed."""
        upstream = self._upstreams.get(ROOT)
        return upstream is not None and upstream.forward
