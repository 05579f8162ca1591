"""What a list's A records mean: the patterns, their grammar, and the one place where an address becomes "listed".

Patterns are Postfix's, verbatim (`reject_rbl_client zone=d.d.d.d`, postconf(5), ``ip_match.c``), with two additions::

    pattern  = field "." field "." field "." field | address "/" prefix-length
    field    = octet | "[" sequence "]" | "&" octet      ; &8: every octet in which all bits of 8 are set
    sequence = member | sequence ";" member
    member   = octet | octet ".." octet

Many answers go wrong in ways that look like listings: error codes, parked domains, codes yet to be invented. Hence the
order here: errors first, then anything outside 127.0.0.0/8, and only a *known* code is a listing (RFC 5782 §2.1, RFC 6471 §3.4).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from typing import NamedTuple

_FIELD = re.compile(r"\[[^\[\]]*\]|&?[0-9]+")
_LOOPBACK = 127


class BadPattern(ValueError):
    """Text that is no pattern; the message names the offending part."""


class Pattern(NamedTuple):
    """A set of IPv4 addresses, as four sets of octets, each a bit map of 256.

    `bits`: written with ``&``, so that one address may carry several meanings.
    """

    text: str
    fields: tuple[int, int, int, int]
    bits: bool = False

    def matches(self, address: bytes) -> bool:
        """Whether the four octets are in the set."""
        a, b, c, d = self.fields
        return bool(a >> address[0] & b >> address[1] & c >> address[2] & d >> address[3] & 1)

    @property
    def inside_loopback(self) -> bool:
        """Whether all of the set lies in 127.0.0.0/8."""
        return self.fields[0] == 1 << _LOOPBACK


def parse(text: str) -> Pattern:
    """The pattern that `text` writes. Raises BadPattern."""
    if "/" in text:
        return _parse_network(text)
    fields: list[int] = []
    at = 0
    while True:
        match = _FIELD.match(text, at)
        if match is None:
            raise BadPattern(f"{text!r}: {_rest(text, at)} where a number, [...] or &number should stand")
        fields.append(_parse_field(text, match.group()))
        at = match.end()
        if at == len(text):
            break
        if text[at] != ".":
            raise BadPattern(f"{text!r}: {_rest(text, at)} where a dot or the end should stand")
        at += 1
    if len(fields) != 4:
        raise BadPattern(f"{text!r}: {len(fields)} fields, not 4")
    return Pattern(text, (fields[0], fields[1], fields[2], fields[3]), "&" in text)


def _rest(text: str, at: int) -> str:
    return repr(text[at : at + 12]) if at < len(text) else "the end"


def _parse_field(text: str, field: str) -> int:
    if field[0] == "&":
        mask = _parse_octet(text, field[1:])
        if not mask:
            raise BadPattern(f"{text!r}: '&0' asks for no bit")
        return sum(1 << octet for octet in range(256) if octet & mask == mask)
    if field[0] != "[":
        return 1 << _parse_octet(text, field)
    octets = 0
    for member in field[1:-1].split(";"):
        first, dots, last = member.partition("..")
        low = _parse_octet(text, first)
        high = _parse_octet(text, last) if dots else low
        if low > high:
            raise BadPattern(f"{text!r}: range {member!r} runs backwards")
        octets |= (2 << high) - (1 << low)
    return octets


def _parse_octet(text: str, number: str) -> int:
    if not number.isascii() or not number.isdigit():
        raise BadPattern(f"{text!r}: {number!r} where a number should stand")
    if len(number) > 3 or int(number) > 255:
        raise BadPattern(f"{text!r}: {number} is more than 255")
    return int(number)


def _parse_network(text: str) -> Pattern:
    try:
        network = IPv4Network(text)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise BadPattern(f"{text!r}: {error}") from None
    first, last = network.network_address.packed, network.broadcast_address.packed
    a, b, c, d = ((2 << high) - (1 << low) for low, high in zip(first, last, strict=True))
    return Pattern(text, (a, b, c, d))


class Code(NamedTuple):
    """One meaning of a listing: `name` is short and fixed (``pbl``), `text` is for people.

    `weight` in points, None for the list's own. `trust` is the trust of an allow list, on dnswl.org's scale:
    0 none, 1 low, 2 medium, 3 high.
    """

    name: str
    text: str = ""
    weight: float | None = None
    link: str = ""
    trust: int = 0


class ErrorCode(NamedTuple):
    """An answer that says "not like this" instead of listing. `suspends`: it is about us, not about that one question."""

    name: str
    suspends: bool = True


class Meaning(StrEnum):
    """What a set of A records amounts to."""

    LISTED = "listed"
    NEUTRAL = "neutral"
    """Known codes that list nothing, or no address at all."""
    UNKNOWN = "unknown"
    """In 127.0.0.0/8, but no code we know."""
    OUTSIDE = "outside"
    """An address outside 127.0.0.0/8: a parked or hijacked zone, never a listing."""
    ERROR = "error"


class Interpretation(NamedTuple):
    """The meaning of one answer. `codes`, each once and heaviest first, are filled for LISTED only; `error` for ERROR only.

    `unmatched` holds those addresses that no pattern knows.
    """

    meaning: Meaning
    codes: tuple[Code, ...] = ()
    error: ErrorCode | None = None
    unmatched: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class CodeTable:
    """All that a list may answer. `neutral`: known, but no listing. `ignored`: what the list means as a listing and the admin
    does not: as if it had not been answered. `categories` names octet 3 where it is one (dnswl.org)."""

    codes: tuple[tuple[Pattern, Code], ...] = ()
    errors: tuple[tuple[Pattern, ErrorCode], ...] = ()
    neutral: tuple[Pattern, ...] = ()
    categories: tuple[tuple[int, str], ...] = ()
    ignored: tuple[Pattern, ...] = ()

    @property
    def example(self) -> bytes:
        """An address that is a listing here: 127.0.0.2 where that is one (RFC 5782 §2.1), else the first of the first code."""
        usual = bytes([_LOOPBACK, 0, 0, 2])
        if not self.codes or self.of(usual):
            return usual
        return bytes((octets & -octets).bit_length() - 1 for octets in self.codes[0][0].fields)

    def of(self, address: bytes) -> tuple[Code, ...]:
        """The listing codes of one address: the first pattern that fits, or of ``&`` patterns every one."""
        if address[0] != _LOOPBACK:
            return ()
        fitting = [(pattern, code) for pattern, code in self.codes if pattern.matches(address)]
        if fitting and not fitting[0][0].bits:
            return (fitting[0][1],)
        return tuple(code for pattern, code in fitting if pattern.bits)

    def counting(self, addresses: Sequence[bytes]) -> tuple[bytes, ...]:
        """Of an answer's A rdatas those that are not ignored."""
        return tuple(each for each in addresses if self.of(each) or not any(pattern.matches(each) for pattern in self.ignored))

    def category(self, address: bytes) -> str:
        """The name of octet 3, or nothing."""
        return dict(self.categories).get(address[2], "")

    def interpret(self, addresses: Sequence[bytes], weight: float = 0) -> Interpretation:
        """The meaning of an answer's A rdatas; `weight` is what codes without one of their own weigh."""
        for address in addresses:
            for pattern, error in self.errors:
                if len(address) == 4 and pattern.matches(address):
                    return Interpretation(Meaning.ERROR, error=error)
        outside = tuple(address for address in addresses if len(address) != 4 or address[0] != _LOOPBACK)
        if outside:
            return Interpretation(Meaning.OUTSIDE, unmatched=outside)
        found: dict[Code, None] = {}
        unmatched: list[bytes] = []
        for address in self.counting(addresses):
            codes = self.of(address)
            found.update(dict.fromkeys(codes))
            if not codes and not any(pattern.matches(address) for pattern in self.neutral):
                unmatched.append(address)
        if found:
            heaviest = sorted(found, key=lambda code: abs(weight if code.weight is None else code.weight), reverse=True)
            return Interpretation(Meaning.LISTED, tuple(heaviest), unmatched=tuple(unmatched))
        return Interpretation(Meaning.UNKNOWN if unmatched else Meaning.NEUTRAL, unmatched=tuple(unmatched))
