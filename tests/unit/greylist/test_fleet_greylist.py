"""Greylisting by several hosts over one shared store, which comes and goes: a retry at any counts, nobody waits twice."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from typing import Any, ClassVar, NamedTuple, ParamSpec

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sharedstore import Link, Server
from virtualtime import VirtualClock, virtual

from resolverd.app.shared_tables import merge, shared_table
from resolverd.fleet.clock import FleetClock
from resolverd.greylist.decide import HOUR, Client, GreylistRules, Triplet, decode_client, decode_triplet
from resolverd.greylist.organisation import VerifiedDomains
from resolverd.greylist.service import CLIENTS, TRIPLETS, Greylister
from resolverd.mail.findings import GreylistOutcome
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.state.fallback import FallbackStore, open_fallback
from resolverd.state.memory import MemoryStore
from resolverd.state.shared import MAX_OFFSET
from resolverd.state.sharing import FORGOTTEN
from resolverd.values import replace

P = ParamSpec("P")
DELAY = 300
NOBODYS = VerifiedDomains()
MAIL = Attempt(ip_address("198.51.100.7"), client_name="mx.example.com", sender="bob@example.com", recipient="carol@example.org")
DEFERRED = frozenset({"new", "early-retry"})
PASSES = frozenset({"passed", "known", "allowed", "skipped"})


class Own(MemoryStore):
    """A host's own store, which outlives the daemon."""

    async def close(self) -> None:
        pass


class Host:
    """A host with its own clock, its own store, and its way to the shared one."""

    all: ClassVar[list[Host]] = []

    def __init__(self, server: Server, skew: float = 0.0, own: MemoryStore | None = None, **rules: Any) -> None:
        self.server, self.skew, self.rules = server, skew, rules
        self.own = own or Own()
        self.machine = VirtualClock()
        self.machine.set_wall(self.machine.wall() + skew)
        self.link = Link(server, merge, -skew, self.machine.wall)
        self.counters = Counters()
        self.all.append(self)

    async def start(self) -> Host:
        self.store: FallbackStore = await open_fallback(self.link, self.own, self.machine, self.counters, shared_table)
        self.clock = FleetClock(self.machine, lambda: self.store.offset)
        self.greylister = Greylister(self.store, self.clock, GreylistRules(**self.rules), self.counters)
        return self

    async def kill(self) -> Host:
        """Killed, and started again, while the way to the server stays what it was."""
        state, reachable = self.link.state, self.link.reachable
        for told in (self.link.on_reach, self.link.on_late, self.link.on_written):
            told.clear()
        self.link.die()
        for task in [self.store._sharing._task, *(channel.task for channel in self.store._news._channels.values())]:
            if task is not None:
                task.cancel()
        self.all.remove(self)
        again = Host(self.server, self.skew, self.own, **self.rules)
        again.link.state, again.link.reachable = state, reachable
        return await again.start()

    async def consider(
        self, attempt: Attempt = MAIL, *, record: bool = True, verified: VerifiedDomains = NOBODYS
    ) -> GreylistOutcome:
        return await self.greylister.consider(attempt, record=record, suspicious=True, verify=lambda: verified)

    async def state(self, attempt: Attempt = MAIL) -> str:
        return (await self.consider(attempt)).state

    def lose(self) -> None:
        self.link.cut()
        self.link.notice()


def scenario(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test on virtual time, at whose end all hosts are closed."""

    @functools.wraps(test)
    async def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            await test(*args, **kwargs)
        finally:
            while Host.all:
                await Host.all.pop().store.close()

    return virtual(run)


async def fleet(*skews: float, **rules: Any) -> tuple[Server, list[Host]]:
    server = Server()
    hosts = [await Host(server, skew, **rules).start() for skew in skews]
    await settle()
    return server, hosts


async def settle() -> None:
    """Let everything be merged."""
    await asyncio.sleep(30)


def to(recipient: str) -> Attempt:
    return replace(MAIL, recipient=f"{recipient}@example.org")


@scenario
async def test_a_retry_at_any_host_counts() -> None:
    _, (a, b, c) = await fleet(0, 0, 0)
    assert await a.state() == "new"
    await asyncio.sleep(100)
    assert (await b.consider()).missing == 200
    await asyncio.sleep(200)
    assert await c.consider() == GreylistOutcome("passed", delayed=300, reason="triplet found")
    assert [await each.state() for each in (a, b, c)] == ["known"] * 3


@pytest.mark.attack("R-37")
@scenario
async def test_a_clock_that_goes_back_and_forth_makes_nobody_wait_for_ever() -> None:
    """Ahead at the first try, behind at each retry: of two first tries the earlier counts."""
    _, (a,) = await fleet(0)
    a.link.offset = MAX_OFFSET
    assert await a.state() == "new"
    a.link.offset = -MAX_OFFSET
    assert (await a.consider()).missing <= 300
    await asyncio.sleep(150)
    assert (await a.consider()).missing <= 150
    await asyncio.sleep(150)
    assert await a.state() == "passed"


@scenario
async def test_clocks_five_minutes_apart_make_nobody_wait_longer_or_shorter() -> None:
    _, (early, right, late) = await fleet(-300, 0, 300)
    for first, second, third in ((early, late, right), (late, early, right)):
        mail = to(f"from{first.skew:.0f}")
        assert (await first.consider(mail)).missing == 300
        await asyncio.sleep(299)
        assert (await second.consider(mail)).missing == 1
        await asyncio.sleep(1)
        assert (await third.consider(mail)).delayed == 300


@scenario
async def test_a_clock_is_right_after_a_restart_in_an_outage() -> None:
    _, (a, _) = await fleet(300, 0)
    assert await a.state() == "new"
    a.lose()
    a = await a.kill()
    await asyncio.sleep(200)
    assert (await a.consider()).missing == 100
    await asyncio.sleep(100)
    assert await a.state() == "passed"


@scenario
async def test_two_hosts_at_once_pass_it_for_the_first_time_once() -> None:
    server, hosts = await fleet(0, 0, 0)
    await hosts[0].consider()
    await asyncio.sleep(300)
    outcomes = await asyncio.gather(*(host.consider() for host in hosts * 3))
    assert sorted(each.state for each in outcomes) == ["known"] * 8 + ["passed"]
    octets = await server.get(CLIENTS, b"198.51.100.7", hosts[0].clock.wall())
    assert octets is not None
    client = decode_client(octets)
    assert client is not None
    assert client.passes == 1


@scenario
async def test_what_a_client_has_passed_anywhere_lets_it_through_everywhere() -> None:
    _, hosts = await fleet(0, 300, -300)
    for number in range(5):
        mail = to(f"r{number}")
        assert await hosts[number % 3].state(mail) == "new"
        await asyncio.sleep(DELAY)
        assert await hosts[(number + 1) % 3].state(mail) == "passed"
        await asyncio.sleep(HOUR)
    assert [await host.state(to("stranger")) for host in hosts] == ["allowed"] * 3
    for host in hosts:
        host.lose()
    assert [await host.state(to("stranger")) for host in hosts] == ["allowed"] * 3


class TestAnOutage:
    """Nobody waits because of it, and nobody forgets for it."""

    @scenario
    async def test_strangers_pass_and_are_no_strangers_for_it(self) -> None:
        _, (a, b) = await fleet(0, 0)
        a.lose()
        outcome = await a.consider()
        assert outcome.state == "skipped"
        assert a.counters.get("greylist_store_failures") == 1
        assert await b.state() == "new"

    @scenario
    async def test_who_waits_here_passes_here_in_time(self) -> None:
        _, (a, b) = await fleet(0, 0)
        assert await a.state() == "new"
        a.lose()
        await asyncio.sleep(100)
        assert (await a.consider()).missing == 200
        await asyncio.sleep(200)
        assert await a.state() == "passed"
        assert await a.state() == "known"
        a.link.mend()
        await settle()
        assert await b.state() == "known"

    @scenario
    async def test_who_waits_elsewhere_passes_here_at_once(self) -> None:
        _, (a, b) = await fleet(0, 0)
        assert await a.state() == "new"
        b.lose()
        assert await b.state() == "skipped"

    @scenario
    async def test_what_two_saw_is_one_story_afterwards(self) -> None:
        server, (a, b) = await fleet(0, 0)
        await a.consider(to("friend"))
        await asyncio.sleep(DELAY)
        assert await b.state(to("friend")) == "passed"
        await asyncio.sleep(HOUR)
        assert await a.state() == "new"
        assert (await b.consider()).missing == 300
        first = a.clock.wall()
        for host in (a, b):
            host.lose()
        await asyncio.sleep(DELAY)
        assert [await host.state() for host in (a, b)] == ["passed", "passed"]
        for host in (a, b):
            host.link.mend()
        await settle()
        triplets = [decode_triplet(entry.value) async for entry in server.scan(TRIPLETS, a.clock.wall())]
        assert triplets[0] == Triplet(int(first), int(first) + DELAY, True)
        octets = await server.get(CLIENTS, b"198.51.100.7", a.clock.wall())
        assert octets is not None
        assert decode_client(octets) == Client(2, int(first) + DELAY), "both have counted the same"

    @pytest.mark.parametrize("befalls", ["cut", "stall", "lose_replies"])
    @scenario
    async def test_a_first_try_that_others_may_not_hear_of_does_not_wait(self, befalls: str) -> None:
        _, (a, b) = await fleet(0, 0)
        getattr(a.link, befalls)()
        assert await a.state() == "skipped"
        a.link.mend()
        await settle()
        if await b.state() == "early-retry":
            assert befalls == "lose_replies", "the server had it all the same"

    @scenario
    async def test_a_server_that_loses_its_memory_makes_nobody_wait_again(self) -> None:
        server, (a, b, c) = await fleet(0, 0, 0)
        assert await a.state() == "new"
        await asyncio.sleep(DELAY)
        a.lose()
        server.forget()
        await asyncio.sleep(FORGOTTEN - 60)
        assert await b.state() == "skipped", "it may have waited elsewhere, and has"
        a.link.mend()
        await settle()
        assert await c.state() == "passed"

    @scenario
    async def test_both_names_of_a_triplet_are_known_to_the_others_before_anybody_waits(self) -> None:
        """A pool is known by its organisation and by the network: a deferral that stands under one alone would be a second."""
        pool = VerifiedDomains(hostname="out.provider.example.com")
        for count in range(8):
            _, (a, b) = await fleet(0, 0)
            a.link.break_after(count, "cut")
            if (await a.consider(verified=pool)).state in DEFERRED:
                await asyncio.sleep(DELAY)
                assert (await b.consider()).state in PASSES, count
                assert (await b.consider(verified=pool)).state in PASSES, count
            await asyncio.sleep(10 * HOUR)


class Step(NamedTuple):
    """What happens: mail, an outage's beginning or end, a restart, time that passes."""

    what: str
    host: int = 0
    number: int = 0


HOSTS = st.integers(0, 2)
STEPS = st.one_of(
    st.builds(Step, st.just("mail"), HOSTS, st.integers(0, 3)),
    st.builds(Step, st.just("mail"), HOSTS, st.integers(0, 1)),
    st.builds(Step, st.sampled_from(["cut", "stalled", "mute"]), HOSTS, st.integers(0, 8)),
    st.builds(Step, st.sampled_from(["mend", "kill"]), HOSTS, st.just(0)),
    st.builds(Step, st.just("wait"), st.just(0), st.sampled_from([1, 60, 150, 299, 300, 301, 3700])),
    st.just(Step("forget")),
)
MAILS = [to("carol"), to("dave"), replace(to("carol"), client_address=ip_address("203.0.113.9")), to("erin")]
VERIFIED = [VerifiedDomains(), VerifiedDomains(hostname="mx.example.com"), VerifiedDomains(), VerifiedDomains("example.com")]


class Story:
    """What senders meet, and what is true of it whatever befalls the store."""

    def __init__(self, server: Server, hosts: list[Host]) -> None:
        self.server, self.hosts = server, hosts
        self.true = VirtualClock()
        self.tried: dict[int, float] = {}
        """When each mail came first."""
        self.deferred: dict[int, float] = {}
        """When each mail was first told to come back."""
        self.passed: dict[int, float] = {}
        """When each mail was first found to have waited."""

    async def go(self, step: Step) -> None:
        host = self.hosts[step.host]
        match step.what:
            case "mail":
                await self.mail(step.host, step.number)
            case "mend":
                host.link.mend()
            case "kill":
                self.hosts[step.host] = await host.kill()
            case "wait":
                await asyncio.sleep(step.number)
            case "forget":
                await self.mended()
                self.server.forget()
                await settle()
            case state:
                host.link.break_after(step.number, state)

    async def mail(self, at: int, number: int) -> None:
        now = self.true.wall()
        self.tried.setdefault(number, now)
        outcome = await self.hosts[at].consider(MAILS[number], verified=VERIFIED[number])
        if outcome.state in DEFERRED:
            assert number not in self.passed, "it has passed: nobody makes it wait again"
            first = self.deferred.setdefault(number, now)
            assert now < first + DELAY, "it has waited its time, wherever it was told so"
            assert now + outcome.missing <= first + DELAY + 1, "and is told no longer time"
        else:
            assert outcome.state in PASSES
            if outcome.state == "passed":
                assert now >= self.tried[number] + DELAY - 1, "it has not waited"
                self.passed.setdefault(number, now)

    async def mended(self) -> None:
        for host in self.hosts:
            host.link.mend()
        await settle()

    async def end(self) -> None:
        """All is well: everybody has everything, once."""
        await self.mended()
        await asyncio.sleep(FORGOTTEN)
        for number, mail in enumerate(MAILS):
            said = [await host.consider(mail, record=False, verified=VERIFIED[number]) for host in self.hosts]
            assert len(set(said)) == 1, "all hosts say the same"
            if number in self.passed:
                assert said[0].state in PASSES
        assert [host.store.waiting for host in self.hosts] == [0, 0, 0]
        for client, own in ((b"198.51.100.7", {0, 1, 3}), (b"203.0.113.9", {2})):
            octets = await self.server.get(CLIENTS, client, self.true.wall())
            known = None if octets is None else decode_client(octets)
            assert (0 if known is None else known.passes) <= len(own & self.passed.keys()), "nothing counts twice"


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, min_size=5, max_size=40))
@example([Step("mail"), Step("wait", 0, 300), Step("cut", 1, 0), Step("mail", 1), Step("mend", 1), Step("mail", 1)])
def test_whatever_befalls_the_store_nobody_waits_twice_and_nothing_counts_twice(steps: list[Step]) -> None:
    @scenario
    async def run() -> None:
        server, hosts = await fleet(-300, 0, 300)
        story = Story(server, hosts)
        for step in steps:
            await story.go(step)
        await story.end()

    run()
