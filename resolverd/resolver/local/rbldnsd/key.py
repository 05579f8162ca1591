"""A name below a list's origin: as it stands, and as the address or the part of an address that it spells."""

from typing import Final, NamedTuple

from resolverd.wire.names import Name, labels

_OCTETS: Final = {text: number for number in range(256) for text in (b"%d" % number, b"%02d" % number, b"%03d" % number)}
"""Octets as rbldnsd reads them in questions: up to three digits, zeros in front included."""
_NIBBLES: Final = {b"%x" % number: number for number in range(16)}
_MAPPED: Final = 0xFFFF
"""What stands above the last 32 bits of an IPv4-mapped address (RFC 4291 §2.5.5.2)."""


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
