"""The driver: what replies, timers and cancellation do to cores, over a network that answers when the test says so."""

import asyncio
from collections.abc import Callable, Generator
from ipaddress import ip_address
from typing import Any

import pytest
from virtualtime import VirtualClock, virtual

from resolverd import bounds
from resolverd.metrics import Counters
from resolverd.resolver.driver import Driver, Run
from resolverd.wire import codes
from resolverd.wire.ask import Again, Ask, Core, Drop, First, Join, Race, Raced, Reply, Server, Transport
from resolverd.wire.names import from_text

REPLY = Reply(None, None, 0.0, 0.01)


class Sent:
    """A question that has left."""

    def __init__(self, ask: Ask, done: Callable[[Reply | Exception], object]):
        self.ask = ask
        self.done = done
        self.cancelled = False
        self.repeated = 0

    def again(self, *, cookie: bool = True) -> bool:
        self.repeated += 1
        return True

    def cancel(self) -> None:
        assert not self.cancelled
        self.cancelled = True


class Network:
    """What has left, in order."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def start(self, ask: Ask, done: Callable[[Reply | Exception], object]) -> Sent:
        self.sent.append(Sent(ask, done))
        return self.sent[-1]


def ask(number: int = 0) -> Ask:
    return Ask(Server(ip_address("45.1.0.1")), from_text(f"w{number}.example"), codes.A, Transport.UDP, 5.0)


def asking(number: int = 0) -> Core:
    return (yield ask(number))


def joining(number: int = 0) -> Core:
    reply = yield ask(number)
    return reply or (yield Join(ask(number)))


def racing(*branches: Core, timeout: float = 1.0) -> Core:
    return (yield Race(branches, timeout))


def start(driver: Driver, core: Core, done: Callable[[Run], object]) -> Run:
    return driver.start(core, done, asyncio.get_running_loop().time())


async def turn() -> None:
    await asyncio.sleep(0)


@virtual
async def test_a_reply_steps_who_waits_for_it_at_once() -> None:
    network, ended = Network(), list[Run]()
    start(Driver(network, Counters(), VirtualClock()), racing(asking()), ended.append)
    assert not ended
    network.sent[0].done(REPLY)
    assert ended[0].result.result is REPLY, "within the call that brings it"


@virtual
async def test_a_core_that_waits_for_nothing_has_ended_when_it_is_started() -> None:
    def core() -> Generator[Any, Any, str]:
        return "done"
        yield

    driver, ended = Driver(Network(), Counters(), VirtualClock()), list[Run]()
    assert start(driver, core(), ended.append).ended
    assert ended[0].result == "done"


@virtual
async def test_whoever_is_cancelled_leaves_nothing_behind() -> None:
    network, closed, ended = Network(), [], list[Run]()
    driver = Driver(network, Counters(), VirtualClock())

    def branch(number: int) -> Core:
        try:
            return (yield ask(number))
        finally:
            closed.append(number)

    def core() -> Core:
        try:
            yield Race((branch(0), branch(1)), 0.1)
            yield First((branch(2), branch(3)))
        finally:
            closed.append("core")

    runs = start(driver, core(), ended.append), start(driver, racing(branch(4)), ended.append)
    await asyncio.sleep(0.2)
    assert len(driver.outbound) == 5
    for run in runs:
        run.cancel()
    assert all(sent.cancelled for sent in network.sent)
    assert (driver.outbound, driver.late) == ({}, {})
    assert sorted(map(str, closed)) == ["0", "1", "2", "3", "4", "core"]
    await asyncio.sleep(10)
    assert not ended, "nobody is told, by a timer neither"


@virtual
async def test_whoever_shares_an_exchange_takes_it_over_where_its_asker_goes() -> None:
    network = Network()
    driver, ended = Driver(network, Counters(), VirtualClock()), list[Run]()
    first = start(driver, joining(), pytest.fail)
    for _ in range(3):
        start(driver, joining(), ended.append)
    gone = start(driver, joining(), pytest.fail)
    assert len(network.sent) == 1, "a second copy would halve the work of guessing"
    first.cancel()
    gone.cancel()
    assert network.sent[0].cancelled
    await turn()
    assert len(network.sent) == 2, "again one for all"
    network.sent[1].done(REPLY)
    await turn()
    assert [run.result.sent for run in ended] == [1, 0, 0], "whose packet it was, and who has shared it"


@virtual
async def test_branches_that_go_together_ask_no_more() -> None:
    # One of them shares the other's exchange: it must not be asked once more on the way out.
    network = Network()
    run = start(Driver(network, Counters(), VirtualClock()), racing(joining(), joining()), pytest.fail)
    run.cancel()
    await turn()
    assert len(network.sent) == 1


@virtual
async def test_a_fault_of_the_network_is_the_askers_own() -> None:
    network = Network()
    driver, ended = Driver(network, Counters(), VirtualClock()), list[Run]()
    start(driver, joining(), ended.append)
    start(driver, joining(), ended.append)
    network.sent[0].done(ZeroDivisionError())
    assert isinstance(ended[0].error, ZeroDivisionError)
    await turn()
    network.sent[1].done(REPLY)
    assert ended[1].result is REPLY


@virtual
async def test_an_error_reaches_the_core_that_races_as_a_value() -> None:
    def fails() -> Core:
        yield ask()
        raise LookupError

    network, ended = Network(), list[Run]()
    start(Driver(network, Counters(), VirtualClock()), racing(fails()), ended.append)
    network.sent[0].done(REPLY)
    raced: Raced = ended[0].result
    assert isinstance(raced.error, LookupError)


@virtual
async def test_what_is_dropped_is_cancelled_and_what_is_raced_again_goes_on() -> None:
    kept, dropped = asking(0), asking(1)

    def core() -> Core:
        assert (yield Race((kept, dropped), 0.5)).branch is None
        yield Drop((dropped,))
        assert (yield Again(ask(0))) is True
        assert (yield Again(ask(1))) is False, "it is no longer in flight"
        return (yield Race((kept,), 5.0))

    network, ended = Network(), list[Run]()
    start(Driver(network, Counters(), VirtualClock()), core(), ended.append)
    await asyncio.sleep(1)
    assert [(sent.cancelled, sent.repeated) for sent in network.sent] == [(False, 1), (True, 0)]
    network.sent[0].done(REPLY)
    assert ended[0].result.branch is kept


@virtual
async def test_a_branch_that_is_raced_alone_does_all_that_others_do() -> None:
    network, ended, times = Network(), list[Run](), list[float]()

    def branch() -> Core:
        assert (yield ask(0)) is REPLY
        inner = asking(1)
        assert (yield Race((inner,), 0.5)).branch is None
        assert (yield Race((inner,), 0.5)).result is REPLY
        assert (yield First((asking(2), asking(3)))) is REPLY
        raise LookupError

    def core() -> Core:
        alone = branch()
        while (raced := (yield Race((alone,), 0.2))).branch is None:
            times.append(raced.now)
        return raced

    driver = Driver(network, Counters(), VirtualClock())
    start(driver, core(), ended.append)
    for number in (0, 1, 3):
        await asyncio.sleep(0.7)
        network.sent[number].done(REPLY)
    assert isinstance(ended[0].result.error, LookupError)
    assert len(times) == 10
    assert (driver.outbound, driver.late) == ({}, {})
    await asyncio.sleep(10)
    assert len(times) == 10, "no deadline is left behind"


@virtual
async def test_a_branch_that_is_raced_alone_may_share_an_exchange_and_be_late() -> None:
    network, ended, told = Network(), list[Run](), []
    driver = Driver(network, Counters(), VirtualClock())

    def branch() -> Core:
        told.append((yield from joining()))

    def twice() -> Core:
        alone = branch()
        assert (yield Race((alone,), 0.1)).branch is None
        return (yield Race((alone,), 5.0))

    first = start(driver, racing(branch(), timeout=0.3), lambda run: None)
    start(driver, twice(), ended.append)
    start(driver, racing(joining()), pytest.fail).cancel()
    await asyncio.sleep(0.2)
    network.sent[0].done(REPLY)
    await turn()
    assert len(network.sent) == 1
    assert [reply.sent for reply in told] == [1, 0]
    assert first.ended
    assert ended[0].result.error is None


@virtual
async def test_a_branch_that_is_raced_alone_and_waits_for_nothing_has_ended_at_once() -> None:
    def nothing() -> Core:
        return "done"
        yield

    def fails() -> Core:
        yield First(())
        raise LookupError

    driver, ended = Driver(Network(), Counters(), VirtualClock()), list[Run]()
    start(driver, racing(nothing()), ended.append)
    start(driver, racing(fails()), ended.append)
    assert ended[0].result.result == "done"
    assert isinstance(ended[1].result.error, LookupError)
    await asyncio.sleep(10)
    assert len(ended) == 2


@virtual
async def test_replies_that_nobody_needs_are_listened_to_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "LATE_REPLIES", 3)
    network, told = Network(), []
    driver = Driver(network, Counters(), VirtualClock())

    def branch(number: int) -> Core:
        told.append((number, (yield ask(number))))

    for number in range(5):
        start(driver, racing(branch(number), timeout=0.1 + number / 100), lambda run: None)
    await asyncio.sleep(0.2)
    assert [sent.cancelled for sent in network.sent] == [True, True, False, False, False], "the oldest go"
    network.sent[3].done(REPLY)
    assert told == [(3, REPLY)]
    driver.close()
    assert [sent.cancelled for sent in network.sent] == [True, True, True, False, True]
    assert (driver.outbound, driver.late) == ({}, {})


@virtual
async def test_the_branches_of_a_core_that_fails_end_with_it() -> None:
    def core() -> Core:
        yield Race((asking(),), 0.1)
        raise LookupError

    network, ended = Network(), list[Run]()
    driver = Driver(network, Counters(), VirtualClock())
    start(driver, core(), ended.append)
    await asyncio.sleep(0.2)
    assert isinstance(ended[0].error, LookupError)
    assert network.sent[0].cancelled
    assert driver.late == {}
