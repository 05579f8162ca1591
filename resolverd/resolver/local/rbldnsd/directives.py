"""The ``$`` lines of rbldnsd(8), "Special Entries"."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from resolverd.wire import rdata
from resolverd.wire.names import BadName, Name, from_text, lower

DEFAULT_TTL: Final = 2100
"""rbldnsd's own, 35 minutes."""

_MAX_SERVERS = 32
_UNITS = {b"s": 1, b"m": 60, b"h": 3600, b"d": 86400, b"w": 604800}
_TIME = re.compile(rb"(\d{1,10})([smhdw]?)", re.IGNORECASE)
_MOMENT = re.compile(rb"(\d{4})[:-](\d\d?)[:-](\d\d?)(?:[:-](\d\d?)(?:[:-](\d\d?)(?:[:-](\d\d?))?)?)?")


class Head(NamedTuple):
    """What a file says of itself. `ttl` in seconds; `expires` in wall seconds; `soa` and `ns` with their TTLs.

    `variables`: the texts of ``$0`` to ``$9``; `base`: that of ``$=``.
    """

    ttl: int = DEFAULT_TTL
    soa: tuple[int, rdata.Soa] | None = None
    ns: tuple[int, tuple[Name, ...]] | None = None
    expires: float | None = None
    variables: tuple[bytes | None, ...] = (None,) * 10
    base: bytes | None = None


class FromTheFuture(ValueError):
    """The data claims to have been made after now: clock or file is wrong, and rbldnsd does not load it either."""


class Directives:
    """Collects them. `modified`: when the file was last changed; `now`: both wall seconds."""

    def __init__(self, modified: int, now: float):
        self._modified = modified
        self._now = now
        self._ttl = 0
        self._soa: tuple[int, rdata.Soa] | None = None
        self._ns: tuple[int, tuple[Name, ...]] | None = None
        self._expires: float | None = None
        self._texts: dict[bytes, bytes] = {}
        self.max_range = 1 << 32
        """The most addresses that an IPv4 entry may have."""

    def take(self, line: bytes) -> None:
        """One line from its ``$`` on. Raises ValueError for one that says nothing, FromTheFuture."""
        keyword, *fields = line.split()
        keyword = keyword.upper()
        if len(keyword) == 2 and keyword[1:] in b"0123456789=":
            self._texts.setdefault(keyword[1:], _text(line))
        elif keyword == b"$SOA":
            self._take_soa(fields)
        elif keyword == b"$NS":
            self._take_ns(fields)
        elif keyword == b"$TTL":
            (field,) = fields
            self._ttl = _seconds(field)
        elif keyword == b"$MAXRANGE4":
            (field,) = fields
            self._take_max_range(field)
        elif keyword == b"$TIMESTAMP":
            self._take_timestamp(fields)
        else:
            raise ValueError("unknown directive")

    def head(self) -> Head:
        """What they say together: the last $TTL, the first of everything else."""
        ttl = self._ttl or DEFAULT_TTL
        return Head(
            ttl,
            self._soa and (self._soa[0] or ttl, self._soa[1]),
            self._ns and (self._ns[0] or ttl, self._ns[1]),
            self._expires,
            tuple(self._texts.get(b"%d" % number) for number in range(10)),
            self._texts.get(b"="),
        )

    def _take_soa(self, fields: list[bytes]) -> None:
        ttl, mname, rname, serial, *times = fields
        refresh, retry, expire, minimum = map(_seconds, times)
        number = int(serial)
        if not 0 <= number < 1 << 32:
            raise ValueError("serial")
        soa = rdata.Soa(_name(mname), _name(rname), number or self._modified & 0xFFFFFFFF, refresh, retry, expire, minimum)
        self._soa = self._soa or (_seconds(ttl), soa)

    def _take_ns(self, fields: list[bytes]) -> None:
        ttl, *names = fields
        # A minus sign takes a server out without removing it from the line.
        servers = tuple(_name(each) for each in names if not each.startswith(b"-"))
        if not names:
            raise ValueError("no server")
        if servers and self._ns is None:
            self._ns = _seconds(ttl), servers[:_MAX_SERVERS]

    def _take_max_range(self, field: bytes) -> None:
        size = 1 << 32 - int(field[1:]) if field.startswith(b"/") else int(field)
        if not 0 < size < 1 << 32:
            raise ValueError("range")
        # A later one may narrow it down, never widen it.
        if size > self.max_range:
            raise ValueError("wider than before")
        self.max_range = size

    def _take_timestamp(self, fields: list[bytes]) -> None:
        made = _moment(fields[0])
        expires = None
        if len(fields) > 1:
            (_, field) = fields
            if field.startswith(b"+"):
                if made is None:
                    raise ValueError("expiry relative to nothing")
                expires = made + timedelta(seconds=_seconds(field[1:]))
            else:
                expires = _moment(field)
        if made is not None and made.timestamp() > self._now:
            raise FromTheFuture(f"its timestamp is {made.timestamp() - self._now:.0f} s in the future")
        self._expires = None if expires is None else expires.timestamp()


def _text(line: bytes) -> bytes:
    words = line.split(None, 1)
    if len(words) < 2:
        raise ValueError("no text")
    return words[1]


def _seconds(field: bytes) -> int:
    match = _TIME.fullmatch(field)
    if match is None:
        raise ValueError("time")
    seconds = int(match[1]) * _UNITS[match[2].lower() or b"s"]
    if seconds >= 1 << 31:
        raise ValueError("time")
    return seconds


def _moment(field: bytes) -> datetime | None:
    if field in (b"0", b"-"):
        return None
    match = _MOMENT.fullmatch(field)
    if match is None:
        raise ValueError("moment")
    return datetime(*(int(part or 0) for part in match.groups()), tzinfo=UTC)  # type: ignore[arg-type, misc]


def _name(field: bytes) -> Name:
    try:
        return lower(from_text(field.decode("ascii")))
    except (BadName, UnicodeDecodeError):
        raise ValueError("name") from None
