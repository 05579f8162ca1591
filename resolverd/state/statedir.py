"""The state directory: one daemon at a time, and what is damaged is set aside, never deleted."""

import contextlib
import errno
import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path


class StateInUse(Exception):
    """Another daemon works on this state directory; the message names both."""


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
