"""Files: finding and loading the configuration, and reading the text files that it names, within bounds, whatever they are."""

import grp
import os
import pwd
import stat
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from resolverd.config import reader, validate
from resolverd.config.lists import catalogue, enabled_lists
from resolverd.config.settings import Settings
from resolverd.failures import ConfigError, ConfigFault
from resolverd.state.redis.target import is_shared

SEARCHED = (Path("config.toml"), Path("/etc/resolverd/config.toml"))
PRODUCTION: Final = SEARCHED[-1]
"""Where the configuration of a machine's own daemon stands."""
_PRODUCTION_STATE: Final = Path("/var/lib/resolverd")
_MAX_OCTETS = 4 * 2**20
MAX_OCTETS: Final = 16 * 2**20
"""Of a file that a configuration names; what is beyond is not read."""


def find(path: Path | None) -> Path | None:
    """The file that is read: the one named, else the first of `SEARCHED` that exists; None for the built-in defaults."""
    return path or next((candidate for candidate in SEARCHED if candidate.is_file()), None)


def load(path: Path | None = None) -> Settings:
    """The configuration in force for ``-c path``. Raises ConfigError with every fault."""
    found = find(path)
    try:
        return parse(_text(found) if found else "", base(found), default_state(found, os.environ))
    except ConfigError as error:
        faults = [fault if fault.path else ConfigFault("", f"{found} {fault.text}") for fault in error.faults]
        raise ConfigError(faults) from None


def base(found: Path | None) -> Path:
    """The directory that relative paths are relative to: the file's, without a file the current one."""
    return found.parent.absolute() if found else Path.cwd()


def default_state(found: Path | None, environment: Mapping[str, str]) -> Path:
    """The state directory of a configuration that names none; a relative one is relative to the file.

    systemd's first (``StateDirectory=``, systemd.exec(5)), so that unit and file need not agree; else /var/lib/resolverd for
    the machine's own configuration, below which nothing can be written; else ``var``.
    """
    given = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    return _PRODUCTION_STATE if found is not None and found.absolute() == PRODUCTION else Path("var")


def parse(text: str, base: Path, state: Path = Path("var")) -> Settings:
    """The settings that a TOML text describes, its relative paths relative to `base`, its state in `state` unless it says where.

    Raises ConfigError with every fault.
    """
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, and a number too long or a nesting too deep for Python
        raise ConfigError([ConfigFault("", f"is not TOML: {error}")]) from None
    if _has_huge_integer(document):
        raise ConfigError([ConfigFault("", "is not TOML: an integer of more than 64 bits is in it")])
    if isinstance(store := document.setdefault("store", {}), dict):
        url = store.setdefault("url", f"disk:{state}")
        if isinstance(url, str) and is_shared(url):
            store.setdefault("directory", str(state))
    settings, faults = reader.read(document, base)
    paths = {fault.path for fault in faults}
    faults += [fault for fault in validate.validate(settings) if not any(path.startswith(fault.path) for path in paths)]
    faults += _of_lists(settings, paths)
    if faults:
        raise ConfigError(faults)
    return settings


def _has_huge_integer(value: object) -> bool:
    """Whether there is one that TOML has not: Python makes no text of the largest, and no float."""
    if isinstance(value, dict):
        return any(map(_has_huge_integer, value.values()))
    if isinstance(value, list):
        return any(map(_has_huge_integer, value))
    return isinstance(value, int) and not -(1 << 63) <= value < 1 << 63


def _of_lists(settings: Settings, faulty: Collection[str]) -> list[ConfigFault]:
    """What the lists' tables have wrong besides the keys that are `faulty` by themselves, and so are not there any more."""
    try:
        enabled_lists(settings)
    except ConfigError as error:
        return [fault for fault in error.faults if fault.path not in faulty and not _misses_zone(settings, fault.path, faulty)]
    return []


def _misses_zone(settings: Settings, path: str, faulty: Collection[str]) -> bool:
    """Whether it is the table of an own list that has no zone, but a faulty key, which may be the zone."""
    name = path.removeprefix("lists.")
    if name not in settings.lists or name in catalogue().entries or name in catalogue().dead:
        return False
    return "zone" not in settings.lists[name].plain() and any(each.startswith(f"{path}.") for each in faulty)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            octets = file.read(_MAX_OCTETS + 1)
    except OSError as error:
        raise ConfigError([ConfigFault("", f"cannot be read: {error.strerror}{_open_to(path, error)}")]) from None
    if len(octets) > _MAX_OCTETS:
        raise ConfigError([ConfigFault("", "is larger than 4 MiB; that is no configuration")])
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError([ConfigFault("", f"is not UTF-8 at octet {error.start}")]) from None


def _open_to(path: Path, error: OSError) -> str:
    """Who may read it, where we may not."""
    return f" ({audience(path)})" if isinstance(error, PermissionError) else ""


def audience(path: Path) -> str:
    """Whom a file, socket or directory is open to besides root, in words; where it is hidden, of the directory that hides it."""
    for each in (path, *path.absolute().parents):
        try:
            state = each.stat()
        except OSError:
            continue
        members = f" and group {_name(grp.getgrgid, state.st_gid)}" if state.st_mode & stat.S_IRWXG else ""
        return f"{each} is open to root, user {_name(pwd.getpwuid, state.st_uid)}{members}"
    return f"{path} is open to root"


def _name(find: Callable[[int], Sequence[Any]], number: int) -> str:
    try:
        return str(find(number)[0])
    except KeyError:
        return str(number)


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
