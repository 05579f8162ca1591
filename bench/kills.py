"""What is left of a store whose process is killed, or whose file is damaged.

`python -m bench.kills store [CYCLES]`   a process that writes records is killed with SIGKILL, again and again, on one store
`python -m bench.kills daemon [CYCLES]`  so is the whole daemon, while it answers policy requests
`python -m bench.kills damage [STORES]`  stores damaged in every way are opened

After each kill the file must be sound, and nothing may be lost that is older than a second. After each damage a store must
be open within five seconds and take records.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.measure import machine
from resolverd.failures import StoreError
from resolverd.greylist.service import TRIPLETS
from resolverd.metrics import Counters
from resolverd.state.base import Store
from resolverd.state.disk.opening import DIRECTORY, open_store
from resolverd.state.disk.recovery import Recovery

LATER = 4e9
TABLE = "kills"


class Toll(NamedTuple):
    """Of one kill: records promised until then, how many of them are gone, and the seconds since the oldest of those."""

    promised: int
    lost: int
    age: float


def sound(state: Path) -> str:
    """What SQLite's full check says of the file."""
    connection = sqlite3.connect(state / DIRECTORY / "cache.db")
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


# -- the store ------------------------------------------------------------------------------------------------------------


async def write_for_ever(state: Path, first: int, pipe: int) -> None:
    """Put records, one every two milliseconds, and tell each number once it is put."""
    store = await open_store(state, Counters())
    number = first
    while True:
        store.put(TABLE, b"%012d" % number, b"v" * 40, LATER)
        os.write(pipe, b"%d %.6f\n" % (number, time.monotonic()))
        number += 1
        await asyncio.sleep(0.002)


def kill_a_writer(state: Path, first: int, seconds: float) -> Toll:
    """Let a process write records for so long after its first, kill it, and see what is there."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            asyncio.run(write_for_ever(state, first, writing))
        finally:
            os._exit(1)
    os.close(writing)
    text = b""
    select.select([reading], [], [], 10)
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([reading], [], [], left)[0]:
            text += os.read(reading, 65536)
    os.kill(child, signal.SIGKILL)
    killed = time.monotonic()
    os.waitpid(child, 0)
    while rest := os.read(reading, 65536):
        text += rest
    os.close(reading)
    promised = {int(number): float(at) for number, at in (line.split() for line in text.split(b"\n")[:-1])}
    found = {int(key) for key in asyncio.run(keys(state, TABLE))}
    gone = [at for number, at in promised.items() if number not in found]
    return Toll(len(promised), len(gone), killed - min(gone, default=killed))


async def keys(state: Path, table: str) -> list[bytes]:
    """The keys in a table, read by the next process."""
    counters = Counters()
    store = await open_store(state, counters)
    found = [entry.key async for entry in store.scan(table, time.time())]
    for key in found if table == TABLE else []:
        store.delete(table, key)
    await store.close()
    assert not counters.get("store_set_aside"), "the store was set aside"
    assert not counters.get("store_in_memory"), "the store could not be opened"
    return found


def kill_writers(state: Path, cycles: int) -> list[Toll]:
    """Kill so many writers, one after the other, at any moment of their work."""
    chance = random.Random(cycles)
    tolls, first = [], 0
    for _ in range(cycles):
        tolls.append(kill_a_writer(state, first, chance.uniform(0.01, 0.6)))
        first += tolls[-1].promised + 1
        assert (verdict := sound(state)) == "ok", verdict
    return tolls


# -- the daemon -----------------------------------------------------------------------------------------------------------

CHECKS = ("ptr", "fcrdns", "helo", "sender_domain", "spf", "rhsbl", "dnswl")
CONFIG = """
[dns]
listen = ["127.0.0.1:0"]
[resolver]
trust_anchors = "/dev/null"
root_hints = "hints"
do_not_query = []
[dnsbl]
enabled = false
[policy]
listen = ["127.0.0.1:0"]
[http]
listen = "127.0.0.1:0"
""" + "".join(f'[checks.{name}]\naction = "off"\n' for name in CHECKS)
"""Greylisting alone, and nothing that needs a network."""

REQUEST = """request=smtpd_access_policy
protocol_state=RCPT
client_address=198.51.100.7
client_name=mx.example.com
reverse_client_name=mx.example.com
helo_name=mx.example.com
sender={sender}@example.com
recipient=anna@example.org

"""


def start_daemon(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start it, and give its process and the port of its policy service."""
    with (folder / "log").open("ab") as log:
        before = log.tell()
        command = [sys.executable, "-m", "resolverd", "serve", "-c", str(folder / "config.toml")]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    for _ in range(400):
        text = (folder / "log").read_bytes()[before:].decode()
        if "try it" in text and (found := re.search(r"policy +127\.0\.0\.1:(\d+)", text)):
            return process, int(found[1])
        if process.poll() is not None:
            break
        time.sleep(0.02)
    process.kill()
    process.wait()
    raise AssertionError((folder / "log").read_text())


def kill_a_daemon(folder: Path, cycle: int, seconds: float) -> Toll:
    """Let Postfix's part be played for so long, kill the daemon, and see which of the greylisted triplets are there."""
    process, port = start_daemon(folder)
    told: dict[str, float] = {}
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        until, number = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            letters = "".join(chr(97 + int(digit)) for digit in f"{cycle:04d}{number:06d}")
            sock.sendall(REQUEST.format(sender=letters).encode())
            reply = sock.recv(4096)
            assert b"Greylisted" in reply, reply
            told[f"198.51.100.0/{letters}@example.com/anna@example.org"] = time.monotonic()
            number += 1
        process.kill()
        killed = time.monotonic()
    process.wait()
    found = {key.decode() for key in asyncio.run(keys(folder / "var", TRIPLETS))}
    gone = [at for key, at in told.items() if key not in found]
    return Toll(len(told), len(gone), killed - min(gone, default=killed))


def kill_daemons(folder: Path, cycles: int) -> list[Toll]:
    """Kill so many daemons on one state directory."""
    (folder / "hints").write_text(". 60 NS ns.test.\nns.test. 60 A 127.255.255.254\n")
    (folder / "config.toml").write_text(CONFIG)
    chance = random.Random(cycles)
    tolls = []
    for cycle in range(cycles):
        tolls.append(kill_a_daemon(folder, cycle, chance.uniform(0.05, 1.5)))
        assert (verdict := sound(folder / "var")) == "ok", verdict
    return tolls


# -- damage ---------------------------------------------------------------------------------------------------------------


def flip(file: Path, chance: random.Random) -> None:
    """Some bytes anywhere."""
    octets = bytearray(file.read_bytes())
    for _ in range(chance.randrange(1, 200)):
        octets[chance.randrange(len(octets))] ^= chance.randrange(1, 256)
    file.write_bytes(octets)


def flip_head(file: Path, chance: random.Random) -> None:
    """Some bytes of the header and the schema."""
    octets = bytearray(file.read_bytes())
    for _ in range(chance.randrange(1, 20)):
        octets[chance.randrange(4096)] ^= chance.randrange(1, 256)
    file.write_bytes(octets)


def truncate(file: Path, chance: random.Random) -> None:
    """The end is missing."""
    os.truncate(file, chance.randrange(file.stat().st_size))


def zero_pages(file: Path, chance: random.Random) -> None:
    """Pages of zeros, as a file system leaves them after a power failure."""
    with file.open("r+b") as out:
        for _ in range(chance.randrange(1, 20)):
            out.seek(4096 * chance.randrange(file.stat().st_size // 4096))
            out.write(bytes(4096))


def noise(file: Path, chance: random.Random) -> None:
    """No database at all."""
    file.write_bytes(chance.randbytes(chance.randrange(1, 100_000)))


def wal(file: Path, chance: random.Random) -> None:
    """A write-ahead log of somebody else."""
    file.with_name(file.name + "-wal").write_bytes(chance.randbytes(chance.randrange(1, 50_000)))


def folder_instead(file: Path, chance: random.Random) -> None:
    """A directory where the file should be."""
    file.unlink()
    file.mkdir()
    (file / "x").write_bytes(chance.randbytes(10))


def another_program(file: Path, chance: random.Random) -> None:
    """The database of another program."""
    file.unlink()
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE Cache (key, value)")
    connection.execute("INSERT INTO Cache VALUES (?, ?)", (chance.randbytes(9), chance.randbytes(9)))
    connection.commit()
    connection.close()


DAMAGES: tuple[Callable[[Path, random.Random], None], ...] = (
    flip, flip_head, truncate, zero_pages, noise, wal, folder_instead, another_program
)  # fmt: skip


class Opened(NamedTuple):
    """A damaged store: seconds to open it, whether it was set aside, how many of 2 000 records it gives at once, and how many
    when what was set aside has been recovered."""

    damage: str
    seconds: float
    set_aside: bool
    left: int
    saved: int


async def open_damaged(state: Path) -> tuple[float, bool, int, int]:
    """Open it and use it; damage that shows only now may cost a record, never the store."""
    counters = Counters()
    began = time.perf_counter()
    store = await open_store(state, counters)
    seconds = time.perf_counter() - began
    left = await readable(store)
    for number in range(3):
        store.put(TABLE, b"new %d" % number, b"v", LATER)
    await store.flush()
    for number in range(3):
        assert await store.get(TABLE, b"new %d" % number, 0) == b"v", "does not keep what it is given"
    assert not counters.get("store_in_memory"), "kept in memory"
    await Recovery(store, state, time.time, counters).run()
    saved = await readable(store)
    await store.close()
    return seconds, bool(counters.get("store_set_aside")), left, saved


async def readable(store: Store) -> int:
    """How many of 2 000 records can be read, from every 20th."""
    left = 0
    for number in range(0, 2000, 20):
        try:
            left += await store.get(TABLE, b"%012d" % number, 0) is not None
        except StoreError:  # mail passes, and the next try meets a sound file
            continue
    return left * 20


def damage_stores(folder: Path, count: int) -> list[Opened]:
    """Damage so many copies of a store, each in its way, and open them."""
    whole = folder / "whole"

    async def fill() -> None:
        store = await open_store(whole, Counters())
        for number in range(2000):
            store.put(TABLE, b"%012d" % number, b"v" * 40, LATER)
        await store.close()

    asyncio.run(fill())
    chance = random.Random(count)
    results = []
    for number in range(count):
        state = folder / f"damaged-{number}"
        shutil.copytree(whole, state)
        damage = DAMAGES[number % len(DAMAGES)]
        damage(state / DIRECTORY / "cache.db", chance)
        results.append(Opened(damage.__name__, *asyncio.run(open_damaged(state))))
        shutil.rmtree(state)
    return results


# -------------------------------------------------------------------------------------------------------------------------


def told(what: str, tolls: list[Toll]) -> str:
    """The kills in a line."""
    promised, lost = sum(toll.promised for toll in tolls), sum(toll.lost for toll in tolls)
    return (
        f"{what} killed {len(tolls)} times: file sound each time; {lost} of {promised:,} records lost, "
        f"the oldest {max(toll.age for toll in tolls):.3f} s old"
    )


def main() -> None:
    """Do what the command line says, and tell the figures."""
    what, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory(prefix="kills-", dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name)
        began = time.perf_counter()
        if what == "store":
            tolls = kill_writers(folder / "var", count or 1000)
            print(told("the store's process", tolls))
        elif what == "daemon":
            tolls = kill_daemons(folder, count or 20)
            print(told("the daemon", tolls))
        elif what == "damage":
            results = damage_stores(folder, count or 100)
            longest = max(each.seconds for each in results)
            print(f"{len(results)} damaged stores: open after {longest:.2f} s at most, and all keep what they are given")
            for each in DAMAGES:
                own = [result for result in results if result.damage == each.__name__]
                aside, count = sum(result.set_aside for result in own), max(len(own), 1)
                left, saved = sum(result.left for result in own) / count, sum(result.saved for result in own) / count
                print(
                    f"  {each.__name__:16} {len(own):3} stores, {aside:3} set aside; "
                    f"of 2000 records {left:4.0f} still there, {saved:4.0f} after recovery"
                )
        print(f"{time.perf_counter() - began:.0f} s, {machine()}")


if __name__ == "__main__":
    main()
