"""The HTTP token that is kept in the state directory, and what is wrong with files that hold secrets."""

import os
import secrets
import stat
from pathlib import Path
from typing import NamedTuple

from resolverd.config.secrets import read_secret

TOKEN_FILE = "token"
_OTHERS = 0o027
"""Permissions that let others than a file's owner and group have it, or its group change it."""
_WRITABLE = 0o022
"""Permissions that let others than its owner put files into a directory."""


class StateToken(NamedTuple):
    """The token, None where there is none that can be used, and what is wrong with it, in words."""

    value: str | None
    faults: tuple[str, ...] = ()


def state_token(directory: Path) -> StateToken:
    """The token in the state directory, written there (0600) where it is missing.

    A file that is empty or damaged stays as it is, as somebody may have meant something by it. Never raises.
    """
    path = directory / TOKEN_FILE
    try:
        if not os.path.lexists(path):
            _write(path)
    except OSError as error:
        why = error.strerror or error
        return StateToken(None, (f"no token can be kept in {directory} ({why}): what needs one cannot be had over HTTP",))
    if not path.is_file():  # a pipe would have us wait for who writes into it
        return _unusable(f"{str(path)!r} is no file")
    found = read_secret({"file": str(path)})
    return _unusable(found.fault) if found.fault else StateToken(found.reveal(), loose(path))


def loose(path: Path) -> tuple[str, ...]:
    """What lets others at a file that holds a secret, or put files into a directory that holds one, in words."""
    try:
        state = path.stat()
    except OSError:
        return ()
    mode, found = f"{stat.S_IMODE(state.st_mode):04o}", []
    if stat.S_ISDIR(state.st_mode):
        if state.st_mode & _WRITABLE:
            found.append(f"{path} has mode {mode}, so that others may put files there: chmod go-w {path}")
    elif state.st_mode & _OTHERS:
        found.append(f"{path} has mode {mode}, so that others may have the secret in it: chmod 600 {path}")
    if state.st_uid not in (0, os.geteuid()):
        found.append(f"{path} belongs to user {state.st_uid}, who may read and change what is there")
    return tuple(found)


def _unusable(fault: str) -> StateToken:
    return StateToken(None, (f"the token: {fault}; until that is removed, what needs it cannot be had over HTTP",))


def _write(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
