"""Who may ask, and how often: ``[dns] allow`` and ``client_rate``; what of HTTP may be open to this machine.

An open resolver is an amplifier for others, and lists refuse its questions. Clients on this machine have no rate.
"""

from collections import OrderedDict
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal, NamedTuple, TypeAlias

from resolverd import bounds
from resolverd.dnsbl.quota import Allowance, Rate

Opening: TypeAlias = Literal["verdict", "lookup", "lists", "cache", "trace"]
"""What ``[http] open`` may name: asking, and reading what shows nobody's mail unless the admin finds that it may."""


class AccessDecision(Enum):
    """What becomes of a question because of who asks it."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    LIMITED = "limited"
    """Too many from this address: dropped, as an answer would go to whoever is spoofed."""


@lru_cache(maxsize=bounds.ACCESS_CLIENTS)
def is_loopback(host: str) -> bool:
    """Whether an address, as a socket has it, is this machine itself."""
    address = _address(host)
    return address is not None and address.is_loopback


ClientKey: TypeAlias = str | int
"""Where a client is: its IPv4 address, or the /64 of its IPv6 address, whose addresses are all one client's to choose from."""


def client_key(host: str) -> ClientKey:
    """The place of an address, as a socket has it."""
    if ":" not in host:
        return host
    address = _address(host)
    return host if address is None else str(address) if address.version == 4 else int(address) >> 64


def address_octets(host: str) -> bytes:
    """The octets of an address, as a socket has it; none where it is no address."""
    address = _address(host)
    return b"" if address is None else address.packed


def _address(host: str | bytes) -> IPv4Address | IPv6Address | None:
    """An address, as a socket has it, or its octets; one of IPv4 within IPv6 is IPv4."""
    try:
        address = ip_address(host.partition("%")[0] if isinstance(host, str) else host)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if address.version == 6 else address


class AccessControl:
    """Networks that may ask, and the rate of the clients in them, by /24 and /64: the addresses of one are one client's.

    Clients are remembered by the text of their address, or its octets. Where there are too many, those go that asked least
    recently: a flood of addresses costs whoever asks meanwhile neither his place nor his rate.
    """

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network], rate: Allowance | None = None):
        self._networks = tuple(networks)
        self._allowance = rate
        self.exempt: dict[str | bytes, None] = {}
        """Addresses that `judge` has found to be allowed whatever the time: those need no judging until `configure`."""
        self._decided: OrderedDict[str | bytes, AccessDecision | _Network] = OrderedDict()
        self._rates: OrderedDict[_Network, Rate] = OrderedDict()

    def configure(self, networks: Iterable[IPv4Network | IPv6Network], rate: Allowance | None) -> None:
        """Go on by other networks, or another rate; what has been asked within the same rate still counts."""
        self._networks = tuple(networks)
        self.exempt.clear()
        self._decided.clear()
        if rate != self._allowance:
            self._allowance = rate
            self._rates.clear()

    def judge(self, host: str | bytes, now: float) -> AccessDecision:
        """Whether this address may ask now (monotonic seconds). IPv4-mapped IPv6 addresses count as IPv4."""
        decided = self._decision(host)
        if isinstance(decided, AccessDecision):
            if decided is AccessDecision.ALLOWED:
                self._exempt(host)
            return decided
        return AccessDecision.LIMITED if self._rate(decided).take(now) is None else AccessDecision.ALLOWED

    def allows_alone(self, address: bytes, now: float) -> bool:
        """Whether an address (octets) whose network is over its rate may go on within a rate of its own."""
        return self._allowance is None or self._rate(_Network(0, int.from_bytes(address))).take(now) is not None

    def admits(self, host: str) -> bool:
        """Whether this address may ask at all."""
        return self._decision(host) is not AccessDecision.REFUSED

    def _decision(self, host: str | bytes) -> "AccessDecision | _Network":
        """Whether an address may ask, or the network whose rate tells it."""
        decided = self._decided.get(host)
        if decided is None:
            decided = self._decided[host] = self._decide(host)
            if len(self._decided) > bounds.ACCESS_CLIENTS:
                self._decided.popitem(last=False)
        else:
            self._decided.move_to_end(host)
        return decided

    def _exempt(self, address: str | bytes) -> None:
        if len(self.exempt) >= bounds.ACCESS_CLIENTS:
            self.exempt.clear()
        self.exempt[address] = None

    def _decide(self, host: str | bytes) -> "AccessDecision | _Network":
        address = _address(host)
        if address is None or not any(address in network for network in self._networks):
            return AccessDecision.REFUSED
        if self._allowance is None or address.is_loopback:
            return AccessDecision.ALLOWED
        return _Network(address.version, int(address) >> (8 if address.version == 4 else 64))

    def _rate(self, network: "_Network") -> Rate:
        """The rate of a network. It outlives what is remembered of addresses: of those an IPv6 client has more."""
        rate = self._rates.get(network)
        if rate is None:
            assert self._allowance is not None
            rate = self._rates[network] = Rate(self._allowance)
            if len(self._rates) > bounds.ACCESS_RATES:
                self._rates.popitem(last=False)
        else:
            self._rates.move_to_end(network)
        return rate


class _Network(NamedTuple):
    """A network with a rate; of version 0 a single address."""

    version: int
    prefix: int
