"""Resolvers that everybody shares, by address: lists refuse who asks through one, many with answers that look like listings.

As their operators published them in November 2026, each at the page named beside it. Resolvers of hosting providers are here
where lists refuse them as well.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PUBLIC_RESOLVERS: Final[Mapping[str, str]] = MappingProxyType({
    # https://developers.google.com/speed/public-dns/docs/using
    **dict.fromkeys(("8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844",
                     "2001:4860:4860::64", "2001:4860:4860::6464"), "Google"),
    # https://developers.cloudflare.com/1.1.1.1/ip-addresses/
    **dict.fromkeys(("1.1.1.1", "1.0.0.1", "2606:4700:4700::1111", "2606:4700:4700::1001",
                     "1.1.1.2", "1.0.0.2", "2606:4700:4700::1112", "2606:4700:4700::1002",
                     "1.1.1.3", "1.0.0.3", "2606:4700:4700::1113", "2606:4700:4700::1003",
                     "2606:4700:4700::64", "2606:4700:4700::6400"), "Cloudflare"),
    # https://www.quad9.net/service/service-addresses-and-features/
    **dict.fromkeys(("9.9.9.9", "149.112.112.112", "2620:fe::fe", "2620:fe::9",
                     "9.9.9.10", "149.112.112.10", "2620:fe::10", "2620:fe::fe:10",
                     "9.9.9.11", "149.112.112.11", "2620:fe::11", "2620:fe::fe:11"), "Quad9"),
    # https://www.opendns.com/about/innovations/ipv6/, https://www.opendns.com/setupguide/
    **dict.fromkeys(("208.67.222.222", "208.67.220.220", "208.67.222.123", "208.67.220.123",
                     "2620:119:35::35", "2620:119:53::53", "2620:119:35::123", "2620:119:53::123"), "OpenDNS"),
    # https://adguard-dns.io/en/public-dns.html
    **dict.fromkeys(("94.140.14.14", "94.140.15.15", "2a10:50c0::ad1:ff", "2a10:50c0::ad2:ff",
                     "94.140.14.140", "94.140.14.141", "2a10:50c0::1:ff", "2a10:50c0::2:ff",
                     "94.140.14.15", "94.140.15.16", "2a10:50c0::bad1:ff", "2a10:50c0::bad2:ff"), "AdGuard"),
    # https://cleanbrowsing.org/filters/
    **dict.fromkeys(("185.228.168.9", "185.228.169.9", "185.228.168.10", "185.228.169.11",
                     "185.228.168.168", "185.228.169.168"), "CleanBrowsing"),
    # https://joindns4.eu/for-public
    **dict.fromkeys(("86.54.11.1", "86.54.11.201", "86.54.11.12", "86.54.11.212", "86.54.11.13", "86.54.11.213",
                     "86.54.11.11", "86.54.11.211", "86.54.11.100", "86.54.11.200",
                     "2a13:1001::86:54:11:1", "2a13:1001::86:54:11:201", "2a13:1001::86:54:11:100",
                     "2a13:1001::86:54:11:200"), "DNS4EU"),
    # https://controld.com/free-dns
    **dict.fromkeys(("76.76.2.0", "76.76.10.0", "76.76.2.1", "76.76.10.1", "76.76.2.2", "76.76.10.2",
                     "2606:1a40::", "2606:1a40:1::"), "Control D"),
    # https://dns.sb/
    **dict.fromkeys(("185.222.222.222", "45.11.45.11"), "DNS.SB"),
    # https://dns.yandex.com/
    **dict.fromkeys(("77.88.8.8", "77.88.8.1", "77.88.8.88", "77.88.8.2", "77.88.8.7", "77.88.8.3",
                     "2a02:6b8::feed:ff", "2a02:6b8:0:1::feed:ff"), "Yandex"),
    # https://www.alidns.com/
    **dict.fromkeys(("223.5.5.5", "223.6.6.6", "2400:3200::1", "2400:3200:baba::1"), "AliDNS"),
    # https://dns.he.net/
    **dict.fromkeys(("74.82.42.42", "2001:470:20::2"), "Hurricane Electric"),
    # no page of its operator, and the most widely used of them all before 2009
    **dict.fromkeys(("4.2.2.1", "4.2.2.2", "4.2.2.3", "4.2.2.4", "4.2.2.5", "4.2.2.6", "209.244.0.3", "209.244.0.4"), "Level 3"),
    # https://vercara.digicert.com/ultradns-public
    **dict.fromkeys(("64.6.64.6", "64.6.65.6"), "UltraDNS"),
    # https://docs.hetzner.com/dns-console/dns/general/recursive-name-servers/
    **dict.fromkeys(("185.12.64.1", "185.12.64.2", "2a01:4ff:ff00::add:1", "2a01:4ff:ff00::add:2"), "Hetzner"),
})  # fmt: skip
"""Address and who runs it."""
