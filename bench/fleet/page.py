"""The page about the runs, and its plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from bench import plot
from bench.fleet.news import ASK_EVERY, News
from bench.fleet.quotas import LOOK_EVERY, PLENTY, QUOTA, SHORT, STORM, WEATHERS, Outcome

ABOUT = (
    "`python -m bench.fleet` simulates fleets of 1 to {most} hosts with one store, on virtual time. Leases of quotas "
    "(`dnsbl.leases`), list health (`dnsbl.shared_health`, with the engine above it) and overrides (`overrides.store`) are the "
    "daemon's own code. Simulated are the questions, the lists, and the way to the store: 0.2 to 1 ms each way. What real "
    "servers and mail servers do is tested elsewhere (tests/unit/state, tests/real/test_fleet.py). {date}."
)

QUOTAS = """## A quota that all share

{text}

| hosts | weather | most in 24 hours | of the quota | refused with a fifth or more unsent | the same \
while the server is away or new | store operations a second | in the busiest ten minutes | round trips a second |
|---|---|---|---|---|---|---|---|---|
"""

ABOUT_QUOTAS = (
    "One list with a quota of {count} questions a day, asked at random times by random hosts. *Plenty*: for {plenty.hours} hours "
    "{plenty.demand:g} times the quota a day. *Rush*: so much that all is gone within two hours, while each host is killed "
    "(kill -9) once an hour on average and is back at once with nothing, the server is away for a quarter of an hour, and once "
    "comes back empty. *Short*: for {short.hours} hours, so that what was sent first leaves the period, {short.demand:g} times "
    "the quota a day. *Storm*: the same, each host killed every {lives:g} hours, the server away four times, and empty once. "
    "More than 100 % of the quota within any 24 hours would be overshoot. What is missing to 100 % of *rush*, *short* and "
    "*storm* is wasted: held where it was not wanted, or lost with hosts that were killed, until it leaves the period; where "
    "that is a fifth, as in *rush*, all that is asked behind it counts as refused with a fifth unsent. Hosts look at their "
    "leases each second in service, here each {low:g} to {high:g} s, the longer the more hosts there are. With more lists "
    "operations add up; a list that is not asked costs none. In service each host also hears of every change of a counter; here "
    "it knows only what it has read."
)

NEWS = """
## What one host finds out

{text}

| hosts | until a second host has found it, s | from then until it holds at all, ms | questions refused | of as many that share \
nothing | an override is in force at all after, ms |
|---|---|---|---|---|---|
"""

ABOUT_NEWS = (
    "A list begins to answer everybody that it does not serve them (127.255.255.254); each host has a new client every "
    "{every:g} s on average. The first host suspends it for itself, the second one for all. Beside it, as many hosts that share "
    "nothing: each has to find out, until all have it. An override is set at one host, and is in force at the last one so much "
    "later."
)


def write(outcomes: Sequence[Outcome], news: Sequence[News], file: Path, date: str) -> None:
    """Write the page and its plots beside it."""
    most = max(each.hosts for each in outcomes)
    text = "# A fleet, simulated\n\n" + fill(ABOUT.format(most=most, date=date), 128) + "\n\n"
    text += "".join(f"![{what}](fleet-{name}.svg)\n\n" for name, what in (
        ("operations", "store operations a second over the number of hosts"),
        ("quota", "the share of the quota that is used, over the number of hosts"),
        ("storm", "questions sent each hour in the storm"),
    ))  # fmt: skip
    about = ABOUT_QUOTAS.format(
        count=f"{QUOTA.count:,}", plenty=PLENTY, short=SHORT, lives=STORM.lives / 3600, low=LOOK_EVERY[0], high=LOOK_EVERY[1]
    )
    text += QUOTAS.format(text=fill(about, 128))
    for each in outcomes:
        text += (
            f"| {each.hosts} | {each.weather}{f', {each.deaths} killed' * bool(each.deaths)} | {each.most:,} "
            f"| {each.most / QUOTA.count:.1%} "
            f"| {_share(each.refused_early, each.asked_early)} | {_share(each.refused_away, each.asked_away)} "
            f"| {each.operations:.2f} | {each.busiest:.2f} | {each.rounds:.2f} |\n"
        )
    text += NEWS.format(text=fill(ABOUT_NEWS.format(every=ASK_EVERY), 128))
    for one in news:
        times = (f"{one.found_after:.1f}", f"{one.suspended_after * 1000:.1f}") if one.hosts > 1 else ("–", "–")
        shared = f"{one.override_after * 1000:.1f}" if one.hosts > 1 else "–"
        text += f"| {one.hosts} | {times[0]} | {times[1]} | {one.wasted} | {one.alone} | {shared} |\n"
    file.write_text(text)
    for name, drawing in _plots(outcomes).items():
        file.with_name(f"fleet-{name}.svg").write_text(drawing)


def _share(part: int, of: int) -> str:
    return f"{part:,} of {of:,}" if of else "–"


def _plots(outcomes: Sequence[Outcome]) -> dict[str, str]:
    def line(weather: str, what: str, divisor: float = 1.0) -> list[tuple[float, float]]:
        return [(each.hosts, getattr(each, what) / divisor) for each in outcomes if each.weather == weather]

    names = [weather.name for weather in WEATHERS]
    storms = [each for each in outcomes if each.weather == "storm"]
    shown = {each.hosts: each for each in storms}
    hours = {
        f"{hosts} host{'s' * (hosts > 1)}": [(hour, float(count)) for hour, count in enumerate(each.sent_by_hour)]
        for hosts, each in shown.items()
    }
    away = [(begin / 3600, end / 3600) for begin, end in STORM.outages]
    return {
        "operations": plot.curves(
            "store operations a second, one list", {name: line(name, "operations") for name in names}, "plenty"
        ),
        "quota": plot.curves(
            "most sent in any 24 hours, % of the quota",
            {name: line(name, "most", QUOTA.count / 100) for name in names if name != PLENTY.name},
            "storm",
        ),
        "storm": plot.timeline(
            [(f"sent in an hour, {name}", {name: points}) for name, points in hours.items()],
            away,
            "hours; grey: the server is away",
        ),
    }
