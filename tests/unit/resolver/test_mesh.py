"""The driver of recursion: one flight for many clients, patience, stale data, prefetch, and room for all when it is short."""

import asyncio
import gc
import logging
from ipaddress import ip_address
from pathlib import Path

import pytest
from scriptednet import Net, ScriptedResolver, addresses, errors, rcode, reply_to
from virtualtime import virtual

from resolverd import bounds
from resolverd.resolver.iterator.budget import QueryBudget, exchange
from resolverd.resolver.mesh import Timeouts
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.answer import Answer
from resolverd.wire.ask import Ask, Failed, First, Server, Transport
from resolverd.wire.names import ROOT, from_text
from tests.attacks import Figure

WWW = from_text("www.shop")


def shop(net: Net, text: str = "www 300 A 193.0.0.1") -> None:
    net.zone("shop", {"ns.shop": "45.1.0.1"}, text)


def silent(query: object, ask: Ask) -> Failed:
    return Failed.TIMEOUT


# -- one flight for many ---------------------------------------------------------------------------------------------------


@virtual
async def test_many_clients_one_recursion(tmp_path: Path) -> None:
    net = Net()
    shop(net)
    resolver = ScriptedResolver(net, tmp_path)
    names = ["www.shop", "WWW.shop", "wWw.Shop"] * 20
    replies = await asyncio.gather(*(resolver.ask(name) for name in names))
    assert all(addresses(reply) == ["193.0.0.1"] for reply in replies)
    assert len(net.asked) == 2
    assert [reply.question[0].name.to_text() for reply in replies[:3]] == ["www.shop.", "WWW.shop.", "wWw.Shop."]


@virtual
async def test_hundreds_wait_for_one_answer_and_have_it(tmp_path: Path) -> None:
    net = Net()
    shop(net)
    resolver = ScriptedResolver(net, tmp_path)
    replies = await asyncio.gather(*(resolver.ask("www.shop") for _ in range(600)))
    assert all(addresses(reply) == ["193.0.0.1"] for reply in replies)
    assert len(net.asked) == 2


@virtual
async def test_waiters_of_one_question_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_CLIENTS_PER_QUERY", 50)
    net = Net()
    shop(net)
    resolver = ScriptedResolver(net, tmp_path)
    replies = await asyncio.gather(*(resolver.ask("www.shop") for _ in range(bounds.MAX_CLIENTS_PER_QUERY + 20)))
    assert sum(addresses(reply) == ["193.0.0.1"] for reply in replies) == bounds.MAX_CLIENTS_PER_QUERY
    assert sum(rcode(reply) == "SERVFAIL" for reply in replies) == 20
    assert addresses(await resolver.ask("www.shop")) == ["193.0.0.1"], "the failure was theirs, not the question's"


@pytest.mark.attack("R-06")
@virtual
async def test_one_question_to_a_server_is_under_way_once(tmp_path: Path) -> None:
    # Different names, but the same minimised question on the way (and different patience for each).
    net = Net(rtt=0.3)
    com = net.zone("com", {"ns.com": "45.1.0.1"})
    net.zone("shop.com", {"ns.shop.com": "45.1.0.2"}, "\n".join(f"w{number} A 193.0.0.1" for number in range(30)), parent=com)
    resolver = ScriptedResolver(net, tmp_path)

    async def later(number: int) -> object:
        await asyncio.sleep(number * 0.02)
        return addresses(await resolver.ask(f"w{number}.shop.com"))

    assert await asyncio.gather(*(later(number) for number in range(30))) == [["193.0.0.1"]] * 30
    assert net.doubled == []


@pytest.mark.attack("R-06")
@virtual
async def test_the_same_question_is_under_way_once_whatever_the_patience(tmp_path: Path) -> None:
    net = Net(rtt=0.3)
    shop(net)
    resolver = ScriptedResolver(net, tmp_path)
    ask = Ask(Server(ip_address("45.1.0.1")), WWW, codes.A, Transport.UDP, 1.0)

    def core(timeout: float):  # type: ignore[no-untyped-def]
        return (yield from exchange(QueryBudget(resolver.clock.monotonic()), replace(ask, timeout=timeout), WWW))

    replies = await asyncio.gather(*(resolver.parts.mesh.run(core(timeout)) for timeout in (1.0, 0.9, 2.0)))
    assert all(reply.message is not None for reply in replies)
    assert len(net.asked) == 1


@virtual
async def test_work_goes_on_when_the_client_has_gone(tmp_path: Path) -> None:
    net = Net(rtt=0.3)
    shop(net)
    resolver = ScriptedResolver(net, tmp_path, timeouts=Timeouts(client=0.1))
    assert rcode(await resolver.ask("www.shop")) == "SERVFAIL"
    await resolver.settle()
    asked = len(net.asked)
    assert addresses(await resolver.ask("www.shop")) == ["193.0.0.1"]
    assert len(net.asked) == asked


@virtual
async def test_a_deadline_is_kept(tmp_path: Path) -> None:
    net = Net()
    net.root.add("shop. NS ns.shop.\nns.shop. A 45.1.0.1")
    resolver = ScriptedResolver(net, tmp_path)
    now = resolver.clock.monotonic()
    answer = await resolver.parts.resolve.resolve(WWW, codes.A, deadline=now + 0.7)
    assert answer.rcode == codes.SERVFAIL
    assert resolver.clock.monotonic() == pytest.approx(now + 0.7)


@virtual
async def test_a_client_that_is_cancelled_takes_nobody_along(tmp_path: Path) -> None:
    net = Net()
    shop(net)
    resolver = ScriptedResolver(net, tmp_path)
    first, second = asyncio.create_task(resolver.ask("www.shop")), asyncio.create_task(resolver.ask("www.shop"))
    await asyncio.sleep(0.001)
    first.cancel()
    assert addresses(await second) == ["193.0.0.1"]


# -- room ------------------------------------------------------------------------------------------------------------------


async def flood(resolver: ScriptedResolver, zone: str, count: int) -> list["asyncio.Task[object]"]:
    tasks = [asyncio.create_task(resolver.parts.resolve.resolve(from_text(f"x{each}.{zone}"), codes.A)) for each in range(count)]
    await asyncio.sleep(0.001)
    return tasks  # type: ignore[return-value]


@pytest.mark.attack("R-22")
@virtual
async def test_one_zone_never_takes_all_the_room(tmp_path: Path) -> None:
    net = Net()
    net.zone("dead.evil", {"ns.evil": "45.9.0.1"}, parent=net.zone("evil", {"ns.evil": "45.9.0.2"}))
    shop(net)
    resolver = ScriptedResolver(net, tmp_path)
    await resolver.ask("warm.dead.evil")
    net.serve("45.9.0.1", silent)
    tasks = await flood(resolver, "dead.evil", bounds.MAX_RECURSIONS_PER_ZONE + 300)
    assert resolver.parts.mesh.in_flight == bounds.MAX_RECURSIONS_PER_ZONE
    assert sum(task.done() for task in tasks) == 300
    assert addresses(await resolver.ask("www.shop")) == ["193.0.0.1"]
    await asyncio.gather(*tasks)
    await resolver.settle()
    admission = resolver.parts.mesh.recursions.admission
    assert (len(admission), admission.groups) == (0, 0), "the count comes back to nothing"


@virtual
async def test_recursions_are_bounded_and_the_new_ones_get_in(tmp_path: Path) -> None:
    net = Net()
    for number in range(6):
        net.root.add(f"z{number}.evil. NS ns.z{number}.evil.\nns.z{number}.evil. A 45.9.0.{number}")
    shop(net)
    resolver = ScriptedResolver(net, tmp_path)
    for number in range(6):
        await resolver.ask(f"warm.z{number}.evil")
    await resolver.settle()
    tasks = [task for number in range(5) for task in await flood(resolver, f"z{number}.evil", 200)]
    mesh = resolver.parts.mesh
    assert mesh.in_flight == bounds.MAX_RECURSIONS
    assert rcode(await resolver.ask("www.shop")) == "SERVFAIL", "within the first moments everybody has a right to his place"
    await asyncio.sleep(bounds.JOSTLE)
    assert addresses(await resolver.ask("www.shop")) == ["193.0.0.1"]
    assert mesh.in_flight <= bounds.MAX_RECURSIONS
    await asyncio.gather(*tasks)
    await resolver.settle()
    assert (len(mesh.recursions.admission), mesh.recursions.admission.groups) == (0, 0)


@pytest.mark.attack("R-23")
@virtual
async def test_repetition_makes_nobody_younger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Figure) -> None:
    monkeypatch.setattr(bounds, "MAX_RECURSIONS", 2)
    net = Net()
    net.root.add("evil. NS ns.evil.\nns.evil. A 45.9.0.1")
    shop(net)
    resolver = ScriptedResolver(net, tmp_path)
    begun = resolver.clock.monotonic()

    async def again() -> None:
        while True:
            tasks.append(asyncio.create_task(resolver.ask("b.evil")))
            await asyncio.sleep(0.05)

    tasks: list[object] = [asyncio.create_task(resolver.ask("a.evil"))]
    repeater = asyncio.create_task(again())
    await asyncio.sleep(0.01)
    while addresses(await resolver.ask("www.shop")) != ["193.0.0.1"]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    figure("another question answered after", 1000 * (resolver.clock.monotonic() - begun), "ms", most=1000 * bounds.JOSTLE + 100)
    repeater.cancel()


# -- stale data ------------------------------------------------------------------------------------------------------------


@virtual
async def test_stale_data_when_nobody_answers(tmp_path: Path) -> None:
    net = Net()
    shop(net)
    resolver = ScriptedResolver(net, tmp_path)
    await resolver.ask("www.shop")
    net.serve("45.1.0.1", silent)
    await asyncio.sleep(400)
    begun = resolver.clock.monotonic()
    reply = await resolver.ask("www.shop")
    assert addresses(reply) == ["193.0.0.1"]
    assert reply.answer[0].ttl == bounds.STALE_TTL
    assert codes.EDE_STALE in errors(reply)
    assert resolver.clock.monotonic() - begun <= Timeouts().stale
    # While the failure is remembered, at once and without a query.
    await resolver.settle()
    asked, begun = len(net.asked), resolver.clock.monotonic()
    assert addresses(await resolver.ask("www.shop")) == ["193.0.0.1"]
    assert (len(net.asked), resolver.clock.monotonic()) == (asked, begun)
    await asyncio.sleep(86400)
    assert rcode(await resolver.ask("www.shop")) == "SERVFAIL", "not for ever"


@virtual
async def test_fresh_data_is_waited_for_and_wins(tmp_path: Path) -> None:
    net = Net(rtt=0.3)
    shop(net)
    resolver = ScriptedResolver(net, tmp_path)
    await resolver.ask("www.shop")
    zone = net.servers["45.1.0.1"]
    zone.remove("www.shop.")  # type: ignore[union-attr]
    await asyncio.sleep(400)
    reply = await resolver.ask("www.shop")
    assert rcode(reply) == "NXDOMAIN", "a denial is an answer: stale data is for silence"
    assert errors(reply) == []


@pytest.mark.parametrize("news", ["alias", "deleted", "alias for this question only"])
@virtual
async def test_stale_data_is_never_older_than_the_last_word(news: str, tmp_path: Path) -> None:
    # The name had an address, became an alias or was deleted, and then its servers fell silent.
    net = Net()
    shop(net)
    net.zone("club", {"ns.club": "45.1.0.9"}, "www 60 A 193.0.0.9")
    resolver = ScriptedResolver(net, tmp_path)
    assert addresses(await resolver.ask("www.shop")) == ["193.0.0.1"]
    zone = net.servers["45.1.0.1"]
    zone.remove("www.shop.")  # type: ignore[union-attr]
    if news != "deleted":
        zone.add(f"www {60 if news == 'alias' else 0} CNAME www.club.")  # type: ignore[union-attr]
    await asyncio.sleep(400)
    reply = await resolver.ask("www.shop")
    assert (addresses(reply), rcode(reply)) == (([], "NXDOMAIN") if news == "deleted" else (["193.0.0.9"], "NOERROR"))
    net.serve("45.1.0.1", silent)
    net.serve("45.1.0.9", silent)
    for wait in (400, 4000):
        await asyncio.sleep(wait)
        reply = await resolver.ask("www.shop")
        assert "193.0.0.1" not in addresses(reply)
        await resolver.settle()


@virtual
async def test_lists_are_never_stale_nor_fetched_ahead(tmp_path: Path) -> None:
    net = Net()
    shop(net, "2.0.0.127.bl 100 A 127.0.0.2")
    resolver = ScriptedResolver(net, tmp_path, list_zones=("bl.shop",), prefetch=True)
    name = "2.0.0.127.bl.shop"
    assert addresses(await resolver.ask(name)) == ["127.0.0.2"]
    await asyncio.sleep(95)
    asked = len(net.asked)
    assert addresses(await resolver.ask(name)) == ["127.0.0.2"]
    await resolver.settle()
    assert len(net.asked) == asked
    net.serve("45.1.0.1", silent)
    await asyncio.sleep(100)
    assert rcode(await resolver.ask(name)) == "SERVFAIL"


# -- prefetch --------------------------------------------------------------------------------------------------------------


@virtual
async def test_what_is_asked_for_is_fetched_before_it_ends(tmp_path: Path) -> None:
    net = Net()
    shop(net, "www 100 A 193.0.0.1")
    resolver = ScriptedResolver(net, tmp_path, prefetch=True)
    await resolver.ask("www.shop")
    asked = len(net.asked)
    await asyncio.sleep(100 * (1 - bounds.PREFETCH_SHARE) - 5)
    await resolver.ask("www.shop")
    await resolver.settle()
    assert len(net.asked) == asked
    await asyncio.sleep(10)
    begun = resolver.clock.monotonic()
    assert addresses(await resolver.ask("www.shop")) == ["193.0.0.1"]
    assert resolver.clock.monotonic() == begun, "nobody waits for it"
    await resolver.settle()
    assert len(net.asked) == asked + 1
    await asyncio.sleep(50)
    reply = await resolver.ask("www.shop")
    assert reply.answer[0].ttl > 40
    assert len(net.asked) == asked + 1


@virtual
@pytest.mark.parametrize("wanted", [True, False])
async def test_where_a_zone_depends_on_one_server_others_are_looked_up_ahead(wanted: bool, tmp_path: Path) -> None:
    net = Net()
    net.zone("host", {"ns1.host": "45.9.0.1"}, "ns2 A 45.9.0.2\nns3 A 45.9.0.3")
    zone = net.zone("shop", {"ns1.shop": "45.9.0.4"}, "\n".join(f"www{number} A 193.0.0.1" for number in range(9)))
    net.root.add("shop. NS ns2.host.\nshop. NS ns3.host.\nshop. NS lost.host.")
    for address in ("45.9.0.2", "45.9.0.3"):
        net.serve(address, zone)
    resolver = ScriptedResolver(net, tmp_path, prefetch_server_addresses=wanted)
    for number in range(8):
        assert addresses(await resolver.ask(f"www{number}.shop")) == ["193.0.0.1"]
        await resolver.settle()
    looked_up = {name for name, rtype in net.names("45.9.0.1") if rtype == "A"}
    assert bool(looked_up & {"ns2.host.", "ns3.host."}) is wanted
    begun = resolver.stack.counters.get("server_addresses_prefetched")
    assert begun == len(looked_up), "what is known not to be there is not looked up again"
    if wanted:
        net.servers.pop("45.9.0.4")
        assert addresses(await resolver.ask("www8.shop")) == ["193.0.0.1"]


@virtual
async def test_a_failed_prefetch_leaves_what_is_known(tmp_path: Path) -> None:
    net = Net()
    shop(net, "www 100 A 193.0.0.1")
    resolver = ScriptedResolver(net, tmp_path, prefetch=True)
    await resolver.ask("www.shop")
    net.serve("45.1.0.1", lambda query, ask: reply_to(query, rcode="SERVFAIL"))
    await asyncio.sleep(95)
    for _ in range(3):
        assert addresses(await resolver.ask("www.shop")) == ["193.0.0.1"]
        await resolver.settle()
        await asyncio.sleep(1)


# -- trouble ---------------------------------------------------------------------------------------------------------------


@virtual
async def test_a_bug_is_a_servfail_with_a_traceback(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    net = Net()
    shop(net)
    resolver = ScriptedResolver(net, tmp_path)

    async def broken(ask: Ask) -> object:
        raise ZeroDivisionError

    net.exchange = broken  # type: ignore[assignment,method-assign]
    assert rcode(await resolver.ask("www.shop")) == "SERVFAIL"
    assert "ZeroDivisionError" in caplog.text
    del net.exchange  # type: ignore[method-assign]
    await asyncio.sleep(bounds.FAILURE_TTL)
    assert addresses(await resolver.ask("www.shop")) == ["193.0.0.1"]


@virtual
async def test_a_bug_in_answering_one_client_takes_no_other_along(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    net = Net()
    shop(net)
    resolver, answers = ScriptedResolver(net, tmp_path), list[object]()

    def broken(answer: object) -> None:
        raise ZeroDivisionError

    for done in (broken, answers.append):
        assert not isinstance(resolver.parts.mesh.ask(WWW, codes.A, done), Answer)
    await resolver.settle()
    assert [answer.final(codes.A) is not None for answer in answers if isinstance(answer, Answer)] == [True]
    assert "ZeroDivisionError" in caplog.text


@virtual
async def test_branches_that_lose_are_silent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    resolver = ScriptedResolver(Net(), tmp_path)

    def fails(text: str):  # type: ignore[no-untyped-def]
        raise RuntimeError(text)
        yield

    def core():  # type: ignore[no-untyped-def]
        return (yield First((fails("one"), fails("two"), fails("three"))))

    caplog.set_level(logging.DEBUG)
    with pytest.raises(RuntimeError):
        await resolver.parts.mesh.run(core())
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()
    assert caplog.text == ""


@virtual
async def test_the_first_result_that_is_one_wins(tmp_path: Path) -> None:
    resolver = ScriptedResolver(Net(), tmp_path)
    closed = []

    def empty():  # type: ignore[no-untyped-def]
        return None
        yield

    def slow():  # type: ignore[no-untyped-def]
        try:
            yield First(())
            return "won"
        finally:
            closed.append(True)

    def core(*branches):  # type: ignore[no-untyped-def]
        return (yield First(branches))

    assert await resolver.parts.mesh.run(core(empty(), slow())) == "won"
    assert await resolver.parts.mesh.run(core(empty(), empty())) is None
    assert closed == [True]


@virtual
async def test_a_trace_sees_every_exchange_and_leaves_no_trace(tmp_path: Path) -> None:
    net = Net()
    shop(net)
    resolver = ScriptedResolver(net, tmp_path)
    await resolver.ask("www.shop")
    before = len(resolver.parts.rrsets), len(resolver.parts.delegations), len(net.asked)
    answer, steps, _ = await resolver.parts.mesh.own.trace(WWW, codes.A)
    assert answer.rcode == codes.NOERROR
    assert [(str(step.ask.server), step.zone, step.ask.qname, step.outcome) for step in steps] == [
        ("198.41.0.4", ROOT, from_text("shop"), "referral to shop."),
        ("45.1.0.1", from_text("shop"), WWW, "answer: 193.0.0.1"),
    ]
    assert (len(resolver.parts.rrsets), len(resolver.parts.delegations), len(net.asked)) == (*before[:2], before[2] + 2)


@virtual
async def test_silence_in_a_row_is_counted(tmp_path: Path) -> None:
    net = Net()
    shop(net)
    net.root.add("dead. NS ns.dead.\nns.dead. A 45.9.0.1")
    resolver = ScriptedResolver(net, tmp_path)
    await resolver.ask("a.dead")
    await resolver.settle()
    assert resolver.parts.mesh.unanswered >= bounds.SENDS_PER_SERVER
    await resolver.ask("www.shop")
    assert resolver.parts.mesh.unanswered == 0


@virtual
async def test_the_end_ends_everything(tmp_path: Path) -> None:
    net = Net()
    net.root.add("dead. NS ns.dead.\nns.dead. A 45.9.0.1")
    resolver = ScriptedResolver(net, tmp_path)
    waiting = asyncio.create_task(resolver.ask("a.dead"))
    await asyncio.sleep(0.1)
    await resolver.parts.mesh.aclose()
    assert rcode(await waiting) == "SERVFAIL"
    assert asyncio.all_tasks() == {asyncio.current_task()}


@virtual
async def test_a_recursion_leaves_no_cycles(tmp_path: Path) -> None:
    # What only the collector of cycles finds costs a look through all that is young, for each of thousands of names a second.
    net = Net()
    shop(net)
    resolver = ScriptedResolver(net, tmp_path)
    await resolver.ask("a.shop")
    await resolver.settle()
    gc.collect()
    gc.disable()
    try:
        for name in ("www.shop", "b.shop", "c.shop"):
            await resolver.ask(name)
        await resolver.settle()
        assert gc.collect() == 0
    finally:
        gc.enable()
