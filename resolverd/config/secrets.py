"""Secrets: list keys and the HTTP token, which a configuration names and never holds; and the token in the state directory.

``{file = "PATH"}``, ``{env = "NAME"}`` or ``{credential = "NAME"}`` (systemd's LoadCredential=, systemd.exec(5)).
"""

import os
import secrets
import stat
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

TOKEN_FILE = "token"
_SOURCES = ("file", "env", "credential")
_MAX_OCTETS = 4096
_OTHERS = 0o027
"""Permissions that let others than a file's owner and group have it, or its group change it."""
_WRITABLE = 0o022
"""Permissions that let others than its owner put files into a directory."""


class BadValue(ValueError):
    """A value that a key cannot have, in words that complete "KEY: …"."""


class Secret:
    """A secret and where it came from; only `reveal` gives it away, its repr and str name the source.

    `fault` says what is wrong with the source, in words that do not repeat what is in it; what needs the secret goes without.
    """

    __slots__ = ("_value", "fault", "name", "source")

    def __init__(self, source: str, name: str, value: str, fault: str = ""):
        self.source = source
        self.name = name
        self._value = value
        self.fault = fault

    def reveal(self) -> str:
        """The secret itself; never to be logged or shown. Raises BadValue if its source does not have it."""
        if self.fault:
            raise BadValue(self.fault)
        return self._value

    def shown(self) -> dict[str, str]:
        """The table that names the source, as the configuration has it."""
        return {self.source: self.name}

    def __repr__(self) -> str:
        return f"Secret({self.source}={self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self.source, self.name) == (other.source, other.name)

    def __hash__(self) -> int:
        return hash((self.source, self.name))


def read_secret(value: object, base: Path = Path()) -> Secret:
    """The secret that a table names, a faulty one if there is none where it says.

    Raises BadValue for a table that names no source; it never repeats what stands in place of the table.
    """
    if not isinstance(value, dict):
        raise BadValue('a secret does not stand in this file; write {file = "PATH"}, {env = "NAME"} or {credential = "NAME"}')
    if len(value) != 1 or (source := next(iter(value))) not in _SOURCES or not isinstance(name := value[source], str) or not name:
        raise BadValue('name one source: {file = "PATH"}, {env = "NAME"} or {credential = "NAME"}')
    if source == "file":
        name = str(base / name)
    try:
        found = {"file": _from_path, "env": _from_env, "credential": _from_credential}[source](name)
    except BadValue as error:
        return Secret(source, name, "", str(error))
    if not found:
        return Secret(source, name, "", f"{source} {name!r} is empty")
    if not found.isascii() or not found.isprintable() or " " in found:
        return Secret(source, name, "", f"{source} {name!r} must hold one word of printable ASCII and nothing else")
    return Secret(source, name, found)


def _from_path(name: str) -> str:
    path = Path(name)
    try:
        with path.open("rb") as file:
            octets = file.read(_MAX_OCTETS + 1)
    except OSError as error:
        raise BadValue(f"cannot read {str(path)!r}: {error.strerror}") from None
    if len(octets) > _MAX_OCTETS:
        raise BadValue(f"{str(path)!r} has more than {_MAX_OCTETS} octets, so it holds no key")
    return octets.decode("utf-8", "replace").strip()


def _from_env(name: str) -> str:
    found = os.environ.get(name)
    if found is None:
        raise BadValue(f"the environment has no {name!r}")
    return found.strip()


def _from_credential(name: str) -> str:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory is None:
        raise BadValue("systemd passed this process no credentials; the daemon has them where its unit has LoadCredential=")
    if "/" in name or name in (".", ".."):
        raise BadValue(f"{name!r} is no credential's name")
    return _from_path(str(Path(directory) / name))


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


def loose(path: Path, owners: Collection[int] = ()) -> tuple[str, ...]:
    """What lets others at a file that holds a secret, or put files into a directory that holds one, in words.

    `owners`: users who may own it, besides root and this process's.
    """
    try:
        state = path.stat()
    except OSError:
        return ()
    mode, found = f"{stat.S_IMODE(state.st_mode):04o}", []
    if stat.S_ISDIR(state.st_mode):
        if state.st_mode & _WRITABLE:
            found.append(f"{path} has mode {mode}, so that others may put files there: chmod go-w {path}")
    elif state.st_mode & _OTHERS:
        found.append(f"{path} has mode {mode}, so that others may have the secret in it: chmod g-w,o= {path}")
    if state.st_uid not in (0, os.geteuid(), *owners):
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
