"""Room for recursions when it is short: a flood is shed, not the zone that it is about, and nobody outside fills all of it."""

import asyncio
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scriptednet import Late, Net, ScriptedResolver, Zone, addresses, rcode
from virtualtime import virtual

from resolverd import bounds
from resolverd.config.settings import Forward
from resolverd.resolver.admission import Admission, group
from resolverd.wire import codes
from resolverd.wire.answer import Answer
from resolverd.wire.ask import Ask, Failed, Server
from resolverd.wire.names import from_text


def silent(query: object, ask: Ask) -> Failed:
    return Failed.TIMEOUT


async def flood(resolver: ScriptedResolver, names: list[str], *, local: bool = True) -> list["asyncio.Task[Answer]"]:
    resolve = resolver.parts.resolve.resolve
    tasks = [asyncio.create_task(resolve(from_text(name), codes.A, local=local)) for name in names]
    await asyncio.sleep(0.001)
    return tasks


@virtual
async def test_dead_reverse_zones_take_nothing_from_their_parent(tmp_path: Path) -> None:
    net = Net()
    arpa = net.zone("in-addr.arpa", {"ns.in-addr.arpa": "45.1.0.1"})
    for number in range(250):
        net.zone(f"{number}.9.in-addr.arpa", {f"ns.{number}.9.in-addr.arpa": f"45.9.0.{number}"}, parent=arpa)
        net.serve(f"45.9.0.{number}", silent)
    net.zone("8.in-addr.arpa", {"ns.8.in-addr.arpa": "45.1.0.2"}, "*.0.0 PTR mail.example.", parent=arpa)
    resolver = ScriptedResolver(net, tmp_path)
    await resolver.ask("1.0.0.8.in-addr.arpa", "PTR")
    resolve = resolver.parts.resolve.resolve
    tasks = [asyncio.create_task(resolve(from_text(f"1.1.{each}.9.in-addr.arpa"), codes.PTR)) for each in range(250)]
    await asyncio.sleep(1)
    assert sum(not task.done() for task in tasks) > bounds.MAX_RECURSIONS_PER_ZONE, "all of them are waited for"
    net.zone("7.in-addr.arpa", {"ns.7.in-addr.arpa": "45.1.0.3"}, "*.0.0 PTR mail.example.", parent=arpa)
    for name in ("2.0.0.8.in-addr.arpa", "1.0.0.7.in-addr.arpa", "9.0.0.6.in-addr.arpa"):
        begun = resolver.clock.monotonic()
        assert rcode(await resolver.ask(name, "PTR")) in ("NOERROR", "NXDOMAIN")
        assert resolver.clock.monotonic() - begun <= 0.2
    await asyncio.gather(*tasks)


@virtual
async def test_a_list_is_asked_hundreds_of_questions_at_once(tmp_path: Path) -> None:
    net = Net(rtt=0.3)
    net.zone("bl", {"ns.bl": "45.1.0.1"}, "* A 127.0.0.2")
    resolver = ScriptedResolver(net, tmp_path, list_zones=("bl",))
    await resolver.ask("warm.bl")
    answers = await asyncio.gather(*await flood(resolver, [f"{number}.bl" for number in range(400)]))
    assert {answer.rcode for answer in answers} == {codes.NOERROR}


@virtual
async def test_lists_and_names_have_room_of_their_own(tmp_path: Path) -> None:
    net = Net()
    net.zone("bl", {"ns.bl": "45.1.0.1"}, "* A 127.0.0.2")
    net.zone("shop", {"ns.shop": "45.1.0.2"}, "* A 193.0.0.1")
    for number in range(10):
        net.zone(f"z{number}.evil", {f"ns.z{number}.evil": f"45.9.0.{number}"})
        net.serve(f"45.9.0.{number}", silent)
    resolver = ScriptedResolver(net, tmp_path, list_zones=("bl", *(f"z{number}.evil" for number in range(5))))
    lists = await flood(resolver, [f"x{each}.z{number}.evil" for number in range(5) for each in range(300)])
    assert addresses(await resolver.ask("a.shop")) == ["193.0.0.1"]
    names = await flood(resolver, [f"x{each}.z{number}.evil" for number in range(5, 10) for each in range(300)])
    assert addresses(await resolver.ask("a.bl")) == ["127.0.0.2"]
    await asyncio.gather(*lists, *names)


@pytest.mark.attack("R-22")
@virtual
async def test_strangers_never_fill_the_room_of_this_machine(tmp_path: Path) -> None:
    net = Net()
    net.zone("shop", {"ns.shop": "45.1.0.2"}, "* A 193.0.0.1")
    zones = [f"z{number}.evil" for number in range(20)]
    for number, zone in enumerate(zones):
        net.zone(zone, {f"ns.{zone}": f"45.9.0.{number}"})
    resolver = ScriptedResolver(net, tmp_path)
    for number, zone in enumerate(zones):
        await resolver.ask(f"warm.{zone}")
        net.serve(f"45.9.0.{number}", silent)
    tasks = await flood(resolver, [f"x{each}.{zone}" for zone in zones for each in range(40)], local=False)
    assert len(resolver.parts.mesh.recursions.admission) == bounds.MAX_RECURSIONS - bounds.LOCAL_RECURSIONS
    local = await asyncio.gather(*await flood(resolver, [f"w{number}.shop" for number in range(100)]))
    assert {answer.rcode for answer in local} == {codes.NOERROR}
    await asyncio.gather(*tasks)
    await resolver.settle()
    assert (len(resolver.parts.mesh.recursions.admission), resolver.parts.mesh.recursions.admission.groups) == (0, 0)


@virtual
async def test_who_floods_through_forwarders_takes_the_room_of_one_domain(tmp_path: Path) -> None:
    net = Net()

    def forwarder(query, ask):  # type: ignore[no-untyped-def]
        if ask.qname.endswith(b"\x04evil\x03com\0"):
            return Late(30.0, Failed.TIMEOUT)
        return Zone(".", "*.com A 193.0.0.1\n*.arpa PTR a.")(query, ask)

    net.serve("10.53.0.1", forwarder)
    forward = (Forward(zone=".", servers=(Server(ip_address("10.53.0.1")),)),)
    resolver = ScriptedResolver(net, tmp_path, forward=forward, priming=False)
    tasks = await flood(resolver, [f"x{number}.evil.com" for number in range(1500)])
    assert len(resolver.parts.mesh.recursions.admission) == bounds.MAX_RECURSIONS_PER_ZONE
    for number in range(20):
        assert addresses(await resolver.ask(f"shop{number}.com")) == ["193.0.0.1"]
    await asyncio.gather(*tasks)


@virtual
async def test_a_top_level_domain_never_takes_all_the_room(tmp_path: Path) -> None:
    net = Net()
    net.zone("evil", {"ns.evil": "45.9.0.1"})
    net.serve("45.9.0.1", silent)
    net.zone("shop", {"ns.shop": "45.1.0.2"}, "* A 193.0.0.1")
    resolver = ScriptedResolver(net, tmp_path)
    await resolver.ask("a.shop")
    tasks = await flood(resolver, [f"x{number}.evil" for number in range(1500)])
    await asyncio.sleep(0.05)
    assert addresses(await resolver.ask("b.shop")) == ["193.0.0.1"]
    await asyncio.gather(*tasks)


@pytest.mark.attack("R-22")
@virtual
async def test_honest_names_of_a_flooded_zone_get_in(tmp_path: Path) -> None:
    net = Net()
    zone = net.zone("shop.com", {"ns.shop.com": "45.1.0.2"}, "* A 193.0.0.1")
    net.serve("45.1.0.2", lambda query, ask: Failed.TIMEOUT if ask.qname.startswith(b"\x04evil") else zone(query, ask))
    resolver = ScriptedResolver(net, tmp_path)
    await resolver.ask("warm.shop.com")
    tasks = []
    good = 0
    for number in range(300):  # 200 a second
        name = f"evil.x{number}.shop.com"
        tasks.append(asyncio.create_task(resolver.parts.resolve.resolve(from_text(name), codes.A, local=False)))
        if number % 10 == 0:
            good += addresses(await resolver.ask(f"w{number}.shop.com")) == ["193.0.0.1"]
        await asyncio.sleep(0.005)
    assert good == 30
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    ("name", "zone", "forwarded", "wanted"),
    [
        ("www.shop.com", "shop.com", False, "shop.com"),
        ("www.shop.com", "com", False, "com"),
        ("www.shop.com", ".", False, "."),
        ("a.b.shop.com", ".", True, "shop.com"),
        ("com", ".", True, "com"),
        ("4.3.2.1.in-addr.arpa", ".", True, "1.in-addr.arpa"),
        ("a.b.corp", "corp", True, "b.corp"),
        ("a.b.corp.example", "corp.example", True, "corp.example"),
    ],
)
def test_with_whom_a_question_shares_its_room(name: str, zone: str, forwarded: bool, wanted: str) -> None:
    assert group(from_text(name), from_text(zone), forwarded=forwarded) == from_text(wanted)


WHAT = st.sampled_from(["admit", "admit", "move", "release", "adopt"])
STEPS = st.lists(st.tuples(WHAT, st.integers(0, 9), st.booleans(), st.booleans()))


@given(STEPS)
def test_the_count_is_kept_whatever_happens(steps: list[tuple[str, int, bool, bool]]) -> None:
    admission, slots, gone = Admission(), [], []
    for now, (what, number, listed, local) in enumerate(steps):
        zone = from_text(f"z{number}.evil")
        if what == "admit" and (slot := admission.admit(zone, now, listed=listed, local=local)) is not None:
            slot.jostle = lambda slot=slot: gone.append(slot)  # type: ignore[misc]
            slots.append(slot)
        elif what != "admit" and slots:
            slot = slots[number % len(slots)]
            if what == "move":
                admission.move(slot, zone)
            elif what == "adopt":
                admission.adopt(slot)
            else:
                admission.release(slot)
    for slot in slots:
        admission.release(slot)
    assert (len(admission), admission.groups, admission._remote) == (0, 0, 0)
