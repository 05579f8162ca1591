"""What a host tells the others of itself, and its octets: a JSON object, so that releases to come can add to it."""

import json
import re
from typing import Final, NamedTuple

from resolverd import bounds
from resolverd.fleet.schema import Schemas

_ID: Final = re.compile(r"[0-9a-f]{16}")
_LATEST: Final = 2.0**40
"""No time is later than this."""
_LAST_SCHEMA: Final = 255


class Host(NamedTuple):
    """A host of the fleet. `name`: what its system is called. `run`: drawn at each start, so that copies of a state directory
    are found out. `since`, `seen`: the wall seconds when it started and when it last said so. `writes`: the schema it
    writes. `period`: seconds between two of its records."""

    id: str
    name: str
    version: str
    run: str
    since: float
    seen: float
    schemas: Schemas
    writes: int
    period: float


def is_id(text: str) -> bool:
    """Whether this can be a host's id: 16 hexadecimal digits."""
    return _ID.fullmatch(text) is not None


def encode(host: Host) -> bytes:
    """The record under the host's id; names and versions are cut to `bounds.HOST_NAME` characters."""
    fields = {
        "name": printable(host.name),
        "version": printable(host.version),
        "run": host.run,
        "since": host.since,
        "seen": host.seen,
        "reads": list(host.schemas),
        "writes": host.writes,
        "period": host.period,
    }
    return json.dumps(fields, separators=(",", ":")).encode()


def decode(key: bytes, octets: bytes) -> Host | None:
    """The host of a record; None for octets that are none. Whoever reaches the store can have written them."""
    if len(octets) > bounds.HOST_RECORD:
        return None
    try:
        id = key.decode("ascii")
        fields = json.loads(octets)
        name, version, run = (_text(fields[each]) for each in ("name", "version", "run"))
        since, seen = (_time(fields[each]) for each in ("since", "seen"))
        oldest, newest = (_schema(each) for each in fields["reads"])
        writes = _schema(fields["writes"])
        period = _time(fields["period"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not is_id(id) or oldest > newest or not 1 <= period <= bounds.HOST_PERIOD:
        return None
    return Host(id, name, version, run, since, seen, Schemas(oldest, newest), writes, period)


def printable(text: str) -> str:
    """A name as it can stand in a log and on a terminal, and is no longer than `bounds.HOST_NAME`."""
    return "".join(each if each.isprintable() else "?" for each in text[: bounds.HOST_NAME])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return printable(value)


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise ValueError
    return float(value)


def _schema(value: object) -> int:
    if type(value) is not int or not 1 <= value <= _LAST_SCHEMA:
        raise ValueError
    return value
