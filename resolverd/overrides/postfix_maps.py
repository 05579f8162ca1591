"""Postfix access maps: who is let through, who is refused, with which words (access(5)).

Keys are looked up as smtpd(8) does it with its defaults: a name, then each domain above it; an address, then what is left of
it when octets are taken from its end. Of two lines for one key the first holds.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import NamedTuple, Protocol

from resolverd.mail.findings import SmtpReply
from resolverd.wire.names import Address


class Verb(StrEnum):
    """What becomes of whom a line matches."""

    OK = "ok"
    DUNNO = "dunno"
    REJECT = "reject"
    DEFER = "defer"


class MapEntry(NamedTuple):
    """A line of a map: its result as it stands there, and what that means.

    `reply` is a refusal's, its text without the words of the restriction (``Access denied``).
    """

    line: int
    result: str
    verb: Verb
    reply: SmtpReply | None = None


class Match(NamedTuple):
    """What a map says of somebody: the key that is in it, and its entry."""

    map: str
    key: str
    entry: MapEntry


class MapFile(NamedTuple):
    """A Postfix map's source file, with the map type that Postfix reads it as (DATABASE_README)."""

    kind: str
    path: Path

    def __str__(self) -> str:
        return f"{self.kind}:{self.path}"


class AccessMap(Protocol):
    """A map that has been read; `name` is its file's."""

    @property
    def name(self) -> str:
        """How it goes by in texts."""
        ...

    def of_name(self, name: str) -> Match | None:
        """What it says of a host name or HELO name."""
        ...

    def of_address(self, address: Address) -> Match | None:
        """What it says of an address."""
        ...


class KeyMap(NamedTuple):
    """``key result`` lines; keys in lower case, as postmap(1) folds them."""

    name: str
    entries: Mapping[str, MapEntry]

    def of_name(self, name: str) -> Match | None:
        """The name's own entry, else that of the nearest domain above it."""
        return self._first(_suffixes(name.lower()))

    def of_address(self, address: Address) -> Match | None:
        """The address's own entry, else that of the longest beginning of it: ``192.0.2``, ``2001:db8``."""
        return self._first(_beginnings(str(address), ":" if address.version == 6 else "."))

    def _first(self, keys: Iterator[str]) -> Match | None:
        return next((Match(self.name, key, entry) for key in keys if (entry := self.entries.get(key)) is not None), None)


class CidrPattern(NamedTuple):
    """A network, or with `negated` the addresses of its family that are outside it (cidr_table(5))."""

    network: IPv4Network | IPv6Network
    negated: bool = False

    def holds(self, address: Address) -> bool:
        """Whether it means the address."""
        return address.version == self.network.version and (address in self.network) is not self.negated

    def __str__(self) -> str:
        return f"!{self.network}" if self.negated else str(self.network)


class CidrRule(NamedTuple):
    """A line of a cidr map; `around`: the patterns of the ``if`` lines that it stands below."""

    pattern: CidrPattern
    entry: MapEntry
    around: tuple[CidrPattern, ...] = ()


class CidrMap(NamedTuple):
    """``network result`` lines: by family, prefix length and beginning, what the networks' lines say; apart, what is negated."""

    name: str
    networks: Mapping[tuple[int, int], Mapping[int, tuple[CidrRule, ...]]]
    negated: tuple[CidrRule, ...] = ()

    @classmethod
    def of(cls, name: str, rules: Iterable[CidrRule]) -> "CidrMap":
        """The map of these lines, in their order."""
        networks: dict[tuple[int, int], dict[int, tuple[CidrRule, ...]]] = {}
        negated: list[CidrRule] = []
        for rule in rules:
            if rule.pattern.negated:
                negated.append(rule)
                continue
            network = rule.pattern.network
            by_start = networks.setdefault((network.version, network.prefixlen), {})
            start = int(network.network_address)
            by_start[start] = (*by_start.get(start, ()), rule)
        return cls(name, networks, tuple(negated))

    def of_name(self, name: str) -> Match | None:
        """No network is a name."""
        return None

    def of_address(self, address: Address) -> Match | None:
        """The first line whose network has the address."""
        found: CidrRule | None = None
        for rule in (*self._around(address), *(each for each in self.negated if each.pattern.holds(address))):
            if (found is None or rule.entry.line < found.entry.line) and all(each.holds(address) for each in rule.around):
                found = rule
        return Match(self.name, str(found.pattern), found.entry) if found is not None else None

    def _around(self, address: Address) -> Iterator[CidrRule]:
        bits, number = address.max_prefixlen, int(address)
        for (version, length), by_start in self.networks.items():
            if version == address.version:
                yield from by_start.get(number >> (bits - length) << (bits - length), ())


def _suffixes(name: str) -> Iterator[str]:
    """The name and each domain above it; as smtpd cuts, which for ``a..b`` gives ``.b``."""
    while name:
        yield name
        at = name.find(".", 1)
        if at < 0:
            return
        name = name[at + 1 :]


def _beginnings(address: str, mark: str) -> Iterator[str]:
    """The address and what is left of it when parts are taken from its end: ``2001:db8::1``, ``2001:db8:``, ``2001:db8`` …"""
    while address:
        yield address
        address, found, _ = address.rpartition(mark)
        if not found:
            return
