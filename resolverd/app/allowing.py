"""Reading the allow files of greylisting: each file named, its own additions in ``FILE.local`` where there are any, and what
``resolverd import whitelist`` has put into the state directory."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from resolverd.config import Settings
from resolverd.mail.allowfiles import Allowed, Clients, LineFault, Recipients, read_clients, read_recipients

log = logging.getLogger(__name__)

_Found = TypeVar("_Found", Clients, Recipients)

CLIENTS: Final = "allow_clients"
"""The file in the state directory with clients that were imported."""
RECIPIENTS: Final = "allow_recipients"
"""The one with recipients."""
MAX_OCTETS: Final = 16 * 2**20
"""Of one file; what is beyond is not read."""
MAX_TOLD: Final = 20
"""Faulty lines of one file that are told one by one."""


def allowed(settings: Settings) -> Allowed:
    """Everybody who is never greylisted, as the files have it now; what cannot be used is logged, the rest counts."""
    wanted = settings.greylist
    clients = _together((*wanted.allow_clients, *_imported(settings, CLIENTS)), read_clients, Clients())
    return Allowed(
        clients, _together((*wanted.allow_recipients, *_imported(settings, RECIPIENTS)), read_recipients, Recipients())
    )


def _imported(settings: Settings, name: str) -> Iterator[Path]:
    directory = settings.state_directory()
    if directory is not None and os.path.lexists(directory / name):
        yield directory / name


def _together(paths: Iterable[Path], read: Callable[[str], tuple[_Found, list[LineFault]]], found: _Found) -> _Found:
    for path, text in _texts(paths):
        more, faults = read(text)
        found = found | more
        for fault in faults[:MAX_TOLD]:
            log.warning("%s %s: not used", path, fault)
        if len(faults) > MAX_TOLD:
            log.warning("%s: %d more lines that are not used", path, len(faults) - MAX_TOLD)
    return found


def _texts(paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Each file with its text, and behind it the one of the same name with ``.local``."""
    own = tuple(paths)
    for path in own:
        local = path.with_name(f"{path.name}.local")
        for each in (path, local):
            if each is local and (local in own or not local.exists()):
                continue
            try:
                with each.open("rb") as file:
                    octets = file.read(MAX_OCTETS + 1)
            except OSError as error:
                log.error("%s: %s, nothing in it counts", each, error.strerror)
                continue
            if len(octets) > MAX_OCTETS:
                log.error("%s: only its first %d octets count", each, MAX_OCTETS)
                octets = octets[: octets.rfind(b"\n", 0, MAX_OCTETS) + 1]
            yield each, octets.decode("utf-8", "replace")
