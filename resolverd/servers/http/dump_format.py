"""Stored records as JSON, a line each: for backup, and for moving from one machine to another.

``{"table": "greylist", "key": "192.0.2.0/bob@example.com/anna@example.org", "value": "AQBlU/EAZVPxAA==", "expires": 1700086400}``

The value is base64. So is a key that is no text, as ``key_base64``. The first line of a dump says what it is:
``{"resolverd": VERSION, "store": 1}``.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from resolverd.state.dump import Stored

FORMAT: Final = 1
"""The number behind ``store`` in the first line."""
MAX_KEY: Final = 8192
"""Octets of a key."""
MAX_VALUE: Final = 32 * 1024
"""Octets of a value: half a second's verdicts have 17 KiB in the order of time, and a record goes into one HTTP body."""


class BadLine(Exception):
    """No record: what is wrong with it."""


class StoreRecord(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A record of the store: `key` as text, or `key_base64`; `expires` in wall seconds."""

    table: Annotated[str, Meta(min_length=1, max_length=64)]
    key: str | UnsetType = UNSET
    key_base64: Annotated[bytes, Meta(max_length=MAX_KEY)] | UnsetType = UNSET
    value: Annotated[bytes, Meta(max_length=MAX_VALUE)]
    expires: float

    @classmethod
    def of(cls, record: Stored) -> "StoreRecord":
        """As it is written down."""
        try:
            return cls(table=record.table, key=record.key.decode(), value=record.value, expires=record.expires)
        except UnicodeDecodeError:
            return cls(table=record.table, key_base64=record.key, value=record.value, expires=record.expires)

    @property
    def stored(self) -> Stored:
        """The record. Raises BadLine."""
        if not self.table.isprintable():
            raise BadLine("table: expected a name")
        if isinstance(self.key_base64, bytes) == isinstance(self.key, str):
            raise BadLine("expected key or key_base64")
        key = self.key.encode() if isinstance(self.key, str) else bytes(self.key_base64 or b"")
        if len(key) > MAX_KEY:
            raise BadLine(f"a key of more than {MAX_KEY} octets")
        return Stored(self.table, key, self.value, self.expires)


def headline(version: str) -> dict[str, Any]:
    """The first line."""
    return {"resolverd": version, "store": FORMAT}


def record_json(record: Stored) -> dict[str, Any]:
    """A record."""
    document: dict[str, Any] = msgspec.to_builtins(StoreRecord.of(record))
    return document


def record_from(document: object) -> Stored:
    """The record that an object describes. Raises BadLine, saying what is wrong with it."""
    try:
        return msgspec.convert(document, StoreRecord).stored
    except msgspec.ValidationError as error:
        raise BadLine(str(error)) from None


def line_from(line: bytes | str) -> Stored | None:
    """The record of a line; None for the first line of a dump. Raises BadLine."""
    try:
        document = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadLine("not JSON") from None
    if isinstance(document, dict) and "resolverd" in document:
        if document.get("store") != FORMAT:
            raise BadLine(f"a dump of format {document.get('store')!r}; this resolverd reads {FORMAT}")
        return None
    return record_from(document)
