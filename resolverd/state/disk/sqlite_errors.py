"""What an error of a SQLite file means: is the file at fault, or the machine?"""

import errno
import sqlite3

import diskcache

_ENVIRONMENT = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
)  # fmt: skip
_ENVIRONMENT_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


class ForeignFile(Exception):
    """A database that is not ours, or of a version that we don't know."""


def is_environment(error: BaseException) -> bool:
    """Whether the machine is at fault and not the file: disk full, failing, read-only, memory short, file locked by somebody."""
    if isinstance(error, sqlite3.Error):
        return sqlite_code(error) in _ENVIRONMENT
    return isinstance(error, OSError) and error.errno in _ENVIRONMENT_ERRNOS


def is_damage(error: BaseException) -> bool:
    """Whether SQLite found the file itself broken."""
    if isinstance(error, UnicodeDecodeError):
        return True  # its message quotes a damaged schema, which is no text
    return isinstance(error, sqlite3.Error) and sqlite_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def reason(error: BaseException) -> str:
    """What went wrong, for people; diskcache's Timeout says nothing of itself."""
    if isinstance(error, diskcache.Timeout):
        return "no write transaction: the disk is full or failing, or somebody holds a lock on the file"
    return f"{error}" or type(error).__name__


def sqlite_code(error: sqlite3.Error) -> int:
    """The primary code, which is the low octet; 0 for errors of the module itself, which have none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
