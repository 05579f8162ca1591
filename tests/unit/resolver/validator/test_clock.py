"""A wall clock that cannot be believed: nothing is validated until it is right, and nobody can make a right one look wrong."""

import asyncio
import logging
from pathlib import Path

import pytest
from scriptednet import ScriptedResolver, addresses, rcode
from signednet import SignedNet, SignedZone, ad, ask
from signing import DAY
from virtualtime import VirtualClock, virtual

from resolverd.metrics import Counters
from resolverd.resolver.clock_watch import ClockWatch
from resolverd.resolver.validator.clock_check import ClockCheck, Window, built
from resolverd.wire import codes
from resolverd.wire.ask import Failed

NOW = VirtualClock.WALL_START
BUILT = NOW - 100 * DAY
SECOND_ROOT = "198.41.0.5"


@pytest.mark.parametrize(
    ("windows", "fault"),
    [
        # days from now: begins, ends
        ([(5, 20)], "from"),
        ([(5, 20), (-20, -5)], "from"),
        ([(-20, -5)], "until"),
        ([(-20, -5), (-30, -10)], "until"),
        # made before this version: replayed, as nobody publishes such any more
        ([(-130, -110)], ""),
        ([(-130, -90)], ""),
        ([(-20, -5), (-130, -110)], ""),
        ([], ""),
    ],
)
def test_what_counts_as_evidence(windows: list[tuple[int, int]], fault: str) -> None:
    check = ClockCheck(BUILT)
    found = check.judge([Window(NOW + begins * DAY, NOW + ends * DAY) for begins, ends in windows], NOW, 1000.0)
    assert (f"signed {fault}" in found) if fault and found else found is None and not fault
    assert check.fault(NOW) == found


def test_before_the_build_no_clock_is_right() -> None:
    check = ClockCheck(BUILT)
    assert check.fault(BUILT - 1) is not None
    assert check.fault(BUILT) is None
    assert "1970-01-01" in (check.fault(0.0) or "")


@pytest.mark.parametrize(
    ("wall", "elapsed", "begins", "believed"),
    [
        (60 * DAY, 60 * DAY, 30, True),  # it has run on evenly since it was right: an attacker replays
        (60 * DAY, 60 * DAY, -5, True),
        (60 * DAY, 1.0, 30, False),  # it was set ahead
        (60 * DAY, 1.0, -5, True),  # but what is replayed is older than what was seen
        (200.0, 1.0, 0, True),
    ],
)
def test_a_clock_that_was_right_and_has_run_on_is_right(wall: float, elapsed: float, begins: int, believed: bool) -> None:
    check = ClockCheck(BUILT)
    check.confirmed(Window(NOW - 1 * DAY, NOW + 10 * DAY), NOW, 1000.0)
    window = Window(NOW + begins * DAY, NOW + begins * DAY + 10)
    found = check.judge([window], NOW + wall, 1000.0 + elapsed) if window.ends < NOW + wall else None
    assert (found is None) is believed
    check.confirmed(Window(NOW, NOW + 100 * DAY), NOW + wall, 1000.0 + elapsed)
    assert check.fault(NOW + wall) is None


def test_the_date_of_the_release_is_one() -> None:
    assert 1_790_000_000 < built() < NOW


# -- as a whole ------------------------------------------------------------------------------------------------------------


class World:
    """A root on two servers, a zone ``shop``, the watch, and a clock that can be set."""

    def __init__(self, folder: Path, off: float = 0.0):
        """The clock is `off` by so many seconds at the start."""
        self.net = SignedNet(folder)
        for letter, address in (("k", "198.41.0.4"), ("l", SECOND_ROOT)):
            self.net.root.add(f"@ NS {letter}.root-servers.net.\n{letter}.root-servers.net. A {address}")
        self.net.serve(SECOND_ROOT, self.net.root)
        self.net.signed("shop", {"ns.shop": "45.1.0.1"}, "www 60 A 193.0.0.1", number=1)
        self.net.signed("late", {"ns.late": "45.1.0.2"}, "www A 193.0.0.2", number=2, begins=-30 * DAY, ends=-20 * DAY)
        self.resolver: ScriptedResolver = self.net.resolver()
        self.parts = self.resolver.parts
        self.counters = Counters()
        trust = self.parts.trust
        assert trust is not None
        self.check = trust.clock = self.parts._clock_check = ClockCheck(BUILT)
        self.clock = self.resolver.clock
        self.set(off)
        self.watch = ClockWatch(self.parts.mesh, self.clock, self.counters, lambda: self.parts.trust, self.parts.reconsider)

    def set(self, off: float) -> None:
        self.clock.set_wall(NOW + self.clock.monotonic() - 1000.0 + off)

    async def __aenter__(self) -> "World":
        self.task = asyncio.create_task(self.watch.run())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.parts.mesh.aclose()

    async def said(self, name: str = "www.shop") -> tuple[str, bool]:
        reply = await ask(self.resolver, name)
        return rcode(reply), ad(reply)


@pytest.mark.parametrize("off", [-NOW, -101 * DAY, -50 * DAY, -3 * DAY, 12 * DAY, 400 * DAY])
@virtual
async def test_a_wrong_clock_costs_no_answer_and_is_got_over(
    tmp_path: Path, off: float, caplog: pytest.LogCaptureFixture
) -> None:
    async with World(tmp_path, off) as world:
        for _ in range(2):
            assert await world.said() == ("NOERROR", False), "the very first answer is there, and is insecure"
        await asyncio.sleep(1)
        assert [each.levelno for each in caplog.records if "until the clock is right" in each.getMessage()] == [logging.ERROR]
        await asyncio.sleep(600)
        assert await world.said() == ("NOERROR", False)
        assert world.counters.get("clock_faults") == 1
        world.set(0.0)
        await asyncio.sleep(61)
        assert await world.said() == ("NOERROR", True)
        assert await world.said("www.late") == ("SERVFAIL", False)
        assert [each.levelno for each in caplog.records if "right again" in each.getMessage()] == [logging.WARNING]


@pytest.mark.parametrize("off", [-NOW, -50 * DAY, -3 * DAY, 12 * DAY, 400 * DAY])
@virtual
async def test_a_clock_that_is_set_wrong_while_the_daemon_runs(tmp_path: Path, off: float) -> None:
    async with World(tmp_path) as world:
        assert await world.said() == ("NOERROR", True)
        world.set(off)
        await asyncio.sleep(1)
        assert await world.said() == ("NOERROR", False)
        world.set(0.0)
        await asyncio.sleep(61)
        assert await world.said() == ("NOERROR", True)


@pytest.mark.parametrize("off", [-60.0, -200.0, 3600.0, 5 * DAY])
@virtual
async def test_a_clock_that_is_a_little_off_is_right(tmp_path: Path, off: float) -> None:
    async with World(tmp_path) as world:
        world.set(off)
        await asyncio.sleep(1)
        assert await world.said() == ("NOERROR", True)
        assert world.counters.get("clock_faults") == 0


def replaying(begins: float, ends: float) -> SignedZone:
    """The root as it was signed for another time."""
    return SignedZone(".", begins=begins, ends=ends)


@pytest.mark.parametrize("begins", [-50, -150])
@virtual
async def test_replayed_signatures_do_not_switch_validation_off(tmp_path: Path, begins: int) -> None:
    """Whoever answers in the place of all of the root's servers, while the clock is right."""
    async with World(tmp_path) as world:
        assert await world.said() == ("NOERROR", True)
        old = replaying(begins * DAY, (begins + 10) * DAY)
        for address in ("198.41.0.4", SECOND_ROOT):
            world.net.serve(address, old)
        await asyncio.sleep(2 * 3600)
        await ask(world.resolver, "other")
        world.parts.flush()
        assert await world.said() == ("SERVFAIL", False)
        await asyncio.sleep(120)
        assert await world.said() == ("SERVFAIL", False)
        assert world.counters.get("clock_faults") == 0


@pytest.mark.parametrize(("begins", "believed"), [(-150, True), (-50, False)])
@virtual
async def test_at_the_start_only_what_was_signed_since_the_build_counts(tmp_path: Path, begins: int, believed: bool) -> None:
    async with World(tmp_path) as world:
        old = replaying(begins * DAY, (begins + 10) * DAY)
        for address in ("198.41.0.4", SECOND_ROOT):
            world.net.serve(address, old)
        await world.said()
        assert (world.check.fault(world.clock.wall()) is None) is believed


@virtual
async def test_one_server_of_several_proves_nothing(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        root, old = world.net.root, replaying(-50 * DAY, -40 * DAY)
        world.net.serve("198.41.0.4", lambda query, ask: (old if query.question[0].rdtype == codes.DNSKEY else root)(query, ask))
        for number in range(6):
            assert await world.parts.mesh.own.prime()
            reply = await ask(world.resolver, "www.shop")
            assert (addresses(reply), ad(reply)) == (["193.0.0.1"], True), number
            world.parts.flush()
        assert world.counters.get("clock_faults") == 0


@virtual
async def test_servers_that_are_silent_are_no_evidence(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        for address in ("198.41.0.4", SECOND_ROOT):
            world.net.serve(address, lambda query, ask: Failed.TIMEOUT)
        assert await world.said() == ("SERVFAIL", False)
        assert world.check.fault(world.clock.wall()) is None
