"""Postfix's map files that a configuration names: access maps, and domains that this server is final for or relays.

A faulty line or file costs itself, not the others. What Postfix itself says of its domains is here as well.
"""

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from typing import Final, NamedTuple, TypeVar

from resolverd.config.files import read_text
from resolverd.config.settings import Settings
from resolverd.failures import ConfigFault
from resolverd.mail.patterns import LineFault
from resolverd.overrides import map_text
from resolverd.overrides.postfix_maps import AccessMap, MapFile
from resolverd.policy.local_domains import LocalDomains, of_names
from resolverd.policy.local_domains import read as read_domains

READABLE: Final = ("hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash")
"""Map types whose source is a text file with a key at the beginning of each line."""
PARAMETERS: Final = ("mydestination", "virtual_mailbox_domains", "virtual_alias_domains", "relay_domains")
"""Where main.cf has the domains that Postfix is final for, and those that it relays (ADDRESS_CLASS_README)."""
PATIENCE: Final = 5.0
"""Seconds for postconf(1), which reads files and nothing else."""
_MAX_REPORTED: Final = 20
"""Faulty lines of one file that are reported one by one."""

_T = TypeVar("_T")


class AccessMapFiles(NamedTuple):
    """The access maps by file, and what is wrong with the files."""

    found: Mapping[MapFile, AccessMap] = {}
    faults: tuple[ConfigFault, ...] = ()


class LocalDomainFiles(NamedTuple):
    """The domains, by map file and those named directly under None; and what is wrong with the files."""

    found: Mapping[MapFile | None, LocalDomains] = {}
    faults: tuple[ConfigFault, ...] = ()

    @property
    def domains(self) -> LocalDomains:
        """All together."""
        domains = LocalDomains()
        for each in self.found.values():
            domains |= each
        return domains


def access_maps(settings: Settings, before: AccessMapFiles | None = None) -> AccessMapFiles:
    """The maps that checks' options name, as their files have them now; of a file that cannot be read, as they were `before`."""
    found: dict[MapFile, AccessMap] = {}
    faults: list[ConfigFault] = []
    for key, _, options in settings.checks.tables():
        for option in fields(options):
            named = getattr(options, option.name)
            for at, file in enumerate(named if isinstance(named, tuple) else ()):
                if isinstance(file, MapFile):
                    old = before.found.get(file) if before is not None else None
                    read = _read(f"{key}.{option.name}[{at}]", file, old, partial(_access_map, file), faults)
                    if read is not None:
                        found[file] = read
    return AccessMapFiles(found, tuple(faults))


def local_domains(settings: Settings, before: LocalDomainFiles | None = None) -> LocalDomainFiles:
    """The domains as names and files have them now; of a file that cannot be read, as they were `before`."""
    named = settings.policy.local_domains
    found: dict[MapFile | None, LocalDomains] = {None: of_names(each for each in named if isinstance(each, str))}
    faults: list[ConfigFault] = []
    for at, file in enumerate(named):
        if isinstance(file, str):
            continue
        where = f"policy.local_domains[{at}]"
        if file.kind not in READABLE:
            text = f"{file}: a map of type {file.kind!r} cannot be read here; name its domains, or a file that has them"
            faults.append(ConfigFault(where, text))
            continue
        old = before.found.get(file) if before is not None else None
        found[file] = _read(where, file, old, read_domains, faults) or LocalDomains()
    return LocalDomainFiles(found, tuple(faults))


def _access_map(file: MapFile, text: str) -> tuple[AccessMap, list[LineFault]]:
    read = map_text.read(str(file), file.kind, text)
    return read.map, list(read.faults)


def _read(
    where: str, file: MapFile, old: _T | None, parse: Callable[[str], tuple[_T, list[LineFault]]], faults: list[ConfigFault]
) -> _T | None:
    """What a file has, the `old` if it cannot be read; its faults join `faults`."""
    try:
        text, remark = read_text(file.path)
    except OSError as error:
        what = "nothing in it counts" if old is None else "what was read of it before counts on"
        faults.append(ConfigFault(where, f"cannot read {str(file.path)!r}: {error.strerror}; {what}"))
        return old
    if remark:
        faults.append(ConfigFault(where, f"{file.path}: {remark}"))
    read, faulty = parse(text)
    faults += [ConfigFault(where, f"{file.path}:{fault.line}: {fault.text}") for fault in faulty[:_MAX_REPORTED]]
    if (more := len(faulty) - _MAX_REPORTED) > 0:
        faults.append(ConfigFault(where, f"{file.path}: {more} more lines with faults"))
    return read


def postfix_has() -> list[str]:
    """The domains and maps of `PARAMETERS`, as ``local_domains`` takes them; none where Postfix is not here, or cannot say."""
    try:
        done = subprocess.run(
            ["postconf", "-h", "-x", *PARAMETERS], capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    said = re.split(r"[,\s]+", done.stdout) if done.returncode == 0 else []
    return list(dict.fromkeys(each.removeprefix("proxy:") for each in said if each))


def unnamed(settings: Settings) -> list[str]:
    """What Postfix is final for or relays, and ``local_domains`` does not name."""
    named = {str(each) for each in settings.policy.local_domains}
    domains = local_domains(settings).domains
    return [
        each
        for each in postfix_has()
        if not {each, f"hash:{each}"} & named and (":" in each or "/" in each or not domains.holds(each.removeprefix(".")))
    ]
