"""Reading and filling the store: through the running daemon, or where none runs, in its directory or on the server."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import click

from resolverd.cli import store_sides
from resolverd.cli.daemon import DaemonClient, Unreachable
from resolverd.cli.options import CommandError
from resolverd.clock import SystemClock
from resolverd.config import Settings
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.servers.http import dump_format
from resolverd.state import dump
from resolverd.state.base import Store
from resolverd.state.disk.opening import DIRECTORY, open_store
from resolverd.state.disk.pending import PendingStore
from resolverd.state.disk.store import DiskStore
from resolverd.state.dump import Loaded, Stored
from resolverd.state.sharing import write_alone
from resolverd.state.statedir import StateInUse

_BATCH_OCTETS: Final = 48 * 1024
"""Of records sent at once; a body has at most 64 KiB."""
_BATCH: Final = 5000
"""Records taken at once where no daemon runs."""
_AT_ONCE: Final = 20
"""Records of one table read at once: pages of verdicts have up to 32 KiB each."""


def records(settings: Settings) -> Iterator[Stored]:
    """Every record of the store, in order; of a server that hosts share from there, as its daemons would have to go through all
    of it for every page."""
    if settings.store.url.target is not None:
        yield from _read_server(settings)
        return
    daemon = DaemonClient(settings)
    try:
        page = daemon.get("v1", "store")
    except Unreachable:
        yield from asyncio.run(_read(settings))
        return
    while True:
        yield from (dump_format.record_from(each) for each in page["records"])
        if page["next"] is None:
            return
        page = daemon.get("v1", "store", query={"start": page["next"]})


def records_of(settings: Settings, table: str) -> Iterator[Stored]:
    """The records of one table in order, some at a time, so that a large table needs no large memory.

    They are those of the host's own store, where it shares a server with others.
    """
    daemon = DaemonClient(settings)
    query = {"start": f"{table}:", "limit": str(_AT_ONCE), "own": "true"}
    try:
        page = daemon.get("v1", "store", query=query)
    except Unreachable:
        yield from _read_of(settings, table)
        return
    while True:
        for document in page["records"]:
            if (record := dump_format.record_from(document)).table != table:
                return
            yield record
        if page["next"] is None:
            return
        page = daemon.get("v1", "store", query=query | {"start": page["next"]})


def load(settings: Settings, found: Sequence[Stored]) -> Loaded:
    """Take records into the store."""
    daemon = DaemonClient(settings)
    loaded = Loaded()
    try:
        with progress(len(found)) as advance:
            for batch in _batches(found):
                loaded += Loaded(**daemon.post("v1", "store", body={"records": batch}))
                advance(len(batch))
    except Unreachable:
        if loaded != Loaded():
            raise CommandError("the daemon ended meanwhile; load the same once more, what is there already stays") from None
        return asyncio.run(_load(settings, found))
    return loaded


def _batches(found: Sequence[Stored]) -> Iterator[list[dict[str, object]]]:
    batch: list[dict[str, object]] = []
    size = 0
    for record in found:
        document = dump_format.record_json(record)
        size += len(json.dumps(document)) + 2
        if batch and size > _BATCH_OCTETS:
            yield batch
            batch, size = [], len(json.dumps(document)) + 2
        batch.append(document)
    yield batch


def _read_server(settings: Settings) -> Iterator[Stored]:
    with asyncio.Runner() as runner:
        opened = _opened(settings, to_write=False)
        store = runner.run(opened.__aenter__())
        found = _batches_of(store)
        try:
            while batch := runner.run(anext(found, [])):
                yield from batch
        except StoreError as error:
            raise CommandError(f"{settings.store.url}: {error}") from None
        finally:
            runner.run(found.aclose())
            runner.run(opened.__aexit__(None, None, None))


async def _batches_of(store: Store) -> AsyncGenerator[list[Stored], None]:
    batch: list[Stored] = []
    for table in await store.tables():
        async for entry in store.scan(table, SystemClock().wall()):
            batch.append(Stored(table, *entry))
            if len(batch) == _BATCH:
                yield batch
                batch = []
    yield batch


async def _read(settings: Settings) -> list[Stored]:
    async with _opened(settings, to_write=False) as store:
        return list((await dump.read(store, SystemClock().wall(), None, 2**62)).records)


def _read_of(settings: Settings, table: str) -> Iterator[Stored]:
    directory = settings.state_directory()
    if directory is not None and not directory.exists():
        return
    start: tuple[str, bytes] | None = (table, b"")
    with asyncio.Runner() as runner:
        opened = _opened(settings, to_write=False, own=True)
        store = runner.run(opened.__aenter__())
        try:
            while start is not None and start[0] == table:
                page = runner.run(dump.read(store, SystemClock().wall(), start, _AT_ONCE))
                yield from (record for record in page.records if record.table == table)
                start = page.next
        finally:
            runner.run(opened.__aexit__(None, None, None))


async def _load(settings: Settings, found: Sequence[Stored]) -> Loaded:
    loaded = Loaded()
    async with _opened(settings, to_write=True) as store:
        with progress(len(found)) as advance:
            for at in range(0, len(found), _BATCH):
                batch = found[at : at + _BATCH]
                loaded += await dump.load(store, SystemClock().wall(), batch)
                advance(len(batch))
    return loaded


@asynccontextmanager
async def _opened(settings: Settings, *, to_write: bool, own: bool = False) -> AsyncIterator[Store]:
    """The server that hosts share, unless `own`; else the store in its directory, while no daemon works there.

    Files made by another user would lock the daemon out.
    """
    if settings.store.url.target is not None and not own:
        async with store_sides.opened(settings.store.url, settings, store_sides.Given(), to_write=to_write) as found:
            yield found.store
        return
    directory = settings.state_directory()
    if directory is None:
        raise CommandError("nothing is stored: [store] url is memory:, and no daemon answers")
    if directory.exists() and (owner := _owner(directory)) != os.geteuid():
        raise CommandError(f"{directory} belongs to user {owner}: run this as that user, or start the daemon first")
    try:
        store = await open_store(directory, Counters())
    except StateInUse as error:
        raise CommandError(f"{error}; it does not answer on its socket") from None
    try:
        if not isinstance(store, DiskStore if to_write else DiskStore | PendingStore):
            raise CommandError(f"the store in {directory / DIRECTORY} cannot be opened")
        if to_write:
            write_alone(store)
        yield store
    except StoreError as error:
        raise CommandError(f"the store: {error}") from None
    finally:
        await store.close()


def _owner(directory: Path) -> int:
    return directory.stat().st_uid


@contextmanager
def progress(count: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; who is called tells how many more are done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=count, file=sys.stderr) as bar:
        yield bar.update
