"""Secrets of the configuration: list keys and the HTTP token. They are named in it, never written into it.

``{file = "PATH"}``, ``{env = "NAME"}`` or ``{credential = "NAME"}`` (systemd's LoadCredential=, systemd.exec(5)).
"""

import os
from pathlib import Path

_SOURCES = ("file", "env", "credential")
_MAX_OCTETS = 4096


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
        raise BadValue("systemd passed no credentials (the unit needs LoadCredential=)")
    if "/" in name or name in (".", ".."):
        raise BadValue(f"{name!r} is no credential's name")
    return _from_path(str(Path(directory) / name))
