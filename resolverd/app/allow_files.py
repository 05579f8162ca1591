"""Reading the allow files of greylisting: each file named, its own additions in ``FILE.local`` where there are any, and what
``resolverd import whitelist`` has put into the state directory."""

import os
from collections.abc import Callable, Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from resolverd.config import Settings
from resolverd.config.files import read_text
from resolverd.failures import ConfigFault
from resolverd.greylist.allow_files import Allowed, Clients, Recipients, read_clients, read_recipients
from resolverd.greylist.shipped_list import ShippedList
from resolverd.greylist.shipped_list import read as read_shipped
from resolverd.mail.patterns import LineFault

_Found = TypeVar("_Found", Clients, Recipients)

CLIENTS: Final = "allow_clients"
"""The file in the state directory with clients that were imported."""
RECIPIENTS: Final = "allow_recipients"
"""The one with recipients."""
MAX_SHOWN: Final = 20
"""Faulty lines of one file that are shown one by one."""


class AllowFiles(NamedTuple):
    """Everybody who is never greylisted, as the files have it, file by file; and what is wrong with them."""

    clients: tuple[tuple[Path, Clients], ...] = ()
    recipients: tuple[tuple[Path, Recipients], ...] = ()
    faults: tuple[ConfigFault, ...] = ()

    @property
    def allowed(self) -> Allowed:
        """What the files come to."""
        clients, recipients = Clients(), Recipients()
        for _, each in self.clients:
            clients |= each
        for _, more in self.recipients:
            recipients |= more
        return Allowed(clients, recipients)


def allow_files(settings: Settings, before: AllowFiles | None = None) -> AllowFiles:
    """The files as they are now; of one that cannot be read, what it held `before`."""
    wanted, kept = settings.greylist, before or AllowFiles()
    faults: list[ConfigFault] = []
    clients = _read("allow_clients", (*wanted.allow_clients, *_imported(settings, CLIENTS)), read_clients, kept.clients, faults)
    recipients = _read(
        "allow_recipients", (*wanted.allow_recipients, *_imported(settings, RECIPIENTS)), read_recipients, kept.recipients, faults
    )
    return AllowFiles(tuple(clients), tuple(recipients), tuple(faults))


def shipped(settings: Settings) -> ShippedList:
    """The senders that are never greylisted as shipped; nobody where the configuration says so."""
    if not settings.greylist.shipped_allow_list:
        return ShippedList()
    return read_shipped(files("resolverd.data").joinpath("greylist_allowed.toml").read_text("utf-8"))


def _imported(settings: Settings, name: str) -> Iterator[Path]:
    directory = settings.state_directory()
    if directory is not None and os.path.lexists(directory / name):
        yield directory / name


def _read(
    key: str,
    paths: Iterable[Path],
    read: Callable[[str], tuple[_Found, list[LineFault]]],
    kept: Iterable[tuple[Path, _Found]],
    faults: list[ConfigFault],
) -> Iterator[tuple[Path, _Found]]:
    held = dict(kept)
    for path in _with_local(paths):
        try:
            text, remark = read_text(path)
        except OSError as error:
            what = "what was read of it before counts on" if path in held else "nothing in it counts"
            faults.append(ConfigFault(f"greylist.{key}", f"cannot read {str(path)!r}: {error.strerror}; {what}"))
            if path in held:
                yield path, held[path]
            continue
        if remark:
            faults.append(ConfigFault(f"greylist.{key}", f"{path}: {remark}"))
        found, faulty = read(text)
        faults += [ConfigFault(f"greylist.{key}", f"{path}:{fault.line}: {fault.text}: not used") for fault in faulty[:MAX_SHOWN]]
        if (more := len(faulty) - MAX_SHOWN) > 0:
            faults.append(ConfigFault(f"greylist.{key}", f"{path}: {more} more lines that are not used"))
        yield path, found


def _with_local(paths: Iterable[Path]) -> Iterator[Path]:
    """Each file, and behind it the one of the same name with ``.local``, where there is one."""
    own = tuple(paths)
    for path in own:
        yield path
        local = path.with_name(f"{path.name}.local")
        if local not in own and local.exists():
            yield local
