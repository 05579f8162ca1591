"""Postfix access maps as their source files are: who is let through, who is refused, with which words (access(5)).

Two forms: ``key result`` lines, as postmap(1) takes them for hash, btree, lmdb and texthash, and cidr_table(5). Both have
logical lines: one that begins with white space goes on with the one before; empty lines and those that begin with ``#`` are
passed over. Of two lines for one key the first holds.

Keys are looked up as smtpd(8) does it with its defaults: a name, then each domain above it; an address, then what is left of
it when octets are taken from its end. Results are OK, DUNNO, REJECT, DEFER, 4NN and 5NN with text behind them, and digits
alone, which are OK; every other one is a fault, as nothing here could do what it says.
"""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple, Protocol

from resolverd.mail.allowfiles import LineFault
from resolverd.mail.findings import SmtpReply
from resolverd.mail.printable import printable
from resolverd.wire.names import Address

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)", re.ASCII)
_CODE = re.compile(r"[45]\d\d", re.ASCII)
_DOTTED = re.compile(r"(?:\d{1,3}\.){1,3}", re.ASCII)
_NETWORK_KEY = re.compile(r"[0-9a-fA-F.:]+/\d{1,3}", re.ASCII)
_DENIED: Final = "Access denied"


class Verb(StrEnum):
    """What becomes of whom a line matches."""

    OK = "ok"
    DUNNO = "dunno"
    REJECT = "reject"
    DEFER = "defer"


class Entry(NamedTuple):
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
    entry: Entry


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
    entries: Mapping[str, Entry]

    def of_name(self, name: str) -> Match | None:
        """The name's own entry, else that of the nearest domain above it."""
        return self._first(_suffixes(name.lower()))

    def of_address(self, address: Address) -> Match | None:
        """The address's own entry, else that of the longest beginning of it: ``192.0.2``, ``2001:db8``."""
        return self._first(_beginnings(str(address), ":" if address.version == 6 else "."))

    def _first(self, keys: Iterator[str]) -> Match | None:
        return next((Match(self.name, key, entry) for key in keys if (entry := self.entries.get(key)) is not None), None)


class CidrMap(NamedTuple):
    """``network result`` lines: by address family and prefix length, what the networks' first lines say."""

    name: str
    networks: Mapping[tuple[int, int], Mapping[int, Entry]]

    def of_name(self, name: str) -> Match | None:
        """No network is a name."""
        return None

    def of_address(self, address: Address) -> Match | None:
        """The first line whose network has the address."""
        bits, number = address.max_prefixlen, int(address)
        found: Match | None = None
        for (version, length), entries in self.networks.items():
            if version != address.version:
                continue
            start = number >> (bits - length) << (bits - length)
            entry = entries.get(start)
            if entry is not None and (found is None or entry.line < found.entry.line):
                kind = IPv4Network if version == 4 else IPv6Network
                found = Match(self.name, str(kind((start, length))), entry)
        return found


class Reading(NamedTuple):
    """A map, the lines that cannot be read, and those that can, but that match nobody."""

    map: AccessMap
    faults: tuple[LineFault, ...]
    remarks: tuple[LineFault, ...]


def read(name: str, kind: str, text: str) -> Reading:
    """The map of a file's text; `kind` as main.cf has it in front of the file's name."""
    faults: list[LineFault] = []
    remarks: list[LineFault] = []
    entries: dict[str, Entry] = {}
    networks: dict[tuple[int, int], dict[int, Entry]] = {}
    for number, line in logical_lines(text):
        try:
            key, entry = _entry(number, line, kind)
            if kind == "cidr":
                network = _network(key)
                by_start = networks.setdefault((network.version, network.prefixlen), {})
                first = by_start.setdefault(int(network.network_address), entry)
            else:
                first = entries.setdefault(key.lower(), entry)
                if useless := _useless(key):
                    remarks.append(LineFault(number, useless))
            if first is not entry and first.result != entry.result:
                remarks.append(LineFault(number, f"{printable(key, 80)!r} stands in line {first.line} already, which holds"))
        except ValueError as error:
            faults.append(LineFault(number, str(error)))
    found: AccessMap = CidrMap(name, networks) if kind == "cidr" else KeyMap(name, entries)
    return Reading(found, tuple(faults), tuple(remarks))


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Each logical line with the number of its first line."""
    number, parts = 0, [""]
    for at, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0].isspace() and number:
            parts.append(line)
            continue
        if number:
            yield number, "".join(parts)
        number, parts = at, [line]
    if number:
        yield number, "".join(parts)


def _entry(number: int, line: str, kind: str) -> tuple[str, Entry]:
    if line[0].isspace():
        raise ValueError("begins with white space, and there is no line that it could go on with")
    key, _, result = line.strip().partition(_gap(line))
    result = result.strip()
    if kind == "cidr" and (key.lower() in ("if", "endif") or key.startswith("!")):
        raise ValueError(f"{printable(key, 40)!r} is not understood here; write each network on a line of its own")
    if not result:
        raise ValueError(f"{printable(key, 80)!r} has no result; expected KEY RESULT")
    return key, _meaning(number, result)


def _gap(line: str) -> str:
    """The white space behind the key; outside of quotation marks, as postmap(1) has it."""
    quoted = False
    for char in line:
        if char == '"':
            quoted = not quoted
        elif char.isspace() and not quoted:
            return char
    if quoted:
        raise ValueError("has a quotation mark that is not closed")
    return "\n"


def _meaning(number: int, result: str) -> Entry:
    word, *rest = result.split(None, 1)
    text = rest[0] if rest else ""
    shown = printable(result, 200)
    verb = word.upper()
    if verb in ("OK", "RELAY") or (result.isascii() and result.isdigit()):
        return Entry(number, shown, Verb.OK)
    if verb == "DUNNO":
        return Entry(number, shown, Verb.DUNNO)
    if verb == "REJECT":
        return Entry(number, shown, Verb.REJECT, _reply(554, text))
    if verb == "DEFER":
        return Entry(number, shown, Verb.DEFER, _reply(450, text))
    if text and _CODE.fullmatch(word):
        return Entry(number, shown, Verb.REJECT, _reply(int(word), text))
    raise ValueError(f"{printable(word, 40)!r} is no result that can be had here; these can: OK, DUNNO, REJECT, DEFER, 4NN, 5NN")


def _reply(code: int, text: str) -> SmtpReply:
    """A refusal; an enhanced code at the beginning of the text is its own, made to fit the code (RFC 3463 §2)."""
    enhanced = f"{code // 100}.7.1"
    if (own := _ENHANCED.match(text)) is not None:
        enhanced, text = f"{code // 100}{own[1][1:]}", text[own.end() :]
    return SmtpReply(code, enhanced, printable(text, 300) or _DENIED)


def _network(key: str) -> IPv4Network | IPv6Network:
    text = key.replace("[", "", 1).replace("]", "", 1) if key.startswith("[") else key
    address, slash, length = text.partition("/")
    try:
        if slash and not (length.isascii() and length.isdigit()):
            raise ValueError
        meant = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{printable(key, 80)!r} is no network") from None
    if ip_address(address) != meant.network_address:
        raise ValueError(f"{printable(key, 80)!r} has host bits set; the network is {meant}")
    return meant


def _useless(key: str) -> str:
    """Why smtpd(8) never looks a key up, if it does not."""
    if key.startswith("."):
        bare = printable(key[1:], 80)
        return f"{printable(key, 80)!r} matches nobody, as in Postfix by default: {bare!r} means the domains below it too"
    if _NETWORK_KEY.fullmatch(key):
        return f"{printable(key, 80)!r} matches nobody: networks stand in a cidr map, named as cidr:FILE"
    if "@" in key:
        return f"{printable(key, 80)!r} matches nobody: clients and HELO names are no mail addresses"
    if _DOTTED.fullmatch(key):
        return f"{printable(key, 80)!r} matches nobody: the beginning of an address stands without the dot at its end"
    return ""


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
