"""The store in a state directory, whatever its condition: damaged, foreign, not to be written."""

import asyncio
import logging
from pathlib import Path

from resolverd import bounds
from resolverd.metrics import Counters
from resolverd.state.base import Store
from resolverd.state.disk.pending import PendingStore
from resolverd.state.disk.reader import Reader
from resolverd.state.disk.sqlite_errors import is_environment, reason
from resolverd.state.disk.sqlite_file import DIRECTORY, FILE, ReadOnlyFile, SqliteFile
from resolverd.state.disk.store import DiskStore
from resolverd.state.disk.writer import Worker
from resolverd.state.memory import MemoryStore
from resolverd.state.statedir import StateInUse, StateLock, set_aside

__all__ = ["DIRECTORY", "StateInUse", "open_store"]

log = logging.getLogger(__name__)


async def open_store(
    state: Path,
    counters: Counters,
    *,
    max_bytes: int = bounds.STORE_OCTETS,
    max_unwritten: int = bounds.STORE_UNWRITTEN,
) -> Store:
    """The store in a state directory, made where it is missing, whatever its condition.

    A damaged, foreign or unusable file is set aside and an empty one takes its place. Where the directory cannot be written,
    or the disk is full or failing, what stands there is read if it can be, and what is new stays in memory until it can be
    written. All that is logged loudly, none of it keeps the daemon from starting. Raises StateInUse only.
    """
    lock: StateLock | None = None
    try:
        lock = StateLock(state)
        return await _open_file(state, counters, lock, max_bytes, max_unwritten)
    except StateInUse:
        raise
    except Exception as error:
        return await _open_without_writing(state, error, counters, lock, max_bytes, max_unwritten)


async def _open_file(state: Path, counters: Counters, lock: StateLock, max_bytes: int, max_unwritten: int) -> DiskStore:
    """The store in its file. Raises whatever keeps it from being opened or made."""
    directory = state / DIRECTORY
    loop = asyncio.get_running_loop()

    def replace_file(error: BaseException) -> SqliteFile:
        aside = set_aside(directory)
        loop.call_soon_threadsafe(counters.add, "store_set_aside")
        log.error("the store in %s cannot be used (%s): set aside as %s, starting an empty one", directory, reason(error), aside)
        return SqliteFile(directory, max_bytes)

    def open_file() -> SqliteFile:
        try:
            return SqliteFile(directory, max_bytes)
        except Exception as error:  # whatever is in a damaged file, diskcache may stumble over it anywhere
            if is_environment(error):
                raise
            return replace_file(error)

    worker = Worker(open_file, replace_file, counters)
    await worker.start()
    octets = await worker.submit(lambda file: file.octets())
    return DiskStore(worker, Reader(directory / FILE, worker.generation, counters), lock, counters, max_unwritten, octets)


async def _open_without_writing(
    state: Path, error: Exception, counters: Counters, lock: StateLock | None, max_bytes: int, max_unwritten: int
) -> Store:
    """The file, only read, with memory in front of it; memory alone where there is none that can be read."""
    counters.add("store_in_memory")

    def open_file() -> ReadOnlyFile:
        return ReadOnlyFile(state / DIRECTORY)

    def replace_file(damage: BaseException) -> ReadOnlyFile:
        raise damage

    async def reopen() -> Store | None:
        held = lock
        try:
            held = held or StateLock(state)
            return await _open_file(state, counters, held, max_bytes, max_unwritten)
        except (StateInUse, Exception) as error:
            log.debug("the store cannot be written yet: %s", reason(error))
            if held is not None and held is not lock:
                held.release()
            return None

    release = lock.release if lock is not None else lambda: None
    worker = Worker(open_file, replace_file, counters)
    try:
        await worker.start()
    except Exception:
        log.error("nothing can be stored in %s (%s): records are kept in memory and lost with the process", state, reason(error))
        return MemoryStore(release=release)
    log.error("the store in %s cannot be written (%s): it is read, what is new is kept in memory for now", state, reason(error))
    return PendingStore(worker, reopen, release)
