"""The engine on virtual time: what is asked, how often, how long anybody waits, and what trouble becomes."""

import asyncio
import logging
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest
from scriptedlists import CATALOGUE, REFUSED, SERVFAIL, TIMEOUT, ScriptedResolver, a, denial, spec, specs, txt
from virtualtime import VirtualClock, virtual

from resolverd import bounds
from resolverd.dnsbl.cache import ResponseCache
from resolverd.dnsbl.engine import Engine
from resolverd.dnsbl.response import Behaviour, ListResponse
from resolverd.failures import Unknown, Why
from resolverd.logs import LineFormatter
from resolverd.mail.lookups import Clear, Listed, ListLookup
from resolverd.metrics import Counters
from resolverd.wire import codes
from resolverd.wire.answer import Answer, ExtendedError
from resolverd.zones.guard import unused

CLIENT = ip_address("192.0.2.1")
ZEN = "1.2.0.192.zen.spamhaus.org"
DNSWL = "1.2.0.192.list.dnswl.org"


class World:
    def __init__(self, lists, others=(), **options):
        self.clock = VirtualClock()
        self.resolver = ScriptedResolver()
        self.script = self.resolver.script
        self.asked = self.resolver.asked
        self.counters = Counters()
        self.engine = Engine(lists, self.resolver, self.clock, self.counters, others=others, **options)
        self.resolver.meter = self.engine.meter

    async def ask(self, name, subject=CLIENT, patience=2.0):
        return await self.engine.ask(ListLookup(name, subject), deadline=self.clock.monotonic() + patience)

    async def ask_all(self, subject=CLIENT, patience=2.0, **kwargs):
        return await self.engine.ask_all(subject, deadline=self.clock.monotonic() + patience, **kwargs)

    def sent(self, name):
        return sum(value for what, labels, value in self.counters.snapshot() if what == "list_queries" and labels["list"] == name)


@asynccontextmanager
async def world(preset="tutorial", others=(), **tables):
    made = World(specs(preset, **tables), others)
    yield made
    await made.engine.aclose()


def client(n):
    return ip_address(f"198.51.{n // 256}.{n % 256}")


@virtual
async def test_listed():
    async with world() as w:
        w.script[ZEN] = a("127.0.0.2", "127.0.0.10", ttl=120)
        reply = await w.ask("spamhaus-zen")
        assert isinstance(reply, Listed)
        assert reply.codes == ("sbl", "pbl")
        assert reply.addresses == ("127.0.0.2", "127.0.0.10")
        assert (reply.weight, reply.ttl, reply.age) == (6, 120, 0)
        assert reply.reason.startswith("listed by zen.spamhaus.org (SBL: ")
        assert reply.link == "https://www.spamhaus.org/query/ip/192.0.2.1"


@virtual
async def test_clear():
    async with world() as w:
        w.script[ZEN] = denial(ttl=200, minimum=150)
        assert await w.ask("spamhaus-zen") == Clear("spamhaus-zen", 150)
        w.script["2.2.0.192.zen.spamhaus.org"] = denial(rcode=codes.NOERROR)
        assert isinstance(await w.ask("spamhaus-zen", ip_address("192.0.2.2")), Clear)


@virtual
async def test_what_is_remembered_is_asked_again_on_demand():
    async with world() as w:
        zen, dnswl = (ListLookup(name, CLIENT) for name in ("spamhaus-zen", "dnswl"))
        assert isinstance(await w.ask("spamhaus-zen"), Clear)
        w.script[ZEN] = a("127.0.0.2")
        w.script[DNSWL] = TIMEOUT
        assert isinstance(await w.ask("spamhaus-zen"), Clear)
        response = await w.engine.refresh([zen, dnswl], deadline=w.clock.monotonic() + 2)
        assert set(response) == {zen}  # what stays unknown is left out
        assert isinstance(response[zen], Listed)
        assert isinstance(await w.ask("spamhaus-zen"), Listed)
        w.engine.disable("spamhaus-zen")
        assert await w.engine.refresh([zen], deadline=w.clock.monotonic() + 2) == {}


ANSWERS = [
    ("spamhaus-zen", a("127.255.255.254"), Why.BLOCKED),
    ("spamhaus-zen", a("127.0.0.2", "127.255.255.255"), Why.BLOCKED),
    ("spamhaus-zen", a("192.0.2.1"), Why.UNHEALTHY),
    ("spamhaus-zen", a("127.0.0.2", "192.0.2.1"), Why.UNHEALTHY),
    ("spamhaus-zen", REFUSED, Why.REFUSED),
    ("spamhaus-zen", SERVFAIL, Why.FAILED),
    ("spamhaus-zen", TIMEOUT, Why.TIMEOUT),
    ("spamhaus-zen", Answer(codes.NOERROR, a("127.0.0.2").answer, errors=(ExtendedError(codes.EDE_STALE),)), Why.TIMEOUT),
    ("spamhaus-zen", RuntimeError("a bug"), Why.FAILED),
    ("dnswl", a("127.0.10.3"), Why.BLOCKED),
    ("dnswl", a("127.0.0.255"), Why.BLOCKED),
    ("dnswl", a("127.0.5.3", "127.0.10.3"), Why.BLOCKED),
    ("spamcop", a("192.0.2.1"), Why.UNHEALTHY),
]


@pytest.mark.parametrize(("name", "answer", "why"), ANSWERS)
def test_what_is_neither_listed_nor_clear(name, answer, why):
    @virtual
    async def run():
        async with world("scored") as w:
            w.script[to_zone(name)] = answer
            reply = await w.ask(name)
            assert isinstance(reply, Unknown)
            assert reply.why is why

    run()


def to_zone(name):
    return {"spamhaus-zen": "zen.spamhaus.org", "dnswl": "list.dnswl.org", "spamcop": "bl.spamcop.net"}[name]


@virtual
async def test_an_unknown_code_is_clear_and_counted():
    async with world() as w:
        w.script[ZEN] = a("127.0.0.77")
        assert isinstance(await w.ask("spamhaus-zen"), Clear)
        assert w.counters.get("list_unknown_codes", list="spamhaus-zen") == 1


def test_unknown_codes_are_logged_once_an_hour(caplog):
    @virtual
    async def run():
        async with world() as w:
            w.script["zen.spamhaus.org"] = a("127.0.0.77")
            for n in range(50):
                await w.ask("spamhaus-zen", client(n))
            await asyncio.sleep(3601)
            await w.ask("spamhaus-zen", client(60))

    with caplog.at_level(logging.WARNING):
        run()
    assert sum("127.0.0.77" in message for message in caplog.messages) == 2


@virtual
async def test_wrong_kinds_and_private_addresses_are_never_asked():
    async with world() as w:
        for name, subject in [
            ("spamhaus-dbl", CLIENT),
            ("spamhaus-zen", "example.com"),
            ("spamhaus-zen", ip_address("10.0.0.1")),
            ("spamhaus-zen", ip_address("127.0.0.2")),
            ("spamhaus-zen", ip_address("fe80::1")),
            ("spamhaus-dbl", "1.2.3.4"),
            ("spamhaus-dbl", "localhost.localdomain"),
            ("spamhaus-dbl", "test"),
        ]:
            assert isinstance(await w.ask(name, subject), Clear)
        assert w.asked == []


@virtual
async def test_all_lists_of_the_kind_at_once():
    async with world("scored") as w:
        w.script["zen.spamhaus.org"] = (0.3, a("127.0.0.2"))
        w.script["list.dnswl.org"] = (0.4, denial())
        w.script["bl.spamcop.net"] = (0.5, a("127.0.0.2"))
        start = w.clock.monotonic()
        replies = await w.ask_all()
        assert w.clock.monotonic() - start == pytest.approx(0.5)
        assert set(replies) == {"spamhaus-zen", "dnswl", "spamcop", "psbl", "mailspike"}
        assert {name for name, reply in replies.items() if isinstance(reply, Listed)} == {"spamhaus-zen", "spamcop"}
        assert set(await w.ask_all("www.example.com")) == {"spamhaus-dbl"}
        assert set(await w.ask_all(purpose="allow")) == {"dnswl"}
        assert set(await w.ask_all(ip_address("2001:db8::1"))) == {"spamhaus-zen", "dnswl"}
        assert set(await w.ask_all(ip_address("::ffff:192.0.2.1"))) == {"spamhaus-zen", "dnswl", "spamcop", "psbl", "mailspike"}


@virtual
async def test_a_late_reply_lands_in_the_cache():
    async with world() as w:
        w.script[ZEN] = (3.0, a("127.0.0.2"))
        start = w.clock.monotonic()
        reply = await w.ask("spamhaus-zen", patience=0.5)
        assert isinstance(reply, Unknown)
        assert reply.why is Why.TIMEOUT
        assert w.clock.monotonic() - start == pytest.approx(0.5)
        await asyncio.sleep(3)
        assert isinstance(await w.ask("spamhaus-zen", patience=0), Listed)
        assert w.asked == [ZEN]


@virtual
async def test_identical_questions_are_one():
    async with world() as w:
        w.script[ZEN] = (0.5, a("127.0.0.2"))
        replies = await asyncio.gather(*(w.ask("spamhaus-zen") for _ in range(100)))
        assert all(isinstance(reply, Listed) for reply in replies)
        assert w.asked == [ZEN]


@virtual
async def test_a_cancelled_waiter_cancels_nothing():
    async with world() as w:
        w.script[ZEN] = (1.0, a("127.0.0.2"))
        first = asyncio.create_task(w.ask("spamhaus-zen"))
        second = asyncio.create_task(w.ask("spamhaus-zen"))
        await asyncio.sleep(0.1)
        first.cancel()
        assert isinstance(await second, Listed)
        assert first.cancelled()
        assert w.asked == [ZEN]


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (a("127.0.0.2", ttl=5), 60),
        (a("127.0.0.2", ttl=900), 900),
        (a("127.0.0.2", ttl=10**6), 86400),
        (denial(ttl=1, minimum=1), 60),
        (denial(ttl=900, minimum=120), 120),
        (denial(ttl=10**6, minimum=10**6), 3600),
        (Answer(codes.NXDOMAIN), 60),
        (SERVFAIL, 30),
    ],
)
def test_how_long_a_reply_is_kept(answer, kept):
    @virtual
    async def run():
        async with world() as w:
            w.script[ZEN] = answer
            await w.ask("spamhaus-zen")
            await asyncio.sleep(kept - 1)
            reply = await w.ask("spamhaus-zen")
            if not isinstance(reply, Unknown):
                assert (reply.ttl, reply.age) == (1, kept - 1)
            assert len(w.asked) == 1
            await asyncio.sleep(1.1)
            await w.ask("spamhaus-zen")
            assert len(w.asked) == 2

    run()


def test_the_cache_is_bounded():
    cache = ResponseCache(100, 10**6)
    response = ListResponse(Clear("x", 60), (), Behaviour.SOUND, 60)
    for n in range(1000):
        cache.put((str(n).encode(), codes.A), response, 0.0)
        cache.get((b"0", codes.A), 0.0)
    assert len(cache) == 100
    assert cache.get((b"0", codes.A), 0.0) is not None
    assert cache.get((b"1", codes.A), 0.0) is None


@virtual
async def test_quota_is_a_budget():
    async with world(spamhaus_zen={"quota": "3/1d"}) as w:
        replies = [await w.ask("spamhaus-zen", client(n)) for n in range(5)]
        assert [isinstance(reply, Clear) for reply in replies] == [True, True, True, False, False]
        assert all(reply.why is Why.QUOTA for reply in replies[3:])
        assert len(w.asked) == w.sent("spamhaus-zen") == 3
        assert isinstance(await w.ask("spamhaus-zen", client(0)), Clear), "the cache still answers"
        assert w.engine.status("spamhaus-zen").state == "spent"
        await asyncio.sleep(86400 * 1.1)
        assert isinstance(await w.ask("spamhaus-zen", client(9)), Clear)


@virtual
async def test_budgets_survive_a_restart():
    async with world(spamhaus_zen={"quota": "3/1d"}) as w:
        for n in range(2):
            await w.ask("spamhaus-zen", client(n))
        again = World(specs(spamhaus_zen={"quota": "3/1d"}))
        again.engine.restore(w.engine.budgets() | {"gone": [(1, 1)]})
        assert again.engine.status("spamhaus-zen").quota_left == 1


@virtual
async def test_a_rate_spreads_questions_and_then_skips_them():
    async with world(spamhaus_zen={"rate": "10/1s"}) as w:
        start = w.clock.monotonic()
        replies = await asyncio.gather(*(w.ask("spamhaus-zen", client(n)) for n in range(30)))
        assert sum(isinstance(reply, Clear) for reply in replies) == 20
        assert sum(isinstance(reply, Unknown) and reply.why is Why.QUOTA for reply in replies) == 10
        assert w.clock.monotonic() - start == pytest.approx(1.0)
        assert w.sent("spamhaus-zen") == 20


@virtual
async def test_an_error_code_suspends_the_list_twice_as_long_each_time():
    async with world() as w:
        w.script["zen.spamhaus.org"] = a("127.255.255.255")
        n, pause, pauses = 0, 0.0, []
        for _ in range(9):
            reply = await w.ask("spamhaus-zen", client(n))
            assert reply.why is Why.BLOCKED
            assert w.engine.status("spamhaus-zen").state == "suspended"
            sent, since = len(w.asked), w.clock.monotonic()
            while len(w.asked) == sent:
                await asyncio.sleep(60)
                n += 1
                await w.ask("spamhaus-zen", client(n))
            pause = w.clock.monotonic() - since
            pauses.append(round(pause))
        assert pauses == [300, 600, 1200, 2400, 4800, 9600, 19200, 21600, 21600]


@virtual
async def test_a_suspension_ends_with_one_question_that_is_answered():
    async with world() as w:
        w.script["zen.spamhaus.org"] = a("127.255.255.255")
        await w.ask("spamhaus-zen", client(0))
        w.script["zen.spamhaus.org"] = (1.0, denial())
        await asyncio.sleep(301)
        replies = await asyncio.gather(*(w.ask("spamhaus-zen", client(n)) for n in range(1, 20)))
        assert sum(isinstance(reply, Clear) for reply in replies) == 1
        assert len(w.asked) == 2
        assert isinstance(await w.ask("spamhaus-zen", client(30)), Clear)
        assert w.engine.status("spamhaus-zen").state == "ok"


@virtual
async def test_many_error_answers_in_flight_are_one_suspension():
    async with world() as w:
        w.script["zen.spamhaus.org"] = (0.5, a("127.255.255.255"))
        await asyncio.gather(*(w.ask("spamhaus-zen", client(n)) for n in range(20)))
        w.script["zen.spamhaus.org"] = denial()
        await asyncio.sleep(301)
        assert isinstance(await w.ask("spamhaus-zen", client(99)), Clear)


@virtual
async def test_a_good_answer_to_an_older_question_ends_no_suspension():
    async with world() as w:
        w.script["zen.spamhaus.org"] = (0.1, a("127.255.255.255"))
        w.script[ZEN] = (0.5, denial())
        replies = await asyncio.gather(w.ask("spamhaus-zen", client(1)), w.ask("spamhaus-zen"))
        assert isinstance(replies[1], Clear)
        assert w.engine.status("spamhaus-zen").state == "suspended"


@virtual
async def test_an_error_about_one_question_suspends_nobody():
    async with world() as w:
        w.script["odd.com.dbl.spamhaus.org"] = a("127.0.1.255")
        reply = await w.ask("spamhaus-dbl", "odd.com")
        assert reply.why is Why.BLOCKED
        assert isinstance(await w.ask("spamhaus-dbl", "example.com"), Clear)
        assert w.engine.status("spamhaus-dbl").state == "ok"


@pytest.mark.parametrize(
    "trouble", [(9.0, denial()), SERVFAIL, TIMEOUT, REFUSED], ids=["silent", "servfail", "unreachable", "refused"]
)
def test_three_failures_open_the_breaker(trouble):
    @virtual
    async def run():
        async with world() as w:
            w.script["zen.spamhaus.org"] = trouble
            for n in range(3):
                await w.ask("spamhaus-zen", client(n))
                await asyncio.sleep(5)
            assert len(w.asked) == 3
            start = w.clock.monotonic()
            reply = await w.ask("spamhaus-zen", client(10))
            assert isinstance(reply, Unknown)
            assert "skipped" in reply.detail
            assert w.clock.monotonic() == start, "a skipped list costs no time"
            assert w.engine.status("spamhaus-zen").state == "unreachable"
            w.script["zen.spamhaus.org"] = denial()
            await asyncio.sleep(300)
            assert isinstance(await w.ask("spamhaus-zen", client(11)), Clear)
            assert w.engine.status("spamhaus-zen").state == "ok"

    run()


@virtual
async def test_failures_must_come_in_a_row():
    async with world() as w:
        for n in range(12):
            w.script["zen.spamhaus.org"] = denial() if n % 3 == 2 else SERVFAIL
            await w.ask("spamhaus-zen", client(n))
        assert len(w.asked) == 12


@virtual
async def test_all_lists_dead_costs_the_deadline_once():
    async with world("scored") as w:
        for zone in ("zen.spamhaus.org", "list.dnswl.org", "bl.spamcop.net", "psbl.surriel.com", "bl.mailspike.net"):
            w.script[zone] = (9.0, denial())
        start = w.clock.monotonic()
        for n in range(3):
            replies = await w.ask_all(client(n))
            assert all(isinstance(reply, Unknown) for reply in replies.values())
        assert w.clock.monotonic() - start == pytest.approx(6.0)
        await asyncio.sleep(5)
        start = w.clock.monotonic()
        await w.ask_all(client(9))
        assert w.clock.monotonic() == start


@virtual
async def test_questions_in_flight_are_bounded():
    async with world(spamhaus_zen={"rate": "100000/1s", "quota": "unlimited"}) as w:
        w.script["zen.spamhaus.org"] = (3.0, denial())
        asking = [asyncio.create_task(w.ask("spamhaus-zen", client(n))) for n in range(bounds.LIST_QUESTIONS + 50)]
        await asyncio.sleep(0.1)
        assert len(w.asked) == bounds.LIST_QUESTIONS
        replies = await asyncio.gather(*asking)
        assert sum("too many questions" in reply.detail for reply in replies) == 50


@virtual
async def test_closing_ends_what_is_under_way():
    async with world() as w:
        w.script[ZEN] = (3.0, denial())
        asking = asyncio.create_task(w.ask("spamhaus-zen"))
        await asyncio.sleep(0.1)
        await w.engine.aclose()
        assert isinstance(await asking, Unknown)
        assert len(asyncio.all_tasks()) == 1


@virtual
async def test_switching_lists():
    lists = specs()
    async with world(others=unused(CATALOGUE, lists)) as w:
        assert "spamcop" not in await w.ask_all()
        assert w.engine.enable("spamcop").enabled
        assert "spamcop" in await w.ask_all()
        assert not w.engine.disable("spamhaus-zen").enabled
        assert "spamhaus-zen" not in await w.ask_all()
        assert "spamhaus-zen" not in {each.id for each in w.engine.specs}
        assert (await w.ask("spamhaus-zen")).why is Why.UNHEALTHY
        assert w.engine.enable("no-such-list") is None
        assert w.engine.disable("no-such-list") is None
        states = w.engine.statuses()
        assert [state.id for state in states][:4] == ["spamhaus-zen", "spamhaus-dbl", "dnswl", "spamcop"]
        assert {state.state for state in states if not state.enabled} == {"disabled"}


@virtual
async def test_a_probe_ends_a_pause_only_if_the_test_points_answer():
    async with world() as w:
        w.script["list.dnswl.org"] = a("127.0.10.3")
        await w.ask("dnswl")
        assert (await w.engine.probe("dnswl", deadline=w.clock.monotonic() + 2)).state == "suspended"
        w.script["list.dnswl.org"] = denial()
        assert (await w.engine.probe("dnswl", deadline=w.clock.monotonic() + 2)).state == "suspended", "127.0.0.2 must be listed"
        w.script["2.0.0.127.list.dnswl.org"] = a("127.0.10.0")
        assert (await w.engine.probe("dnswl", deadline=w.clock.monotonic() + 2)).state == "ok"
        assert set(w.resolver.probes[-2:]) == {"2.0.0.127.list.dnswl.org", "1.0.0.127.list.dnswl.org"}
        assert await w.engine.probe("no-such-list", deadline=0) is None


@virtual
async def test_a_list_in_its_own_words():
    async with world() as w:
        zen = next(each for each in w.engine.specs if each.id == "spamhaus-zen")
        w.script[ZEN] = a("127.0.0.2")
        w.script[f"{ZEN} TXT"] = txt("https://www.spamhaus.org/query/ip/192.0.2.1", "second\n\naction=OK\x00\xff")
        response = await w.engine.txt_for(zen, CLIENT, deadline=w.clock.monotonic() + 2)
        assert response.reply.reason == "https://www.spamhaus.org/query/ip/192.0.2.1 second action=OK??"
        await w.engine.txt_for(zen, CLIENT, deadline=w.clock.monotonic() + 2)
        assert w.asked == [ZEN, f"{ZEN} TXT"]
        await w.ask("spamhaus-zen", ip_address("192.0.2.2"))
        await w.engine.txt_for(zen, ip_address("192.0.2.2"), deadline=w.clock.monotonic() + 2)
        assert w.asked[2:] == ["2.2.0.192.zen.spamhaus.org"], "no TXT of who is known not to be listed"
        await w.engine.txt_for(zen, ip_address("192.0.2.3"), deadline=w.clock.monotonic() + 2)
        both = ["3.2.0.192.zen.spamhaus.org", "3.2.0.192.zen.spamhaus.org TXT"]
        assert w.asked[3:] == both, "at once, where words are wanted"


@pytest.mark.parametrize("trouble", [denial(), SERVFAIL, (9.0, txt("late")), txt("")])
def test_our_words_where_it_has_none(trouble):
    @virtual
    async def run():
        async with world() as w:
            zen = next(each for each in w.engine.specs if each.id == "spamhaus-zen")
            w.script[ZEN] = a("127.0.0.2")
            w.script[f"{ZEN} TXT"] = trouble
            response = await w.engine.txt_for(zen, CLIENT, deadline=w.clock.monotonic() + 2)
            assert response.reply.reason.startswith("listed by zen.spamhaus.org")
            await asyncio.sleep(5)

    run()


KEY = "sentinelkey0123456789abcd"


def test_a_key_is_never_shown(caplog):
    @virtual
    async def run():
        async with world(spamhaus_zen={"key": KEY}) as w:
            zen = next(each for each in w.engine.specs if each.id == "spamhaus-zen")
            name = f"1.2.0.192.{KEY}.zen.dq.spamhaus.net"
            w.script[name] = a("127.0.0.2")
            w.script[f"{name} TXT"] = txt(f"see https://x.example/?{KEY.upper()}")
            response = await w.engine.txt_for(zen, CLIENT, deadline=w.clock.monotonic() + 2)
            shown = [response.reply]
            for n, answer in enumerate(
                [a("127.255.255.250"), RuntimeError(name), a("10.0.0.1"), a("127.0.0.99"), SERVFAIL, SERVFAIL, SERVFAIL]
            ):
                w.script[f"{KEY}.zen.dq.spamhaus.net"] = answer
                shown.append(await w.ask("spamhaus-zen", client(n)))
                w.engine.enable("spamhaus-zen")
            shown += [w.engine.statuses(), w.counters.snapshot(), w.engine.specs]
            assert KEY in w.asked[0]
            assert KEY not in repr(shown).lower()

    caplog.handler.setFormatter(LineFormatter("logfmt", "resolverd"))
    with caplog.at_level(logging.DEBUG):
        run()
    assert "asking list spamhaus-zen failed" in caplog.text
    assert "RuntimeError" in caplog.text
    assert KEY not in caplog.text


@virtual
async def test_books():
    async with world() as w:
        w.script["zen.spamhaus.org"] = (0.02, a("127.0.0.2"))
        for n in range(4):
            await w.ask("spamhaus-zen", client(n))
        w.script["zen.spamhaus.org"] = SERVFAIL
        await w.ask("spamhaus-zen", client(9))
        state = w.engine.status("spamhaus-zen")
        # Five questions about clients, and one for the canary, that not everything is listed.
        assert (state.asked, state.listed, state.failed, state.quota_left) == (6, 4, 1, 299994)
        assert state.p50 == pytest.approx(20, abs=0.1)
        assert "SERVFAIL" in state.last_error
        assert "commercial use: forbidden" in state.terms


@virtual
async def test_a_list_that_lists_the_world_lists_nobody():
    async with world() as w:
        w.script["zen.spamhaus.org"] = w.script["1.0.0.127.zen.spamhaus.org"] = a("127.0.0.2")
        reply = await w.ask("spamhaus-zen")
        assert reply == Unknown(Why.UNHEALTHY, "it lists 127.0.0.1, which no list may list")
        assert w.engine.status("spamhaus-zen").state == "suspended"
        assert (await w.ask("spamhaus-zen", client(1))).why is Why.UNHEALTHY
        assert len(w.asked) == len(w.resolver.probes) == 1


@virtual
async def test_an_allow_list_that_lists_the_world_saves_nobody():
    async with world() as w:
        w.script["list.dnswl.org"] = w.script["1.0.0.127.list.dnswl.org"] = a("127.0.5.3")
        assert (await w.ask("dnswl")).why is Why.UNHEALTHY


@virtual
async def test_a_listing_whose_canary_is_not_answered_does_not_count():
    async with world() as w:
        w.script["zen.spamhaus.org"] = a("127.0.0.2")
        w.script["1.0.0.127.zen.spamhaus.org"] = TIMEOUT
        assert (await w.ask("spamhaus-zen")).why is Why.TIMEOUT
        del w.script["1.0.0.127.zen.spamhaus.org"]
        assert isinstance(await w.ask("spamhaus-zen", client(1)), Listed)


@virtual
async def test_one_canary_serves_all_for_ten_minutes():
    async with world() as w:
        w.script["zen.spamhaus.org"] = (0.02, a("127.0.0.2"))
        replies = await asyncio.gather(*(w.ask("spamhaus-zen", client(n)) for n in range(5)))
        assert all(isinstance(reply, Listed) for reply in replies)
        await asyncio.sleep(590)
        await w.ask("spamhaus-zen", client(100))
        assert len(w.resolver.probes) == 1
        await asyncio.sleep(20)
        await w.ask("spamhaus-zen", client(101))
        assert len(w.resolver.probes) == 2


@virtual
async def test_a_clean_answer_needs_no_canary():
    async with world() as w:
        assert isinstance(await w.ask("spamhaus-zen"), Clear)
        assert not w.resolver.probes


@virtual
async def test_registered_domain_is_asked_once_for_all_hosts():
    async with world(uribl={"enabled": True}) as w:
        await w.ask("uribl", "a.example.co.uk")
        await w.ask("uribl", "b.example.co.uk")
        assert w.asked == ["example.co.uk.multi.uribl.com"]


def test_an_own_list_is_a_list_like_any_other():
    @virtual
    async def run():
        async with world(mine={"zone": "rbl.example.net", "kinds": ["ip4", "domain"], "weight": 3}) as w:
            w.script["1.2.0.192.rbl.example.net"] = a("127.0.0.2")
            w.script["example.com.rbl.example.net"] = a("127.0.0.3")
            assert (await w.ask("mine")).weight == 3
            assert isinstance(await w.ask("mine", "example.com"), Clear), "127.0.0.3 is no code of it"

    run()


def test_spec_helper_finds_disabled_lists():
    assert spec("barracuda").shown == "b.barracudacentral.org"
