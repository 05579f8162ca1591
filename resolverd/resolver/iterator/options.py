"""How to iterate, as configured."""

from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from resolverd import bounds
from resolverd.resolver.iterator.response import Cname, DnameTooLong, Negative, Positive, Response
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.names import Address, Name, is_within
from resolverd.wire.redact import Redactor
from resolverd.wire.rrset import RRset


class TtlBounds(NamedTuple):
    """Bounds on TTLs, in seconds, applied once, where data comes in: what clients get is what is kept."""

    min_ttl: int = 0
    max_ttl: int = 86400
    negative_max_ttl: int = 3600

    def clamp(self, response: Response) -> Response:
        """The outcome with its TTLs within the bounds."""
        if isinstance(response, (Positive, Cname)):
            chain, authority = self._all(response.chain), response.authority and self._all(response.authority)
            if chain is response.chain and authority is response.authority:
                return response
            return replace(response, chain=chain, authority=authority)
        if isinstance(response, Negative):
            soa = response.soa
            if soa is not None and soa.ttl > self.negative_max_ttl:
                soa = replace(soa, ttl=self.negative_max_ttl)
            chain, proofs = response.chain and self._all(response.chain), response.proofs and self._all(response.proofs)
            if soa is response.soa and chain is response.chain and proofs is response.proofs:
                return response
            return replace(response, chain=chain, soa=soa, proofs=proofs)
        if isinstance(response, DnameTooLong):
            return replace(response, chain=self._all(response.chain))
        return response

    def _all(self, rrsets: tuple[RRset, ...]) -> tuple[RRset, ...]:
        for rrset in rrsets:
            if not self.min_ttl <= rrset.ttl <= self.max_ttl:
                return tuple(replace(each, ttl=max(min(each.ttl, self.max_ttl), self.min_ttl)) for each in rrsets)
        return rrsets


class Options(NamedTuple):
    """How to iterate. `aggressive_nsec`: answers are made from validated ones (RFC 8198), but not for lists' names. `priming`:
    nobody is believed who leads on from the hints, or whose answer looks like that of somebody on the way, before the root's
    servers have said who they are (`rootcheck`). `harden_glue`: a server gives addresses of names in its own zone only.
    `list_zones`: DNS lists, whose names are never minimised. `redactor`: knows the names that carry a key, which no forwarder
    and no registry may see. `do_not_query`: addresses never asked, except those in `exempt`, which the configuration names.
    """

    ipv4: bool = True
    ipv6: bool = True
    qmin: bool = True
    qmin_type: int = codes.A
    random_case: bool = True
    dnssec: bool = True
    aggressive_nsec: bool = True
    priming: bool = False
    harden_glue: bool = True
    edns_size: int = bounds.MAX_UDP_SIZE
    ttl_bounds: TtlBounds = TtlBounds()
    list_zones: frozenset[Name] = frozenset()
    redactor: Redactor = Redactor()
    do_not_query: tuple[IPv4Network | IPv6Network, ...] = ()
    exempt: frozenset[Address] = frozenset()

    @property
    def address_types(self) -> list[int]:
        """The types of address that servers are asked at."""
        return [codes.A] * self.ipv4 + [codes.AAAA] * self.ipv6

    def is_list_name(self, name: Name) -> bool:
        """Whether a name (lower case) belongs to a DNS list."""
        return is_within(name, self.list_zones)

    @property
    def list_ttl_bounds(self) -> TtlBounds:
        """The bounds on TTLs of lists' data. They are a list's own: longer ones would hide delistings from mail."""
        return self.ttl_bounds._replace(min_ttl=0) if self.ttl_bounds.min_ttl else self.ttl_bounds

    def may_query(self, address: Address) -> bool:
        """Whether a server at this address may be asked at all."""
        if not (self.ipv4 if address.version == 4 else self.ipv6):
            return False
        return address in self.exempt or not any(address in network for network in self.do_not_query)
