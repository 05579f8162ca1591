"""Who may ask: ``[dns] allow``. An open resolver is an amplifier for others, and lists refuse its questions."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address

_REMEMBERED = 10_000


def is_loopback(host: str) -> bool:
    """Whether an address, as the socket gives it, is this machine's own."""
    return host == "::1" or host.startswith(("127.", "::ffff:127."))


class Access:
    """Networks that may ask. Decisions are remembered by the address's text, as the socket gives it."""

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network]):
        self._networks = tuple(networks)
        self._decided: dict[str, bool] = {}

    def allows(self, host: str) -> bool:
        """Whether this address may ask. IPv4-mapped IPv6 addresses count as IPv4."""
        decided = self._decided.get(host)
        if decided is None:
            if len(self._decided) >= _REMEMBERED:
                self._decided.clear()
            decided = self._decided[host] = self._decide(host)
        return decided

    def _decide(self, host: str) -> bool:
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return False
        mapped = address.ipv4_mapped if address.version == 6 else None
        return any((mapped or address) in network for network in self._networks)
