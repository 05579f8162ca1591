"""resolv.conf(5): the name servers that the C library asks, and so Postfix."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final, NamedTuple

PUBLIC: Final[Mapping[str, str]] = {
    **dict.fromkeys(("8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844"), "Google"),
    **dict.fromkeys(("1.1.1.1", "1.0.0.1", "2606:4700:4700::1111", "2606:4700:4700::1001"), "Cloudflare"),
    **dict.fromkeys(("9.9.9.9", "149.112.112.112", "9.9.9.10", "2620:fe::fe", "2620:fe::9"), "Quad9"),
    **dict.fromkeys(("208.67.222.222", "208.67.220.220", "2620:119:35::35", "2620:119:53::53"), "OpenDNS"),
    **dict.fromkeys(("94.140.14.14", "94.140.15.15", "2a10:50c0::ad1:ff", "2a10:50c0::ad2:ff"), "AdGuard"),
    **dict.fromkeys(("4.2.2.1", "4.2.2.2", "209.244.0.3", "209.244.0.4"), "Level 3"),
    **dict.fromkeys(("64.6.64.6", "64.6.65.6"), "UltraDNS"),
    **dict.fromkeys(("185.12.64.1", "185.12.64.2", "2a01:4ff:ff00::add:1", "2a01:4ff:ff00::add:2"), "Hetzner"),
}
"""Resolvers that everybody shares, by address, with who runs them: those that lists refuse."""
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
        return tuple(each for each in self.servers if each in PUBLIC)


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
