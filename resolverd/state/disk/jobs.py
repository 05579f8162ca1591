"""What a thread of the store is to do next: in order of arrival, of a bounded number, and only while somebody waits for it."""

import asyncio
from collections import OrderedDict
from threading import Condition
from typing import Any, Generic, TypeVar

from resolverd import bounds
from resolverd.failures import StoreError

J = TypeVar("J")


class Jobs(Generic[J]):
    """A queue from the event loop to one thread.

    A job whose waiter has given up leaves it at once, undone: behind a disk that hangs stand only those who still wait.
    """

    def __init__(self) -> None:
        self._jobs: OrderedDict[asyncio.Future[Any], J] = OrderedDict()
        self._changed = Condition()
        self._ended = False

    def __len__(self) -> int:
        """Jobs that wait."""
        return len(self._jobs)

    def put(self, job: J, done: asyncio.Future[Any], *, bounded: bool = True) -> None:
        """Add a job, whose waiter has `done`. Raises StoreError where there are too many, unless it is not `bounded`."""
        with self._changed:
            if bounded and len(self._jobs) >= bounds.STORE_JOBS:
                raise StoreError(f"{len(self._jobs)} reads wait for the disk")
            self._jobs[done] = job
            self._changed.notify()
        done.add_done_callback(self._drop)

    def _drop(self, done: asyncio.Future[Any]) -> None:
        with self._changed:
            self._jobs.pop(done, None)

    def get(self) -> tuple[J, asyncio.Future[Any]] | None:
        """The next job, once there is one, and who waits for it; None at the end. For the thread."""
        with self._changed:
            while not self._jobs:
                if self._ended:
                    return None
                self._changed.wait()
            done, job = self._jobs.popitem(last=False)
            return job, done

    def end(self) -> None:
        """Let the thread end behind the last job."""
        with self._changed:
            self._ended = True
            self._changed.notify()
