"""The daemon, sockets aside, over signed zones: what its calls tell of DNSSEC, and what it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from served import configured
from signednet import SignedNet, to_dnskey
from signing import key
from virtualtime import VirtualClock, virtual

from resolverd.app.service import Service
from resolverd.metrics import Counters
from resolverd.resolver.anchor_watch import TABLE
from resolverd.resolver.validator.anchors import TrustAnchors
from resolverd.resolver.validator.clock_check import built
from resolverd.resolver.validator.rfc5011 import Phase, TrackedKey, TrustPoint
from resolverd.servers.http.auth import Auth
from resolverd.servers.http.route import Call
from resolverd.servers.http.routes import cache, metrics, negative_anchors, status
from resolverd.state.base import Store
from resolverd.state.memory import MemoryStore
from resolverd.wire import codes
from resolverd.wire.answer import Answer
from resolverd.wire.names import ROOT, from_text
from resolverd.wire.rrset import Security


class World:
    """A daemon in front of a signed root and a zone ``shop``."""

    def __init__(self, folder: Path, store: Store):
        self.net = SignedNet(folder)
        self.net.root.add("@ NS k.root-servers.net.\nk.root-servers.net. A 198.41.0.4")
        self.shop = self.net.signed("shop", {"ns.shop": "45.1.0.1"}, "www A 193.0.0.1", number=1)
        anchors = folder / "anchors"
        anchors.write_text(f". 3600 DS {self.net.root.ds}\n")
        self.clock = VirtualClock()
        settings = configured(folder, resolver={"trust_anchors": anchors, "key_tag_signalling": True})
        self.service = Service(settings, self.net, store, self.clock, Counters(), lambda: settings)

    async def resolve(self, name: str = "www.shop") -> Answer:
        return await self.service.runtime.resolution.resolve.resolve(from_text(name), codes.A)

    def call(self, **path: str) -> Call:
        request, daemon = SimpleNamespace(remote="test", transport=None), self.service.capabilities()
        return Call(daemon, request, (), path, Auth(self.clock.monotonic), {})  # type: ignore[arg-type]


@asynccontextmanager
async def running(folder: Path, store: Store | None = None) -> AsyncIterator[World]:
    world = World(folder, store or MemoryStore())
    await world.service.prepare(1.0)
    world.service.start()
    try:
        yield world
    finally:
        await world.service.aclose()


@virtual
async def test_a_negative_trust_anchor_is_shown_where_it_counts(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        world.shop.key = key(13, 99)
        assert (await world.resolve()).security is Security.BOGUS
        await world.service._shared.negative_anchors.set(from_text("shop"), 3600, "anna", "an old DS")
        assert (await world.resolve()).security is Security.INSECURE
        why = "negative trust anchor shop. (an old DS)"
        [entry] = (await cache.get_cache(world.call(name="www.shop", type="A"))).entries
        assert (entry.security, entry.why) == ("insecure", why)
        traced = await cache.get_trace(world.call(name="www.shop", type="A"))
        assert (traced.security, [(link.zone, link.security, link.why) for link in traced.chain]) == (
            "insecure", [("shop.", "insecure", why)],
        )  # fmt: skip
        assert not (await world.service.reload()).faults
        assert (await world.resolve()).security is Security.INSECURE
        [shown] = (await negative_anchors.get_negatives(world.call())).negative_trust_anchors
        assert (shown.name, shown.owner, shown.reason, shown.configured) == ("shop.", "anna", "an old DS", False)


@virtual
async def test_a_trace_shows_the_chain_of_trust(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        traced = await cache.get_trace(world.call(name="www.shop", type="A"))
        assert (traced.security, [(link.zone, link.security) for link in traced.chain]) == (
            "secure", [(".", "secure"), ("shop.", "secure")],
        )  # fmt: skip
        assert traced.chain[1].ds == [f"{world.shop.key.tag} ECDSAP256SHA256 digest 2"]


@pytest.mark.parametrize("wall", [0.0, built() - 1])
@virtual
async def test_a_clock_that_cannot_be_right_is_told_and_got_over(tmp_path: Path, wall: float) -> None:
    async with running(tmp_path) as world:
        world.clock.set_wall(wall)
        await asyncio.sleep(1)
        assert (await world.resolve()).security is Security.INSECURE
        ready = await status.get_readiness(world.call())
        assert ready.ready
        assert [each.partition(":")[0] for each in ready.remarks] == ["DNSSEC is not validated until the clock is right"]
        assert b"resolverd_clock_right 0.0" in _body(await metrics.get_metrics(world.call()))
        world.clock.set_wall(VirtualClock.WALL_START)
        await asyncio.sleep(61)
        assert (await world.resolve()).security is Security.SECURE
        assert (await status.get_readiness(world.call())).remarks == []
        assert b"resolverd_clock_right 1.0" in _body(await metrics.get_metrics(world.call()))


@virtual
async def test_what_was_learnt_of_the_roots_keys_counts_after_a_restart_and_a_reload(tmp_path: Path) -> None:
    new, store = key(13, 71), MemoryStore()
    base = SignedNet(tmp_path).root
    point = TrustPoint(ROOT, TrustAnchors.parse(f". DS {base.ds}\n").closest(ROOT).ds, (TrackedKey(new.rdata, Phase.VALID),))  # type: ignore[union-attr]
    store.put(TABLE, ROOT, point.encode(), 2.0**32)
    async with running(tmp_path, store) as world:
        # the root is signed by the new key alone
        world.net.root.key, world.net.root._public = new, to_dnskey(new)
        world.net.root.publish()
        assert (await world.resolve()).security is Security.SECURE
        for _ in range(2):
            assert world.service.runtime.resolution.root_key_tags() == {base.key.tag, new.tag}
            assert not (await world.service.reload()).faults


def _body(response: Any) -> bytes:
    body = response.body
    assert isinstance(body, bytes)
    return body
