"""How to iterate, as configured."""

from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from resolverd import bounds
from resolverd.resolver.iterator.ttl import Lifetimes
from resolverd.wire import codes
from resolverd.wire.names import Address, Name, is_within
from resolverd.wire.redact import Discretion


class Rules(NamedTuple):
    """How to iterate. `priming`: nobody is believed who leads on from the hints, or whose answer looks like that of somebody on
    the way, before the root's servers have said who they are (`rootcheck`). `harden_glue`: a server gives addresses of names
    in its own zone only. `plain_zones`: DNS lists, whose names are never minimised. `discretion`: knows the names that carry
    a key, which no forwarder and no registry may see. `do_not_query`: addresses never asked, except those in `exempt`, which
    the configuration names.
    """

    ipv4: bool = True
    ipv6: bool = True
    minimise: bool = True
    minimise_type: int = codes.A
    random_case: bool = True
    dnssec: bool = True
    priming: bool = False
    harden_glue: bool = True
    edns_size: int = bounds.MAX_UDP_SIZE
    lifetimes: Lifetimes = Lifetimes()
    plain_zones: frozenset[Name] = frozenset()
    discretion: Discretion = Discretion()
    do_not_query: tuple[IPv4Network | IPv6Network, ...] = ()
    exempt: frozenset[Address] = frozenset()

    @property
    def address_types(self) -> list[int]:
        """The types of address that servers are asked at."""
        return [codes.A] * self.ipv4 + [codes.AAAA] * self.ipv6

    def is_plain(self, name: Name) -> bool:
        """Whether a name (lower case) belongs to a DNS list."""
        return is_within(name, self.plain_zones)

    def lifetimes_of(self, name: Name) -> Lifetimes:
        """The bounds on TTLs of a name's data. A list's TTLs are its own: a longer one would hide delistings from mail."""
        return self.lifetimes._replace(min_ttl=0) if self.is_plain(name) else self.lifetimes

    def may_query(self, address: Address) -> bool:
        """Whether a server at this address may be asked at all."""
        if not (self.ipv4 if address.version == 4 else self.ipv6):
            return False
        return address in self.exempt or not any(address in network for network in self.do_not_query)
