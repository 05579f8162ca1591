"""The state directory: one daemon at a time, and what is damaged is set aside, never deleted."""

import contextlib
import errno
import fcntl
import os
import pwd
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path


class StateInUse(Exception):
    """Another daemon works on this state directory; the message names both."""


def unusable(directory: Path, store: str) -> str:
    """What keeps this user from working in a state directory, made where it is missing, with what to type; empty if nothing does.

    `store`: the name of the directory in it that has the store.

    That a disk is full or has failed is not asked here: what stands on it can still be read (`disk.opening`).
    """
    user = _user()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        return f"{directory} is no directory; remove it, or name another directory"
    except OSError as error:
        return (
            f"{directory} cannot be made by user {user} ({error.strerror}); name a directory that can, or as root: "
            f"install -d -m 700 -o {user} {directory}"
        )
    try:
        if os.statvfs(directory).f_flag & os.ST_RDONLY:
            kept = (directory / "lock").exists()
            return "" if kept else f"{directory} is on a file system that is mounted read-only; name a directory elsewhere"
        for each in chain((directory, directory / "lock", directory / store), _files(directory / store)):
            if each.exists() and not os.access(each, _access(each)):
                return f"{each} cannot be read and written by user {user}; {_give(directory, user)}"
    except OSError as error:
        return f"{error.filename or directory} cannot be looked into by user {user} ({error.strerror}); {_give(directory, user)}"
    return ""


def _files(directory: Path) -> Iterator[Path]:
    """Those that stand there; none of a directory that is missing, or is to be found wanting itself."""
    if directory.is_dir() and os.access(directory, _access(directory)):
        yield from (Path(each.path) for each in os.scandir(directory) if each.is_file())


def _access(path: Path) -> int:
    return os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)


def _give(directory: Path, user: str) -> str:
    return f"as root: chown -R {user} {directory} && chmod 700 {directory}"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


class StateLock:
    """The right to work on a state directory: a flock on ``DIR/lock``, which ends with the process, however that ends.

    Raises StateInUse, and OSError where the directory cannot be made or written.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = directory / "lock"
        try:
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            # It can be had all the same, and must be: another daemon may be at work here since before the disk failed.
            self._descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(OSError):  # who holds it is for people to read; a full disk has no room for that
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise StateInUse(
                f"{directory} is in use by another resolverd (process {holder or 'unknown'}): "
                "stop that one, or give this one a directory of its own with [store] url"
            ) from None
        except OSError:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Let others work on it. The file stays: removing it would let two daemons hold two locks of one name."""
        os.close(self._descriptor)


ASIDE = ".corrupt-"
"""What stands between the name of something that was set aside and the second in which it was."""


def set_aside(path: Path) -> Path:
    """Rename a file or directory to ``NAME.corrupt-TIMESTAMP`` (UTC) beside it; the new path. Raises OSError."""
    name = f"{path.name}{ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    aside = path.with_name(name)
    count = 1
    while os.path.lexists(aside):
        count += 1
        aside = path.with_name(f"{name}-{count}")
    path.rename(aside)
    return aside
