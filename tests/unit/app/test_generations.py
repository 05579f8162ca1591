"""What is in flight when something changes is given to who waits for it, and not kept: by any way in, whatever has changed."""

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import msgspec
import pytest
from scriptednet import ROOT_SERVER, Net, Zone
from virtualtime import InlineLoop, VirtualClock

from resolverd.app.runtime import Runtime
from resolverd.app.service import Service
from resolverd.config.settings import Stub
from resolverd.metrics import Counters
from resolverd.servers.access import AccessControl
from resolverd.servers.dns.answering import Responder, Unanswered, key
from resolverd.state.memory import MemoryStore
from resolverd.wire.ask import Ask, Server
from resolverd.wire.names import from_text
from tests.replay.stack import CLIENT, asked, root_hints, settings

CORP = "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\nwww 60 A 10.0.0.1\n"


class Daemon:
    """The service behind its DNS edge, in front of a scripted internet whose zone ``test`` is slow."""

    def __init__(self, folder: Path) -> None:
        self.net = Net()
        self.zone = self.net.zone("test", {"ns.test": "45.2.0.1"}, "other A 193.0.0.2\nshort 100 A 193.0.0.3")
        self.net.zone("shop", {"ns.shop": "45.1.0.1"}, "www A 193.0.0.1")
        self.net.serve("45.2.0.1", self._serve)
        self.answering: Callable[[dns.message.Message, Ask], dns.message.Message] = self.zone
        self._seen = asyncio.Event(), ""
        self.folder = folder / "zones"
        self.folder.mkdir()
        hints = root_hints(folder, "k.root-servers.net", [ROOT_SERVER])
        base = settings(hints, resolver={"ipv6": False}, cache={"prefetch": False})
        zones = msgspec.structs.replace(base.zones, dir=self.folder)
        self.settings = msgspec.structs.replace(base, zones=zones)
        self.clock = VirtualClock()
        self.service = Service(self.settings, self.net, MemoryStore(), self.clock, Counters(), lambda: self.settings)
        runtime = self.service.runtime
        access, share = AccessControl(self.settings.dns.allow), runtime.resolution.packet_share
        self.responder = Responder(runtime.answerer, runtime.resolution.packets, access, self.clock, Counters(), share)
        self.service.on_reload.append(self._apply_reload)

    def _apply_reload(self, runtime: Runtime) -> None:
        self.responder.answerer, self.responder.keep = runtime.answerer, runtime.resolution.packet_share

    async def ask(self, name: str, udp: bool = True) -> str:
        """RCODE or first address; from the packet cache where that has it."""
        packet = dns.message.make_query(name, "A", id=1).to_wire()
        body = self.responder.packets.get(key(packet, udp), self.clock.monotonic())
        if body is None:
            reply = self.responder.try_cached(packet, udp, CLIENT)
            body = (await asked(self.responder, reply) if isinstance(reply, Unanswered) else reply or b"")[2:]
        said = dns.message.from_wire(b"\0\1" + body)
        return said.answer[-1][0].to_text() if said.answer else dns.rcode.to_text(said.rcode())

    async def in_flight(self, name: str, udp: bool = True) -> "asyncio.Task[str]":
        """The question on its way to the server of its zone."""
        self._seen = asyncio.Event(), f"{name}."
        asking = asyncio.create_task(self.ask(name, udp))
        async with asyncio.timeout(5):
            await self._seen[0].wait()
        return asking

    def _serve(self, query: dns.message.Message, ask: Ask) -> dns.message.Message:
        if query.question[0].name.to_text() == self._seen[1]:
            self._seen[0].set()
        return self.answering(query, ask)

    # -- changes ------------------------------------------------------------------------------------------------------

    async def zone_appears(self) -> None:
        (self.folder / "corp.test.zone").write_text(CORP)
        self.service.read_zones()

    async def reload(self) -> None:
        assert (await self.service.reload()).faults == ()

    async def reload_with_another_cache(self) -> None:
        cache = msgspec.structs.replace(self.settings.cache, max_ttl=1000.0)
        self.settings = msgspec.structs.replace(self.settings, cache=cache)
        await self.reload()

    async def flush(self) -> None:
        self.service.runtime.resolution.flush()

    async def flush_name(self) -> None:
        self.service.runtime.resolution.flush(from_text("other.test"))


def inline(test: Callable[..., Any]) -> Callable[..., None]:
    def run(tmp_path: Path, **given: Any) -> None:
        async def whole() -> None:
            daemon = Daemon(tmp_path)
            await test(daemon, **given)
            await daemon.service.aclose()

        with asyncio.Runner(loop_factory=InlineLoop) as runner:
            runner.run(whole())

    return run


WAYS = pytest.mark.parametrize("udp", [True, False], ids=["udp", "tcp"])


@WAYS
def test_a_zone_that_appears_is_not_shadowed_by_what_was_in_flight(tmp_path: Path, udp: bool) -> None:
    @inline
    async def run(daemon: Daemon) -> None:
        await daemon.ask("other.test")
        asking = await daemon.in_flight("www.corp.test", udp)
        await daemon.zone_appears()
        assert await asking == "NXDOMAIN", "who waits gets what was in flight"
        assert await daemon.ask("www.corp.test", udp) == "10.0.0.1"
        (daemon.folder / "corp.test.zone").unlink()
        daemon.service.read_zones()
        daemon.zone.add("www.corp.test. 60 A 193.0.0.7")
        assert await daemon.ask("www.corp.test", udp) == "193.0.0.7", "nor is the denial behind it"

    run(tmp_path)


@WAYS
@pytest.mark.parametrize("change", ["flush", "flush_name", "reload", "reload_with_another_cache", "zone_appears"])
def test_no_answer_of_before_is_kept_after(tmp_path: Path, change: str, udp: bool) -> None:
    @inline
    async def run(daemon: Daemon) -> None:
        await daemon.ask("www.test")
        asking = await daemon.in_flight("other.test", udp)
        await getattr(daemon, change)()
        daemon.zone.remove("other.test.")
        daemon.zone.add("other.test. 60 A 193.0.0.8")
        assert await asking == "193.0.0.2", "who waits gets what was in flight"
        assert await daemon.ask("other.test", udp) == "193.0.0.8"

    run(tmp_path)


@pytest.mark.parametrize("change", ["flush", "reload_with_another_cache"])
def test_who_asks_after_a_change_does_not_wait_for_what_was_asked_before(tmp_path: Path, change: str) -> None:
    @inline
    async def run(daemon: Daemon) -> None:
        await daemon.ask("www.test")
        before = await daemon.in_flight("other.test")
        await getattr(daemon, change)()
        daemon.zone.remove("other.test.")
        daemon.zone.add("other.test. 60 A 193.0.0.8")
        assert await asyncio.gather(before, daemon.ask("other.test")) == ["193.0.0.2", "193.0.0.8"]
        assert await daemon.ask("other.test") == "193.0.0.8"

    run(tmp_path)


@pytest.mark.parametrize("change", ["flush", "reload"])
def test_what_fails_over_a_change_is_tried_at_once(tmp_path: Path, change: str) -> None:
    @inline
    async def run(daemon: Daemon) -> None:
        def refuse(query: dns.message.Message, ask: Ask) -> dns.message.Message:
            reply = dns.message.make_response(query)
            reply.set_rcode(dns.rcode.REFUSED)
            return reply

        await daemon.ask("www.test")
        daemon.answering = refuse
        asking = await daemon.in_flight("other.test")
        await getattr(daemon, change)()
        assert await asking == "SERVFAIL"
        daemon.answering = daemon.zone
        assert await daemon.ask("other.test") == "193.0.0.2"

    run(tmp_path)


def test_a_refresh_in_flight_brings_nothing_back(tmp_path: Path) -> None:
    """Data about to expire is fetched anew behind its answer, and so is stale data: nobody waits for either."""

    @inline
    async def run(daemon: Daemon) -> None:
        cache = msgspec.structs.replace(daemon.settings.cache, prefetch=True)
        daemon.settings = msgspec.structs.replace(daemon.settings, cache=cache)
        await daemon.reload()
        for wait in (95, 3600):
            assert await daemon.ask("short.test") == "193.0.0.3"
            await asyncio.sleep(wait)
            # it has answered from memory, and asks behind that
            asking = await daemon.in_flight("short.test")
            await daemon.flush()
            assert await asking == "193.0.0.3"
            await asyncio.sleep(1)
            daemon.zone.remove("short.test.")
            daemon.zone.add("short.test. 100 A 193.0.0.4")
            assert await daemon.ask("short.test") == "193.0.0.4"
            daemon.zone.remove("short.test.")
            daemon.zone.add("short.test. 100 A 193.0.0.3")
            await daemon.flush()

    run(tmp_path)


def test_what_is_remembered_survives_changes_that_leave_it_true(tmp_path: Path) -> None:
    @inline
    async def run(daemon: Daemon) -> None:
        for change in (daemon.reload, daemon.zone_appears):
            await daemon.ask("other.test")
            asked = len(daemon.net.asked)
            await change()
            assert await daemon.ask("other.test") == "193.0.0.2"
            assert len(daemon.net.asked) == asked
        await daemon.flush_name()
        await daemon.ask("other.test")
        assert len(daemon.net.asked) == asked + 1, "the way there is still known"
        before = len(daemon.service.runtime.resolution.infra)
        await daemon.reload_with_another_cache()
        await daemon.ask("other.test")
        assert len(daemon.net.asked) > asked + 1, "its TTL was bounded by the old key"
        assert len(daemon.service.runtime.resolution.infra) == before

    run(tmp_path)


def test_names_are_answered_by_the_configuration_read_last(tmp_path: Path) -> None:
    """A reload with forwarders, hints or bounds of TTLs takes what was learnt otherwise out of the answers."""

    @inline
    async def run(daemon: Daemon) -> None:
        assert await daemon.ask("www.corp.test") == "NXDOMAIN"
        daemon.net.zone("corp.test", {"ns.corp.test": "45.7.0.1"}, "www A 193.7.7.7", parent=Zone("unseen"))
        stub = Stub("corp.test", (Server(ip_address("45.7.0.1")),))
        resolver = msgspec.structs.replace(daemon.settings.resolver, stub=(stub,))
        daemon.settings = msgspec.structs.replace(daemon.settings, resolver=resolver)
        await daemon.reload()
        assert await daemon.ask("www.corp.test") == "193.7.7.7"

    run(tmp_path)
