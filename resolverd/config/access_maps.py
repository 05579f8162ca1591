"""The access maps that a configuration names, read from their files; a faulty line or file costs itself, not the others."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from resolverd.config.endpoints import MapFile
from resolverd.config.settings import Settings
from resolverd.config.textfiles import read_text
from resolverd.failures import ConfigFault
from resolverd.overrides import postfix_maps
from resolverd.overrides.postfix_maps import AccessMap

_MAX_TOLD: Final = 20
"""Faulty lines of one file that are told one by one."""


class Maps(NamedTuple):
    """The maps of ``[checks.overrides]``, and what is wrong with their files."""

    client: tuple[AccessMap, ...] = ()
    helo: tuple[AccessMap, ...] = ()
    faults: tuple[ConfigFault, ...] = ()


def access_maps(settings: Settings, before: Maps | None = None) -> Maps:
    """The maps as their files have them now; of a file that cannot be read, as they were `before`."""
    kept = {each.name: each for each in (*before.client, *before.helo)} if before is not None else {}
    faults: list[ConfigFault] = []
    overrides = settings.checks.overrides
    client, helo = (
        tuple(_read(f"checks.overrides.{key}", files, kept, faults))
        for key, files in (("client_access", overrides.client_access), ("helo_access", overrides.helo_access))
    )
    return Maps(client, helo, tuple(faults))


def _read(
    key: str, files: tuple[MapFile, ...], kept: Mapping[str, AccessMap], faults: list[ConfigFault]
) -> Iterator[AccessMap]:
    for at, file in enumerate(files):
        where = f"{key}[{at}]"
        try:
            text, remark = read_text(file.path)
        except OSError as error:
            held = kept.get(str(file))
            what = "nothing in it counts" if held is None else "what was read of it before counts on"
            faults.append(ConfigFault(where, f"cannot read {str(file.path)!r}: {error.strerror}; {what}"))
            if held is not None:
                yield held
            continue
        if remark:
            faults.append(ConfigFault(where, f"{file.path}: {remark}"))
        found = postfix_maps.read(str(file), file.kind, text)
        faults += [ConfigFault(where, f"{file.path}:{fault.line}: {fault.text}") for fault in found.faults[:_MAX_TOLD]]
        if (more := len(found.faults) - _MAX_TOLD) > 0:
            faults.append(ConfigFault(where, f"{file.path}: {more} more lines with faults"))
        yield found.map
