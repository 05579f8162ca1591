"""resolv.conf(5): the name servers that the C library asks, and so Postfix."""

from ipaddress import ip_address
from typing import Final, NamedTuple

from resolverd.config.public_resolvers import PUBLIC_RESOLVERS

RESOLVED_STUBS: Final = ("127.0.0.53", "127.0.0.54")
"""Where systemd-resolved listens (resolved.conf(5))."""


class ResolvConf(NamedTuple):
    """`servers` in their order, as far as the C library reads them (three), and the options."""

    servers: tuple[str, ...]
    options: frozenset[str]

    @property
    def local(self) -> tuple[str, ...]:
        """Those on this machine's loopback."""
        return tuple(each for each in self.servers if ip_address(each).is_loopback)

    @property
    def public(self) -> tuple[str, ...]:
        """Those that everybody shares."""
        return tuple(each for each in self.servers if each in PUBLIC_RESOLVERS)


def read(text: str) -> ResolvConf:
    """What a resolv.conf says. Without any name server the C library asks 127.0.0.1 (resolv.conf(5))."""
    servers: list[str] = []
    options: set[str] = set()
    for line in text.splitlines():
        keyword, *values = line.split("#")[0].split(";")[0].split() or [""]
        if keyword == "nameserver" and values:
            try:
                servers.append(str(ip_address(values[0].partition("%")[0])))
            except ValueError:
                continue
        elif keyword == "options":
            options.update(values)
    return ResolvConf(tuple(servers[:3]) or ("127.0.0.1",), frozenset(options))
