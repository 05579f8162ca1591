"""The block and allow lists of the fake internet, as data: their zones, return codes, test points and entries.

Codes are those that the real lists document; every list has the test entries of RFC 5782 §5, because resolvers probe
them before they believe a list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Entry = tuple[str, str, str]
"""What is listed (address, network or domain), the return code, the text."""


@dataclass(frozen=True, slots=True)
class List:
    """One list, served by an rbldnsd of its own, so that it can be broken without the others."""

    zone: str
    operator: str
    """The zone that delegates to it."""
    kind: Literal["address", "domain"]
    hosts: tuple[tuple[str, str], ...]
    """Its name servers: name, IPv4 address."""
    entries: tuple[Entry, ...]
    ttl: int = 60

    @property
    def program(self) -> str:
        """The name of its rbldnsd."""
        return f"list {self.zone}"


def _address_list(zone: str, number: int, entries: tuple[Entry, ...], tests: tuple[Entry, ...],
                  ttl: int = 60, hosts: int = 1) -> List:
    return _list(zone, "address", number, (*entries, *tests), ttl, hosts)


def _list(zone: str, kind: Literal["address", "domain"], number: int, entries: tuple[Entry, ...],
          ttl: int = 60, hosts: int = 1) -> List:
    short, operator = zone.split(".", 1)
    names = tuple((f"{letter}.{short}-ns.{operator}", f"45.{number}.0.{place}")
                  for place, letter in enumerate("abc"[:hosts], 1))
    return List(zone, operator, kind, names, entries, ttl)


def _listed(code: str, text: str) -> tuple[Entry, ...]:
    """The test entry of RFC 5782 §5 for an address list; rbldnsd answers ::ffff:127.0.0.2 from it as well."""
    return (("127.0.0.2", code, text),)


_SBL = "https://www.spamhaus.org/query/ip/$"
_DNSWL = "www.dnswl.org/s/?s=$"

LISTS = (
    _address_list("zen.spamhaus.org", 90, (
        ("192.0.2.66", "127.0.0.2", _SBL),
        ("192.0.2.66", "127.0.0.4", _SBL),
        ("192.0.2.67", "127.0.0.10", _SBL),
        ("192.0.2.68", "127.0.0.4", _SBL),
        ("192.0.2.69", "127.0.0.4", _SBL),
        ("192.0.2.70", "127.0.0.3", _SBL),
        ("192.0.2.98", "127.0.0.4", _SBL),
        ("198.51.100.66", "127.0.0.2", _SBL),
        ("198.51.100.66", "127.0.0.9", _SBL),
        ("198.51.100.80", "127.0.0.3", _SBL),
        ("198.51.100.81", "127.0.0.3", _SBL),
        ("2001:db8:66::/48", "127.0.0.3", _SBL),
    ), (
        ("127.0.0.2", "127.0.0.2", _SBL),
        ("127.0.0.2", "127.0.0.4", _SBL),
        ("127.0.0.2", "127.0.0.10", _SBL),
    ), hosts=2),
    _list("dbl.spamhaus.org", "domain", 91, (
        (".casino-deals.net", "127.0.1.2", "https://www.spamhaus.org/query/domain/$"),
        (".abused-by-others.com", "127.0.1.103", "https://www.spamhaus.org/query/domain/$"),
        (".dbltest.com", "127.0.1.2", "https://www.spamhaus.org/query/domain/$"),
        ("test", "127.0.1.2", "https://www.spamhaus.org/query/domain/$"),
    )),
    _address_list("bl.spamcop.net", 92, (
        ("192.0.2.66", "127.0.0.2", "Blocked - see https://www.spamcop.net/bl.shtml?$"),
        ("198.51.100.66", "127.0.0.2", "Blocked - see https://www.spamcop.net/bl.shtml?$"),
    ), _listed("127.0.0.2", "Blocked - see https://www.spamcop.net/bl.shtml?$"), ttl=1800),
    _address_list("psbl.surriel.com", 93, (
        ("192.0.2.66", "127.0.0.2", "Listed in PSBL, see https://psbl.org/listing?ip=$"),
    ), _listed("127.0.0.2", "Listed in PSBL, see https://psbl.org/listing?ip=$"), ttl=1800),
    _address_list("list.dnswl.org", 94, (
        ("192.0.2.70", "127.0.9.2", _DNSWL),
        ("198.51.100.50", "127.0.2.3", _DNSWL),
        ("198.51.100.51", "127.0.2.3", _DNSWL),
        ("198.51.100.11", "127.0.5.0", _DNSWL),
        ("2001:db8:50::/48", "127.0.2.3", _DNSWL),
    ), _listed("127.0.10.0", _DNSWL), ttl=3600),
    _list("multi.uribl.com", "domain", 95, (
        (".casino-deals.net", "127.0.0.2", "Casino-deals, see https://lookup.uribl.com/?domain=$"),
        (".spam-factory.net", "127.0.0.4", "Grey, see https://lookup.uribl.com/?domain=$"),
        (".test.uribl.com", "127.0.0.14", "permanent testpoint"),
        ("test", "127.0.0.14", "permanent testpoint"),
        ("2.0.0.127", "127.0.0.14", "permanent testpoint"),
    )),
    _list("multi.surbl.org", "domain", 96, (
        (".casino-deals.net", "127.0.0.80", "on lists [mw abuse], see https://surbl.org/surbl-analysis"),
        (".surbl-org-permanent-test-point.com", "127.0.0.252", "on lists [all], see https://surbl.org/surbl-analysis"),
        ("test", "127.0.0.252", "on lists [all], see https://surbl.org/surbl-analysis"),
    ), ttl=180),
    _address_list("bl.mailspike.net", 97, (
        ("192.0.2.66", "127.0.0.10", "Bad Reputation, see https://mailspike.io/ip_verify"),
        ("192.0.2.67", "127.0.0.2", "Bad Reputation, see https://mailspike.io/ip_verify"),
    ), _listed("127.0.0.2", "Test entry")),
    _address_list("b.barracudacentral.org", 98, (
        ("192.0.2.66", "127.0.0.2", "https://www.barracudanetworks.com/reputation/?pr=1&ip=$"),
    ), _listed("127.0.0.2", "https://www.barracudanetworks.com/reputation/?pr=1&ip=$"), ttl=900),
    # A list that no catalogue knows: an admin's own, and the one that resolvers are compared on.
    _address_list("rbl.small-list.net", 99, (
        ("192.0.2.66", "127.0.0.2", "Listed by hand: $"),
        ("192.0.2.67", "127.0.0.2", "Listed by hand: $"),
        ("198.51.100.66", "127.0.0.3", "Listed by hand: $"),
        ("2001:db8:66::/48", "127.0.0.2", "Listed by hand: $"),
    ), _listed("127.0.0.2", "Test entry")),
)
