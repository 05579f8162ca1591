"""Forwarding loops are found out while the first question goes round, named, and fail at once; nothing else is taken for one."""

import asyncio
from ipaddress import ip_address
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import pytest
from scriptednet import Late, Net, ScriptedResolver, addresses, errors, rcode, reply_to
from virtualtime import virtual

from resolverd import bounds
from resolverd.config.settings import Forward
from resolverd.net.cookies import Cookies
from resolverd.resolver.loops import Loops
from resolverd.wire.ask import Failed, Server
from resolverd.wire.peek import Query

FORWARDER = Server(ip_address("45.7.0.1"))
OTHER = Server(ip_address("45.7.0.2"))


class Circle:
    """A resolver whose forwarder asks it whatever it is asked, as long as it `loops`; then it answers by itself."""

    def __init__(self, folder: Path, zone: str, *servers: Server, cd: bool = False):
        self.net = Net(rtt=0.01)
        self.net.zone("shop", {"ns.shop": "45.1.0.1"}, "www A 193.0.0.1")
        self.net.serve("45.7.0.1", self._serve)
        self.loops, self.cd = True, cd
        self.resolver = ScriptedResolver(self.net, folder, forward=(Forward(zone, servers or (FORWARDER,)),))
        self.asking: set[asyncio.Task[bytes | None]] = set()

    def _serve(self, query: dns.message.Message, ask: object) -> Late | Failed | dns.message.Message:
        if not self.loops:
            return reply_to(query, f"{query.question[0].name} 60 A 193.0.0.5")
        asked = dns.message.make_query(query.question[0].name, query.question[0].rdtype, flags=dns.flags.RD)
        if self.cd:
            asked.flags |= dns.flags.CD
        self.asking.add(asyncio.get_running_loop().create_task(self.resolver.stack.ask(asked.to_wire(), udp=False)))
        return Failed.TIMEOUT

    @property
    def asked(self) -> list[str]:
        return [name for name, _ in self.net.names()]


@pytest.mark.parametrize("cd", [False, True], ids=["as asked", "with CD"])
@pytest.mark.parametrize("zone", [".", "corp.example"])
@virtual
async def test_a_loop_is_found_by_the_first_question_that_goes_round(
    zone: str, cd: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    circle = Circle(tmp_path, zone, cd=cd)
    start = asyncio.get_running_loop().time()
    reply = await circle.resolver.ask("www.corp.example")
    assert asyncio.get_running_loop().time() - start < 0.2
    assert (rcode(reply), errors(reply)) == ("SERVFAIL", [0])
    assert "45.7.0.1" in str(reply.options[0])
    told = [record for record in caplog.records if "forwarding loop" in record.getMessage()]
    assert len(told) == 1
    assert f"45.7.0.1, to which {zone.rstrip('.')}. is forwarded" in told[0].getMessage()
    sent = len(circle.asked)
    assert sent <= 3, "the question, once more perhaps, and the probe"
    assert rcode(await circle.resolver.ask("x.corp.example")) == "SERVFAIL"
    assert len(circle.asked) == sent, "nobody is asked who leads back"
    _, waiting = await asyncio.wait(circle.asking, timeout=0.1)
    assert not waiting
    circle.loops = False
    await asyncio.sleep(bounds.LOOP_HOLD)
    assert addresses(await circle.resolver.ask("x.corp.example")) == ["193.0.0.5"]
    circle.loops = True
    start = asyncio.get_running_loop().time()
    assert rcode(await circle.resolver.ask("z.corp.example")) == "SERVFAIL"
    assert asyncio.get_running_loop().time() - start < 0.2, "found out again, though it was probed not long ago"
    assert len([record for record in caplog.records if "forwarding loop" in record.getMessage()]) == 1


@virtual
async def test_clients_that_ask_the_same_are_no_loop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    circle = Circle(tmp_path, ".")
    circle.loops = False
    replies = await asyncio.gather(*(circle.resolver.ask("www.corp.example") for _ in range(20)))
    assert all(addresses(reply) == ["193.0.0.5"] for reply in replies)
    await asyncio.sleep(bounds.LOOP_PROBE - 1)
    await asyncio.gather(*(circle.resolver.ask("x.corp.example") for _ in range(20)))
    probes = [name for name in circle.asked if name.startswith("resolverd-loop-")]
    assert len(probes) == 1, "a look costs one question, now and then"
    assert not [record for record in caplog.records if "loop" in record.getMessage()]


@virtual
async def test_another_forwarder_goes_on_where_one_leads_back(tmp_path: Path) -> None:
    circle = Circle(tmp_path, "corp.example", FORWARDER, OTHER)
    circle.net.serve("45.7.0.2", lambda query, ask: reply_to(query, "www.corp.example 60 A 193.0.0.5"))
    for _ in range(10):
        circle.resolver.parts.flush()
        assert addresses(await circle.resolver.ask("www.corp.example")) == ["193.0.0.5"]


@virtual
async def test_what_is_not_forwarded_goes_on(tmp_path: Path) -> None:
    circle = Circle(tmp_path, "corp.example")
    assert rcode(await circle.resolver.ask("www.corp.example")) == "SERVFAIL"
    assert addresses(await circle.resolver.ask("www.shop")) == ["193.0.0.1"]


def test_servers_that_are_ourselves_are_named_once_an_hour_each(caplog: pytest.LogCaptureFixture) -> None:
    loops = Loops()
    for now in (0.0, 1.0, 3599.0, 3600.0):
        loops.ourselves(FORWARDER.address, "corp.example.", now)
    assert [record.getMessage() for record in caplog.records] == [
        "45.7.0.1, a name server of corp.example., is this daemon itself, and no authority for it"
    ] * 2
    for number in range(3 * bounds.LOOPS_TOLD):
        loops.ourselves(ip_address(number), "evil.", 0.0)
        assert len(loops._told) <= bounds.LOOPS_TOLD


@virtual
async def test_our_own_question_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    circle = Circle(tmp_path, "corp.example")
    cookies, responder, mesh = Cookies(), circle.resolver.stack.responder, circle.resolver.parts.mesh
    server = ip_address("45.1.0.1")

    def is_own(query: Query, cookie: bytes) -> bool:
        found = cookies.sent_to(cookie[:8])
        if found is not None:
            mesh.asks_itself(found, query.qname, query.qtype)
        return found is not None

    responder._is_own = is_own
    await circle.resolver.ask("www.shop")
    ours = cookies.option(server, None)
    for cookie, own in ((ours, True), (bytes(8), False), (ours + bytes(16), True)):
        option = dns.edns.GenericOption(10, cookie)
        asked = dns.message.make_query("WWW.shop", "A", flags=0, use_edns=0, options=[option])
        data = await circle.resolver.stack.ask(asked.to_wire())
        assert data is not None
        reply = dns.message.from_wire(data)
        assert (rcode(reply), errors(reply)) == (("REFUSED", [20]) if own else ("NOERROR", []))
    assert [record.getMessage() for record in caplog.records if "itself" in record.getMessage()] == [
        "45.1.0.1, a name server of shop., is this daemon itself, and no authority for it"
    ]
