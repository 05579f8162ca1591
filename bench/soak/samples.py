"""What is measured every few seconds, and what is asked of all of it together."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec

from bench.measure import cpu_seconds
from bench.soak.clients import get
from resolverd import bounds

_GAUGE = re.compile(r"^resolverd_(cache_\w+|recursions_(?:jostled|refused)_total|bugs_total)(?:\{.*\})? (\S+)$", re.M)

BESIDE = bounds.LIST_REPLY_OCTETS / 2**20 + 20 + 8
"""MiB that is remembered beside the cache: replies of lists, verdicts (`bounds.VERDICTS_CACHED`), hot records of the store."""


class Sample(msgspec.Struct):
    """One look at the process and its clients."""

    at: float
    """Seconds since the begin."""
    attack: str
    event: str
    """What happened to it since the last look: a reload, a list that died."""
    rss: float
    """MiB."""
    descriptors: int
    threads: int
    cpu: float
    """Share of a core since the last look."""
    gauges: dict[str, float]
    clients: dict[str, dict[str, float]]


class Process:
    """The daemon, seen from outside."""

    def __init__(self, pid: int):
        self._folder = Path(f"/proc/{pid}")
        self._pid = pid
        self._cpu = cpu_seconds(pid)

    def look(self, since: float) -> tuple[float, int, int, float]:
        """MiB of memory, descriptors, threads, and the share of a core over `since` seconds."""
        status = dict(line.split(":\t", 1) for line in (self._folder / "status").read_text().splitlines())
        cpu, before = cpu_seconds(self._pid), self._cpu
        self._cpu = cpu
        rss = int(status["VmRSS"].split()[0]) / 1024
        return round(rss, 1), len(os.listdir(self._folder / "fd")), int(status["Threads"]), round((cpu - before) / since, 3)


async def gauges() -> dict[str, float]:
    """What the daemon says of itself; empty where it does not answer."""
    try:
        text = (await get("/metrics", patience=3)).decode()
    except (OSError, EOFError):
        return {}
    told: dict[str, float] = {}
    for name, value in _GAUGE.findall(text):
        told[name] = told.get(name, 0.0) + float(value)
    return told


class Demand(NamedTuple):
    """What is asked of the whole run: a figure, its bound, and whether it holds."""

    what: str
    measured: str
    asked: str
    reached: bool


def demands(samples: Sequence[Sample], cache: float) -> Iterator[Demand]:
    """Judge a run over a cache of so many MiB. The first tenth is the time in which a process fills."""
    later = samples[len(samples) // 10 :]
    first, last = later[: max(1, len(later) // 10)], later[-max(1, len(later) // 10) :]

    def middle(part: Sequence[Sample], what: str) -> float:
        return median(getattr(each, what) for each in part)

    grown = max(each.rss for each in samples) - samples[0].rss
    kept = cache + BESIDE
    asked_of = f"≤ {1.2 * kept:.0f} MiB: cache {cache:.0f}, other memories {BESIDE:.0f}, and 20 %"
    yield Demand("memory beyond that of the start", f"{grown:.0f} MiB", asked_of, grown <= 1.2 * kept)
    half = [each for each in samples if each.at > samples[-1].at / 2]
    full = max(each.rss for each in half) - max(each.rss for each in samples if each not in half)
    most = 0.1 * kept
    yield Demand("memory, second half over the most of the first", f"{full:+.0f} MiB", f"≤ {most:.0f} MiB", full <= most)
    more = middle(last, "descriptors") - middle(first, "descriptors")
    yield Demand("descriptors, end over begin", f"{more:+.0f}", "≤ 20", more <= 20)
    at_most = max(each.descriptors for each in samples)
    yield Demand("descriptors at the most", f"{at_most}", "≤ 4000", at_most <= 4000)
    threads = middle(last, "threads") - middle(first, "threads")
    yield Demand("threads, end over begin", f"{threads:+.0f}", "≤ 0", threads <= 0)
    for kind, least in (("cached", 0.99), ("cold", 0.95), ("lists", 0.95), ("TCP", 0.95), ("policy", 0.99), ("HTTP", 0.95)):
        answered, failed = (sum(each.clients[kind][what] for each in samples) for what in ("answered", "failed"))
        asked = answered + failed
        share = answered / max(1, asked)
        yield Demand(f"{kind}: answered", f"{100 * share:.2f} % of {asked:,.0f}", f"≥ {100 * least:.0f} %", share >= least)


def latency(samples: Sequence[Sample], kind: str, what: str) -> tuple[float, float]:
    """The median and the worst of the looks' quantiles of a kind's latency, in ms."""
    values = [each.clients[kind][what] for each in samples if what in each.clients[kind]]
    return (median(values), max(values)) if values else (float("nan"), float("nan"))


def read(file: Path) -> list[Sample]:
    """The samples of a file of JSON lines."""
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Sample)
    return [decoder.decode(line) for line in file.read_text().splitlines()]
