"""Who may ask, and how often: ``[dns] allow`` and ``client_rate``; what of HTTP may be open to this machine.

An open resolver is an amplifier for others, and lists refuse its questions. Clients on this machine have no rate.
"""

from collections.abc import Iterable
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal, TypeAlias

from resolverd.dnsbl.quota import Allowance, Rate

Opening: TypeAlias = Literal["verdict", "lookup", "lists", "cache", "trace"]
"""What ``[http] open`` may name: asking, and reading what shows nobody's mail unless the admin finds that it may."""

_REMEMBERED = 10_000


class Admission(Enum):
    """What becomes of a question because of who asks it."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    LIMITED = "limited"
    """Too many from this address: dropped, as an answer would go to whoever is spoofed."""


def is_loopback(host: str) -> bool:
    """Whether an address, as a socket has it, is this machine itself."""
    address = _address(host)
    return address is not None and address.is_loopback


Place: TypeAlias = str | int
"""Where a client is: its IPv4 address, or the /64 of its IPv6 address, whose addresses are all one client's to choose from."""


def place(host: str) -> Place:
    """The place of an address, as a socket has it."""
    if ":" not in host:
        return host
    address = _address(host)
    return host if address is None else str(address) if address.version == 4 else int(address) >> 64


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """An address, as a socket has it; one of IPv4 within IPv6 is IPv4."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if address.version == 6 else address


class Access:
    """Networks that may ask, and the rate of the clients in them, by /24 and /64: the addresses of one are one client's.

    Clients are remembered by the text of their address.
    """

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network], rate: Allowance | None = None):
        self._networks = tuple(networks)
        self._allowance = rate
        self._decided: dict[str, Admission | Rate] = {}
        self._rates: dict[tuple[int, int], Rate] = {}

    def judge(self, host: str, now: float) -> Admission:
        """Whether this address may ask now (monotonic seconds). IPv4-mapped IPv6 addresses count as IPv4."""
        decided = self._decision(host)
        if isinstance(decided, Admission):
            return decided
        return Admission.LIMITED if decided.take(now) is None else Admission.ALLOWED

    def admits(self, host: str) -> bool:
        """Whether this address may ask at all."""
        return self._decision(host) is not Admission.REFUSED

    def _decision(self, host: str) -> Admission | Rate:
        decided = self._decided.get(host)
        if decided is None:
            if len(self._decided) >= _REMEMBERED:
                self._decided.clear()
            decided = self._decided[host] = self._decide(host)
        return decided

    def _decide(self, host: str) -> Admission | Rate:
        address = _address(host)
        if address is None or not any(address in network for network in self._networks):
            return Admission.REFUSED
        return Admission.ALLOWED if self._allowance is None or address.is_loopback else self._rate(address, self._allowance)

    def _rate(self, address: IPv4Address | IPv6Address, allowance: Allowance) -> Rate:
        """The rate of an address's network. It outlives what is remembered of addresses: of those an IPv6 client has more."""
        network = address.version, int(address) >> (8 if address.version == 4 else 64)
        rate = self._rates.get(network)
        if rate is None:
            if len(self._rates) >= _REMEMBERED:
                del self._rates[next(iter(self._rates))]
            rate = self._rates[network] = Rate(allowance)
        return rate
