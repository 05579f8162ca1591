"""Greylisting over a store of a million triplets: how long a decision takes, how large file and process become.

`python -m bench.greylist [TRIPLETS [RATE]]`. The store is made in a directory of its own and filled as the daemon would;
decisions are then made on triplets all over the file, so that few of them are at hand in memory: as many as will go, ten at a
time, and RATE a second (500, which is 43 million attempts a day) at random moments, to see how long one takes. Expired records
are swept meanwhile, more often than the daemon does it.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

import uvloop

from bench.measure import machine, table
from resolverd import bounds
from resolverd.clock import SystemClock
from resolverd.greylist.decide import GreylistRules, Triplet, encode_triplet
from resolverd.greylist.service import TRIPLETS, Greylister
from resolverd.greylist.triplet import network, triplet
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.state.base import Store, StoredValue, address
from resolverd.state.disk.sqlite_file import SqliteFile
from resolverd.state.disk.store import BATCH, DIRECTORY, open_store

SIDE_BY_SIDE = 10
DECISIONS = 20_000
RATE = 500
PACED_SECONDS = 30
SWEEP_SECONDS = 25
RULES = GreylistRules()


def attempt(number: int) -> Attempt:
    """The attempt of a number: its client, sender and recipient."""
    letters = "".join(chr(97 + int(digit)) for digit in str(number))
    return Attempt(
        IPv4Address((11 << 24) + number * 97 % (1 << 24)), sender=f"{letters}@sender-{letters[-3:]}.example.com",
        recipient=f"recipient-{number % 5000}@example.org",
    )  # fmt: skip


def key(number: int) -> bytes:
    """Its triplet's key."""
    mail = attempt(number)
    assert mail.client_address is not None
    return triplet(network(mail.client_address), mail.sender, mail.recipient)


def fill(directory: Path, count: int) -> float:
    """Write so many triplets, half of them passed; seconds."""
    now = int(time.time())
    began = time.perf_counter()
    file = SqliteFile(directory / DIRECTORY, bounds.STORE_OCTETS)
    for start in range(0, count, BATCH):
        batch: dict[bytes, StoredValue | None] = {}
        for number in range(start, min(start + BATCH, count)):
            known = Triplet(now - 7200, now - 3600 if number % 2 else now - 7200, bool(number % 2))
            batch[address(TRIPLETS, key(number))] = StoredValue(encode_triplet(known), known.expires(RULES))
        file.write(batch)
    file.close()
    return time.perf_counter() - began


async def decide(desk: Greylister, number: int) -> float:
    """Decide on this one; the seconds that it took."""
    mail = attempt(number)
    began = time.perf_counter()
    outcome = await desk.consider(mail, record=True, suspicious=True)
    took = time.perf_counter() - began
    assert outcome.state != "skipped", outcome.reason
    return took


async def as_many_as_will_go(desk: Greylister, numbers: Callable[[], int]) -> float:
    """Decisions a second, ten at a time."""

    async def one_after_the_other() -> None:
        for _ in range(DECISIONS // SIDE_BY_SIDE):
            await decide(desk, numbers())

    began = time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(SIDE_BY_SIDE)))
    return DECISIONS / (time.perf_counter() - began)


async def as_they_come(
    desk: Greylister, store: Store, numbers: Callable[[], int], chance: random.Random, rate: float
) -> list[float]:
    """The seconds that decisions took which came at random moments, so many a second, shortest first."""
    tasks, at = [], time.perf_counter()
    for count in range(int(PACED_SECONDS * rate)):
        at += chance.expovariate(rate)
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        tasks.append(asyncio.create_task(decide(desk, numbers())))
        if count % int(SWEEP_SECONDS * rate) == 0:
            store.sweep(time.time())
    return sorted(await asyncio.gather(*tasks))


async def measure(directory: Path, count: int, rate: float) -> list[tuple[str, ...]]:
    """Rows of the table: the kind of triplet, quantiles in milliseconds, decisions a second."""
    began = time.perf_counter()
    store = await open_store(directory, Counters())
    opened = time.perf_counter() - began
    desk = Greylister(store, SystemClock(), RULES, Counters())
    chance = random.Random(1)
    kinds = {
        "known, all over the file": lambda: 2 * chance.randrange(count // 2) + 1,
        "first success": lambda: 2 * chance.randrange(count // 2),
        "new": lambda: count + chance.randrange(1 << 40),
    }
    rows = []
    for name, number in kinds.items():
        took = await as_they_come(desk, store, number, chance, rate)
        quantiles = (took[len(took) // 2], took[len(took) * 99 // 100], took[-1])
        most = await as_many_as_will_go(desk, number)
        rows.append((name, *(f"{each * 1000:.2f}" for each in quantiles), f"{most:,.0f}"))
        await store.flush()
    print(f"opened in {opened:.2f} s")
    await store.close()
    return rows


def resident() -> float:
    """MB of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Fill, measure, print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rate = float(sys.argv[2]) if len(sys.argv) > 2 else RATE
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("BENCH_DIR")) as directory:
        before = resident()
        seconds = fill(Path(directory), count)
        size = sum(file.stat().st_size for file in (Path(directory) / DIRECTORY).iterdir())
        print(f"{count:,} triplets, {rate:g} decisions a second at random moments, {machine()}")
        print(f"written in {seconds:.0f} s; file {size / 1e6:.0f} MB, {size / count:.0f} octets a triplet")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the daemon has it
            rows = runner.run(measure(Path(directory), count, rate))
        print(f"memory {before:.0f} MB before, {resident():.0f} MB after")
    print(table(("triplets", "median ms", "p99 ms", "longest ms", "decisions/s"), rows))


if __name__ == "__main__":
    main()
