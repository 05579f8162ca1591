"""The ways in which rbldnsd lets addresses and ranges be written: prefixes, CIDR, and for IPv4 ranges of both."""

import re
from typing import Final

IP4_TOKEN: Final = re.compile(rb"[0-9./-]+(?=[\s:#;]|$)")
"""An IPv4 entry up to its value."""
IP6_TOKEN: Final = re.compile(rb"(?:(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|[0-9a-f:]+)(?:/\d+)?(?=[\s:#;]|$)", re.IGNORECASE)
"""An IPv6 entry up to its value."""

_OCTETS: Final = {b"%d" % number: number for number in range(256)}
_INVALID = "invalid address"


def range4(token: bytes) -> tuple[int, int]:
    """The first and last address of ``127.0.0.1``, ``127.0``, ``127/8``, ``127.16-31``, … Raises ValueError."""
    prefix, slash, bits = token.partition(b"/")
    if slash:
        value, _ = _prefix(prefix)
        return _checked(value, _bits(bits, 1))
    first, dash, last = token.partition(b"-")
    low, count = _prefix(first)
    if not dash:
        return low, low | (1 << 32 - 8 * count) - 1
    high, last_count = _prefix(last)
    if last_count == 1 and count > 1:
        # One octet stands for the last of the first boundary: 127.16.0-31 is 127.16.0.0 to 127.16.31.255.
        shift = 32 - 8 * count
        high, last_count = low & ~(0xFF << shift) | high >> 24 << shift, count
    high |= (1 << 32 - 8 * last_count) - 1
    if low > high:
        raise ValueError("invalid range")
    return low, high


def cidr4(token: bytes) -> tuple[int, int]:
    """The network and prefix length of ``127.0.0.1``, ``127.0`` or ``127/8``. Raises ValueError."""
    prefix, slash, bits = token.partition(b"/")
    value, count = _prefix(prefix)
    length = _bits(bits, 0) if slash else 8 * count
    _checked(value, length)
    return value, length


def cidr6(token: bytes) -> tuple[int, int]:
    """The network and prefix length of ``2001:db8:1:2``, ``2001:db8::/32`` or ``::1``. Raises ValueError."""
    prefix, slash, bits = token.partition(b"/")
    head, gap, tail = prefix.partition(b"::")
    words = [_word(word) for word in head.split(b":")] if head else []
    after = [_word(word) for word in tail.split(b":")] if tail else []
    count = len(words) + len(after)
    if gap:
        if count > 7:
            raise ValueError(_INVALID)
        words += [0] * (8 - count) + after
        count = 8
    elif not 2 <= count <= 8:
        raise ValueError(_INVALID)
    value = 0
    for word in words:
        value = value << 16 | word
    value <<= 16 * (8 - len(words))
    length = int(bits) if slash else 16 * count
    if length > 128:
        raise ValueError(_INVALID)
    if value & (1 << 128 - length) - 1:
        raise ValueError("invalid range (bits set outside the prefix)")
    return value, length


def _prefix(text: bytes) -> tuple[int, int]:
    """The value of one to four octets, as an address that zeros complete, and their number."""
    parts = text.split(b".")
    value = 0
    for part in parts:
        value = value << 8 | _octet(part)
    if len(parts) > 4:
        raise ValueError(_INVALID)
    return value << 8 * (4 - len(parts)), len(parts)


def _octet(text: bytes) -> int:
    number = _OCTETS.get(text)
    if number is None:
        # Zeros in front are no octal.
        number = int(text) if text.isdigit() else 256
        if number > 255:
            raise ValueError(_INVALID)
    return number


def _word(text: bytes) -> int:
    if not 0 < len(text) <= 4:
        raise ValueError(_INVALID)
    return int(text, 16)


def _bits(text: bytes, least: int) -> int:
    bits = int(text) if text.isdigit() else -1
    if not least <= bits <= 32:
        raise ValueError(_INVALID)
    return bits


def _checked(value: int, length: int) -> tuple[int, int]:
    hosts = (1 << 32 - length) - 1
    if value & hosts:
        # Most likely a slip, so that nobody can say what was meant.
        raise ValueError("invalid range (bits set outside the prefix)")
    return value, value | hosts
