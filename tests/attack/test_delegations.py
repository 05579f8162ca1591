"""Delegations that name each other's servers: work without packets (TsuNAME, CAMP, CVE-2022-3204). What one question costs in
CPU, what a thousand of them do to others, and that everything ends on the clock.
"""

import asyncio
import gc
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import dns.message
import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "unit")]

from scriptednet import Net, ScriptedResolver, addresses, rcode, reply_to  # noqa: E402
from virtualtime import VirtualLoop, virtual  # noqa: E402

from resolverd import bounds  # noqa: E402
from resolverd.wire import codes  # noqa: E402
from resolverd.wire.ask import Ask  # noqa: E402
from resolverd.wire.names import from_text  # noqa: E402
from tests.attacks import Figure  # noqa: E402

EVIL = "45.0.0.1"
ZONES = 6
DEAREST = 60
"""What the dearest question may cost, in ordinary ones that ask three servers, which the test makes on the same processor:
about a millisecond each."""


def cut(query: dns.message.Message, zone: str, servers: list[str]) -> bytes:
    reply = reply_to(query, authority="\n".join(f"{zone}. NS {each}." for each in servers), aa=False)
    return reply.to_wire(max_size=65535)


def ring(name: str, query: dns.message.Message) -> bytes:
    """Each zone's servers are all in the next one."""
    zone = name.split(".")[-2]
    return cut(query, f"{zone}.evil", [f"n{number}.s{(int(zone[1:] or 0) + 1) % ZONES}.evil" for number in range(13)])


def mesh(name: str, query: dns.message.Message) -> bytes:
    """Each zone's servers are in all the others."""
    zone = name.split(".")[-2]
    own = int(zone[1:] or 0)
    return cut(query, f"{zone}.evil", [f"n{number}{own}.s{(own + 1 + number) % (2 * ZONES)}.evil" for number in range(13)])


def fresh(name: str, query: dns.message.Message) -> bytes:
    """Each zone's servers are in thirteen zones that nobody has heard of."""
    zone = name.split(".")[-2]
    return cut(query, f"{zone}.evil", [f"n.s{int(zone[1:] or 0) * 13 + number + 1}.evil" for number in range(13)])


def deep(name: str, query: dns.message.Message) -> bytes:
    """Each label is a zone, with servers in its cousins."""
    labels = name.split(".")
    asked = ".".join(labels[-3:])
    return cut(query, asked, [f"a{number}.b{number}.c{number}.{'.'.join(labels[-2:])}" for number in range(13)])


def aliases(name: str, query: dns.message.Message) -> bytes:
    """The servers' names are aliases into the next zone (CAMP)."""
    first, _, rest = name.partition(".")
    if rest == "evil" and first.startswith("a"):
        return reply_to(query, f"{name}. CNAME x{first[1:]}.s{int(first[1:]) % 50 + 1}.evil.").to_wire()
    zone = name.split(".")[-2]
    return cut(query, f"{zone}.evil", [f"a{int(zone[1:] or 0) * 13 + number}.evil" for number in range(13)])


SHAPES = [ring, mesh, fresh, deep, aliases]


def evil(net: Net, shape: Callable[[str, dns.message.Message], bytes]) -> None:
    net.root.add(f"evil. NS ns.evil.\nns.evil. A {EVIL}")
    made: dict[tuple[str, int], bytes] = {}

    def handler(query: dns.message.Message, ask: Ask) -> bytes:
        # Made once: the attacker's own work is not what is measured.
        name = query.question[0].name.to_text().lower().rstrip(".")
        key = name, int(query.question[0].rdtype)
        if key not in made:
            made[key] = shape(name, query) if name != "evil" else reply_to(query).to_wire()
        return query.id.to_bytes(2) + made[key][2:]

    net.serve(EVIL, handler)


def honest(net: Net, count: int) -> None:
    com = net.zone("com", {"ns.com": "45.1.0.1"})
    for number in range(count):
        zone, address = f"shop{number}.com", f"45.2.{number // 250}.{number % 250}"
        net.zone(zone, {f"ns.{zone}": address}, "www A 193.0.0.1", parent=com)


async def costs(resolver: ScriptedResolver, name: str) -> tuple[str, float]:
    """Seconds of CPU until nothing is under way any more."""
    gc.collect()
    begun = time.process_time()
    code = rcode(await resolver.ask(name))
    await resolver.settle()
    return code, time.process_time() - begun


@pytest.mark.attack("R-16", "R-17", "R-18")
@pytest.mark.parametrize("minimise", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_one_question_costs_no_more_than_some_ordinary_ones(
    shape: Callable[[str, dns.message.Message], bytes], minimise: bool, tmp_path: Path, figure: Figure
) -> None:
    async def run() -> tuple[float, float]:
        net = Net()
        honest(net, 40)
        evil(net, shape)
        resolver = ScriptedResolver(net, tmp_path, qname_minimisation=minimise, ipv6=True)
        await costs(resolver, "www.shop0.com")
        gc.freeze()  # garbage is looked for before each measurement, among what is of this test
        ordinary = [await costs(resolver, f"www.shop{number}.com") for number in range(1, 40)]
        assert {code for code, _ in ordinary} == {"NOERROR"}
        dearest = 0.0
        for name in ("www.s0.evil", "other.s0.evil", "www.s3.evil", "x.y.z.s5.evil"):
            code, took = await costs(resolver, name)
            assert code == "SERVFAIL"
            dearest = max(dearest, took)
        return dearest, median(took for _, took in ordinary)

    for _ in range(3):  # somebody else may have had the processor
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            dearest, ordinary = runner.run(run())
        if dearest <= DEAREST * ordinary:
            break
    figure("CPU of the dearest question, its servers' as well", 1000 * dearest, "ms")
    figure("the same in ordinary questions", dearest / ordinary, most=DEAREST)


@virtual
async def test_a_trace_costs_no_more_and_ends(tmp_path: Path) -> None:
    net = Net()
    evil(net, ring)
    resolver = ScriptedResolver(net, tmp_path)
    begun = time.process_time()
    answer, steps, _ = await resolver.parts.mesh.own.trace(from_text("www.s0.evil"), codes.A)
    assert answer.rcode == codes.SERVFAIL
    assert len(steps) <= bounds.MAX_QUERIES
    assert time.process_time() - begun <= 2


@virtual
async def test_everything_ends_on_the_clock_though_no_reply_ever_comes(tmp_path: Path) -> None:
    net = Net()
    resolver = ScriptedResolver(net, tmp_path)

    async def never(ask: Ask) -> None:
        await asyncio.sleep(1e9)

    net.exchange = never  # type: ignore[method-assign, assignment]
    mesh = resolver.parts.mesh
    begun = resolver.clock.monotonic()
    limit = bounds.RECURSION_TIME + bounds.RECURSION_GRACE
    assert rcode(await resolver.ask("www.shop.com")) == "SERVFAIL"
    await resolver.settle()
    assert resolver.clock.monotonic() - begun <= limit
    begun = resolver.clock.monotonic()
    answer, _, _ = await mesh.own.trace(from_text("www.shop.com"), codes.A)
    assert (answer.rcode, resolver.clock.monotonic() - begun <= limit) == (codes.SERVFAIL, True)
    begun = resolver.clock.monotonic()
    assert await mesh.own.prime() is None
    assert resolver.clock.monotonic() - begun <= limit
    await mesh.aclose()
    await asyncio.sleep(0)  # the network's tasks are cancelled
    assert asyncio.all_tasks() == {asyncio.current_task()}, "nothing of it is left"


# -- a thousand of them ------------------------------------------------------------------------------------------------------


async def flood(questions: int, probes: int, folder: Path) -> dict[str, float]:
    """In real time: so many questions in one go, each for a zone of its own, while a second client looks names up."""
    net = Net(rtt=0.005)
    honest(net, probes)
    evil(net, fresh)
    resolver = ScriptedResolver(net, folder)
    await resolver.ask("www.shop0.com")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    attack = [asyncio.create_task(resolver.ask(f"www.s{number}.evil")) for number in range(questions)]
    good = 0
    for number in range(1, probes):
        good += addresses(await resolver.ask(f"www.shop{number}.com")) == ["193.0.0.1"]
    await asyncio.gather(*attack)
    await resolver.settle()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"good": good / (probes - 1), "grown": grown / 1024}


@pytest.mark.attack("R-17")
def test_a_thousand_of_them_leave_the_others_alone(at_length: bool, tmp_path: Path, figure: Figure) -> None:
    questions, probes = (1000, 200) if at_length else (300, 60)
    run = [sys.executable, __file__, str(questions), str(probes), str(tmp_path)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=300, check=True, cwd=ROOT)
    found = json.loads(done.stdout)
    figure("answers of other zones beside hundreds of them", 100 * found["good"], "%", least=95)
    figure("memory for hundreds of them, as much as the caches may have", found["grown"], "MiB", most=64)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(flood(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))))
