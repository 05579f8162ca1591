"""The domains of ``[policy] local_domains``: names, and those in map files of Postfix; and what Postfix itself says it has."""

import re
import subprocess
from collections.abc import Mapping
from typing import Final, NamedTuple

from resolverd.config.endpoints import MapFile
from resolverd.config.settings import Settings
from resolverd.config.textfiles import read_text
from resolverd.failures import ConfigFault
from resolverd.policy import local_domains as localdomains
from resolverd.policy.local_domains import LocalDomains

READABLE: Final = ("hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash")
"""Map types whose source is a text file with a key at the beginning of each line."""
PARAMETERS: Final = ("mydestination", "virtual_mailbox_domains", "virtual_alias_domains", "relay_domains")
"""Where main.cf has the domains that Postfix is final for, and those that it relays (ADDRESS_CLASS_README)."""
PATIENCE: Final = 5.0
"""Seconds for postconf(1), which reads files and nothing else."""
_MAX_TOLD: Final = 20
_KEY: Final = "policy.local_domains"


class Reading(NamedTuple):
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


def local_domains(settings: Settings, before: Reading | None = None) -> Reading:
    """The domains as names and files have them now; of a file that cannot be read, as they were `before`."""
    wanted = settings.policy.local_domains
    found: dict[MapFile | None, LocalDomains] = {None: localdomains.of_names(each for each in wanted if isinstance(each, str))}
    faults: list[ConfigFault] = []
    for at, file in enumerate(wanted):
        if isinstance(file, str):
            continue
        where = f"{_KEY}[{at}]"
        if file.kind not in READABLE:
            text = f"{file}: a map of type {file.kind!r} cannot be read here; name its domains, or a file that has them"
            faults.append(ConfigFault(where, text))
            continue
        try:
            text, remark = read_text(file.path)
        except OSError as error:
            held = (before or Reading()).found.get(file)
            what = "nothing in it counts" if held is None else "what was read of it before counts on"
            faults.append(ConfigFault(where, f"cannot read {str(file.path)!r}: {error.strerror}; {what}"))
            found[file] = held or LocalDomains()
            continue
        if remark:
            faults.append(ConfigFault(where, f"{file.path}: {remark}"))
        found[file], faulty = localdomains.read(text)
        faults += [ConfigFault(where, f"{file.path}:{fault.line}: {fault.text}") for fault in faulty[:_MAX_TOLD]]
        if (more := len(faulty) - _MAX_TOLD) > 0:
            faults.append(ConfigFault(where, f"{file.path}: {more} more lines with faults"))
    return Reading(found, tuple(faults))


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
