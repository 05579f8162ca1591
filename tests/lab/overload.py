"""More questions than can be resolved: what comes of those that are cached, of those that are not, and of those of dead zones.

The load is open, as that of many clients is: who has to wait, or is not answered, makes nobody ask less. What the daemon can
do is measured first, in the same minute on the same machine, and all that is asked of it is a multiple of that.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import dns.message

from tests.lab.model import SILENT, World, Zone, host
from tests.lab.world import HOSTS, REGISTRIES, SERVICES

PATIENCE = 2.0
"""Seconds after which an answer is worth nothing any more: by then clients ask again, or somebody else."""
ZONES = 20
HOT = 200
"""Names that are asked all the time."""
OUTSTANDING = 100


def world() -> World:
    """The lab's registries and, below com, zones in which there is every name; as many that look alike and whose servers hang."""
    living = [host(f"ns{number}.live-hosting.net", f"45.14.0.{number + 1}", "living") for number in range(ZONES)]
    silent = [host(f"ns{number}.hung-hosting.net", f"45.66.1.{number + 1}", SILENT, "4") for number in range(ZONES)]
    zones = [
        *(Zone(name, (living[0].name, living[1].name)) for name in ("live-hosting.net", "hung-hosting.net")),
        *(Zone(f"live{number}.com", (each.name,), "* A 45.20.9.9\n") for number, each in enumerate(living)),
        *(Zone(f"dead{number}.com", (each.name,)) for number, each in enumerate(silent)),
    ]
    return World([*HOSTS, *living, *silent], [*REGISTRIES, *SERVICES, *zones])


class Fared(NamedTuple):
    """What came of one kind of question."""

    asked: int
    answered: int
    """In time, and with an answer."""
    failed: int
    """In time, and with none (SERVFAIL)."""
    p50: float
    p99: float
    """Seconds that the answered have waited."""

    @property
    def share(self) -> float:
        """Of them, those that were answered."""
        return self.answered / max(1, self.asked)


class Load(asyncio.DatagramProtocol):
    """Clients of a resolver, each with a source of its own as far as it can tell: many sockets."""

    def __init__(self) -> None:
        self._sent: dict[bytes, tuple[str, float]] = {}
        self.took: dict[str, list[float]] = {}
        self.failed: dict[str, int] = {}
        self.asked: dict[str, int] = {}
        self.on_reply: Callable[[], None] = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, _: object) -> None:
        kind, began = self._sent.pop(data[:2], ("", 0.0))
        took = time.perf_counter() - began
        if kind and took <= PATIENCE:
            if data[3] & 15 in (0, 3):
                self.took[kind].append(took)
            else:
                self.failed[kind] += 1
        self.on_reply()

    def ask(self, kind: str, ident: bytes, question: bytes) -> None:
        """Send it; what comes is counted under its kind."""
        self.asked[kind] = self.asked.get(kind, 0) + 1
        self.took.setdefault(kind, [])
        self.failed.setdefault(kind, 0)
        self._sent[ident] = kind, time.perf_counter()
        self.transport.sendto(ident + question[2:])  # type: ignore[attr-defined]

    def fared(self) -> dict[str, Fared]:
        """What came of each kind."""
        told = {}
        for kind, took in self.took.items():
            took.sort()
            p50, p99 = (took[int(share * (len(took) - 1))] if took else PATIENCE for share in (0.5, 0.99))
            told[kind] = Fared(self.asked[kind], len(took), self.failed[kind], p50, p99)
        return told


def question(name: str) -> bytes:
    """A question for the address of a name."""
    return dns.message.make_query(name, "A", use_edns=0, payload=1232, id=0).to_wire()


def fresh(prefix: str, rng: random.Random) -> Iterator[bytes]:
    """Questions for names of the zones, none asked before."""
    while True:
        yield question(f"x{rng.getrandbits(48):x}.{prefix}{rng.randrange(ZONES)}.com")


def hot(rng: random.Random) -> Iterator[bytes]:
    """Questions for the same names again and again."""
    known = [question(f"hot{number}.live{number % ZONES}.com") for number in range(HOT)]
    while True:
        yield rng.choice(known)


class Overload:
    """A resolver on loopback, asked by one process."""

    def __init__(self, address: str = "127.0.0.1", port: int = 53, seed: int = 1):
        self._remote = address, port
        self._rng = random.Random(seed)
        self._idents = itertools.cycle(number.to_bytes(2) for number in range(1 << 16))
        self.kinds = {"cached": hot(self._rng), "cold": fresh("live", self._rng), "dead": fresh("dead", self._rng)}

    async def capacity(self, kind: str, seconds: float) -> float:
        """Answers a second where so many questions are always outstanding."""
        loop = asyncio.get_running_loop()
        transport, load = await loop.create_datagram_endpoint(Load, remote_addr=self._remote)
        questions = self.kinds[kind]
        load.on_reply = lambda: load.ask(kind, next(self._idents), next(questions))
        began = loop.time()
        for _ in range(OUTSTANDING):
            load.on_reply()
        await asyncio.sleep(seconds)
        load.on_reply = lambda: None
        answered = len(load.took[kind])
        seconds = loop.time() - began
        await asyncio.sleep(0.3)
        transport.close()
        return answered / seconds

    async def offer(self, rates: dict[str, float], seconds: float) -> dict[str, Fared]:
        """Ask each kind so many times a second, whatever comes back."""
        loop = asyncio.get_running_loop()
        transport, load = await loop.create_datagram_endpoint(Load, remote_addr=self._remote)
        began = loop.time()
        due = dict.fromkeys(rates, began)
        while (now := loop.time()) < began + seconds:
            for kind, rate in rates.items():
                while due[kind] <= now:
                    load.ask(kind, next(self._idents), next(self.kinds[kind]))
                    due[kind] += 1 / rate
            await asyncio.sleep(0.002)
        await asyncio.sleep(PATIENCE)
        transport.close()
        return load.fared()
