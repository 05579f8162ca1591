"""The access maps that a configuration names, read from their files: a fault is named with its file and line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from resolverd.config.places import MapFile
from resolverd.config.settings import Settings
from resolverd.failures import ConfigError, ConfigFault
from resolverd.mail import accessmaps
from resolverd.mail.accessmaps import AccessMap

MAX_OCTETS: Final = 16 * 2**20
"""Of one file."""
_MAX_TOLD: Final = 20
"""Faulty lines of one file that are told one by one."""


class Maps(NamedTuple):
    """The maps of ``[checks.overrides]``, and remarks on lines that match nobody."""

    client: tuple[AccessMap, ...]
    helo: tuple[AccessMap, ...]
    remarks: tuple[str, ...]


def access_maps(settings: Settings) -> Maps:
    """The maps as their files have them now. Raises ConfigError with every faulty line."""
    faults: list[ConfigFault] = []
    remarks: list[str] = []
    overrides = settings.checks.overrides
    client, helo = (
        tuple(_read(f"checks.overrides.{key}", files, faults, remarks))
        for key, files in (("client_access", overrides.client_access), ("helo_access", overrides.helo_access))
    )
    if faults:
        raise ConfigError(faults)
    return Maps(client, helo, tuple(remarks))


def _read(key: str, files: tuple[MapFile, ...], faults: list[ConfigFault], remarks: list[str]) -> Iterator[AccessMap]:
    for at, file in enumerate(files):
        where = f"{key}[{at}]"
        try:
            text = _text(file.path)
        except OSError as error:
            faults.append(ConfigFault(where, f"cannot read {str(file.path)!r}: {error.strerror or error}"))
            continue
        found = accessmaps.read(str(file), file.kind, text)
        faults += [ConfigFault(where, f"{file.path}:{fault.line}: {fault.text}") for fault in found.faults[:_MAX_TOLD]]
        if len(found.faults) > _MAX_TOLD:
            faults.append(ConfigFault(where, f"{file.path}: {len(found.faults) - _MAX_TOLD} more lines that cannot be read"))
        remarks += [f"{file.path}:{remark.line}: {remark.text}" for remark in found.remarks[:_MAX_TOLD]]
        yield found.map


def _text(path: Path) -> str:
    with path.open("rb") as file:
        octets = file.read(MAX_OCTETS + 1)
    if len(octets) > MAX_OCTETS:
        raise OSError(f"larger than {MAX_OCTETS // 2**20} MiB")
    return octets.decode("utf-8", "replace")
