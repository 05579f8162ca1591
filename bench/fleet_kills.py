"""Mail to three servers with one store, while the store and the hosts are killed at random.

`python -m bench.fleet_kills [MINUTES [SEED]]`   makes the lab's fleet (three Postfixes, three resolverds, one Valkey),
sends mail of good and bad senders through all three, kills, stalls, empties and cuts off at random, and prints what came of it.

Nothing good may be refused, wait twice, be lost or be delivered twice; no success may be counted twice, and no list asked more
often than its quota allows, as counted on the wire.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import sys
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import NamedTuple

from bench.measure import machine
from resolverd.greylist.decide import decode_client
from resolverd.greylist.service import CLIENTS, SENDERS
from resolverd.state.sharing import FORGOTTEN
from tests.lab import namespace, outages
from tests.lab.fleet import Fleet, shared
from tests.lab.fleet_world import FLEET_WORLD
from tests.lab.lab import Lab
from tests.lab.namespace import Side
from tests.lab.outages import OF_A_HOST, OF_THE_STORE, Kind, Outage, Scene
from tests.lab.redis import Redis
from tests.lab.tap import Tap
from tests.lab.traffic import GONE, Judged, Message, Probe, Traffic, delivered, judged

DELAY = 3
"""Seconds of greylisting."""

SETTLING = 3.0
"""Seconds after an outage in which hosts may still judge by what they have of their own; more where all is forgotten."""

SMALL, ALLOWING = "rbl.small-list.net", "list.dnswl.org"
PER_DAY, PER_MINUTE = 400, 90
SETTINGS = shared(delay=DELAY, more=f"""
[lists.small]
zone = "{SMALL}"
kinds = ["ip4", "ip6"]
quota = "{PER_DAY}/1d"
[lists.dnswl]
quota = "{PER_MINUTE}/1m"
""")
"""A quota that lasts for a part of the run, and one that is used up and filled again all the time."""


class Step(NamedTuple):
    """So many seconds of calm, then an outage of so many seconds."""

    calm: float
    kind: Kind
    seconds: float


def at_random(minutes: float, kinds: Sequence[Kind], chance: random.Random) -> Iterator[Step]:
    """Outages of these kinds for so long, one after the other, calm between them and at the end.

    The store forgets everything once only, towards the end: greylisting lets all newcomers pass for minutes then.
    """
    often = [kind for kind in kinds if kind is not outages.store_emptied]
    end = time.monotonic() + minutes * 60 - 10
    emptied = end - minutes * 15 if outages.store_emptied in kinds else math.inf
    while (now := time.monotonic()) < end:
        kind = chance.choice(often)
        if now > emptied:
            kind, emptied = outages.store_emptied, math.inf
        yield Step(chance.uniform(2, 10), kind, chance.uniform(0.5, 6))


@dataclass
class Run:
    """What came of a run."""

    messages: list[Message]
    outages: list[Outage]
    probe: Probe
    begun: float
    ended: float
    servers: dict[str, set[str]]
    """The addresses of each list's servers."""
    asked: dict[str, list[float]] = field(default_factory=dict)
    """When each list was asked (monotonic, to the second), by all hosts together."""
    found: Counter[int] = field(default_factory=Counter)
    """How often each message lies in a mailbox."""
    successes: dict[str, int] = field(default_factory=dict)
    """Of each client and sender domain in the store, how often it has passed greylisting."""

    @property
    def judged(self) -> Judged:
        """Every attempt, judged."""
        return judged(self.messages, DELAY)

    @property
    def lost(self) -> list[int]:
        """Messages that a server took and that lie nowhere."""
        return [each.number for each in self.messages if each.accepted and not self.found[each.number]]

    @property
    def doubled(self) -> list[int]:
        """Messages that lie in mailboxes twice, but for those whose sender never heard that the first server had them."""
        unheard = {each.number for each in self.messages if any(a.code == GONE and a.handed_over for a in each.attempts)}
        return [number for number, count in self.found.items() if count > 1 and number not in unheard]

    def most(self, zone: str, seconds: float) -> int:
        """The most questions to a list in any time of so many seconds."""
        times = sorted(self.asked.get(zone, []))
        first, most = 0, 0
        for last, at in enumerate(times):
            while at - times[first] >= seconds:
                first += 1
            most = max(most, last - first + 1)
        return most

    def early_in_calm(self) -> list[str]:
        """Good mail that passed too early though nothing had happened for a while."""
        return [told for told, attempt in self.judged.early if not self.troubled(attempt.begun, attempt.ended)]

    def troubled(self, begun: float, ended: float) -> bool:
        """Whether there was an outage then, or shortly before."""
        return any(each.begun <= ended and begun <= each.ended + _settling(each) for each in self.outages)

    @property
    def counted_twice(self) -> list[str]:
        """Clients and senders that have passed more than once: one success an hour is counted, and no run lasts for one."""
        return [f"{name}: {passes}" for name, passes in self.successes.items() if passes > 1]

    def wrong(self) -> dict[str, list[str]]:
        """All that must not be, by what it is.

        That mail passes too early is not among it: where a machine gives nobody a processor for 20 ms, the store is late.
        """
        each = self.judged
        return {
            "refused wrongly": each.refused, "waited twice": each.waited_twice,
            "lost": [f"mail {number}" for number in self.lost], "delivered twice": [f"mail {number}" for number in self.doubled],
            "counted twice": self.counted_twice,
        }  # fmt: skip

    def latency(self, *, troubled: bool) -> tuple[float, float, int]:
        """Median and 99th percentile of what a verdict took (seconds), in calm or not; and of how many."""
        taken = sorted(seconds for at, seconds, said in self.probe.times if said and self.troubled(at, at + seconds) == troubled)
        if not taken:
            return float("nan"), float("nan"), 0
        return taken[len(taken) // 2], taken[int(len(taken) * 0.99)], len(taken)


def _settling(outage: Outage) -> float:
    return FORGOTTEN if outage.name == "store emptied" else SETTLING


async def play(fleet: Fleet, redis: Redis, *chains: Iterable[Step], traffic: Traffic, calm: float = 5.0,
               zones: Sequence[str] = (SMALL, ALLOWING)) -> Run:
    """Send traffic, take the steps of each chain, the chains side by side, `calm` seconds more, and give what came of it."""
    scene = Scene(fleet, redis, random.Random(traffic.seed))
    servers = {zone: {str(ip_address(each)) for each in fleet.lab.lists[zone].addresses} for zone in zones}
    run = Run(traffic.messages, [], Probe(fleet.hosts), time.monotonic(), 0.0, servers, {zone: [] for zone in zones})
    taps = [host.tap() for host in fleet.hosts]
    beside = [asyncio.create_task(run.probe.run()), asyncio.create_task(_listen(taps, run))]
    sending = asyncio.create_task(traffic.run())
    try:
        await asyncio.gather(*(_taken(steps, scene, run) for steps in chains))
        await asyncio.sleep(calm)
        traffic.stop()
        await sending
        await asyncio.sleep(1)
        _look(taps, run)
    finally:
        for task in (sending, *beside):
            task.cancel()
        await asyncio.gather(sending, *beside, return_exceptions=True)
        for tap in taps:
            tap.__exit__()
    run.ended = time.monotonic()
    run.found = await asyncio.to_thread(delivered, fleet.hosts)
    run.successes = await asyncio.to_thread(successes, fleet)
    return run


async def _taken(steps: Iterable[Step], scene: Scene, run: Run) -> None:
    for step in steps:
        await asyncio.sleep(step.calm)
        run.outages.append(await outages.suffer(step.kind, scene, step.seconds))


async def _listen(taps: Sequence[Tap], run: Run) -> None:
    while True:
        await asyncio.sleep(0.5)
        _look(taps, run)


def _look(taps: Sequence[Tap], run: Run) -> None:
    now = time.monotonic()
    for tap in taps:
        for query in tap.queries():
            for zone, times in run.asked.items():
                if query.name.endswith(f".{zone}") and query.server in run.servers[zone]:
                    times.append(now)


def successes(fleet: Fleet) -> dict[str, int]:
    """What the store knows of clients and senders in the end: how often each has passed."""
    done = fleet.hosts[0].command("store", "dump")
    assert done.returncode == 0, done.stderr
    found = {}
    for record in map(json.loads, done.stdout.splitlines()):
        if record.get("table") in (CLIENTS, SENDERS) and (client := decode_client(b64decode(record["value"]))) is not None:
            found[f"{record['table']} {record.get('key', record.get('key_base64'))}"] = client.passes
    return found


def table(run: Run, quotas: Sequence[tuple[str, str]]) -> str:
    """The run as a table in Markdown; `quotas` are further rows."""
    each = run.judged
    delivered_ones = sum(bool(run.found[message.number]) for message in run.messages if message.triplet is not None)
    early, all_early = len(run.early_in_calm()), len(each.early)
    kinds = sorted(Counter(outage.name for outage in run.outages).items())
    calm, trouble = run.latency(troubled=False), run.latency(troubled=True)
    rows = [
        ("time, outages", f"{run.ended - run.begun:.0f} s, {len(run.outages)}"),
        *((f"· {name}", str(count)) for name, count in kinds),
        ("good mails, delivered", f"{each.mails}, {delivered_ones}"),
        ("· attempts, deferrals, connections lost", f"{each.tries}, {each.deferrals}, {each.hang_ups}"),
        ("· refused wrongly", str(len(each.refused))),
        ("· given up by their senders", str(each.given_up)),
        ("· made to wait twice", str(len(each.waited_twice))),
        ("· passed before they had waited: in an outage, else", f"{all_early - early}, {early}"),
        ("· lost after they were taken", str(len(run.lost))),
        ("· delivered twice", str(len(run.doubled))),
        ("successes counted, twice", f"{len(run.successes)}, {len(run.counted_twice)}"),
        ("spam, refused, taken", f"{each.spam}, {each.spam_refused}, {each.spam_accepted}"),
        *quotas,
        ("a verdict in calm, p50 and p99", f"{calm[0] * 1000:.1f} and {calm[1] * 1000:.1f} ms of {calm[2]}"),
        ("a verdict in outages, p50 and p99", f"{trouble[0] * 1000:.1f} and {trouble[1] * 1000:.1f} ms of {trouble[2]}"),
    ]  # fmt: skip
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def faults(run: Run) -> str:
    """What must not be and was, a line each, between the outages; empty if nothing was."""
    wrong = [f"{name}: {each}" for name, several in run.wrong().items() for each in several]
    happened = [f"{each.begun:.1f} to {each.ended:.1f} s: {each.name}" for each in run.outages]
    return "\n".join([*happened, *wrong]) if wrong else ""


def main(argv: list[str]) -> int:
    """Play so many minutes, ten unless told otherwise; give the exit status."""
    if not namespace.inside():
        return namespace.enter([sys.executable, "-m", "bench.fleet_kills", *argv])
    minutes = float(argv[0]) if argv else 10.0
    seed = int(argv[1]) if len(argv) > 1 else 1
    with Lab(world=FLEET_WORLD) as lab:
        redis = Redis(Side("store"))
        with Fleet(lab, SETTINGS, redis.daemon) as fleet:
            traffic = Traffic(fleet.hosts, DELAY, seed=seed)
            chance = random.Random(seed)
            chains = [at_random(minutes, kinds, chance) for kinds in (OF_THE_STORE, OF_A_HOST)]
            run = asyncio.run(play(fleet, redis, *chains, traffic=traffic))
            allowing = f"{run.most(ALLOWING, 60)} times in any minute, {len(run.asked[ALLOWING])} in all"
            print(table(run, [
                (f"{SMALL}, {PER_DAY} a day", f"asked {len(run.asked[SMALL])} times by all three"),
                (f"{ALLOWING}, {PER_MINUTE} a minute", f"asked {allowing}"),
            ]))  # fmt: skip
            print(faults(run))
    print(machine())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
