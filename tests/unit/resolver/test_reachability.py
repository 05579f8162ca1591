"""Whether the internet is out of reach is what servers say that must answer: no stranger makes us believe it, and who is cut off
knows it at once, greylists on, and notices within seconds that it is back."""

import asyncio
import random
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
from mailcases import attempt
from scriptednet import ROOT_SERVER, Net, ScriptedResolver, addresses, errors, rcode, reply_to
from virtualtime import VirtualClock, virtual

from resolverd import bounds
from resolverd.app.service import Service
from resolverd.config.settings import Forward, Settings
from resolverd.metrics import Counters
from resolverd.resolver.priming import Priming
from resolverd.state.memory import MemoryStore
from resolverd.wire import codes
from resolverd.wire.ask import Ask, Failed, Reply, Server
from tests.replay.stack import root_hints, settings

SECONDS = 3.0 + sum(bounds.REACH_PATIENCE)
"""What "within seconds" is: until enough has come to nothing, and two looks."""


class Cable:
    """The way to the internet. Own probes are counted apart."""

    def __init__(self, net: Net, *local: str):
        self.plugged = True
        self.fault = Failed.TIMEOUT
        self.sent: list[Ask] = []
        self._local = local
        self._exchange, net.exchange = net.exchange, self.exchange  # type: ignore[method-assign]

    async def exchange(self, ask: Ask) -> Reply:
        self.sent.append(ask)
        if self.plugged or str(ask.server.address) in self._local:
            return await self._exchange(ask)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await asyncio.sleep(ask.timeout if self.fault is Failed.TIMEOUT else 0)
        return Reply(None, self.fault, loop.time(), loop.time() - begun)


def internet(rtt: float = 0.01) -> Net:
    net = Net(rtt)
    net.root.add("@ NS k.root-servers.net.")
    com = net.zone("com", {"ns.com": "45.1.0.1"}, "www A 193.0.0.1")
    net.zone("shop.com", {"ns.shop.com": "45.1.0.2"}, "* 5 A 193.0.0.2\nold 60 A 193.0.0.3", parent=com)
    return net


async def resolver(net: Net, folder: Path, **changes: object) -> tuple[ScriptedResolver, "asyncio.Task[None]"]:
    made = ScriptedResolver(net, folder, **changes)  # type: ignore[arg-type]
    priming = asyncio.create_task(Priming(made.parts.mesh, priming=False, forwards=False).watch())
    await asyncio.sleep(0)
    return made, priming


async def until(wanted: bool, resolver: ScriptedResolver, patience: float) -> float:
    """How long it takes until it is cut off, or back, while names are asked all the time."""
    begun = resolver.clock.monotonic()
    number = 0
    while resolver.parts.mesh.offline is not wanted:
        assert resolver.clock.monotonic() < begun + patience
        number += 1
        asyncio.ensure_future(resolver.ask(f"w{number}.shop.com"))  # noqa: RUF006
        await asyncio.sleep(0.1)
    return resolver.clock.monotonic() - begun


@virtual
async def test_a_strangers_dead_domain_is_no_outage(tmp_path: Path) -> None:
    net = internet()
    net.root.add("evil. NS ns.evil.\nns.evil. A 45.9.0.1")
    for number in range(50):
        net.root.add(f"evil{number}. NS ns.evil{number}.\nns.evil{number}. A 45.9.1.{number}")
    made, priming = await resolver(net, tmp_path)
    begun = made.clock.monotonic()
    for number in range(400):
        name = f"x{number}.evil" if number % 2 else f"x{number}.evil{number % 50}"
        asyncio.ensure_future(made.ask(name))  # noqa: RUF006
        await asyncio.sleep(0.1)
        assert not made.parts.mesh.offline
    own = [ask for ask in net.asked if (ask.qname, ask.qtype) == (b"\0", codes.NS)]
    assert 0 < len(own) <= 6 * (made.clock.monotonic() - begun) / 5 + 6, "a look every five seconds, at most"
    assert addresses(await made.ask("a.shop.com")) == ["193.0.0.2"]
    priming.cancel()


@virtual
async def test_silent_forwarders_for_a_strangers_names_are_no_outage(tmp_path: Path) -> None:
    net = Net()
    net.serve("10.53.0.1", lambda query, ask: Failed.TIMEOUT if ask.qname.endswith(b"\x04evil\0") else reply_to(query, aa=False))
    forward = (Forward(zone=".", servers=(Server(ip_address("10.53.0.1")),)),)
    made, priming = await resolver(net, tmp_path, forward=forward)
    for number in range(100):
        await made.ask(f"x{number}.evil")
        assert not made.parts.mesh.offline
    priming.cancel()


@pytest.mark.parametrize("fault", [Failed.TIMEOUT, Failed.UNREACHABLE])
@virtual
async def test_who_is_cut_off_knows_it_and_fails_at_once(fault: Failed, tmp_path: Path) -> None:
    net = internet()
    cable = Cable(net)
    made, priming = await resolver(net, tmp_path)
    await made.ask("old.shop.com")
    cable.plugged, cable.fault = False, fault
    assert await until(True, made, 10) <= SECONDS
    await asyncio.sleep(120)
    cable.sent.clear()
    begun = made.clock.monotonic()
    reply = await made.ask("a.shop.com")
    assert (rcode(reply), errors(reply)) == ("SERVFAIL", [codes.EDE_NETWORK_ERROR, codes.EDE_CACHED_ERROR])
    assert addresses(await made.ask("old.shop.com")) == ["193.0.0.3"], "stale data is better than none"
    assert made.clock.monotonic() == begun
    await asyncio.sleep(60)
    assert {(ask.qname, ask.qtype) for ask in cable.sent} == {(b"\0", codes.NS)}, "nothing leaves but our own question"
    assert len(cable.sent) <= 60 * 2 * bounds.REACH_SERVERS
    priming.cancel()


@pytest.mark.parametrize("lasts", [30, 3000])
@virtual
async def test_the_end_of_an_outage_is_noticed_and_nothing_of_it_remains(lasts: int, tmp_path: Path) -> None:
    net = internet()
    cable = Cable(net)
    made, priming = await resolver(net, tmp_path)
    await made.ask("a.shop.com")
    cable.plugged = False
    await until(True, made, 10)
    for _ in range(lasts // 5):
        await made.ask("same.shop.com")
        await asyncio.sleep(5)
    cable.plugged = True
    begun = made.clock.monotonic()
    while not addresses(await made.ask("same.shop.com")):  # noqa: ASYNC110
        await asyncio.sleep(0.5)
    assert made.clock.monotonic() - begun <= SECONDS
    priming.cancel()


@virtual
async def test_a_root_that_is_silent_alone_is_no_outage(tmp_path: Path) -> None:
    net = internet()
    made, priming = await resolver(net, tmp_path)
    await made.ask("a.shop.com")
    net.serve(ROOT_SERVER, lambda query, ask: Failed.TIMEOUT)
    for number in range(60):
        await made.ask(f"x{number}.nowhere")
        assert addresses(await made.ask(f"b{number}.shop.com")) == ["193.0.0.2"]
        assert not made.parts.mesh.offline
        await asyncio.sleep(1)
    priming.cancel()


@virtual
async def test_somebody_on_the_way_who_answers_for_everybody_is_not_the_internet(tmp_path: Path) -> None:
    net = internet()
    made, priming = await resolver(net, tmp_path)
    await made.ask("a.shop.com")

    def liar(query, ask):  # type: ignore[no-untyped-def]
        out = reply_to(query, rcode="REFUSED", aa=False)
        out.flags |= 0x80
        return out

    for address in net.servers:
        net.serve(address, liar)
    assert await until(True, made, 30) <= 3 * SECONDS
    priming.cancel()


@virtual
async def test_servers_of_ones_own_zones_are_asked_all_the_same(tmp_path: Path) -> None:
    net = internet()
    net.serve("10.53.0.1", lambda query, ask: reply_to(query, "www.corp. A 10.0.0.1", aa=False))
    cable = Cable(net, "10.53.0.1")
    forward = (Forward(zone="corp", servers=(Server(ip_address("10.53.0.1")),)),)
    made, priming = await resolver(net, tmp_path, forward=forward)
    await made.ask("a.shop.com")
    cable.plugged = False
    await until(True, made, 10)
    assert addresses(await made.ask("www.corp")) == ["10.0.0.1"]
    await asyncio.sleep(10)
    assert made.parts.mesh.offline, "who answers within the resolver says nothing of the internet"
    priming.cancel()


# -- mail --------------------------------------------------------------------------------------------------------------------


class Daemon:
    """The whole service on a scripted net."""

    def __init__(self, net: Net, folder: Path, preset: str):
        hints = root_hints(folder, "k.root-servers.net", [ROOT_SERVER])
        made = settings(hints, resolver={"ipv6": False, "priming": True})
        checks = msgspec.structs.replace(Settings().checks, preset=preset)
        clock = VirtualClock()
        self.service = Service(msgspec.structs.replace(made, checks=checks), net, MemoryStore(), clock, Counters())
        self.clock = clock
        self._random = random.Random(1)

    async def verdict(self, number: int, **more: object) -> tuple[str, float]:
        begun = self.clock.monotonic()
        wanted = {
            "client_address": f"81.2.{number // 250}.{number % 250 + 1}", "client_name": "", "helo_name": f"h{number}.shop.com",
            "sender": f"a{number}@shop.com", "recipient": "b@example.org", "protocol_state": "RCPT", **more,
        }  # fmt: skip
        said = await self.service.runtime.policy.verdict_on(attempt(**wanted), record=True)
        return str(said.action), self.clock.monotonic() - begun


@pytest.mark.parametrize("preset", ["tutorial", "scored"])
@virtual
async def test_without_dns_verdicts_come_at_once_and_greylisting_goes_on(preset: str, tmp_path: Path) -> None:
    net = internet()
    cable = Cable(net)
    daemon = Daemon(net, tmp_path, preset)
    daemon.service.start()
    await asyncio.sleep(5)
    assert daemon.service.runtime.priming.readiness.ready
    cable.plugged = False
    number = 0
    begun = daemon.clock.monotonic()
    while daemon.service.runtime.priming.readiness.ready:
        number += 1
        asyncio.ensure_future(daemon.verdict(number))  # noqa: RUF006
        await asyncio.sleep(0.5)
        assert daemon.clock.monotonic() - begun <= SECONDS
    for client in range(100, 120):
        action, waited = await daemon.verdict(client)
        assert (action, waited) == ("greylist", 0.0), "nobody gets past greylisting by attacking our DNS"
    await asyncio.sleep(400)
    for client in range(100, 120):
        assert (await daemon.verdict(client))[0] == "accept", "who comes back passes, whatever could not be looked up"
    cable.plugged = True
    await asyncio.sleep(SECONDS)
    assert daemon.service.runtime.priming.readiness.ready
    assert {state.state for state in daemon.service.runtime.engine.statuses() if state.enabled} == {"ok"}
    await daemon.service.aclose()
