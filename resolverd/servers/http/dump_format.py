"""Stored records as JSON, a line each: for backup, and for moving from one machine to another.

``{"table": "greylist", "key": "192.0.2.0/bob@example.com/anna@example.org", "value": "AQBlU/EAZVPxAA==", "expires": 1700086400}``

The value is base64. So is a key that is no text, as ``key_base64``. The first line of a dump says what it is:
``{"resolverd": VERSION, "store": 1}``.
"""

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import Any, Final

from resolverd.state.dump import Stored

FORMAT: Final = 1
"""The number behind ``store`` in the first line."""
MAX_OCTETS: Final = 8192
"""Of a key or a value."""


class BadLine(Exception):
    """No record: what is wrong with it."""


def headline(version: str) -> dict[str, Any]:
    """The first line."""
    return {"resolverd": version, "store": FORMAT}


def record_json(record: Stored) -> dict[str, Any]:
    """A record."""
    try:
        key = {"key": record.key.decode()}
    except UnicodeDecodeError:
        key = {"key_base64": base64.b64encode(record.key).decode()}
    return {"table": record.table, **key, "value": base64.b64encode(record.value).decode(), "expires": record.expires}


def record_from(document: object) -> Stored:
    """The record that an object describes. Raises BadLine, saying what is wrong with it."""
    if not isinstance(document, Mapping):
        raise BadLine("not an object")
    if unknown := document.keys() - {"table", "key", "key_base64", "value", "expires"}:
        raise BadLine(f"{min(map(str, unknown))[:40]!r} is not known")
    table, expires = document.get("table"), document.get("expires")
    if not isinstance(table, str) or not 0 < len(table) <= 64 or not table.isprintable():
        raise BadLine("table: expected a name")
    if isinstance(expires, bool) or not isinstance(expires, int | float) or not math.isfinite(expires):
        raise BadLine("expires: expected seconds since 1970")
    if ("key" in document) == ("key_base64" in document):
        raise BadLine("expected key or key_base64")
    key = _octets("key_base64", document["key_base64"]) if "key_base64" in document else _text(document["key"])
    value = _octets("value", document.get("value"))
    if len(key) > MAX_OCTETS or len(value) > MAX_OCTETS:
        raise BadLine(f"more than {MAX_OCTETS} octets")
    return Stored(table, key, value, float(expires))


def line_from(line: bytes | str) -> Stored | None:
    """The record of a line; None for the first line of a dump. Raises BadLine."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise BadLine("not JSON") from None
    if isinstance(document, dict) and "resolverd" in document:
        if document.get("store") != FORMAT:
            raise BadLine(f"a dump of format {document.get('store')!r}; this resolverd reads {FORMAT}")
        return None
    return record_from(document)


def _text(value: object) -> bytes:
    if not isinstance(value, str):
        raise BadLine("key: expected text")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise BadLine("key: not text that can be kept") from None


def _octets(name: str, value: object) -> bytes:
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise BadLine(f"{name}: expected base64")
