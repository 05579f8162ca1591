"""The page about a run, and its plot."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import fill

from bench import plot
from bench.soak.clients import RATES
from bench.soak.samples import Sample, demands, latency

ABOUT = (
    "`bench.soak` ran resolverd for {minutes:.0f} minutes against the lab's servers (NSD, rbldnsd), with {rates} a second at "
    "once; of {attacks} attacks one at a time, a reload every few minutes, {store}and a list that dies and comes back. "
    "{machine}; {date}. {note}"
)

HEAD = """# {minutes:.0f} minutes under load and attack

{text}

![Memory, descriptors, threads, latency and CPU over time; grey: an attack]({plot})

| | measured | asked | |
|---|---|---|---|
"""


def write(
    samples: Sequence[Sample], file: Path, cache: float, machine: str, date: str, store: str = "", note: str = ""
) -> bool:
    """Write the page and the plot beside it; whether everything asked is reached. `store`: what becomes of a shared one."""
    found = list(demands(samples, cache))
    rates = ", ".join(f"{rate:g} {kind}" for kind, rate in RATES.items())
    attacks = len({each.attack for each in samples} - {""})
    minutes = samples[-1].at / 60
    about = ABOUT.format(minutes=minutes, rates=rates, attacks=attacks, store=store, machine=machine, date=date, note=note)
    text = HEAD.format(minutes=minutes, text=fill(about.strip(), 128), plot=file.with_suffix(".svg").name)
    text += "".join(f"| {each.what} | {each.measured} | {each.asked} | {'reached' if each.reached else '**missed**'} |\n"
                    for each in found)
    text += "\nMilliseconds that clients waited: median and worst of all looks, which are five seconds each.\n\n"
    text += "| | p50 | p50 at worst | p99 | p99 at worst |\n|---|---|---|---|---|\n"
    for kind in RATES:
        values = (*latency(samples, kind, "p50"), *latency(samples, kind, "p99"))
        text += f"| {kind} | {' | '.join(f'{value:.1f}' for value in values)} |\n"
    file.write_text(text)
    file.with_suffix(".svg").write_text(_plot(samples))
    return all(each.reached for each in found)


def _plot(samples: Sequence[Sample]) -> str:
    minutes = [each.at / 60 for each in samples]

    def line(values: Sequence[float]) -> list[tuple[float, float]]:
        return list(zip(minutes, values, strict=True))

    def quantile(kind: str, what: str) -> list[tuple[float, float]]:
        return [(each.at / 60, each.clients[kind][what]) for each in samples if what in each.clients[kind]]

    def gauge(name: str, divisor: float) -> list[tuple[float, float]]:
        return [(each.at / 60, each.gauges[name] / divisor) for each in samples if name in each.gauges]

    mib = 1 << 20
    spans: list[tuple[float, float]] = []
    for before, each in pairwise(samples):
        if each.attack:
            begin = spans.pop()[0] if spans and spans[-1][1] == before.at / 60 else before.at / 60
            spans.append((begin, each.at / 60))
    return plot.timeline([
        ("MiB", {"memory (RSS)": line([each.rss for each in samples]), "record cache": gauge("cache_record_bytes", mib),
                 "packet cache": gauge("cache_packet_bytes", mib)}),
        ("descriptors", {"descriptors": line([each.descriptors for each in samples])}),
        ("threads", {"threads": line([each.threads for each in samples])}),
        ("cached, ms", {what: quantile("cached", what) for what in ("p99", "p50")}),
        ("cold, ms", {what: quantile("cold", what) for what in ("p99", "p50")}),
        ("policy, ms", {what: quantile("policy", what) for what in ("p99", "p50")}),
        ("share of a core", {"CPU": line([each.cpu for each in samples])}),
    ], spans, "minutes")
