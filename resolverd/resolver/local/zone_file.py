"""One file of a local zone: what its name says, what is in it, and what is wrong with it."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from resolverd.resolver.local import master_file
from resolverd.resolver.local.master_file import BadZone
from resolverd.resolver.local.rbldnsd import FORMATS, BadDataset, Dataset
from resolverd.wire.names import BadName, Name, from_text, lower, to_text
from resolverd.wire.rrset import RRset

_MASTER: Final = "zone"
FORMAT_ORDER: Final = (_MASTER, *FORMATS)
"""Formats in the order in which the files of one zone count, where only the first can (SOA, NS)."""


class Stamp(NamedTuple):
    """What tells a file from what it was before: its identity, size, and when it was written (wall seconds)."""

    identity: int
    size: int
    written: float


class ZoneSource(Protocol):
    """The folder of zone files (`app.zone_folder`). All of it may block, and raises OSError, FileNotFoundError for no folder."""

    def scan(self) -> Mapping[str, Stamp]:
        """The files there are, by name."""
        ...

    def lines(self, name: str) -> Iterator[bytes]:
        """A file's lines, compressed or not."""
        ...


def format_of(name: str) -> str:
    """The format that a file's name says."""
    return name.rpartition(".")[2]


def origin_of(name: str) -> Name:
    """The zone that a file's name says, in lower case. Raises BadName."""
    return lower(from_text(name.rpartition(".")[0]))


def parsed(lines: Iterator[bytes], name: str, stamp: Stamp, now: float) -> list[RRset] | Dataset:
    """What is in a file. Raises OSError, UnicodeDecodeError, BadZone, BadDataset."""
    if format_of(name) == _MASTER:
        return master_file.zone(b"".join(lines).decode(), origin_of(name))
    return FORMATS[format_of(name)](lines, int(stamp.written), now)


def passed_over(name: str, content: Dataset) -> Iterator[str]:
    """A file's lines that do not count, in words: some one by one, and how many more there are."""
    for text in content.faults.shown:
        yield f"{name}, {text}; passed over"
    if (more := content.faults.number - len(content.faults.shown)) > 0:
        yield f"{name}: {more} more lines passed over"


def origins(files: ZoneSource) -> dict[str, Name]:
    """The zone of each file in a folder whose name says one. Raises OSError."""
    found = {}
    for name in sorted(files.scan()):
        if format_of(name) in FORMAT_ORDER:
            with suppress(BadName):
                found[name] = origin_of(name)
    return found


def faults(files: ZoneSource, now: float) -> Iterator[str]:
    """Each fault in the files of a folder as they are now, the file's name first. Reads all of it; raises OSError."""
    for name, stamp in sorted(files.scan().items()):
        if format_of(name) not in FORMAT_ORDER:
            continue
        try:
            origin = to_text(origin_of(name))
        except BadName as error:
            yield f"{name} is no zone, its name being no domain's: {error}"
            continue
        try:
            content = parsed(files.lines(name), name, stamp, now)
        except (OSError, UnicodeDecodeError, BadZone, BadDataset) as error:
            yield f"{name}: {error}; {origin} is answered with SERVFAIL"
            continue
        if isinstance(content, Dataset):
            yield from passed_over(name, content)
            if content.head.expires is not None and now >= content.head.expires:
                yield f"{name} has expired; {origin} is answered with SERVFAIL"
