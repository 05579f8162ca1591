"""Whatever one host of a fleet is told by what stands between it and the lists, no other host refuses anybody for it.

But what answers all test points as the list does, and lies of clients only, deceives the host behind it, and all others with it.
"""

import asyncio
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from listfleet import POINTS, Trouble, fleet
from scriptedlists import TIMEOUT, a, denial
from virtualtime import virtual

from resolverd.mail.lookups import Listed
from resolverd.wire.names import to_text

CLIENTS = 12
MODES = ("honest", "lists all", "denies all", "blocked", "parked", "silent")
HOSTS = st.integers(0, 2)
"""The first one is lied to."""

ASK = st.tuples(st.just("ask"), HOSTS, st.integers(0, CLIENTS - 1))
PASS = st.tuples(st.just("pass"), st.just(0), st.sampled_from([1, 30, 301, 601, 3601]))
LIE = st.tuples(st.just("lie"), st.just(0), st.integers(0, len(MODES) - 1))
PROBE = st.tuples(st.just("probe"), HOSTS, st.just(0))
STORE = st.tuples(st.just("store"), st.just(0), st.integers(0, 3))
STEPS = st.lists(st.one_of(ASK, ASK, ASK, ASK, PASS, LIE, PROBE, STORE), min_size=5, max_size=60)


def is_spammer(number):
    return number % 3 == 0


def client(number):
    return ip_address(f"198.51.100.{number}")


class Way:
    """What stands between a host and zen."""

    def __init__(self, host):
        self.mode = "honest"
        host.resolver.resolve = self.resolve
        self._host = host

    def _answer(self, text):
        first, _, zone = text.partition(".")
        mode = self.mode if zone.endswith("zen.spamhaus.org") else "honest"
        if mode == "lists all":
            return a("127.0.0.2", ttl=600)
        fixed = {"denies all": denial(), "blocked": a("127.255.255.254"), "parked": a("203.0.113.80"), "silent": TIMEOUT}
        if mode in fixed:
            return fixed[mode]
        if text in POINTS:
            return POINTS[text]
        return a("127.0.0.2", ttl=600) if zone == "100.51.198.zen.spamhaus.org" and is_spammer(int(first)) else denial()

    async def resolve(self, name, rtype, *, deadline, bypass_cache=False, shared_budget=None):
        text = to_text(name).removesuffix(".")
        if not self._host.resolver.meter.charge(name, name):
            return TIMEOUT
        await asyncio.sleep(0.01)
        return self._answer(text)


async def played(steps, skew):
    store = Trouble()
    async with fleet(3, store=store, ahead=(skew,), known=False) as hosts:
        ways = [Way(host) for host in hosts]
        for host in hosts:
            await host.probe()
        for what, number, value in steps:
            host = hosts[number]
            if what == "lie":
                ways[0].mode = MODES[value]
            elif what == "pass":
                await asyncio.sleep(value)
            elif what == "probe":
                await host.probe()
            elif what == "store":
                store.dead, store.delay = value == 1, {2: 5.0, 3: 0.01}.get(value, 0.0)
            else:
                reply = await host.ask(subject=client(value))
                if isinstance(reply, Listed) and not number:
                    await host.refuses(subject=client(value))
                if isinstance(reply, Listed) and not is_spammer(value) and number:
                    assert await host.refuses(subject=client(value)) is not None, "refused for what another host was told"
            for honest in hosts[1:]:
                status = honest.engine.status("spamhaus-zen")
                assert status.state == "ok", "one host's trouble"


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from([0.0, 300.0, -300.0]))
def test_nobody_is_refused_for_what_one_host_is_told(steps, skew):
    virtual(played)(steps, skew)
