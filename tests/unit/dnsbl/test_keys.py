"""A list's key is its operator's business alone: no forwarder and no registry sees it, and no text shows it."""

import asyncio
import logging
from ipaddress import ip_address
from pathlib import Path

import pytest
from scriptedlists import CATALOGUE, specs
from scriptednet import ROOT_SERVER, Net, reply_to
from virtualtime import VirtualClock, virtual

from resolverd.app.banner import forward_exceptions
from resolverd.app.resolver import Resolution
from resolverd.config import parse
from resolverd.config.settings import Forward
from resolverd.dnsbl.engine import Engine
from resolverd.logs import LineFormatter
from resolverd.mail.lookups import Listed, ListLookup
from resolverd.metrics import Counters
from resolverd.resolver.iterator.qmin import Minimiser
from resolverd.wire import codes
from resolverd.wire.ask import Failed, Server
from resolverd.wire.names import from_text, to_text
from resolverd.wire.redact import Redactor
from resolverd.zones.guard import GuardTable, unused
from tests.replay.stack import root_hints, settings
from tests.unit.dnsbl.test_engine import CLIENT

KEY = "sentinelkey0123456789abcd"
ZONE = "zen.dq.spamhaus.net"
NAME = f"1.2.0.192.{KEY}.{ZONE}"
FORWARDER, REGISTRY, OPERATOR = "192.5.6.53", "192.5.6.30", "192.5.6.31"


# -- texts


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (NAME, f"1.2.0.192.KEY.{ZONE}."),
        (f"{KEY}.{ZONE}", f"KEY.{ZONE}."),
        (ZONE, f"{ZONE}."),
        ("1.2.0.192.zen.spamhaus.org", "1.2.0.192.zen.spamhaus.org."),
        (".", "."),
    ],
)
def test_names_are_shown_without_their_keys(name, shown):
    redactor = Redactor(frozenset({from_text(ZONE)}))
    assert redactor.text(from_text(name)) == shown
    assert redactor.is_private(from_text(name)) == ("KEY" in shown)


def test_letters_hide_nothing():
    assert KEY not in Redactor(frozenset({from_text(ZONE)})).text(from_text(NAME.upper())).lower()


def test_every_zone_behind_which_a_key_stands_is_known():
    own = specs(mine={"zone": "rbl.example.net", "kinds": ["ip4"], "key": KEY})
    zones = GuardTable(CATALOGUE, own).key_zones
    assert from_text("rbl.example.net") in zones
    assert {entry.key_zone for entry in CATALOGUE.entries.values() if entry.key_zone} <= zones


# -- minimised for registries


def test_a_private_name_is_shown_to_nobody_above_its_operator():
    minimiser = Minimiser(from_text(NAME), codes.A, codes.A, enabled=False, private=True)
    asked = []
    for zone in (".", "net", "spamhaus.net", ZONE):
        asked.append(to_text(minimiser.question(from_text(zone))[0]))
        assert minimiser.is_full == (zone not in (".", "net"))
    assert asked == ["net.", "spamhaus.net.", f"{NAME}.", f"{NAME}."]


def test_a_name_that_hides_nothing_is_asked_as_ever():
    minimiser = Minimiser(from_text(NAME), codes.A, codes.A, enabled=False)
    assert minimiser.question(from_text("."))[0] == from_text(NAME)


# -- over the real recursion


class World:
    """A forwarder for everything, and the internet that it would hide: root, net, and the operator of a keyed list."""

    def __init__(self, tmp_path, operator=None):
        self.net = Net()
        registry = self.net.zone("net", {"ns.net": REGISTRY})
        self.net.zone("spamhaus.net", {"ns.spamhaus.net": OPERATOR}, parent=registry)
        self.net.serve(OPERATOR, operator or self.answer)
        self.net.serve(FORWARDER, lambda query, ask: reply_to(query, rcode="NXDOMAIN", aa=False))
        hints = root_hints(tmp_path, "k.root-servers.net", [ROOT_SERVER])
        forward = (Forward(".", (Server(ip_address(FORWARDER)),)),)
        self.settings = settings(hints, resolver={"ipv6": False, "forward": forward}, cache={"prefetch": False})
        lists = specs(spamhaus_zen={"key": KEY})
        guard = GuardTable(CATALOGUE, lists)
        self.clock, self.counters = VirtualClock(), Counters()
        self.parts = Resolution(self.settings, self.net, self.clock, self.counters, guard.zones, key_zones=guard.key_zones)
        self.engine = Engine(lists, self.parts.resolve, self.clock, self.counters, others=unused(CATALOGUE, lists))
        self.parts.mesh.recursions.meter = self.engine.meter

    @staticmethod
    def answer(query, ask):
        name = query.question[0].name.to_text()
        if name.startswith("1.2.0.192."):
            return reply_to(query, f"{name} 300 A 127.0.0.2")
        return reply_to(query, authority="spamhaus.net. 300 SOA ns. admin. 1 600 300 86400 300", rcode="NXDOMAIN")

    async def ask(self):
        deadline = self.clock.monotonic() + 4
        return await self.engine.ask(ListLookup("spamhaus-zen", CLIENT), deadline=deadline)

    def seen(self, address):
        return [name for name, _ in self.net.names(address)]

    async def aclose(self):
        await self.engine.aclose()
        await self.parts.mesh.aclose()


def test_a_keyed_name_goes_to_its_operator_and_to_nobody_else(tmp_path):
    @virtual
    async def run():
        w = World(tmp_path)
        assert isinstance(await w.ask(), Listed)
        assert any(KEY in name for name in w.seen(OPERATOR))
        for random_canary in (FORWARDER, ROOT_SERVER, REGISTRY):
            assert not any(KEY in name for name in w.seen(random_canary)), random_canary
        # What has no key goes the configured way.
        await w.parts.resolve.resolve(from_text("www.example.com"), codes.A, deadline=w.clock.monotonic() + 2)
        assert "www.example.com." in w.seen(FORWARDER)
        await w.aclose()

    run()


@pytest.mark.parametrize("fault", [Failed.TIMEOUT, Failed.MALFORMED, "refused", "servfail"])
def test_trouble_sends_it_nowhere_else(tmp_path, fault, caplog):
    def broken(query, ask):
        return fault if isinstance(fault, Failed) else reply_to(query, rcode=fault.upper(), aa=False)

    @virtual
    async def run():
        w = World(tmp_path, broken)
        for _ in range(4):
            await w.ask()
            await asyncio.sleep(400)  # the delegation is no longer fresh, so that the parent is asked again
        for random_canary in (FORWARDER, ROOT_SERVER, REGISTRY):
            assert not any(KEY in name for name in w.seen(random_canary)), random_canary
        await w.aclose()

    with caplog.at_level(logging.DEBUG):
        run()
    assert KEY not in caplog.text


def test_a_bug_shows_no_key(tmp_path, caplog):
    def buggy(query, ask):
        raise ValueError(f"cannot make sense of {query.question[0].name}")

    @virtual
    async def run():
        w = World(tmp_path, buggy)
        reply = await w.ask()
        assert KEY not in repr(reply)
        answer = await w.parts.resolve.resolve(from_text(NAME), codes.A, deadline=w.clock.monotonic() + 2)
        assert not any(KEY in error.text for error in answer.errors)
        assert w.counters.get("bugs", where="recursion") == caplog.text.count("recursion for ") > 0
        await w.aclose()

    caplog.handler.setFormatter(LineFormatter("logfmt", "resolverd"))
    with caplog.at_level(logging.DEBUG):
        run()
    assert "KEY" in caplog.text
    assert "ValueError" in caplog.text
    assert KEY not in caplog.text


def test_extended_errors_show_no_key(tmp_path):
    @virtual
    async def run():
        w = World(tmp_path, lambda query, ask: reply_to(query, rcode="REFUSED", aa=False))
        answer = await w.parts.resolve.resolve(from_text(NAME), codes.A, deadline=w.clock.monotonic() + 2)
        assert answer.errors
        assert not any(KEY in error.text for error in answer.errors)
        await w.aclose()

    run()


def test_the_admin_is_told_that_it_is_not_forwarded(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEN_KEY", KEY)
    text = '[[resolver.forward]]\nzone = "."\nservers = ["192.5.6.53"]\n'
    response = forward_exceptions(parse(text, Path("/")), specs(spamhaus_zen={"key": KEY}))
    assert len(response) == 1
    assert "spamhaus-zen" in response[0]
    assert KEY not in response[0]
    assert forward_exceptions(parse(text, Path("/")), specs()) == []
    assert forward_exceptions(parse("", Path("/")), specs(spamhaus_zen={"key": KEY})) == []
