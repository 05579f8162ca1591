"""Trust anchors looked after: the keys followed through a rollover and a restart, and what their zones are told (RFC 8145)."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from scriptednet import rcode
from signednet import SignedNet, ad, ask, revoked
from signing import DAY, Key, key
from virtualtime import virtual

from resolverd.app.trust import signature_policy
from resolverd.metrics import Counters
from resolverd.resolver.anchor_watch import SIGNALS, TABLE, AnchorWatch
from resolverd.resolver.validator.anchors import TrustAnchors
from resolverd.resolver.validator.key_tags import signal_name
from resolverd.state.memory import MemoryStore
from resolverd.wire.names import ROOT, from_text, to_text

NEW = key(13, 71)


class World:
    """A root that signs for three weeks, and who looks after its anchors."""

    def __init__(self, folder: Path, **wanted: bool):
        self.net = SignedNet(folder, ends=11 * DAY)
        self.net.signed("shop", {"ns.shop": "45.1.0.1"}, "www A 193.0.0.1", number=1, ends=1000 * DAY)
        self.store = MemoryStore()
        self.counters = Counters()
        self.wanted = {"follow": True, "signal": False, **wanted}
        self.ready = True
        self.resolver = self.net.resolver()

    async def __aenter__(self) -> "World":
        self.begin()
        await asyncio.sleep(61)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    def begin(self) -> None:
        parts = self.resolver.parts
        assert parts.trust is not None
        self.watch = AnchorWatch(
            parts.mesh, self.store, self.resolver.clock, self.counters, parts.set_anchors, lambda: self.ready
        )
        self.base = parts.trust.anchors
        self.watch.configure(self.base, signature_policy(parts._settings), **self.wanted)
        self.task: asyncio.Task[Any] = asyncio.create_task(self.watch.run())

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def restart(self) -> None:
        await self.end()
        clock = self.resolver.clock
        self.resolver = self.net.resolver()
        self.resolver.clock = clock
        self.begin()
        await asyncio.sleep(61)

    async def days(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(DAY)
            passed = self.resolver.clock.wall() - self.resolver.clock.WALL_START
            self.net.root.resign(passed - 10 * DAY, passed + 11 * DAY)

    def tags(self) -> set[int]:
        anchor = self.watch.in_force.closest(ROOT)
        return {each.key_tag for each in anchor.ds} if anchor is not None else set()

    def roll(self, to: Key) -> None:
        """The root is signed by another key."""
        self.net.root.co_signers = (to,)

    async def said(self) -> tuple[str, bool]:
        self.resolver.parts.flush()
        reply = await ask(self.resolver, "www.shop")
        return rcode(reply), ad(reply)


@virtual
async def test_a_rollover_with_a_restart_in_its_midst(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with World(tmp_path) as world:
        old = world.net.root.key
        world.net.root.publish(NEW)
        await world.days(20)
        assert world.tags() == {old.tag}
        await world.restart()
        await world.days(12)
        assert world.tags() == {old.tag, NEW.tag}
        assert await world.said() == ("NOERROR", True)
        await world.restart()
        assert world.tags() == {old.tag, NEW.tag}, "as it was stored"
        # only the new one signs the keys: whoever knew the old one alone has lost the root
        gone = revoked(old)
        world.net.root.publish(NEW, gone)
        world.net.root._records[world.net.root.origin][48].remove(world.net.root._public)
        world.net.root.co_signers = (NEW, gone)
        await world.days(2)
        assert world.tags() == {NEW.tag}
        words = [each.getMessage() for each in caplog.records if each.name.endswith("anchor_watch")]
        assert [line.split(": ", 2)[1].split()[0] for line in words] == ["key"] * 3
        assert words[0].startswith(f"trust anchors of .: key {NEW.tag} is new")
        assert words[2] == f"trust anchors of .: key {old.tag} is revoked by its owner: it is not trusted any more"
        await world.restart()
        assert world.tags() == {NEW.tag}


@virtual
async def test_keys_are_looked_at_as_often_as_their_ttl_says(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await asyncio.sleep(10 * 3600)
        assert len([each for each in world.net.names() if each == (".", "DNSKEY")]) == 11
        assert not [each for each in world.net.names() if each[0].startswith("_ta-")]


@virtual
async def test_it_can_be_turned_off_and_on(tmp_path: Path) -> None:
    async with World(tmp_path, follow=False) as world:
        world.net.root.publish(NEW)
        await world.days(32)
        assert (world.net.asked, world.tags()) == ([], {world.net.root.key.tag})
        policy = signature_policy(world.resolver.parts._settings)
        world.watch.configure(world.base, policy, follow=True, signal=False)
        await world.days(32)
        assert len(world.tags()) == 2
        assert len(world.watch.configure(world.base, policy, follow=False, signal=False).closest(ROOT).ds) == 1  # type: ignore[union-attr]
        assert len(world.watch.configure(world.base, policy, follow=True, signal=False).closest(ROOT).ds) == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("octets", [b"", b'{"version": 9}', b"\0" * 9])
@virtual
async def test_a_damaged_record_costs_what_was_learnt_and_no_more(tmp_path: Path, octets: bytes) -> None:
    async with World(tmp_path) as world:
        world.net.root.publish(NEW)
        await world.days(32)
        world.store.put(TABLE, ROOT, octets, 2.0**32)
        await world.restart()
        assert world.tags() == {world.net.root.key.tag}
        assert await world.said() == ("NOERROR", True)
        assert world.counters.get("trust_point_damaged_records") == 1
        await world.days(32)
        assert len(world.tags()) == 2


@virtual
async def test_a_root_that_none_of_the_anchors_signs_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with World(tmp_path) as world:
        world.net.root.key = key(13, 55)
        await world.days(2)
        assert len(world.tags()) == 1
    assert "trust anchors of .: its keys are not signed by any of them" in caplog.text


# -- RFC 8145 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "tags", "name"),
    [
        (".", [20326, 38696], "_ta-4f66-9728."),
        (".", [38696, 20326, 20326], "_ta-4f66-9728."),
        ("example", [1], "_ta-0001.example."),
        (".", range(100), "_ta-" + "-".join(f"{tag:04x}" for tag in range(12)) + "."),
    ],
)
def test_the_name_of_the_signal(zone: str, tags: list[int], name: str) -> None:
    assert to_text(signal_name(from_text(zone), tags)) == name


def signals(world: World) -> list[str]:
    return [name for name, rtype in world.net.names() if rtype == "NULL"]


@virtual
async def test_a_zone_is_told_once_a_day_however_often_it_starts(tmp_path: Path) -> None:
    async with World(tmp_path, signal=True) as world:
        name = f"_ta-{world.net.root.key.tag:04x}."
        assert signals(world) == [name]
        for _ in range(5):
            await world.restart()
            await asyncio.sleep(3600)
        assert signals(world) == [name]
        await asyncio.sleep(20 * 3600)
        assert signals(world) == [name] * 2
        await world.days(3)
        assert 4 <= len(signals(world)) <= 5
        assert world.counters.get("key_tag_signals") == len(signals(world))


@virtual
async def test_a_wall_clock_that_jumps_tells_nobody_more_often(tmp_path: Path) -> None:
    async with World(tmp_path, signal=True) as world:
        for jump in range(1, 6):
            world.resolver.clock.set_wall(world.resolver.clock.wall() + 2 * DAY * jump)
            await asyncio.sleep(3600)
        assert len(signals(world)) == 1


@virtual
async def test_nobody_is_asked_before_names_can_be_resolved(tmp_path: Path) -> None:
    world = World(tmp_path, signal=True)
    world.ready = False
    async with world:
        await asyncio.sleep(3600)
        assert world.net.asked == []
        world.ready = True
        await asyncio.sleep(70)
        assert len(signals(world)) == 1
        assert await world.store.get(SIGNALS, ROOT, world.resolver.clock.wall()) is not None


@virtual
async def test_a_store_that_fails_keeps_nobody_from_anything(tmp_path: Path) -> None:
    world = World(tmp_path, signal=True)
    await world.store.close()
    async with world:
        assert await world.said() == ("NOERROR", True)
        await asyncio.sleep(5 * 3600)
        assert len(signals(world)) == 1


def test_every_zone_with_an_anchor_is_looked_after() -> None:
    text = "".join(f"{zone} DS 1 8 2 {'AA' * 32}\n" for zone in (".", "corp.example."))
    assert TrustAnchors.parse(text).zones == (ROOT, from_text("corp.example"))
