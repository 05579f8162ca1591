"""A values and TXT templates of entries, in one blob (rbldnsd(8), "Resulting A values and TXT templates")."""

import re
from array import array
from typing import Final, NamedTuple

from resolverd.resolver.local.rbldnsd.directives import Head

EXCLUDED: Final = 0
"""The number of what an exclusion has for a value."""

_MAX_TEXT = 255
"""Octets of a TXT record: one string."""
_MAX_INTERNED = 1 << 16
"""Distinct values looked for when one more is added; lists that have more get some twice."""
_REFERENCE = re.compile(rb"\$([$0-9=]?)")


class Value(NamedTuple):
    """The A record's octets, and the template of the TXT record, empty for none."""

    address: bytes
    template: bytes


DEFAULT: Final = Value(b"\x7f\x00\x00\x02", b"")
"""What rbldnsd answers where a file says nothing."""


class Values:
    """Values by number."""

    def __init__(self) -> None:
        self.blob = bytearray()
        self.starts = array("I", (0, 0))
        self._numbers: dict[Value, int] = {}

    def __getitem__(self, number: int) -> Value:
        begin, end = self.starts[number], self.starts[number + 1]
        return Value(bytes(self.blob[begin : begin + 4]), bytes(self.blob[begin + 4 : end]))

    def number(self, value: Value) -> int:
        """The number of a value, new or old."""
        number = self._numbers.get(value)
        if number is None:
            if len(self._numbers) >= _MAX_INTERNED:
                self._numbers.clear()
            number = self._numbers[value] = len(self.starts) - 1
            self.blob += value.address
            self.blob += value.template[:_MAX_TEXT]
            self.starts.append(len(self.blob))
        return number

    def close(self) -> None:
        """No more will come."""
        self._numbers = {}


def parse(text: bytes, default: Value) -> Value:
    """An entry's value as written: ``:A:TEXT``, ``:A`` or ``TEXT``. Raises ValueError for an address that is none."""
    if not text.startswith(b":"):
        return Value(default.address, text)
    address, colon, template = text[1:].partition(b":")
    return Value(_address(address), template.lstrip() if colon else default.template)


def _address(text: bytes) -> bytes:
    """A single octet stands for 127.0.0.N; where octets are left out, they are missing in front of the last."""
    parts = text.split(b".")
    octets = [int(part) for part in parts if part.isdigit()]
    if len(octets) < len(parts) or len(octets) > 4 or max(octets) > 255 or not any(octets):
        raise ValueError("invalid A value")
    if len(octets) == 1:
        octets = [127, 0, 0, *octets]
    return bytes([*octets[:-1], *[0] * (4 - len(octets)), octets[-1]])


def expand(template: bytes, subject: bytes, head: Head) -> bytes:
    """The text of a TXT record, empty for none; `subject`: the address asked for, or the name of the entry."""
    base = head.base
    if template.startswith(b"="):
        # For this entry the base template is not wanted.
        template = base = template[1:]
    elif base is None:
        base = template

    def referred(match: re.Match[bytes]) -> bytes:
        what = match[1]
        if what == b"$":
            return b"$"
        if what == b"=":
            return template or subject
        if not what:
            return subject
        text = head.variables[int(what)]
        return match[0] if text is None else text

    return _REFERENCE.sub(referred, base)[:_MAX_TEXT]
