"""Tasks that live as long as the daemon: a fault in one is told, counted and mended, and costs nobody else."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
import pytest
from mailcases import attempt
from scriptednet import ROOT_SERVER, Net
from virtualtime import VirtualClock, virtual

from resolverd.app.service import Service
from resolverd.app.supervise import FIRST_DELAY, LONGEST_DELAY, Supervisor, TaskState
from resolverd.config.settings import WatchSettings
from resolverd.dnsbl.engine import Engine
from resolverd.mail.findings import Action
from resolverd.metrics import Counters
from resolverd.overrides.store import OverrideStore
from resolverd.resolver.local.files import LocalZoneFiles
from resolverd.resolver.mesh import Mesh
from resolverd.resolver.own_questions import OwnQuestions
from resolverd.state.base import Entry
from resolverd.state.memory import MemoryStore
from tests.replay.stack import root_hints, settings

HOUR = 3600.0


class Work:
    """Fails as often as it is told to, then goes on for ever; `at` has when it was begun."""

    def __init__(self, faults: int, fault: Callable[[], Awaitable[None]]) -> None:
        self.faults = faults
        self.fault = fault
        self.at: list[float] = []

    async def run(self) -> None:
        self.at.append(asyncio.get_running_loop().time())
        if len(self.at) <= self.faults:
            await self.fault()
            return
        await asyncio.Event().wait()


async def broken() -> None:
    raise RuntimeError("planted")


async def over() -> None:
    """Returns, where nothing should."""


async def cancelled_inside() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.exc_info]


@virtual
async def _faults(fault: Callable[[], Awaitable[None]], caplog: pytest.LogCaptureFixture) -> None:
    counters = Counters()
    supervisor = Supervisor(counters)
    failing, sound = Work(3, fault), Work(0, fault)
    supervisor.run("failing", failing.run)
    supervisor.run("sound", sound.run)
    await asyncio.sleep(0.5)
    assert supervisor.states() == {"failing": TaskState("restarting", 1), "sound": TaskState("running", 0)}
    await asyncio.sleep(HOUR)
    assert supervisor.states() == {"failing": TaskState("running", 3), "sound": TaskState("running", 0)}
    assert [round(after - before) for before, after in zip(failing.at, failing.at[1:], strict=False)] == [1, 2, 4]
    assert len(sound.at) == 1
    assert counters.get("task_restarts", task="failing") == counters.get("bugs", where="task") == 3
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 3
    assert len(tracebacks(caplog)) == 1, "one traceback a kind"
    await supervisor.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("fault", [broken, over, cancelled_inside])
def test_a_task_that_ends_is_told_counted_and_started_anew(
    fault: Callable[[], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    _faults(fault, caplog)


@virtual
async def test_the_delay_is_bounded_and_forgotten_by_a_task_that_has_run_for_long() -> None:
    supervisor = Supervisor(Counters())
    work = Work(100, broken)
    supervisor.run("work", work.run)
    await asyncio.sleep(HOUR)
    gaps = [after - before for before, after in zip(work.at, work.at[1:], strict=False)]
    assert max(gaps) == gaps[-1] == LONGEST_DELAY

    async def after_a_while() -> None:
        await asyncio.sleep(LONGEST_DELAY + 1)
        raise RuntimeError

    lasting = Work(100, after_a_while)
    supervisor.run("work", lasting.run)
    await asyncio.sleep(HOUR)
    gaps = [after - before for before, after in zip(lasting.at, lasting.at[1:], strict=False)]
    assert set(gaps) == {LONGEST_DELAY + 1 + FIRST_DELAY}
    await supervisor.aclose()


@virtual
async def test_work_that_is_done_once_is_done() -> None:
    supervisor = Supervisor(Counters())
    done = Work(0, over)
    done.faults = 1
    await supervisor.run("done", done.run, once=True)
    assert supervisor.states()["done"] == TaskState("done", 0)
    failing = Work(1, broken)

    async def at_last() -> None:
        await asyncio.wait_for(failing.run(), 1)

    async def twice() -> None:
        try:
            await at_last()
        except TimeoutError:
            return

    await supervisor.run("failing", twice, once=True)
    assert supervisor.states()["failing"] == TaskState("done", 1)
    assert len(failing.at) == 2


@virtual
async def test_another_takes_the_place_of_one_of_its_name() -> None:
    supervisor = Supervisor(Counters())
    first, second = Work(0, over), Work(0, over)
    task = supervisor.run("work", first.run)
    await asyncio.sleep(0)
    supervisor.run("work", second.run)
    await asyncio.sleep(1)
    assert task.cancelled()
    assert (len(first.at), len(second.at)) == (1, 1)
    await supervisor.aclose()


# -- the daemon's ------------------------------------------------------------------------------------------------------------


def once(real: Callable[..., Any]) -> Callable[..., Any]:
    """As `real`, but for a bug at the first call."""
    calls = itertools.count()

    def planted(*args: Any, **more: Any) -> Any:
        if next(calls) == 0:
            raise RuntimeError("planted")
        return real(*args, **more)

    return planted


class Store(MemoryStore):
    """Has a bug where it is told to, once."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: set[str] = set()

    def _break(self, what: str) -> None:
        if what in self.broken:
            self.broken.discard(what)
            raise RuntimeError("planted")

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        self._break(f"get {table}")
        return await super().get(table, key, now)

    async def scan(self, table: str, now: float, start: bytes = b"") -> AsyncIterator[Entry]:
        self._break(f"scan {table}")
        async for entry in super().scan(table, now, start):
            yield entry

    def sweep(self, now: float) -> None:
        self._break("sweep")
        super().sweep(now)


PLANTS: dict[str, str | tuple[type, str]] = {
    "priming": (OwnQuestions, "prime"),
    "reachability": (Mesh, "is_doubtful"),
    "store sweep": "sweep",
    "override upkeep": (OverrideStore, "expire"),
    "overrides": "scan overrides",
    "zone files": (LocalZoneFiles, "refresh"),
    "list quotas": "get list-budgets",
    "client notes": "get clients",
    "verdicts": "scan verdicts-by-time",
    "list probes": (Engine, "probe"),
    "own addresses": (Engine, "set_watched"),
    "time series": "get series",
    "alerts": (Engine, "statuses"),
}
"""Where a bug is planted for each of the daemon's tasks."""


def daemon(folder: Path, store: Store) -> Service:
    net = Net()
    net.root.add("@ NS k.root-servers.net.")
    made = settings(root_hints(folder, "k.root-servers.net", [ROOT_SERVER]), resolver={"ipv6": False, "priming": True})
    made = msgspec.structs.replace(made, watch=WatchSettings((ip_address("193.0.0.9"),)))
    return Service(made, net, store, VirtualClock(), Counters())


@virtual
async def _daemon_survives(
    name: str, plant: str | tuple[type, str], folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    service = daemon(folder, store)
    if isinstance(plant, str):
        store.broken.add(plant)
    else:
        owner, attribute = plant
        real = getattr(owner, attribute)
        monkeypatch.setattr(owner, attribute, property(once(real.fget)) if isinstance(real, property) else once(real))
    await service.prepare(0.3)
    service.start()
    await asyncio.sleep(0.2)
    mail = attempt(client_address="193.0.0.7", helo_name="h.example.com", sender="a@example.com", recipient="b@example.org")
    assert (await service.runtime.policy.verdict_on(mail, record=True)).action is Action.REJECT, "it has no name"
    await asyncio.sleep(200)
    states = service.supervisor.states()
    assert set(PLANTS) <= set(states)
    assert {each for each, state in states.items() if state.faults} == {name}
    assert states[name] == TaskState("running", 1)
    assert service.counters.get("task_restarts", task=name) == service.counters.get("bugs", where="task") == 1
    assert len(tracebacks(caplog)) == 1
    assert service.runtime.priming.readiness.ready
    await service.aclose()


@pytest.mark.parametrize("name", PLANTS)
def test_a_bug_in_any_task_of_the_daemon_is_told_and_mended_and_costs_nobody_else(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    _daemon_survives(name, PLANTS[name], tmp_path, caplog, monkeypatch)
