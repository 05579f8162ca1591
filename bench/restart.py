"""A restart with a full cache: when the first answer comes from it, what others wait meanwhile, and what keeping it costs.

`python -m bench.restart [NAMES…]`, a million unless said otherwise: names with one address each, in the file of the cache as the
daemon writes it. A second client asks for a name that is answered locally all the time.
"""

from __future__ import annotations

import random
import shutil
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

import dns.message
import dns.query

from bench.measure import cpu_seconds, machine, resident, table
from resolverd.resolver.cache.entries import Cached, size_of
from resolverd.resolver.persist import records
from resolverd.state.disk.cache_file import CacheFolder
from resolverd.state.rows import Changes
from resolverd.wire import codes
from resolverd.wire.names import Name, from_text
from resolverd.wire.rrset import RRset, Security, Trust
from tests.running import Running

NAMES = 1_000_000
ASKED = 200
"""Names that are asked for while the file is read."""
BATCH = 2000
DAY = 86400
PATIENCE = 600.0
CONFIG = '[cache]\nsize = "2GiB"\n'


def name(number: int) -> str:
    """One of the names, some of them in each of five thousand zones."""
    return f"host{number}.zone{number % 5000}.example"


def row(number: int, now: float) -> tuple[bytes, bytes | None]:
    """What is kept of a name."""
    owner: Name = from_text(name(number))
    rrset = RRset(owner, codes.A, DAY, (struct.pack("!I", number),))
    entry = Cached(rrset, (), Trust.AUTHORITATIVE, now, now + DAY, float("inf"), False, Security.INSECURE, size_of(rrset, ()))
    return records.row_key(b"r", owner), records.encode_types({codes.A: entry}, 0.0, now)


def written(folder: Path, count: int) -> float:
    """Write so many names to the file of a daemon that has ended; µs of the processor a name."""
    file = CacheFolder(folder / "var", 2 << 30).open()
    fingerprint, _ = file.about()
    now = time.time()
    begun = time.process_time()
    for start in range(0, count, BATCH):
        rows = [row(number, now) for number in range(start, min(start + BATCH, count))]
        file.write(Changes(False, [], rows, fingerprint, CacheFolder(folder / "var", 0).moment(time.time())))
    spent = time.process_time() - begun
    file.close()
    return spent / count * 1e6


@contextmanager
def asking(running: Running) -> Iterator[list[float]]:
    """The seconds that somebody waits who asks for what is answered locally, again and again."""
    waits: list[float] = []
    ended = threading.Event()
    query = dns.message.make_query("localhost", "A")

    def ask() -> None:
        while not ended.wait(0.003):
            begun = time.perf_counter()
            dns.query.udp(query, "127.0.0.1", 5, running.ports["DNS"])
            waits.append(time.perf_counter() - begun)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield waits
    finally:
        ended.set()
        thread.join()


def timed_answer(running: Running, number: int) -> float:
    """Seconds until a name's address is there."""
    begun = time.perf_counter()
    assert running.dns(name(number)).answer, "it is not known"
    return time.perf_counter() - begun


def play(count: int) -> tuple[str, ...]:
    """The figures for so many names."""
    folder = Path(tempfile.mkdtemp(prefix="restart-"))
    try:
        running = Running(folder, CONFIG)
        running.end()
        begun = time.perf_counter()
        running = Running(folder, CONFIG)
        empty = time.perf_counter() - begun
        running.end()
        cost = written(folder, count)
        size = (folder / "var" / "cache.sqlite").stat().st_size / 2**20
        begun = time.perf_counter()
        running = Running(folder, CONFIG)
        timed_answer(running, 7)
        first = time.perf_counter() - begun
        with asking(running) as waits:
            known = [timed_answer(running, number) for number in random.Random(1).sample(range(count), min(count, ASKED))]
            while "names are known from before" not in running.log.read_text():
                time.sleep(0.1)
                if time.perf_counter() - begun > PATIENCE:
                    raise TimeoutError("the file is not read")
            read, usual, longest = time.perf_counter() - begun, median(waits), max(waits)
            cpu, memory = cpu_seconds(running.process.pid), resident(running.process.pid)
            waits.clear()
            flushed = time.perf_counter()
            calling = HTTPConnection("127.0.0.1", running.ports["HTTP"], timeout=PATIENCE)
            calling.request("DELETE", "/v1/cache/example?below=true", headers={"Authorization": f"Bearer {running.token}"})
            assert calling.getresponse().status == 200
            flushed = time.perf_counter() - flushed
            longest_flush = max(waits, default=0.0)
        begun = time.perf_counter()
        running.end()
        ended = time.perf_counter() - begun
    finally:
        shutil.rmtree(folder)
    return (
        f"{count:,}", f"{cost:.0f}", f"{size:.0f}", f"{empty:.1f}", f"{first:.1f}", f"{1000 * median(known):.1f}", f"{read:.0f}",
        f"{cpu:.1f}", f"{memory:.0f}", f"{1000 * usual:.1f}", f"{1000 * longest:.0f}", f"{flushed:.1f}",
        f"{1000 * longest_flush:.0f}", f"{ended:.2f}",
    )  # fmt: skip


HEAD = (
    "names", "written, CPU µs a name", "file MiB", "start without any s", "first answer s", "known name meanwhile ms",
    "all read s", "CPU s", "RSS MiB", "others wait ms", "at most ms", "all flushed s", "others wait at most ms", "end s",
)  # fmt: skip


def run() -> None:
    """Measure and print the table."""
    print(machine())
    print(table(HEAD, [play(int(count)) for count in sys.argv[1:] or (NAMES,)]))


if __name__ == "__main__":
    run()
