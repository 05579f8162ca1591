"""How records stand in the server: their names, and the frame around their values.

A frame is `MAGIC`, an octet with the schema of what is within, the millisecond from which the record counts no more as 16 decimal
digits (so that scripts read it as well), and the value. Whatever else is found at an address of ours counts as absent.
"""

from enum import Enum
from typing import Final, NamedTuple

from resolverd import bounds
from resolverd.state.base import StoredValue

MAGIC: Final = 0xF7
"""The first octet: no text of UTF-8 begins with it."""
SCHEMA: Final = 1
"""The newest schema of values that this release reads and writes."""
DIGITS: Final = 16
HEAD: Final = 2 + DIGITS
"""Octets in front of the value."""
LARGEST: Final = bounds.STORE_SHARED_OCTETS + HEAD
"""Octets of a frame."""
LATEST_MS: Final = (1 << 53) - 1
"""The latest moment: what a double of Lua's has exactly, a quarter of a million years away."""


class Foreign(Enum):
    """Why what stands at an address is no record of ours."""

    FORM = "foreign"
    """Nothing that resolverd has written, or damaged."""
    SCHEMA = "newer"
    """Written by a newer release."""
    SIZE = "oversized"
    """Larger than any record of ours."""
    TYPE = "type"
    """A list, a set, …: not of the server's type that it should be."""


def milliseconds(seconds: float) -> int:
    """A time of the caller's, within what a frame can say."""
    return round(min(max(seconds * 1000, 0.0), LATEST_MS))


def head(expires: float, schema: int) -> bytes:
    """What stands in front of a value."""
    return b"%c%c%016d" % (MAGIC, schema, milliseconds(expires))


def unframe(raw: bytes, newest: int = SCHEMA) -> StoredValue | Foreign:
    """The value and its time, of a schema up to `newest`; else why it is none."""
    if len(raw) < HEAD or raw[0] != MAGIC or not raw[2:HEAD].isdigit():
        return Foreign.FORM
    if len(raw) > LARGEST:
        return Foreign.SIZE
    if raw[1] > newest:
        return Foreign.SCHEMA
    if not raw[1]:
        return Foreign.FORM
    return StoredValue(raw[HEAD:], int(raw[2:HEAD]) / 1000)


class Place(NamedTuple):
    """Where a record stands: its key and, in a table that is one hash, its field and the channel that tells of its changes."""

    key: bytes
    field: bytes | None = None
    channel: bytes = b""


class Names:
    """The names of everything in the server, all below one prefix."""

    def __init__(self, prefix: str, small: frozenset[str]):
        """`small`: the tables that are one hash each."""
        self._prefix = prefix.encode() + b":"
        self._channels = self._prefix + b"changes:"
        self._small = small
        self._heads: dict[str, bytes] = {}
        self.since = self._prefix + b"since"
        """The key whose value stays the same while the server remembers."""
        self.sweeping = self._prefix + b"sweeping"
        """The key that says which host removes what has expired."""

    def place(self, table: str, key: bytes) -> Place:
        """Where a record stands. Raises ValueError for a table's name with NUL."""
        if table in self._small:
            name = self._name(table)
            return Place(self._prefix + name, key, self._channels + name)
        return Place(self._prefix + self._name(table) + b":" + key)

    def hash_of(self, table: str) -> bytes:
        """The key of a small table."""
        return self._prefix + self._name(table)

    def channel(self, table: str) -> bytes:
        """The channel that tells of a small table's changes."""
        return self._channels + self._name(table)

    def pattern(self, table: str | None) -> bytes:
        """What SCAN matches for the keys of a table that is no hash, or of everything."""
        text = self._prefix if table is None else self._prefix + self._name(table) + b":"
        return b"".join(b"\\%c" % octet if octet in b"*?[]\\^-" else b"%c" % octet for octet in text) + b"*"

    def table_of(self, key: bytes) -> str | None:
        """The table that a key of `pattern(None)` belongs to; None for what is none."""
        name, colon, _ = key.removeprefix(self._prefix).partition(b":")
        table = _unescaped(name)
        if table is None or (not colon and table not in self._small) or (colon and table in self._small):
            return None
        return table

    def key_of(self, table: str, key: bytes) -> bytes:
        """The record's key, of the server's."""
        return key[len(self._prefix) + len(self._name(table)) + 1 :]

    def _name(self, table: str) -> bytes:
        found = self._heads.get(table)
        if found is None:
            if "\0" in table:
                raise ValueError(f"table name with NUL: {table!r}")
            found = table.encode().replace(b"%", b"%25").replace(b":", b"%3A")
            if len(self._heads) < bounds.STORE_TABLES:
                self._heads[table] = found
        return found


def _unescaped(name: bytes) -> str | None:
    try:
        return name.replace(b"%3A", b":").replace(b"%25", b"%").decode()
    except UnicodeDecodeError:
        return None
