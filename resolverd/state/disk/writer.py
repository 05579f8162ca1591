"""The one thread that writes to the file: jobs go in, results come out on the event loop, which never waits for SQLite.

The thread blocks without a timeout; it is woken by a job, or to stop.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from threading import Thread
from typing import Any, Generic, TypeVar

import diskcache

from resolverd import logs
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.state.disk.jobs import Jobs
from resolverd.state.disk.sqlite_errors import ForeignFile, is_damage, reason
from resolverd.state.disk.sqlite_file import RecordFile

T = TypeVar("T")
R = TypeVar("R", bound=RecordFile)

log = logging.getLogger(__name__)

_EXPECTED = (StoreError, ForeignFile, sqlite3.Error, UnicodeDecodeError, diskcache.Timeout, OSError)
"""What jobs may raise; neither is a bug."""


class Worker(Generic[R]):
    """Runs jobs on the file in a thread of its own. `open_file` and `replace_file` are called there too; both may raise anything.

    `replace_file` gives a sound file in the place of one that turned out damaged.
    """

    def __init__(self, open_file: Callable[[], R], replace_file: Callable[[BaseException], R], counters: Counters) -> None:
        self._counters = counters
        self._open_file = open_file
        self._replace_file = replace_file
        self._loop = asyncio.get_running_loop()
        self._jobs: Jobs[Callable[[R], Any]] = Jobs()
        self._file: R | None = None
        self._damage: BaseException | None = None
        self._generation = 0
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        # A daemon thread: a process that dies without closing the store must not hang on a thread that waits for jobs.
        self._thread = Thread(target=self._work, name="store", daemon=True)

    async def start(self) -> None:
        """Start the thread and open the file. Raises what opening raised; the thread has ended then."""
        self._thread.start()
        try:
            await self._opened
        except BaseException:
            self._jobs.end()
            raise

    def generation(self) -> int:
        """How often another file has taken the place of one that turned out damaged."""
        return self._generation

    def submit(self, run: Callable[[R], T], *, bounded: bool = True) -> asyncio.Future[T]:
        """Have `run` called with the file, after all that were submitted before: its result, or StoreError.

        Raises StoreError at once where too many wait, unless it is not `bounded`: of what is not, there is one at a time.
        """
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(run, done, bounded=bounded)
        return done

    async def stop(self) -> None:
        """Finish the jobs that are there, close the file and end the thread."""
        self._jobs.end()
        await self._ended
        self._thread.join()

    def _work(self) -> None:
        try:
            self._file = self._open_file()
        except BaseException as error:
            complete(self._loop, self._opened, None, error)
            return
        complete(self._loop, self._opened, None, None)
        while (job := self._jobs.get()) is not None:
            try:
                self._do(*job)
                if self._damage is not None:
                    self._replace(self._damage)
            except Exception as error:
                fail(self._loop, job[1], error, self._counters)
        try:
            if self._file is not None:
                self._file.close()
        except Exception as error:
            log.error("closing the store: %s", reason(error))
        complete(self._loop, self._ended, None, None)

    def _do(self, run: Callable[[R], Any], done: asyncio.Future[Any]) -> None:
        if self._file is None:
            complete(self._loop, done, None, StoreError("the store's file could not be replaced"))
            return
        try:
            result = run(self._file)
        except Exception as error:
            if is_damage(error):
                self._damage = error
            fail(self._loop, done, error, self._counters)
        else:
            complete(self._loop, done, result, None)

    def _replace(self, damage: BaseException) -> None:
        self._damage = None
        try:
            if self._file is not None:
                self._file.close()
            self._file = self._replace_file(damage)
            self._generation += 1
        except Exception as error:
            self._file = None
            log.error("the store's file is damaged and could not be replaced: %s; mail passes without it", reason(error))


def fail(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], error: Exception, counters: Counters) -> None:
    """Tell the event loop, from a thread, that a job came to nothing. What neither SQLite nor the system raises is a bug."""
    if not isinstance(error, _EXPECTED):
        logs.bug(log, counters, "store", "a job of the store has failed", error=error)
    failure = StoreError(reason(error))
    failure.__cause__ = error
    complete(loop, future, None, failure)


def complete(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    """Tell the event loop, from a thread, what came of a job."""
    try:
        loop.call_soon_threadsafe(_complete, future, result, error)
    except RuntimeError:
        pass  # the loop is closed: nobody waits any more


def _complete(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if future.done():
        return  # whoever asked has given up
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
