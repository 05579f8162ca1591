"""The folder of local zones (`resolver.local.zone_file.ZoneSource`)."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from resolverd.resolver.local.zone_file import Stamp

_GZIP = b"\x1f\x8b"
_AT_ONCE = 1 << 20
"""Octets read at once. Every read lets go of the interpreter lock and takes it back before the event loop has woken up; a
thread that does so more often than the interpreter's switch interval keeps the loop waiting for a tenth of a second and more."""


class ZoneFolder:
    """Files directly in a folder; hidden ones are somebody's work in progress."""

    def __init__(self, path: Path):
        self.path = path

    def scan(self) -> Mapping[str, Stamp]:
        """The files there are. Raises OSError, FileNotFoundError where there is no folder."""
        found = {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name.startswith(".") and entry.name != "..zone":
                    continue
                try:
                    if entry.is_file():
                        state = entry.stat()
                        found[entry.name] = Stamp(state.st_ino, state.st_size, state.st_mtime)
                except FileNotFoundError:
                    # A link to nowhere, or removed since the folder was opened.
                    continue
                except OSError:
                    # A link in a circle, or into a folder that is closed to us: reading it says why, and disables it alone.
                    found[entry.name] = Stamp(0, 0, 0.0)
        return found

    def lines(self, name: str) -> Iterator[bytes]:
        """A file's lines; gzip is recognised by its first octets, as rbldnsd does. Raises OSError."""
        with open(self.path / name, "rb", buffering=_AT_ONCE) as file:
            packed = file.read(2) == _GZIP
            file.seek(0)
            if not packed:
                yield from file
                return
            try:
                with gzip.open(file) as source, io.BufferedReader(source, _AT_ONCE) as unpacked:
                    yield from unpacked
            except (EOFError, zlib.error) as error:
                raise OSError(f"damaged gzip data: {error}") from None
