"""Adding to the allow files in the state directory, which the daemon reads besides those that the configuration names."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from resolverd.cli.options import CommandError
from resolverd.config.files import MAX_OCTETS
from resolverd.greylist.allow_files import client_lines, recipient_lines


class Added(NamedTuple):
    """What became of entries: taken, or not, as they were there already (`kept`)."""

    taken: int
    kept: int


def add(file: Path, lines: Mapping[str, str], source: str, *, of_recipients: bool) -> Added:
    """Put the lines whose entries are not there yet at the end of the file, below a remark that names their source.

    All of them or, raising CommandError or OSError, none. What stands there stays as it is.
    """
    directory = file.parent
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = directory.stat()
    if os.geteuid() not in (0, owner.st_uid):
        raise CommandError(f"{directory} belongs to user {owner.st_uid}: run this as that user or as root")
    with _alone(directory):
        text = file.read_text("utf-8", "surrogateescape") if file.exists() else ""
        known, _ = (recipient_lines if of_recipients else client_lines)(text)
        new = [line for whom, line in lines.items() if whom not in known]
        if new:
            before = [text.removesuffix("\n")] if text else []
            whole = "\n".join([*before, f"# from {source}", *new, ""]).encode("utf-8", "surrogateescape")
            if len(whole) > MAX_OCTETS:
                raise CommandError(f"{file} would have more than {MAX_OCTETS} octets, beyond which nothing is read")
            _replace(file, whole, owner)
    return Added(len(new), len(lines) - len(new))


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Nobody else adds meanwhile."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(file: Path, octets: bytes, owner: os.stat_result) -> None:
    """Write the file anew, whole or not at all; the daemon's user, whose the directory is, can read it whoever runs this."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as out:
            if os.geteuid() != owner.st_uid:
                os.fchown(out.fileno(), owner.st_uid, owner.st_gid)
            out.write(octets)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
