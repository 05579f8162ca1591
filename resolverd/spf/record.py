"""SPF records: which TXT record is one (RFC 7208 §4.5), and what it says (§4.6.1, §5, §6, §12)."""

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, NamedTuple

from resolverd import bounds
from resolverd.mail.sanitize import sanitize
from resolverd.spf.macros import BadMacro, MacroString, read, read_domain, uses
from resolverd.wire import codes
from resolverd.wire.names import Address
from resolverd.wire.rdata import strings


class Result(StrEnum):
    """The seven results, in the words of RFC 7208 §2.6."""

    NONE = "none"
    """There is no record, or no domain that could have one."""
    NEUTRAL = "neutral"
    """The domain says nothing of the client."""
    PASS = "pass"
    """The client may send for the domain."""
    FAIL = "fail"
    """It may not."""
    SOFTFAIL = "softfail"
    """It probably may not."""
    TEMPERROR = "temperror"
    """It could not be found out just now."""
    PERMERROR = "permerror"
    """The domain's record cannot be understood."""


VERSION: Final = b"v=spf1"
_QUALIFIERS: Final[Mapping[str, Result]] = {
    "": Result.PASS,
    "+": Result.PASS,
    "-": Result.FAIL,
    "~": Result.SOFTFAIL,
    "?": Result.NEUTRAL,
}
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE | re.DOTALL)
_DIRECTIVE = re.compile(r"([-+?~]?)([a-z][a-z0-9]*)(.*)", re.IGNORECASE | re.DOTALL)
_DUAL_CIDR = re.compile(r"(?:/([0-9]+))?(?://([0-9]+))?\Z")
_LONGEST_CIDR: Final = len("/32//128")
_ABOUT_THE_CLIENT: Final = "iphls"
"""Macros that differ from one client or sender to the next."""


class Mechanism(StrEnum):
    """The mechanisms of §5."""

    ALL = "all"
    INCLUDE = "include"
    A = "a"
    MX = "mx"
    PTR = "ptr"
    IP4 = "ip4"
    IP6 = "ip6"
    EXISTS = "exists"


class Block(NamedTuple):
    """Addresses of one IP version, as numbers, the last one included."""

    version: int
    first: int
    last: int

    def holds(self, address: Address) -> bool:
        """Whether an address is among them."""
        return self.version == address.version and self.first <= int(address) <= self.last


class Directive(NamedTuple):
    """A mechanism with what follows from its match. `text` is as written; without `target` the current domain is meant.

    `prefixes` for IPv4 and IPv6 belong to ``a`` and ``mx``, `network` to ``ip4`` and ``ip6``.
    """

    result: Result
    mechanism: Mechanism
    text: str
    target: MacroString | None = None
    prefixes: tuple[int, int] = (32, 128)
    network: Block | None = None

    @property
    def follows_the_client(self) -> bool:
        """Whether addresses are looked up under a name that client or sender choose: a match then says nothing of anybody."""
        return self.mechanism in (Mechanism.A, Mechanism.MX) and uses(self.target or (), _ABOUT_THE_CLIENT)

    def prefix(self, version: int) -> int:
        """The prefix that counts for addresses of this IP version."""
        return self.prefixes[0] if version == 4 else self.prefixes[1]

    def looked_up(self, address: Address) -> int | None:
        """The type of record that is asked for first about a client; None for mechanisms that ask nothing."""
        if self.mechanism is Mechanism.A:
            return codes.A if address.version == 4 else codes.AAAA
        return _FIRST.get(self.mechanism)


_FIRST: Final[Mapping[Mechanism, int]] = {
    Mechanism.INCLUDE: codes.TXT,
    Mechanism.MX: codes.MX,
    Mechanism.PTR: codes.PTR,
    Mechanism.EXISTS: codes.A,
}


class Record(NamedTuple):
    """A record without faults. Modifiers that nobody knows are checked and forgotten (§6)."""

    directives: tuple[Directive, ...]
    redirect: MacroString | None = None
    explanation: MacroString | None = None

    @property
    def never_sends(self) -> bool:
        """Whether it is a bare ``-all``."""
        kinds = [(directive.result, directive.mechanism) for directive in self.directives]
        return kinds == [(Result.FAIL, Mechanism.ALL)]

    def lets_anybody(self, version: int) -> bool:
        """Whether it lets everybody pass, or so much of the internet that a pass says nothing.

        Counted are the addresses of the IP version that it names itself, ``0.0.0.0/1`` and ``128.0.0.0/1`` together being
        as good as ``+all``.
        """
        named = 0
        bits, enough = (32, bounds.SPF_WIDE_IPV4) if version == 4 else (128, bounds.SPF_WIDE_IPV6)
        for directive in self.directives:
            if directive.mechanism is Mechanism.ALL:
                if directive.result is Result.PASS:
                    return True
                break
            if directive.result is not Result.PASS:
                continue
            if directive.mechanism is Mechanism.EXISTS and not uses(directive.target or (), _ABOUT_THE_CLIENT):
                return True  # a name that exists does so for everybody
            if directive.network is not None and directive.network.version == version:
                named += directive.network.last - directive.network.first + 1
            elif directive.mechanism in (Mechanism.A, Mechanism.MX):
                named += 1 << (bits - directive.prefix(version))
        return named >= 1 << (bits - enough)


class Fault(NamedTuple):
    """Why a text is no valid record."""

    text: str


def spf_texts(rdatas: Iterable[bytes]) -> list[bytes]:
    """The SPF records among TXT records, strings joined without blanks (§3.3)."""
    found = []
    for rdata in rdatas:
        try:
            text = b"".join(strings(rdata))
        except ValueError:
            continue
        if text[: len(VERSION)].lower() == VERSION and text[len(VERSION) : len(VERSION) + 1] in (b"", b" "):
            found.append(text)
    return found


class Parsed:
    """Records by their text, the least recently wanted let go: an evaluation starts anew with each answer that comes."""

    def __init__(self, octets: int = bounds.SPF_PARSED) -> None:
        self._octets = octets
        self._held = 0
        self._records: OrderedDict[bytes, Record | Fault] = OrderedDict()

    @property
    def held(self) -> int:
        """Octets of the texts remembered."""
        return self._held

    def forget(self) -> None:
        """Let all go."""
        self._records.clear()
        self._held = 0

    def __call__(self, text: bytes) -> Record | Fault:
        """The record of a text."""
        found = self._records.get(text)
        if found is not None:
            self._records.move_to_end(text)
            return found
        found = self._records[text] = _parse(text)
        self._held += len(text)
        while self._held > self._octets and len(self._records) > 1:
            gone, _ = self._records.popitem(last=False)
            self._held -= len(gone)
        return found


parse = Parsed()
"""The record, or the first fault in it, wherever it stands (§4.6: a faulty record is not evaluated in part)."""


def _parse(text: bytes) -> Record | Fault:
    if len(text) > bounds.MAX_SPF_RECORD:
        return Fault(f"record of {len(text)} octets")
    directives: list[Directive] = []
    modifiers: dict[str, MacroString] = {}
    # latin-1: what is not ASCII must arrive as something that is not ASCII, to be found and refused below.
    for term in text[len(VERSION) :].decode("latin-1").split(" "):
        try:
            if modifier := _MODIFIER.fullmatch(term):
                _read_modifier(modifier[1].lower(), modifier[2], modifiers)
            elif term:
                directives.append(_directive(term))
        except ValueError as error:
            return Fault(sanitize(f"{term[:60]}: {error}", 120))
    return Record(tuple(directives), modifiers.get("redirect"), modifiers.get("exp"))


def _read_modifier(name: str, value: str, known: dict[str, MacroString]) -> None:
    if name not in ("redirect", "exp"):
        read(value)
    elif name in known:
        raise BadMacro("stands there twice")
    else:
        known[name] = read_domain(value)


def _directive(term: str) -> Directive:
    found = _DIRECTIVE.fullmatch(term)
    try:
        if found is None:
            raise ValueError
        mechanism = Mechanism(found[2].lower())
    except ValueError:
        raise BadMacro("no such mechanism") from None
    return _READERS[mechanism](Directive(_QUALIFIERS[found[1]], mechanism, term), found[3])


def _bare(directive: Directive, rest: str) -> Directive:
    if rest:
        raise BadMacro("takes no value")
    return directive


def _with_domain(directive: Directive, rest: str) -> Directive:
    return directive._replace(target=read_domain(_value(rest)))


def _with_optional_domain(directive: Directive, rest: str) -> Directive:
    return _with_domain(directive, rest) if rest else directive


def _with_prefixes(directive: Directive, rest: str) -> Directive:
    cidr = _DUAL_CIDR.search(rest, max(0, len(rest) - _LONGEST_CIDR))
    if cidr is not None:
        directive = directive._replace(prefixes=(_prefix(cidr[1], 32), _prefix(cidr[2], 128)))
        rest = rest[: cidr.start()]
    return _with_optional_domain(directive, rest)


def _with_network(directive: Directive, rest: str) -> Directive:
    text, slash, length = _value(rest).partition("/")
    try:
        address: Address = IPv4Address(text) if directive.mechanism is Mechanism.IP4 else IPv6Address(text)
    except AddressValueError:
        raise BadMacro("no such address") from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise BadMacro("no such address")
    rest_bits = address.max_prefixlen - _prefix(length if slash else None, address.max_prefixlen)
    first = int(address) >> rest_bits << rest_bits
    return directive._replace(network=Block(address.version, first, first + (1 << rest_bits) - 1))


_READERS = {
    Mechanism.ALL: _bare,
    Mechanism.INCLUDE: _with_domain,
    Mechanism.A: _with_prefixes,
    Mechanism.MX: _with_prefixes,
    Mechanism.PTR: _with_optional_domain,
    Mechanism.IP4: _with_network,
    Mechanism.IP6: _with_network,
    Mechanism.EXISTS: _with_domain,
}


def _value(rest: str) -> str:
    if not rest.startswith(":"):
        raise BadMacro("its value is missing")
    return rest[1:]


def _prefix(digits: str | None, most: int) -> int:
    """A prefix length, without leading zeros; the longest where none is given."""
    if digits is None:
        return most
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 3 and str(int(digits)) == digits and int(digits) <= most):
        raise BadMacro(f"prefix length {digits[:10]}")
    return int(digits)
