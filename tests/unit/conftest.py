"""Async tests run on the daemon's own event loop, whose transports differ from asyncio's in small ways.

A test fails that leaves something behind: a task of the daemon's, a thread, a socket, or another setting of a logger. So does one
in which a callback of the daemon's keeps the virtual event loop from everybody else for longer than `BLOCKING` seconds of the
processor.
"""

import asyncio
import gc
import logging
import os
import threading
from asyncio import events, runners
from collections.abc import Iterator
from pathlib import Path
from time import thread_time
from typing import Any, NamedTuple

import pytest
import uvloop

import resolverd
from resolverd.log_writer import LogWriter

BLOCKING = 0.25
GRACE = 2.0
"""Seconds for a thread to end that has been told to."""

_OURS = Path(resolverd.__file__).parent
_left: list[str] = []
_blocking: list[str] = []
_cancel_all_tasks, _run = runners._cancel_all_tasks, events.Handle._run  # type: ignore[attr-defined]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, object]:
    return {"uvloop": uvloop.new_event_loop}


def _note_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """In the place of what ends all tasks that are left when a loop ends."""
    _left.extend(f"{task.get_coro()}" for task in asyncio.all_tasks(loop) if not task.cancelling() and _is_ours(task))
    _cancel_all_tasks(loop)


class _Collections:
    """Seconds that the collector of cycles has taken: most of what it looks through is the tests', not the daemon's."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._begun = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._begun = thread_time()
        else:
            self.seconds += thread_time() - self._begun


_collections = _Collections()


def _timed_run(handle: Any) -> None:
    begun = thread_time() - _collections.seconds
    try:
        _run(handle)
    finally:
        if (took := thread_time() - _collections.seconds - begun) > BLOCKING:
            owner = getattr(handle._callback, "__self__", None)
            whose = owner if isinstance(owner, asyncio.Task) else handle._callback
            if _is_ours(whose):
                _blocking.append(f"{took:.2f} s in {whose}")


def _is_ours(work: Any) -> bool:
    """Whether a task or a callback is the daemon's, and not a test's."""
    if isinstance(work, asyncio.Task):
        code = getattr(work.get_coro(), "cr_code", None)
    else:
        work = getattr(work, "func", work)
        code = getattr(getattr(work, "__func__", work), "__code__", None)
    return code is not None and _OURS in Path(code.co_filename).parents


runners._cancel_all_tasks = _note_tasks  # type: ignore[attr-defined]
events.Handle._run = _timed_run  # type: ignore[method-assign]


def _sockets() -> set[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
        if target.startswith("socket:"):
            found.add(f"{name} {target}")
    return found


class _Logger(NamedTuple):
    """How a logger is set; what pytest hangs on the root is left out."""

    handlers: tuple[logging.Handler, ...] = ()
    level: int = logging.NOTSET
    propagate: bool = True


def _loggers() -> dict[str, _Logger]:
    """Those that are not set as all are at first."""
    found = {"": logging.root, **{name: logging.root.manager.loggerDict[name] for name in list(logging.root.manager.loggerDict)}}
    set_ = {}
    for name, logger in found.items():
        if isinstance(logger, logging.Logger):
            handlers = tuple(each for each in logger.handlers if not type(each).__module__.startswith("_pytest."))
            set_[name] = _Logger(handlers, logger.level, logger.propagate)
    return {name: each for name, each in set_.items() if each != _Logger()}


@pytest.fixture
def loggers() -> Iterator[None]:
    """The test may call `logs.configure`: afterwards all loggers are set as they were."""
    before = _loggers()
    yield
    for name, now in _loggers().items():
        logger, then = logging.getLogger(name), before.get(name, _Logger())
        for handler in now.handlers:
            if handler not in then.handlers:
                logger.removeHandler(handler)
                if isinstance(handler, LogWriter):
                    handler.close()
        logger.setLevel(then.level)
        logger.propagate = then.propagate


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    item.stash[_BEFORE] = set(threading.enumerate()), _sockets(), _loggers()
    return (yield)


_BEFORE = pytest.StashKey[tuple[set[threading.Thread], set[str], dict[str, _Logger]]]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    yield
    left, blocking = _left[:], _blocking[:]
    _left.clear()
    _blocking.clear()
    threads, sockets, loggers = item.stash[_BEFORE]
    if not _shares_something(item):
        for thread in set(threading.enumerate()) - threads:
            thread.join(GRACE)
            if thread.is_alive():
                left.append(f"thread {thread.name}")
        if _sockets() - sockets:
            gc.collect()
        left += [f"socket {each}" for each in _sockets() - sockets]
        left += [f"logger {name}: {now}" for name, now in _loggers().items() if now != loggers.get(name)]
    assert not left, "left behind"
    assert not blocking, "the event loop was kept from everybody else"


def _shares_something(item: pytest.Item) -> bool:
    """Whether it uses a fixture of ours that lives on for the next test; a server that is a process of its own shares nothing."""
    found = [each for defs in item._fixtureinfo.name2fixturedefs.values() for each in defs if each.scope != "function"]
    return any("tests." in each.func.__module__ and each.func.__module__ != "tests.redis_server" for each in found)
