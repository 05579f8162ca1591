"""What a configuration names outside itself: map files, allow files, domains, root hints, trust anchors, and files with secrets.

Nobody writes these with the care that a configuration gets: other programs do, and what is named may be missing. So a fault
in them costs what depends on it and nothing else; nameserver and policy service start, and go on at a reload. Each fault is
reported, in the log and by ``resolverd config check``.
"""

from collections.abc import Iterator
from typing import NamedTuple

from resolverd.app.allow_files import AllowFiles, allow_files, shipped
from resolverd.app.resolver import root_hints
from resolverd.config import Settings, access_maps, unusable_keys
from resolverd.config.files import read_text
from resolverd.config.map_files import AccessMapFiles, LocalDomainFiles, local_domains
from resolverd.failures import ConfigError, ConfigFault
from resolverd.greylist.shipped_list import ShippedList
from resolverd.resolver.iterator.forwards import Hints


class External(NamedTuple):
    """What was read, and every fault in it."""

    hints: Hints
    maps: AccessMapFiles
    allow_files: AllowFiles
    shipped: ShippedList
    local: LocalDomainFiles
    faults: tuple[ConfigFault, ...]


def read(settings: Settings, before: External | None = None) -> External:
    """Everything that the configuration names, as it is now; a file that cannot be read counts as it was `before`."""
    hints, faults = _hints(settings, before)
    maps = access_maps(settings, before.maps if before else None)
    allowing = allow_files(settings, before.allow_files if before else None)
    local = local_domains(settings, before.local if before else None)
    faults = [*_secrets(settings), *faults, *_trust_anchors(settings), *maps.faults, *allowing.faults, *local.faults]
    return External(hints, maps, allowing, shipped(settings), local, tuple(faults))


def _secrets(settings: Settings) -> Iterator[ConfigFault]:
    for name, fault in unusable_keys(settings) if settings.dnsbl.enabled else ():
        if settings.lists[name].enabled is not False:
            yield ConfigFault(f"lists.{name}.key", f"{fault}; the list is not asked")
    if settings.http.token is not None and settings.http.token.fault:
        yield ConfigFault("http.token", f"{settings.http.token.fault}; nothing can be changed over HTTP")


def _hints(settings: Settings, before: External | None) -> tuple[Hints, list[ConfigFault]]:
    try:
        return root_hints(settings.resolver), []
    except ConfigError as error:
        instead = root_hints(None) if before is None else before.hints
        what = "those shipped" if before is None else "those in use so far"
        return instead, [ConfigFault(fault.path, f"{fault.text}; {what} are used") for fault in error.faults]


def _trust_anchors(settings: Settings) -> Iterator[ConfigFault]:
    path = settings.resolver.trust_anchors
    if path is None:
        return
    try:
        read_text(path)
    except OSError as error:
        text = f"cannot read {str(path)!r}: {error.strerror}; those shipped are used"
        yield ConfigFault("resolver.trust_anchors", text)
