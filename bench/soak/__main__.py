"""See `bench.soak`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.measure import machine
from bench.soak import page, samples
from bench.soak.attacks import ATTACKS
from bench.soak.clients import Clients, Meter
from tests.lab import namespace
from tests.lab.daemon import Daemon
from tests.lab.fleet import on_store
from tests.lab.lab import Lab
from tests.lab.namespace import ROOT, LabError
from tests.lab.redis import Redis
from tests.lab.resolverd import CONFIG, resolverd

CACHE = 64
"""MiB of the cache: the default, which such a load fills in a quarter of an hour."""

SOAKED = CONFIG + "".join(f"[lists.{name}]\nenabled = true\n" for name in ("spamcop", "psbl", "mailspike")) + """
[lists.small]
zone = "rbl.small-list.net"
kinds = ["ip4", "ip6"]
number = 101
"""

EVERY = 5.0
"""Seconds from sample to sample."""
ATTACK, PAUSE = 60.0, 20.0
"""Seconds of an attack, and of peace behind it."""
RELOAD = 240.0
"""Seconds from reload to reload."""
DEATH, DEAD = 360.0, 60.0
"""Seconds from one death of a list to the next, and for which it is dead."""
OUTAGE, AWAY = 150.0, 20.0
"""Seconds from one outage of the shared store to the next, and for which it lasts."""


class Soak:
    """The run: what is going on, for the samples to tell."""

    def __init__(self, lab: Lab, daemon: Daemon, store: Redis | None, seconds: float, file: Path):
        self._lab = lab
        self._daemon = daemon
        self._store = store
        self._seconds = seconds
        self._file = file
        self._attack = ""
        self._events: list[str] = []

    async def run(self) -> None:
        """Everything at once, until the time is over."""
        meter = Meter()
        everything = [asyncio.create_task(each) for each in (
            Clients(meter).run(), self._attacks(), self._reloads(), self._deaths(), self._outages(), self._samples(meter))]
        try:
            done, _ = await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)

    async def _attacks(self) -> None:
        while True:
            for name, attack in ATTACKS.items():
                await asyncio.sleep(PAUSE)
                self._attack = name
                with suppress(TimeoutError):
                    async with asyncio.timeout(ATTACK):
                        await attack()
                self._attack = ""

    async def _reloads(self) -> None:
        while True:
            await asyncio.sleep(RELOAD)
            os.kill(self._daemon.pid, signal.SIGHUP)
            self._events.append("reload")

    async def _deaths(self) -> None:
        lists = [self._lab.lists[zone] for zone in ("zen.spamhaus.org", "rbl.small-list.net", "list.dnswl.org")]
        while True:
            for number, each in enumerate(lists):
                await asyncio.sleep(DEATH - DEAD)
                await asyncio.to_thread(each.silence if number % 2 == 0 else each.stop)
                self._events.append(f"{each.details.zone} dies")
                await asyncio.sleep(DEAD)
                await asyncio.to_thread(each.heal)
                self._events.append(f"{each.details.zone} is back")

    async def _outages(self) -> None:
        if self._store is None:
            await asyncio.Event().wait()
            return
        server = self._store.daemon
        while True:
            for what in ("killed", "stalled", "emptied"):
                await asyncio.sleep(OUTAGE - AWAY)
                self._events.append(f"the shared store is {what}")
                if what == "stalled":
                    server.pause()
                    await asyncio.sleep(AWAY)
                    server.resume()
                else:
                    server.kill()
                    await asyncio.sleep(AWAY)
                    if what == "emptied":
                        self._store.empty()
                    await asyncio.to_thread(server.start)
                self._events.append("the shared store is back")

    async def _samples(self, meter: Meter) -> None:
        loop = asyncio.get_running_loop()
        process, began = samples.Process(self._daemon.pid), loop.time()
        last = began
        with self._file.open("w") as out:
            while loop.time() - began < self._seconds:
                await asyncio.sleep(EVERY)
                now = loop.time()
                events, self._events = "; ".join(self._events), []
                sample = samples.Sample(round(now - began, 1), self._attack, events, *process.look(now - last),
                                        await samples.gauges(), meter.read())
                last = now
                out.write(msgspec.json.encode(sample).decode() + "\n")
                out.flush()


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="Under load and attack, an hour or so.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--shared", action="store_true", help="with a store that hosts share, and its outages")
    parser.add_argument("--samples", type=Path, metavar="FILE", help="where samples go (build/soak.jsonl)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="its plot stands beside it (docs/soak.md)")
    parser.add_argument("--note", default="", help="what a reader must know of the machine")
    parser.add_argument("--render", action="store_true", help="write the page of samples that are there")
    options = parser.parse_args(argv)
    name = "soak-shared" if options.shared else "soak"
    options.samples = options.samples or ROOT / "build" / f"{name}.jsonl"
    options.page = options.page or ROOT / "docs" / f"{name}.md"
    return options


def main(argv: Sequence[str]) -> int:
    """Run, write the page; the exit status says whether everything asked is reached."""
    options = arguments(argv)
    if options.render:
        date = f"{datetime.now(UTC):%Y-%m-%d}"
        store = "a shared store that dies, hangs and forgets, " if options.shared else ""
        found = samples.read(options.samples)
        return 0 if page.write(found, options.page, CACHE, machine(), date, store, options.note) else 1
    if not namespace.inside():
        options.samples.parent.mkdir(parents=True, exist_ok=True)
        status = namespace.enter([sys.executable, "-m", "bench.soak", *argv])
        return status or main([*argv, "--render"])
    with Lab() as lab:
        store = Redis(lab.mail, "store", "127.0.0.1") if options.shared else None
        daemon = resolverd(lab.mail, SOAKED if store is None else on_store(SOAKED, "redis://127.0.0.1"))
        with lab.running(*([] if store is None else [store.daemon]), daemon):
            asyncio.run(Soak(lab, daemon, store, options.minutes * 60, options.samples.resolve()).run())
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LabError as error:
        sys.exit(f"bench: {error}")
