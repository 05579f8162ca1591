"""Files: finding and loading the configuration, and reading the text files that it names, within bounds, whatever they are."""

import os
import stat
import tomllib
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from resolverd.config import reader, validate
from resolverd.config.lists import enabled_lists
from resolverd.config.settings import Settings
from resolverd.failures import ConfigError, ConfigFault

SEARCHED = (Path("config.toml"), Path("/etc/resolverd/config.toml"))
_MAX_OCTETS = 4 * 2**20
MAX_OCTETS: Final = 16 * 2**20
"""Of a file that a configuration names; what is beyond is not read."""


def find(path: Path | None) -> Path | None:
    """The file that is read: the one named, else the first of `SEARCHED` that exists; None for the built-in defaults."""
    return path or next((candidate for candidate in SEARCHED if candidate.is_file()), None)


def load(path: Path | None = None) -> Settings:
    """The configuration in force for ``-c path``. Raises ConfigError with every fault."""
    found = find(path)
    base = found.parent.absolute() if found else Path.cwd()
    try:
        return parse(_text(found) if found else "", base)
    except ConfigError as error:
        faults = [fault if fault.path else ConfigFault("", f"{found} {fault.text}") for fault in error.faults]
        raise ConfigError(faults) from None


def parse(text: str, base: Path) -> Settings:
    """The settings that a TOML text describes, its relative paths relative to `base`. Raises ConfigError with every fault."""
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([ConfigFault("", f"is not TOML: {error}")]) from None
    settings, faults = reader.read(document, base)
    paths = {fault.path for fault in faults}
    faults += [fault for fault in validate.validate(settings) if not any(path.startswith(fault.path) for path in paths)]
    faulty = {path.split(".")[1] for path in paths if path.startswith("lists.")}
    sound = {name: table for name, table in settings.lists.items() if name not in faulty}
    try:
        enabled_lists(replace(settings, lists=sound))
    except ConfigError as error:
        faults += error.faults
    if faults:
        raise ConfigError(faults)
    return settings


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            octets = file.read(_MAX_OCTETS + 1)
    except OSError as error:
        raise ConfigError([ConfigFault("", f"cannot be read: {error.strerror}")]) from None
    if len(octets) > _MAX_OCTETS:
        raise ConfigError([ConfigFault("", "is larger than 4 MiB; that is no configuration")])
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError([ConfigFault("", f"is not UTF-8 at octet {error.start}")]) from None


def read_text(path: Path) -> tuple[str, str]:
    """The file's text, octets that are not UTF-8 replaced, and a remark where it is too large for all of it to count.

    Raises OSError. What has no end is no file here: opening a pipe would wait for somebody to write into it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) and path != Path(os.devnull):
            raise OSError(0, "is a directory" if stat.S_ISDIR(mode) else "is no regular file")
        octets = file.read(MAX_OCTETS + 1)
    if len(octets) <= MAX_OCTETS:
        return octets.decode("utf-8", "replace"), ""
    whole = octets[: octets.rfind(b"\n", 0, MAX_OCTETS) + 1]
    return whole.decode("utf-8", "replace"), f"only its first {MAX_OCTETS} octets count"
