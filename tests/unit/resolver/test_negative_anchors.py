"""Negative trust anchors set at run time: what they take effect on, for how long, and what is left of them after a restart."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

import pytest
from scriptednet import ScriptedResolver, addresses, errors, rcode
from signednet import SignedNet, ad, ask
from signing import key
from virtualtime import VirtualClock, virtual

from resolverd import bounds
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.resolver.negative_anchors import TABLE, Full, NegativeAnchors
from resolverd.resolver.validator.anchors import TrustAnchors
from resolverd.resolver.validator.nta import NegativeAnchor, decode, encode
from resolverd.resolver.validator.trust import TrustState
from resolverd.state.memory import MemoryStore
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.names import Name, from_text

SHOP = from_text("shop")
HOUR = 3600


class World:
    """A zone ``shop`` whose keys are not those of its DS, and who sets negative anchors."""

    def __init__(self, folder: Path, **changes: object):
        self.net = SignedNet(folder)
        self.shop = self.net.signed("shop", {"ns.shop": "45.1.0.1"}, "www 60000 A 193.0.0.1\nsub.www 60000 A 193.0.0.2", number=1)
        self.net.signed("good", {"ns.good": "45.1.0.2"}, "www 60000 A 193.0.0.3\nalias 60000 CNAME www.shop.", number=2)
        self.right = self.shop.key
        self.resolver = self.net.resolver(**changes)
        self.store = MemoryStore()
        self.counters = Counters()
        self.tasks: list[asyncio.Task[None]] = []
        self.anchors = self.begin(self.resolver)

    def begin(self, resolver: ScriptedResolver) -> NegativeAnchors:
        anchors = NegativeAnchors(self.store, resolver.clock, self.counters, resolver.parts.set_negative)
        self.tasks += [asyncio.create_task(anchors.run()), asyncio.create_task(anchors.expire())]
        return anchors

    async def __aenter__(self) -> "World":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()

    def break_it(self) -> None:
        self.shop.key = key(13, 99)

    async def said(self, name: str = "www.shop") -> tuple[str, list[str], bool]:
        reply = await ask(self.resolver, name)
        return rcode(reply), addresses(reply), ad(reply)


BOGUS = ("SERVFAIL", [], False)
INSECURE = ("NOERROR", ["193.0.0.1"], False)
SECURE = ("NOERROR", ["193.0.0.1"], True)


@virtual
async def test_it_takes_effect_at_once_and_so_does_its_end(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        world.break_it()
        assert [await world.said(), await world.said("alias.good")] == [BOGUS, BOGUS]
        await world.anchors.set(SHOP, HOUR, "anna", "DS of an old key")
        assert [await world.said(), await world.said("alias.good")] == [INSECURE, INSECURE]
        assert (await world.said("www.good"))[2], "others are validated as before"
        assert await world.anchors.remove(SHOP)
        assert [await world.said(), await world.said("alias.good")] == [BOGUS, BOGUS]
        assert not await world.anchors.remove(SHOP)


@virtual
async def test_what_was_learnt_below_it_is_validated_when_it_has_gone(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.anchors.set(SHOP, HOUR)
        assert await world.said() == INSECURE
        asked = len(world.net.asked)
        assert await world.said() == INSECURE
        assert len(world.net.asked) == asked
        await world.anchors.remove(SHOP)
        assert await world.said() == SECURE


@virtual
async def test_it_expires_to_the_second(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        world.break_it()
        await world.anchors.set(SHOP, HOUR)
        await asyncio.sleep(HOUR - 1.5)
        assert await world.said() == INSECURE
        await asyncio.sleep(1.6)
        assert await world.said() == BOGUS
        assert world.anchors.in_force() == []


@virtual
async def test_a_wall_clock_that_jumps_ends_it_within_a_minute(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        world.break_it()
        await world.anchors.set(SHOP, HOUR)
        world.resolver.clock.set_wall(VirtualClock.WALL_START + HOUR)
        await asyncio.sleep(61)
        assert world.anchors.in_force() == []


@virtual
async def test_it_survives_a_restart_and_a_reload(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        world.break_it()
        made = await world.anchors.set(SHOP, HOUR, "anna", "why")
        await world.end()
        world.resolver = world.net.resolver()
        again = world.begin(world.resolver)
        await again.ready(1)
        assert again.in_force() == [made]
        assert await world.said() == INSECURE
        parts = world.resolver.parts
        assert parts.trust is not None
        parts.configure(parts._settings, frozenset(), frozenset(), parts._hints, parts.trust.anchors)
        assert await world.said() == INSECURE


@virtual
async def test_what_others_put_into_the_store_counts(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        world.break_it()
        await world.anchors.ready(1)
        now = int(world.resolver.clock.wall())
        world.store.put(TABLE, SHOP, encode(NegativeAnchor(SHOP, now, now + HOUR)), now + HOUR)
        await asyncio.sleep(0.1)
        assert await world.said() == INSECURE
        world.store.delete(TABLE, SHOP)
        await asyncio.sleep(0.1)
        assert await world.said() == BOGUS


@virtual
async def test_a_damaged_record_costs_itself_only(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        now = int(world.resolver.clock.wall())
        for number, value in enumerate((b"", b"{}", b"\xff", b'{"version": 2}', b'{"version": 1, "since": "x"}', b"1e999")):
            world.store.put(TABLE, from_text(f"x{number}"), value, now + HOUR)
        world.store.put(TABLE, SHOP, encode(NegativeAnchor(SHOP, now, now + HOUR)), now + HOUR)
        await asyncio.sleep(0.1)
        assert [each.zone for each in world.anchors.in_force()] == [SHOP]
        assert world.counters.get("negative_anchor_damaged_records") == 6


@virtual
async def test_a_store_that_fails_refuses_new_ones_and_no_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with World(tmp_path) as world:
        await world.anchors.ready(1)
        await world.store.close()
        with pytest.raises(StoreError):
            await world.anchors.set(SHOP, HOUR)
        assert await world.said() == SECURE
        assert world.anchors.in_force() == []


@virtual
async def test_they_are_bounded_in_number_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with World(tmp_path) as world:
        made = await world.anchors.set(SHOP, 10**9)
        assert made.until - made.since == bounds.MAX_NTA_LIFETIME == 7 * 24 * HOUR > bounds.NTA_LIFETIME == HOUR
        assert decode(SHOP, encode(replace(made, until=made.until + 10**9)), made.since) == made
        monkeypatch.setattr(bounds, "NEGATIVE_ANCHORS", 2)
        await world.anchors.set(from_text("two"), HOUR)
        with pytest.raises(Full):
            await world.anchors.set(from_text("three"), HOUR)
        await world.anchors.set(SHOP, HOUR)


@virtual
async def test_every_change_is_in_the_audit_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with World(tmp_path) as world:
        await world.anchors.set(SHOP, HOUR, "anna", "DS of an old key")
        await world.anchors.remove(SHOP, "ben")
        await world.anchors.set(from_text("good"), 10, "anna")
        await asyncio.sleep(11)
        lines = [each.later(False) for each in caplog.records if each.name == "resolverd.audit"]  # type: ignore[attr-defined]
        assert [(each["audit"], each["subject"], each["owner"], each["note"]) for each in lines] == [
            ("nta-add", "shop.", "anna", "DS of an old key"), ("nta-remove", "shop.", "ben", "DS of an old key"),
            ("nta-add", "good.", "anna", ""), ("nta-expired", "good.", "anna", ""),
        ]  # fmt: skip


ANCHORS = TrustAnchors.parse("".join(f"{zone} DS 1 8 2 {'AA' * 32}\n" for zone in (".", "a.corp.example.")))


@pytest.mark.parametrize(
    ("name", "negative", "covered"),
    [
        ("www.corp.example", {"corp.example"}, "corp.example"),
        ("corp.example", {"corp.example"}, "corp.example"),
        ("example", {"corp.example"}, None),
        ("xcorp.example", {"corp.example"}, None),
        # RFC 7646 §2: validation begins again at a trust anchor below
        ("www.a.corp.example", {"corp.example"}, None),
        ("www.a.corp.example", {"a.corp.example"}, "a.corp.example"),
        ("www.a.corp.example", {"www.a.corp.example", "example"}, "www.a.corp.example"),
        ("www.shop", {"."}, "."),
        ("a.corp.example", {"."}, None),
    ],
)
def test_which_names_one_covers(name: str, negative: set[str], covered: str | None) -> None:
    reasons: Mapping[Name, str] = {from_text(each): "broken" for each in negative}
    trust = TrustState(ANCHORS, negative=reasons)
    assert trust.negative_anchor(from_text(name)) == (from_text(covered) if covered else None)
    assert trust.exempted(from_text(name)) == (f"negative trust anchor {covered.rstrip('.')}. (broken)" if covered else None)


@virtual
async def test_the_reason_why_a_name_is_bogus_goes_with_it(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        world.break_it()
        assert codes.EDE_BOGUS in errors(await ask(world.resolver, "www.shop"))
        await world.anchors.set(SHOP, HOUR)
        assert errors(await ask(world.resolver, "www.shop")) == []
