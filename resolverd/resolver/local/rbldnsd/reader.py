"""What the formats share, line by line: comments, directives, default values, warnings of what cannot be read."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from resolverd.resolver.local.rbldnsd import values
from resolverd.resolver.local.rbldnsd.directives import Directives, FromTheFuture
from resolverd.resolver.local.rbldnsd.values import DEFAULT, EXCLUDED, Value, Values

_SHOWN = 5
"""Warnings whose text is kept; rbldnsd logs as many."""
_MAX_CACHED = 1 << 14
_BLANK = b" \t\r\n"
_COMMENT = b"#;"
_DIRECTIVES = (b"$", b"#$", b";$", b":$")


class BadDataset(ValueError):
    """A file that is not to be used; the message says why."""


class Faults(NamedTuple):
    """Lines that were passed over: how many, and the text of the first ones."""

    number: int
    shown: tuple[str, ...]


class LineReader:
    """One file. `modified` and `now` in wall seconds, for serial numbers and timestamps; `ip6`: ``::`` begins an address."""

    def __init__(self, modified: int, now: float, *, ip6: bool = False):
        self._ip6 = ip6
        self.directives = Directives(modified, now)
        self.values = Values()
        self.default = self.values.number(DEFAULT)
        """The number of the value of entries that have none of their own."""
        self._cached: dict[bytes, int] = {}
        self._line = 0
        self._count = self._bad_entries = 0
        self._shown: list[str] = []

    def entries(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The lines that are entries, without blanks around them. Raises BadDataset for data from the future."""
        for number, line in enumerate(lines, 1):
            line = line.strip(_BLANK)
            if not line:
                continue
            first = line[:1]
            self._line = number
            if first not in b"$#;:" or (self._ip6 and line.startswith(b"::")):
                yield line
            elif line.startswith(_DIRECTIVES):
                self._take_directive(line[line.index(b"$") :])
            elif first == b":":
                self._take_default(line)

    def value(self, text: bytes) -> int | None:
        """The number of the value behind an entry; None, and a warning, for one that cannot be read."""
        text = text.lstrip(_BLANK)
        if not text or text[0] in _COMMENT:
            return self.default
        number = self._cached.get(text)
        if number is None:
            try:
                number = self.values.number(values.parse(text, self.values[self.default]))
            except ValueError as error:
                self.fault(str(error))
                return None
            if len(self._cached) >= _MAX_CACHED:
                self._cached.clear()
            self._cached[text] = number
        return number

    def fault(self, text: str) -> None:
        """Warn that the entry being read was passed over."""
        self._bad_entries += 1
        self.warn(text)

    def warn(self, text: str, *, here: bool = True) -> None:
        """Warn of something that is no entry's fault; `here`: it is about the line being read."""
        self._count += 1
        if len(self._shown) < _SHOWN:
            self._shown.append(f"line {self._line}: {text}" if here else text)

    def faults(self, entries: int) -> Faults:
        """The warnings, at the end. Raises BadDataset where nothing at all could be read: that is no list."""
        self.values.close()
        self._cached.clear()
        if self._bad_entries and not entries:
            raise BadDataset(f"no entry in it can be read; {self._shown[0]}")
        return Faults(self._count, tuple(self._shown))

    def _take_directive(self, line: bytes) -> None:
        try:
            self.directives.take(line)
        except FromTheFuture as error:
            raise BadDataset(str(error)) from None
        except (ValueError, IndexError, OverflowError):
            self.warn(f"invalid or unknown directive {line.split()[0].decode('ascii', 'replace')}")

    def _take_default(self, line: bytes) -> None:
        try:
            # Without a text of its own, a default has none: it does not inherit the one before.
            value = values.parse(line, Value(DEFAULT.address, b""))
        except ValueError as error:
            self.warn(str(error))
            return
        self.default = self.values.number(value)
        self._cached.clear()


def excluded(line: bytes) -> tuple[bool, bytes]:
    """Whether an entry is an exclusion, and the rest of its line."""
    if line[:1] == b"!":
        return True, line[1:].lstrip(_BLANK)
    return False, line


__all__ = ["EXCLUDED", "BadDataset", "Faults", "LineReader", "excluded"]
