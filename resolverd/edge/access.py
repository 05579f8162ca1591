"""Who may ask, and how often: ``[dns] allow`` and ``client_rate``; what of HTTP may be open to this machine.

An open resolver is an amplifier for others, and lists refuse its questions. Clients on this machine have no rate.
"""

from collections.abc import Iterable
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Literal, TypeAlias

from resolverd.quota import Allowance, Rate

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
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if address.version == 6 else None
    return (mapped or address).is_loopback


class Access:
    """Networks that may ask, and the rate of each client in them. Clients are remembered by the text of their address."""

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network], rate: Allowance | None = None):
        self._networks = tuple(networks)
        self._allowance = rate
        self._decided: dict[str, Admission | Rate] = {}

    def judge(self, host: str, now: float) -> Admission:
        """Whether this address may ask now (monotonic seconds). IPv4-mapped IPv6 addresses count as IPv4."""
        decided = self._decided.get(host)
        if decided is None:
            if len(self._decided) >= _REMEMBERED:
                self._decided.clear()
            decided = self._decided[host] = self._decide(host)
        if isinstance(decided, Admission):
            return decided
        return Admission.LIMITED if decided.take(now) is None else Admission.ALLOWED

    def _decide(self, host: str) -> Admission | Rate:
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return Admission.REFUSED
        mapped = address.ipv4_mapped if address.version == 6 else None
        if not any((mapped or address) in network for network in self._networks):
            return Admission.REFUSED
        return Admission.ALLOWED if self._allowance is None or is_loopback(host) else Rate(self._allowance)
