"""A name below a list's origin: as it stands, and as the address or the part of an address that it spells."""

from collections.abc import Container
from typing import Final, NamedTuple

from resolverd.wire.names import MAX_LABEL, Name, labels

_OCTETS: Final = {text: number for number in range(256) for text in (b"%d" % number, b"%02d" % number, b"%03d" % number)}
"""Octets as rbldnsd reads them in questions: up to three digits, zeros in front included."""
_NIBBLES: Final = {b"%x" % number: number for number in range(16)}
_MAPPED: Final = 0xFFFF
"""What stands above the last 32 bits of an IPv4-mapped address (RFC 4291 §2.5.5.2)."""
_SPELT: Final = {bytes((len(text),)) + text: number for text, number in _OCTETS.items()}
_SPELT_NIBBLES: Final = frozenset(b"\x01" + digit for digit in _NIBBLES)
_NIBBLE_LENGTHS: Final = b"\x01" * 32
_DIGITS: Final = b"0123456789abcdef"


class AddressRange(NamedTuple):
    """The addresses that a reversed prefix stands for, ends included; one address where all of it is spelt out."""

    low: int
    high: int

    @property
    def is_address(self) -> bool:
        """Whether it is a single address."""
        return self.low == self.high


class LookupKey(NamedTuple):
    """`name`: the labels in front of the origin, in lower case and wire form without an end."""

    name: bytes
    ip4: AddressRange | None
    ip6: AddressRange | None


def lookup_key(name: Name, origin: Name, *, has_ip4: bool) -> LookupKey:
    """What to look up for `name` (lower case, below the origin). `has_ip4`: there are IPv4 data to be asked.

    An IPv4-mapped address is then the IPv4 address, and no IPv6 address, as rbldnsd has it.
    """
    relative = name[: len(name) - len(origin)]
    parts = labels(relative + b"\x00")
    ip4, ip6 = _span(parts, _OCTETS, 8, 32), _span(parts, _NIBBLES, 4, 128)
    if has_ip4 and ip6 is not None and ip6.is_address and ip6.low >> 32 == _MAPPED:
        address = ip6.low & 0xFFFFFFFF
        return LookupKey(relative, AddressRange(address, address), None)
    return LookupKey(relative, ip4, ip6)


def address4(prefix: bytes) -> int:
    """The IPv4 address that exactly these labels (wire form without an end) spell; -1 for none."""
    try:
        second = 1 + prefix[0]
        third = second + 1 + prefix[second]
        fourth = third + 1 + prefix[third]
        low = _SPELT[prefix[:second]] | _SPELT[prefix[second:third]] << 8
        return low | _SPELT[prefix[third:fourth]] << 16 | _SPELT[prefix[fourth:]] << 24
    except (IndexError, KeyError):
        return -1


def address6(prefix: bytes) -> int:
    """The IPv6 address that exactly these labels (lower case) spell; -1 for none, and for an IPv4-mapped one."""
    digits = prefix[1::2]
    if prefix[::2] != _NIBBLE_LENGTHS or len(digits) != 32 or digits.translate(None, _DIGITS):
        return -1
    address = int(digits[::-1], 16)
    return -1 if address >> 32 == _MAPPED else address


def is_none4(prefix: bytes) -> bool:
    """Whether these are labels (lower case) that stand in no name of an IPv4 address or of a part of one, nor of a mapped one."""
    return address6(prefix) >= 0 if len(prefix) == len(_NIBBLE_LENGTHS) * 2 else _has_other(prefix, _SPELT)


def is_none6(prefix: bytes) -> bool:
    """The same for IPv6."""
    return _has_other(prefix, _SPELT_NIBBLES)


def _has_other(prefix: bytes, spelt: Container[bytes]) -> bool:
    at, other = 0, False
    while at < len(prefix):
        end = at + 1 + prefix[at]
        if not 1 < end - at <= 1 + MAX_LABEL:
            return False
        other |= prefix[at:end] not in spelt
        at = end
    return other and at == len(prefix)


def _span(parts: list[bytes], digits: dict[bytes, int], width: int, bits: int) -> AddressRange | None:
    left = bits - width * len(parts)
    if left < 0:
        return None
    value = 0
    for part in reversed(parts):
        digit = digits.get(part)
        if digit is None:
            return None
        value = value << width | digit
    low = value << left
    return AddressRange(low, low | (1 << left) - 1)
