"""The two sides of ``store move``: a store by its URL, opened for a command, with no daemon in between."""

import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Final, NamedTuple

import click

from resolverd.app.store import open_shared
from resolverd.cli import output
from resolverd.cli.options import CommandError
from resolverd.clock import SystemClock
from resolverd.config import Settings, StoreUrl
from resolverd.config.endpoints import store_url
from resolverd.config.secrets import BadValue, Secret, read_secret
from resolverd.config.settings import StoreSettings
from resolverd.failures import StoreError
from resolverd.fleet.hosts import host_id
from resolverd.metrics import Counters
from resolverd.state.base import Store
from resolverd.state.disk.opening import DIRECTORY, open_store
from resolverd.state.disk.store import DiskStore
from resolverd.state.shared import SharedStore
from resolverd.state.sharing import write_alone
from resolverd.state.statedir import StateInUse, unusable

PATIENCE: Final = 10.0
"""Seconds for a server to let us in, and for each of its replies."""


class Given(NamedTuple):
    """What the command's options say of the server that the configuration says nothing of."""

    password: Path | None = None
    prefix: str | None = None
    ca: Path | None = None


class Opened(NamedTuple):
    """A store, and a name for it that stays the same; of a server, a copy of all that it knows has it too."""

    store: Store
    origin: str
    is_shared: bool

    def may_be(self, other: "Opened") -> bool:
        """Whether both are one server by two names, or one is a copy of the other: counters would be added to themselves."""
        return self.is_shared and other.is_shared and self.origin == other.origin


def parse(text: str) -> StoreUrl:
    """A store's URL as an argument, a directory relative to the current one and by its real name. Raises click.UsageError."""
    try:
        url = store_url(text, Path.cwd())
    except BadValue as error:
        raise click.UsageError(str(error)) from None
    if url.kind == "memory":
        raise click.UsageError("in memory: nothing is kept that could be moved")
    return url if url.directory is None else url._replace(directory=url.directory.resolve())


@asynccontextmanager
async def opened(url: StoreUrl, settings: Settings, given: Given, *, to_write: bool) -> AsyncIterator[Opened]:
    """The store. Raises CommandError, for a StoreError within too."""
    with _quiet() if url.directory is None else nullcontext():
        shared = await _server(url, settings, given) if url.directory is None else None
        store: Store = shared or await _directory(url.directory or Path(), to_write=to_write)
        try:
            origin = shared.memory if shared is not None else await host_id(store, SystemClock().wall())
            yield Opened(store, origin, shared is not None)
            await store.flush()
        except StoreError as error:
            raise CommandError(f"{url}: {error}") from None
        finally:
            await store.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """What a server's store logs of its ways is of no use to who types: what is, is said by ourselves."""
    quiet = {"resolverd.state": logging.ERROR, open_shared.__module__: logging.CRITICAL}
    before = {name: logging.getLogger(name).level for name in quiet}
    for name, level in quiet.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


async def _directory(directory: Path, *, to_write: bool) -> Store:
    if fault := _closed(directory, to_write=to_write):
        raise CommandError(fault)
    try:
        store = await open_store(directory, Counters())
    except StateInUse:
        raise CommandError(f"a daemon works on {directory}: stop it first, as what it writes meanwhile would be missed") from None
    if not isinstance(store, DiskStore):
        await store.close()
        raise CommandError(f"the store in {directory / DIRECTORY} cannot be opened")
    if to_write:
        write_alone(store)
    return store


def _closed(directory: Path, *, to_write: bool) -> str:
    """What keeps us from a directory; nothing where nothing does. Files made by another user would lock the daemon out."""
    if not to_write and not (directory / DIRECTORY).exists():
        return f"there is no store in {directory}"
    if directory.exists() and (owner := directory.stat().st_uid) != os.geteuid():
        return f"{directory} belongs to user {owner}: run this as that user"
    return unusable(directory, DIRECTORY)


async def _server(url: StoreUrl, settings: Settings, given: Given) -> SharedStore:
    access = _access(url, settings.store, given)
    store = open_shared(access, SystemClock(), Counters(), lambda: access.password, patience=PATIENCE)
    with output.waiting(f"connecting to {url}"):
        reached = await store.connected(PATIENCE)
    if not reached:
        fault = (await store.condition()).fault
        await store.close()
        raise CommandError(f"{url} cannot be had: {fault}")
    return store


def _access(url: StoreUrl, configured: StoreSettings, given: Given) -> StoreSettings:
    """How to reach it: as the configuration says, if it names the same server, but for what was given."""
    found = configured if configured.url == url else StoreSettings()
    password: Secret | None = found.password
    if given.password is not None:
        password = read_secret({"file": str(given.password.absolute())})
    if password is not None and password.fault:
        raise CommandError(f"the password: {password.fault}")
    return StoreSettings(url, password, given.prefix or found.prefix, given.ca or found.ca)
