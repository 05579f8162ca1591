"""The daemon itself: alive, ready, and reading its configuration again."""

import msgspec

from resolverd import __version__
from resolverd.servers.http.auth import ANYBODY, LOOPBACK
from resolverd.servers.http.problems import Problem
from resolverd.servers.http.route import Call, Route


class Task(msgspec.Struct):
    """A task of the daemon: ``running``, ``restarting`` after a fault, or ``done``; and how often it has ended by a fault."""

    state: str
    faults: int


class Health(msgspec.Struct):
    """The daemon is alive."""

    service: str
    version: str
    alive: bool
    tasks: dict[str, Task]


class Ready(msgspec.Struct, omit_defaults=True):
    """Names can be resolved; and what is wrong all the same, where anything is."""

    ready: bool
    remarks: list[str] = []


class Reloaded(msgspec.Struct):
    """The configuration was read again: the keys that have changed, those that wait for the next start, and remarks on it."""

    reloaded: bool
    changed: tuple[str, ...]
    restart: tuple[str, ...]
    remarks: tuple[str, ...]


async def get_health(call: Call) -> Health:
    """The daemon is alive, and how its tasks fare."""
    tasks = {name: Task(*state) for name, state in call.daemon.tasks().items()}
    return Health("resolverd", __version__, alive=True, tasks=tasks)


async def get_readiness(call: Call) -> Ready:
    """Names can be resolved."""
    readiness = call.daemon.priming.readiness
    if not readiness.ready:
        raise Problem(503, readiness.reason or "not ready", headers={"Retry-After": "5"})
    fault = call.daemon.resolver.clock_fault
    remarks = [f"DNSSEC is not validated until the clock is right: {fault}"] if fault is not None else []
    return Ready(ready=True, remarks=remarks)


async def reload(call: Call) -> Reloaded:
    """Read the configuration again; a faulty one changes nothing."""
    done = await call.daemon.reload()
    if done.faults:
        members = [{"path": fault.path, "detail": fault.text} for fault in done.faults]
        raise Problem(422, "the configuration is faulty, so the one in force stays", faults=members)
    return Reloaded(reloaded=True, changed=done.changed, restart=done.restart, remarks=done.remarks)


ROUTES = (
    Route("POST", "/v1/reload", reload, problems=(422,)),
    Route("GET", "/healthz", get_health, ANYBODY),
    Route("GET", "/readyz", get_readiness, LOOPBACK, problems=(503,)),
)
