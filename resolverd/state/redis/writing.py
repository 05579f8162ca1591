"""Writing behind, and merging what could not be written when it was put."""

import asyncio
import logging
from collections.abc import Callable
from itertools import islice, zip_longest
from typing import Final

from resolverd import bounds
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.state.redis.changes import Changes
from resolverd.state.redis.records import Records
from resolverd.state.redis.refusals import ELSEWHERE, WAITS, explained
from resolverd.state.redis.replies import Refusal
from resolverd.state.redis.session import Session
from resolverd.state.redis.tasks import always, end
from resolverd.state.redis.unwritten import Address, Unwritten, Write
from resolverd.state.shared import Merge

BATCH: Final = 500
"""Writes under way at a time."""
MERGED: Final = 250
"""Records merged at a time."""
RETRY: Final = 1.0
"""Seconds between tries to write where the server refuses."""
_TRIES: Final = 20
"""Of a record that others change all the time."""

log = logging.getLogger(__name__)


class Writer:
    """What was put and deleted here, on its way to the server."""

    def __init__(
        self, session: Session, records: Records, changes: Changes, merge: Merge, counters: Counters, max_unwritten: int
    ):
        self._session = session
        self._records = records
        self._changes = changes
        self._merge = merge
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._progress: asyncio.Future[None] = self._loop.create_future()
        self._operations = {
            outcome: counters.count("store_operations", op="write", outcome=outcome) for outcome in ("done", "late", "refused")
        }
        self.unwritten = Unwritten(max_unwritten)
        self.fault = ""
        """Why the server takes no writes, though it is within reach; empty where it does."""
        self._retries = False
        """Whether what is late is tried though there is a fault."""
        self.on_late: list[Callable[[str, bytes], None]] = []
        self.on_written: list[Callable[[str, bytes], None]] = []
        session.on_reach.append(self._reach)
        session.on_other_server.append(lambda: self.unwritten.write_again(records.now()))
        self._task = self._loop.create_task(always(self._write_behind, "writing to the shared store", counters))

    def put(self, at: Address, write: Write) -> None:
        """Have it written. Raises StoreError where too much waits."""
        if not self.unwritten.has_room(at):
            raise StoreError(f"{self.unwritten.limit} records wait to be written, no room for more")
        if self.unwritten.put(at, write, late=not self._session.reachable):
            self._late(at)
        else:
            self._wake.set()

    async def settled(self, at: Address) -> None:
        """Wait until what was put there before is written. Raises StoreError."""
        if not self.unwritten or self.unwritten.find(at) is None:
            return
        try:
            async with asyncio.timeout(bounds.STORE_SHARED_REPLY):
                while self.unwritten.find(at) is not None:
                    self._session.require()
                    if self.fault:
                        raise StoreError(f"the shared store takes no writes: {self.fault}")
                    await asyncio.shield(self._progress)
        except TimeoutError:
            raise StoreError("what was put there before is not written yet") from None

    async def flush(self) -> None:
        """Wait until everything is written. Raises StoreError."""
        while self.unwritten:
            self._session.require()
            if self.fault:
                raise StoreError(f"the shared store takes no writes: {self.fault}")
            await asyncio.shield(self._progress)

    async def close(self) -> None:
        """Write no more."""
        await end(self._task)
        self._progressed()

    def _reach(self, reachable: bool) -> None:
        if reachable:
            self._try_again()
        else:
            for at in self.unwritten.all_late():
                self._late(at)
            self._progressed()

    def _try_again(self) -> None:
        self._retries = True
        self._wake.set()

    def _late(self, at: Address) -> None:
        self._operations["late"][0] += 1
        for call in self.on_late:
            call(*at)

    def _written(self, at: Address) -> None:
        self._operations["done"][0] += 1
        for call in self.on_written:
            call(*at)

    def _progressed(self) -> None:
        progress, self._progress = self._progress, self._loop.create_future()
        progress.set_result(None)

    async def _write_behind(self) -> None:
        self._wake.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._session.reachable and (
                self.unwritten.waiting or (self.unwritten.late and (self._retries or not self.fault))
            ):
                if self.unwritten.waiting:
                    await self._write_batch()
                else:
                    self._retries = False
                    await self._merge_late()
                self._progressed()
            if self.fault and self._session.reachable:
                self._loop.call_later(RETRY, self._try_again)

    async def _write_batch(self) -> None:
        """Write what waits, as one batch."""
        batch = self.unwritten.take(BATCH)
        try:
            replies = [self._records.write(at, write) for at, write in batch.items()]
            await asyncio.wait(replies)
        except StoreError:
            replies = []
        fault, written = "", False
        for at, reply in zip_longest(batch, replies):
            error = reply.exception() if reply is not None else StoreError("out of reach")
            if error is None:
                written = True
                self.unwritten.written(at, self._records.now())
                self._written(at)
            elif isinstance(error, Refusal) and error.code not in WAITS | ELSEWHERE:
                self.unwritten.refused(at)
                self._never(at, error)
            else:
                if isinstance(error, Refusal):
                    fault = explained(error)
                    self._records.refused(error)
                self.unwritten.failed(at)
                self._late(at)
        if fault or written:
            self._note_fault(fault)

    def _never(self, at: Address, error: Refusal) -> None:
        """What can never be written is given up."""
        self._changes.no_echo(at)
        self._operations["refused"][0] += 1
        log.error("the shared store refuses a record of %s for good: %s", at[0], error)

    def _note_fault(self, fault: str) -> None:
        if not self._session.reachable:
            return  # what it takes will be seen when it is back
        if fault and not self.fault:
            self._counters.add("store_write_failures")
            log.error("the shared store takes no writes, they wait for now: %s", fault)
        elif self.fault and not fault:
            log.warning("the shared store takes writes again")
        self.fault = fault

    async def _merge_late(self) -> None:
        late = list(islice(self.unwritten.late.items(), MERGED))
        done = await asyncio.gather(*(self._merge_one(at, write) for at, write in late), return_exceptions=True)
        fault = ""
        for error in done:
            if isinstance(error, StoreError | Refusal):
                fault = fault or explained(error)
            elif error is not None:
                raise error
        self._note_fault(fault)

    async def _merge_one(self, at: Address, write: Write) -> None:
        """Bring together what was put here and what stands there. Raises StoreError; Refusal where it has to wait."""
        table, key = at
        for _ in range(_TRIES):
            now = self._records.now()
            held = await self._records.read_patiently(at)
            theirs = held if held is not None and now < held.expires else None
            result = self._merge(table, key, write.stored(), write.at, theirs)
            if result is not None and not now < result.expires:
                result = None
            if result != theirs:
                merged = self._records.to_write(*(result if result is not None else (None, 0.0)))
                if result is not None and result.value == write.value:
                    merged = merged._replace(schema=write.schema)  # it was not encoded anew
                try:
                    if not await self._records.swap(at, theirs.value if theirs is not None else None, merged, now):
                        continue
                except Refusal as error:
                    if error.code in WAITS:
                        raise
                    if error.code in ELSEWHERE:
                        raise self._records.refused(error) from None
                    self.unwritten.merged(at, write)
                    self._never(at, error)
                    return
            if self.unwritten.merged(at, write):
                self._changes.tell_merged(at, write, result, written=result != theirs)
                self._written(at)
            return
        raise StoreError("others are quicker at this record all the time")
