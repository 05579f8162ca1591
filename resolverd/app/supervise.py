"""What lives as long as the daemon: tasks with names, logged, counted and started anew when they end by a fault.

A fault costs nobody but the task that has it. The first of a kind is logged with its traceback, those like it in a line; the
delay until the next start doubles, so that neither the log nor the processor is filled by one that fails at once.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple, TypeAlias

from resolverd import logs
from resolverd.metrics import Counters

log = logging.getLogger(__name__)

FIRST_DELAY: Final = 1.0
"""Seconds until a task that has ended is started anew; twice as many each time that it ends again soon."""
LONGEST_DELAY: Final = 60.0
"""The most of it; a task that has run for longer begins with `FIRST_DELAY` again."""

Work: TypeAlias = Callable[[], Coroutine[Any, Any, object]]


class TaskState(NamedTuple):
    """How a task fares: ``running``, ``restarting`` after a fault, or ``done``; and how often it has ended by a fault."""

    state: str
    faults: int


class _Task:
    def __init__(self, work: Work, once: bool) -> None:
        self.work = work
        self.once = once
        self.state = "running"
        self.faults = 0
        self.delay = FIRST_DELAY
        self.kind: object = None
        self.task: asyncio.Task[None]


class Supervisor:
    """Keeps tasks running. Each has a name of a closed set, which metrics use as a label."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._tasks: dict[str, _Task] = {}

    def run(self, name: str, work: Work, *, once: bool = False) -> "asyncio.Task[None]":
        """Keep this running under that name, in the place of what ran under it. `once`: until it has ended without a fault."""
        self.cancel(name)
        kept = self._tasks[name] = _Task(work, once)
        kept.task = asyncio.create_task(self._keep(name, kept), name=name)
        return kept.task

    def cancel(self, name: str) -> None:
        """End it, if it runs."""
        kept = self._tasks.pop(name, None)
        if kept is not None:
            kept.task.cancel()

    async def aclose(self) -> None:
        """End all of them."""
        tasks = [kept.task for kept in self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def states(self) -> dict[str, TaskState]:
        """How each of them fares, by name."""
        return {name: TaskState(kept.state, kept.faults) for name, kept in self._tasks.items()}

    async def _keep(self, name: str, kept: _Task) -> None:
        loop = asyncio.get_running_loop()
        while True:
            kept.state = "running"
            begun = loop.time()
            try:
                await kept.work()
                if kept.once:
                    kept.state = "done"
                    return
                error: BaseException = _Returned("a task that goes on for ever has returned")
            except asyncio.CancelledError as cancelled:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                error = cancelled  # what it waited for was cancelled, and not the task
            except Exception as fault:
                error = fault
            if loop.time() - begun > LONGEST_DELAY:
                kept.delay = FIRST_DELAY
            self._tell(name, kept, error)
            kept.state = "restarting"
            await asyncio.sleep(kept.delay)
            kept.delay = min(2 * kept.delay, LONGEST_DELAY)

    def _tell(self, name: str, kept: _Task, error: BaseException) -> None:
        kept.faults += 1
        self._counters.add("task_restarts", task=name)
        kind = logs.kind(error)
        if kind == kept.kind:
            self._counters.add("bugs", where="task")
            log.error("task %s: %s again, started anew in %g s", name, type(error).__name__, kept.delay)
        else:
            kept.kind = kind
            text = "task %s has ended by a fault, and is started anew in %g s"
            logs.bug(log, self._counters, "task", text, name, kept.delay, error=error)


class _Returned(Exception):
    """A task that goes on for ever has returned."""
