"""What the service knows of a client, as lists: noptr, nofcrdns, firstseen, greypassed, offenders, why."""

import asyncio
from ipaddress import IPv4Address, ip_address

import pytest
from scriptedlists import SERVFAIL, TIMEOUT, ScriptedResolver, a, denial
from virtualtime import VirtualClock, virtual

from resolverd.clients.history import SINCE, TABLE, ClientHistory
from resolverd.dnsbl.engine import Engine
from resolverd.failures import StoreError
from resolverd.greylist.decide import Client, encode_client
from resolverd.greylist.service import CLIENTS
from resolverd.mail.findings import Action, Consequence, Finding, GreylistOutcome, Verdict
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.policy.client_names import ClientNames
from resolverd.policy.verdicts import VerdictStore
from resolverd.state.base import Store
from resolverd.state.memory import MemoryStore
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer
from resolverd.wire.names import from_text
from resolverd.wire.rrset import RRset
from resolverd.zones.client_zones import ClientZones
from resolverd.zones.lists import ListZones, ZoneRules

ATTEMPT = Attempt(recipient="b@example.com")
CLIENT = ip_address("1.2.3.4")
REVERSE = "4.3.2.1"
ARPA = "4.3.2.1.in-addr.arpa PTR"
LISTED, NX, NODATA = ["127.0.0.2"], "NXDOMAIN", "NODATA"
DAY = 86400


def verdict(
    action: Action = Action.ACCEPT, client: object = CLIENT, ref: str = "ID1", state: str = "", **more: object
) -> Verdict:
    greylist = GreylistOutcome(state, reason="triplet found") if state else None
    return Verdict(ref, action, 0, "nothing speaks against it", greylist=greylist, client=client, **more)  # type: ignore[arg-type]


def ptr(*names: str, ttl: int = 300) -> Answer:
    return Answer(codes.NOERROR, (RRset(b"\0", codes.PTR, ttl, tuple(map(from_text, names))),))


class World:
    def __init__(self, store: Store | None = None) -> None:
        self.clock = VirtualClock()
        self.resolver = ScriptedResolver()
        self.store = store or MemoryStore()
        self.engine = Engine((), self.resolver, self.clock, Counters())
        self.history = ClientHistory(self.store, self.clock, Counters())
        self.verdicts = VerdictStore(self.store, self.clock, Counters())
        clients = ClientZones(ClientNames(self.resolver, self.clock), self.history, self.verdicts, self.clock)
        self.zones = ListZones(from_text("rbl.internal"), self.engine, ZoneRules(), self.clock, clients=clients)

    async def answer(self, tree: str, rtype: int = codes.A, reverse: str = REVERSE) -> Answer:
        answer = await self.zones.answer(from_text(f"{reverse}.{tree}.rbl.internal"), rtype)
        assert answer is not None
        assert (answer.aa, answer.keep) == (True, False)
        return answer

    async def a(self, tree: str, reverse: str = REVERSE) -> object:
        answer = await self.answer(tree, codes.A, reverse)
        if answer.answer:
            return [str(IPv4Address(each)) for each in answer.answer[0].rdatas]
        assert [rrset.rtype for rrset in answer.authority] == [codes.SOA]
        return NODATA if answer.rcode == codes.NOERROR else codes.rcode_text(answer.rcode)

    async def txt(self, tree: str) -> list[str]:
        answer = await self.answer(tree, codes.TXT)
        return [part.decode() for rrset in answer.answer for each in rrset.rdatas for part in rdata.strings(each)]

    async def ttl(self, tree: str) -> int:
        answer = await self.answer(tree)
        return (answer.answer or answer.authority)[0].ttl


NAMES = [
    # PTR, address of its name, noptr, nofcrdns, TTL at the most
    (ptr("mail.example.com"), a("1.2.3.4"), NX, NX, 300),
    (ptr("mail.example.com", ttl=40), a("1.2.3.4"), NX, NX, 40),
    (ptr("mail.example.com"), a("1.2.3.5"), NX, LISTED, 300),
    (ptr("mail.example.com"), denial(), NX, LISTED, 300),
    (denial(ttl=30, minimum=30), None, LISTED, LISTED, 30),
    (denial(rcode=codes.NOERROR), None, LISTED, LISTED, 300),
    (ptr("mail.example.com"), SERVFAIL, NX, NX, 60),
    (ptr("mail.example.com"), (9.0, a("1.2.3.5")), NX, NX, 60),
    (SERVFAIL, None, NX, NX, 60),
    (TIMEOUT, None, NX, NX, 60),
    ((9.0, denial()), None, NX, NX, 60),
]


@pytest.mark.parametrize(("names", "address", "noptr", "nofcrdns", "ttl"), NAMES)
@virtual
async def test_names(names: object, address: object, noptr: object, nofcrdns: object, ttl: int) -> None:
    w = World()
    w.resolver.script |= {ARPA: names, "mail.example.com": address or denial()}
    began = w.clock.monotonic()
    assert (await w.a("noptr"), await w.a("nofcrdns")) == (noptr, nofcrdns)
    assert w.clock.monotonic() - began <= 4
    assert await w.ttl("nofcrdns") == ttl
    assert await w.txt("noptr") == (["1.2.3.4 has no reverse hostname"] if noptr == LISTED else [])
    assert (await w.answer("noptr", codes.AAAA)).rcode == codes.NOERROR


@pytest.mark.parametrize("reverse", ["4.3.2.10", "1.0.0.127", "2.0.0.127", "1.1.168.192", "1.0.64.100"])
@virtual
async def test_private_addresses_need_no_names(reverse: str) -> None:
    w = World()
    for tree in ("noptr", "nofcrdns"):
        assert await w.a(tree, reverse) == NX
    assert w.resolver.asked == []


@virtual
async def test_a_client_is_new_for_a_day_after_its_first_contact() -> None:
    w = World()
    assert await w.a("firstseen") == NX
    w.history.note(verdict())
    assert await w.a("firstseen") == LISTED
    await w.history.write_notes()
    assert await w.a("firstseen") == LISTED
    w.clock.set_wall(w.clock.wall() + DAY - 100)
    assert (await w.a("firstseen"), await w.ttl("firstseen")) == (LISTED, 100)
    w.history.note(verdict())
    w.clock.set_wall(w.clock.wall() + 100)
    assert (await w.a("firstseen"), await w.ttl("firstseen")) == (NX, 300)


@virtual
async def test_whom_nobody_knows_is_new_once_somebody_has_looked_for_a_day() -> None:
    w = World()
    assert (await w.a("firstseen"), await w.ttl("firstseen")) == (NX, 60)
    w.clock.set_wall(w.clock.wall() + DAY)
    assert (await w.a("firstseen"), await w.ttl("firstseen")) == (LISTED, 300)
    again = World(w.store)
    again.clock.set_wall(w.clock.wall())
    assert await again.a("firstseen") == LISTED


@virtual
async def test_asking_changes_nothing() -> None:
    w = World()
    w.clock.set_wall(w.clock.wall() + 1)
    for tree in ("noptr", "nofcrdns", "firstseen", "greypassed", "offenders", "why"):
        await w.a(tree)
        await w.txt(tree)
    await w.history.write_notes()
    assert [entry.key async for entry in w.store.scan(TABLE, 0)] == [SINCE]


@pytest.mark.parametrize(
    ("state", "action", "listed"),
    [
        ("passed", Action.ACCEPT, LISTED),
        ("known", Action.ACCEPT, LISTED),
        ("new", Action.GREYLIST, NX),
        ("early-retry", Action.GREYLIST, NX),
        ("skipped", Action.ACCEPT, NX),
        ("", Action.ACCEPT, NX),
        ("passed", Action.REJECT, NX),
    ],
)
@virtual
async def test_who_has_passed_greylisting(state: str, action: Action, listed: object) -> None:
    w = World()
    w.history.note(verdict(action, state=state))
    assert await w.a("greypassed") == listed
    await w.history.write_notes()
    assert await w.a("greypassed") == listed
    w.history.note(verdict(Action.ACCEPT))
    await w.history.write_notes()
    assert await w.a("greypassed") == listed


@virtual
async def test_what_greylisting_has_counted_before_counts() -> None:
    w = World()
    w.store.put(CLIENTS, b"1.2.3.4", encode_client(Client(1, 0)), 4e9)
    assert await w.a("greypassed") == LISTED


@virtual
async def test_who_is_refused_three_times_within_an_hour_is_an_offender() -> None:
    w = World()
    for number in range(3):
        assert (await w.a("offenders"), await w.ttl("offenders")) == (NX, 60)
        w.history.note(verdict(Action.REJECT))
        w.history.note(verdict(Action.DEFER))
        w.history.note(verdict(Action.REJECT, ip_address("1.2.3.5")))
        if number < 2:
            await asyncio.sleep(1000)
    assert await w.a("offenders") == LISTED
    await asyncio.sleep(1590)
    assert (await w.a("offenders"), await w.ttl("offenders")) == (LISTED, 10)
    await asyncio.sleep(10)
    assert await w.a("offenders") == NX


@virtual
async def test_why() -> None:
    w = World()
    assert await w.a("why") == NX
    assert (await w.answer("why", codes.TXT)).rcode == codes.NXDOMAIN
    helo = Finding("helo", "helo_not_fqdn", "HELO foo is not fully qualified", 2, Consequence.REJECT)
    found = (helo, Finding("ptr", "ptr_ok", "ok"))
    w.verdicts.put(verdict(Action.REJECT, ref="ID7", findings=found), ATTEMPT)
    w.verdicts.put(verdict(ref="DRY"), ATTEMPT, dry=True)
    assert w.verdicts.write()
    await asyncio.sleep(90)
    assert await w.txt("why") == [
        "reject, 90 s ago, score 0, id ID7: nothing speaks against it", " / HELO foo is not fully qualified",
    ]  # fmt: skip
    assert (await w.answer("why", codes.TXT)).answer[0].ttl == 5
    assert await w.a("why") == NODATA


@virtual
async def test_a_store_that_fails_is_no_word() -> None:
    w = World()
    w.verdicts.put(verdict(Action.REJECT, ref="ID7"), ATTEMPT)
    assert w.verdicts.write()
    assert await w.a("why") == NODATA
    await w.store.close()
    assert await w.a("why") == NX


class Broken(MemoryStore):
    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        raise StoreError("out of order")


class Hanging(MemoryStore):
    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        await asyncio.sleep(1e6)
        return None


@pytest.mark.parametrize("broken", [Broken, Hanging])
@virtual
async def test_without_a_store_nobody_is_listed(broken: type[MemoryStore]) -> None:
    w = World(broken())
    w.history.note(verdict(client=ip_address("1.2.3.5"), state="passed"))
    began = w.clock.monotonic()
    for tree in ("firstseen", "greypassed"):
        assert (await w.a(tree), (await w.answer(tree)).authority[0].ttl) == (NX, 60)
    assert w.clock.monotonic() - began <= 8
    if broken is Broken:
        await w.history.write_notes()
