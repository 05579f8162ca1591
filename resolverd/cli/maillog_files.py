"""Where mail logs come from: files, packed or not, standard input, the journal. On a terminal a bar shows how far it is."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final

from resolverd.cli.options import CommandError
from resolverd.ops.maillog import Reader, Record, cut
from resolverd.ops.maillog.stamps import seconds_of

USUAL: Final = (Path("/var/log/mail.log"), Path("/var/log/maillog"))
STDIN: Final = Path("-")
_TOLD_EVERY: Final = 20_000
"""Lines between two movements of the bar."""


def records(reader: Reader, files: Sequence[Path], *, journal: bool, since: datetime | None = None) -> Iterator[Record]:
    """What all of them say, in the order in which they are named.

    Raises CommandError for what cannot be opened or unpacked. `since`: the journal is read from there on.
    """
    with _bar(sum(_size(each) for each in files)) as moved:
        for file in files:
            yield from _file(reader, file, moved)
        if journal:
            yield from _journal(reader, since)


def usual() -> Path | None:
    """The system's own mail log; None where it is missing, so that the journal has it."""
    return next((each for each in USUAL if os.access(each, os.R_OK)), None)


def _size(file: Path) -> int:
    try:
        return 0 if file == STDIN else file.stat().st_size
    except OSError:
        return 0


def _file(reader: Reader, file: Path, moved: Callable[[int], None]) -> Iterator[Record]:
    try:
        if file == STDIN:
            yield from reader.read(cut(sys.stdin.buffer))
            return
        with file.open("rb") as raw:
            # A stamp without a year is not after the file's last change.
            reader.now = seconds_of(datetime.fromtimestamp(os.fstat(raw.fileno()).st_mtime))
            yield from reader.read(_watched(cut(_unpacked(raw, file)), raw, moved))
    except (OSError, EOFError, lzma.LZMAError, ValueError) as error:
        raise CommandError(f"{file}: {getattr(error, 'strerror', None) or error}") from None


def _unpacked(raw: IO[bytes], file: Path) -> Any:
    """By what it begins with, not by its name."""
    magic = raw.read(6)
    raw.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=raw)
    if magic.startswith(b"\xfd7zXZ\x00"):
        return lzma.LZMAFile(raw)
    if magic.startswith(b"BZh"):
        return bz2.BZ2File(raw)
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        return _zstandard(raw, file)
    return raw


def _zstandard(raw: IO[bytes], file: Path) -> Any:
    try:
        import zstandard  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise CommandError(f"{file}: to read .zst, install the Python package zstandard, or type: zstdcat {file} | … -") from None
    reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=False)

    class Unpacked(io.RawIOBase):
        """Its errors are those of files."""

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            try:
                return int(reader.readinto(buffer))
            except zstandard.ZstdError as error:
                raise OSError(str(error)) from None

    return io.BufferedReader(Unpacked())


def _watched(lines: Iterator[bytes], raw: IO[bytes], moved: Callable[[int], None]) -> Iterator[bytes]:
    before = 0
    for count, line in enumerate(lines):
        if count % _TOLD_EVERY == 0:
            at = raw.tell()
            moved(at - before)
            before = at
        yield line
    moved(raw.tell() - before)


def _journal(reader: Reader, since: datetime | None) -> Iterator[Record]:
    """Everything of syslog's facility mail, and our own lines."""
    # (the day before as well: a line's clock may be another's)
    begin = [f"--since={since - timedelta(days=1):%Y-%m-%d}"] if since else []
    ours = [word for ident in sorted(reader.idents) for word in ("+", f"SYSLOG_IDENTIFIER={ident}")]
    argv = ["journalctl", "--no-pager", "--quiet", "--output=short-iso", *begin, "SYSLOG_FACILITY=2", *ours]
    try:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    except OSError as error:
        raise CommandError(f"the journal cannot be read: {error}") from None
    assert process.stdout is not None
    try:
        yield from reader.read(cut(process.stdout))
        if process.wait() != 0:
            raise CommandError(f"journalctl ended with status {process.returncode}")
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    if not total or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda octets: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=total)
        yield lambda octets: progress.advance(task, octets)
