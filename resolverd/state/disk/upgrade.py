"""Files that an earlier resolverd has written: a copy is kept beside them, then they are brought up to date.

One step leads from each version to the next, in one transaction: a step that fails, or a machine that dies in the midst of
it, leaves the file as it was.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

Step: TypeAlias = Callable[[sqlite3.Connection], None]
"""Brings the file from its version to the next; within a transaction that is not its own."""

STEPS: Final[Mapping[int, Step]] = {}
"""By the version that they start from. There has been one version so far."""

log = logging.getLogger(__name__)


def can_upgrade(version: int, wanted: int, steps: Mapping[int, Step] = STEPS) -> bool:
    """Whether there is a step from each version to the next up to the one wanted."""
    return version < wanted and all(each in steps for each in range(version, wanted))


def upgrade(connection: sqlite3.Connection, file: Path, version: int, wanted: int, steps: Mapping[int, Step] = STEPS) -> None:
    """Bring the file from its version to the one wanted. Raises sqlite3.Error, OSError; it is as it was then.

    `connection` is to that file, without transactions of its own (``isolation_level=None``).
    """
    copy = _save(connection, file, version)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for each in range(version, wanted):
            steps[each](connection)
        connection.execute(f"PRAGMA user_version = {wanted:d}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    log.warning("the store was brought from version %d to %d; as it was before it is kept in %s", version, wanted, copy)


def _save(connection: sqlite3.Connection, file: Path, version: int) -> Path:
    """A copy of the whole file, WAL included, readable for the owner only; under its name once it is whole."""
    unfinished = file.with_name(f"{file.name}.saving")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    copy = sqlite3.connect(unfinished)
    try:
        connection.backup(copy)
    finally:
        copy.close()
    kept = file.with_name(f"{file.name}.version-{version}")
    count = 1
    while os.path.lexists(kept):
        count += 1
        kept = file.with_name(f"{file.name}.version-{version}-{count}")
    unfinished.rename(kept)
    return kept
