"""What lists have answered, over a restart."""

import asyncio
from ipaddress import ip_address

import pytest
from scriptedlists import CATALOGUE, TIMEOUT, ScriptedResolver, a, denial, specs
from virtualtime import InlineLoop, VirtualClock

from resolverd.dnsbl.engine import Engine
from resolverd.dnsbl.kept import ListTable
from resolverd.dnsbl.list_memory import ListMemory
from resolverd.failures import Unknown
from resolverd.mail.lookups import Clear, Listed, ListLookup
from resolverd.metrics import Counters
from resolverd.resolver.iterator.infra import InfraCache
from resolverd.resolver.persist.persistence import Persistence
from resolverd.resolver.persist.tables import ServerTable
from resolverd.state.disk.cache_file import CacheFolder
from resolverd.state.rows import Moment
from resolverd.wire.names import from_text
from resolverd.zones.guard import unused

CLIENT, OTHER = ip_address("192.0.2.1"), ip_address("192.0.2.9")
ZEN = "1.2.0.192.zen.spamhaus.org"
KEY = "sesam0sesam0sesam0sesam0se"


class World:
    """Lists that are asked by one process after the other."""

    def __init__(self, directory):
        self.directory, self.clock = directory, VirtualClock()
        self.fingerprint = b"one"

    async def begin(self, **tables):
        self.resolver, self.counters = ScriptedResolver(), Counters()
        self.script = self.resolver.script
        self.memory = ListMemory(self.resolver, self.clock, self.counters)
        lists = specs("tutorial", **tables)
        self.engine = Engine(
            lists, self.resolver, self.clock, self.counters, others=unused(CATALOGUE, lists), memory=self.memory
        )
        self.resolver.meter = self.engine.meter
        clock = self.clock

        class Folder(CacheFolder):
            def moment(self, wall):
                return Moment(wall, "boot", clock.monotonic())

        table = ListTable(self.memory.dispatcher.responses, lambda: self.memory.states)
        servers = ServerTable(InfraCache())
        self.persistence = Persistence(
            Folder(self.directory, 10**6), (table,), servers, table.kind, clock, self.counters,
            lambda: self.fingerprint, self.memory.dispatcher.forget_all, lambda _: False,
        )  # fmt: skip
        await self.persistence.open()

    async def restart(self, down=10.0, **tables):
        await self.persistence.aclose(1.0)
        await asyncio.sleep(down)
        await self.begin(**tables)

    async def ask(self, name="spamhaus-zen", subject=CLIENT):
        return await self.engine.ask(ListLookup(name, subject), deadline=self.clock.monotonic() + 2)


@pytest.fixture
def play(tmp_path):
    def run(test, **tables):
        async def main():
            w = World(tmp_path)
            await w.begin(**tables)
            await test(w)
            await w.persistence.aclose(1.0)
            await w.engine.aclose()

        with asyncio.Runner(loop_factory=InlineLoop) as runner:
            runner.run(main())

    return run


def test_replies_are_known_after_a_restart_and_end_as_they_would_have_ended(play):
    async def test(w):
        w.script[ZEN] = a("127.0.0.2", ttl=300)
        w.script["9.2.0.192.zen.spamhaus.org"] = denial(300)
        listed, clear = await w.ask(), await w.ask(subject=OTHER)
        assert (type(listed), type(clear)) == (Listed, Clear)
        await w.restart(100)
        again = await w.ask()
        assert again._replace(ttl=0, age=0, ms=0) == listed._replace(ttl=0, age=0, ms=0)
        assert again.ttl <= 200 <= again.ttl + again.age - 100 + 1
        assert isinstance(await w.ask(subject=OTHER), Clear)
        assert w.resolver.asked == []
        await w.restart(201)
        await w.ask()
        assert w.resolver.asked == [ZEN]

    play(test)


def test_what_a_list_could_not_say_is_asked_again(play):
    async def test(w):
        w.script[ZEN] = TIMEOUT
        assert isinstance(await w.ask(), Unknown)
        await w.restart(1)
        w.script[ZEN] = a("127.0.0.2")
        assert isinstance(await w.ask(), Listed)

    play(test)


def test_what_was_forgotten_is_asked_again(play):
    async def test(w):
        w.script[ZEN] = a("127.0.0.2")
        await w.ask()
        await w.restart()
        assert w.engine.flush(from_text("2.0.192.zen.spamhaus.org"), below=True) == 1
        await w.restart()
        await w.ask()
        assert w.resolver.asked

    play(test)


def test_replies_that_would_be_read_otherwise_now_are_asked_again(play):
    async def test(w):
        w.script[ZEN] = a("127.0.0.2")
        await w.ask()
        await w.restart(**{"spamhaus-zen": {"codes": {"127.0.0.2": {"means": "mine", "weight": 1}}}})
        w.script[ZEN] = a("127.0.0.2")
        reply = await w.ask()
        assert (reply.codes, bool(w.resolver.asked)) == (("mine",), True)

    play(test)


def test_the_key_of_a_keyed_list_is_in_no_file(play, tmp_path):
    tables = {"spamhaus-zen": {"enabled": False}, "spamhaus-zen-dqs": {"enabled": True, "key": KEY}}

    async def test(w):
        name = next(spec.id for spec in w.engine.specs if spec.keyed)
        w.script[f"1.2.0.192.{KEY}.zen.dq.spamhaus.net"] = a("127.0.0.2")
        assert isinstance(await w.ask(name), Listed)
        await w.persistence.write()
        for part in tmp_path.iterdir():
            octets = part.read_bytes()
            assert KEY.encode() not in octets
            assert KEY[:12].encode() not in octets
        await w.restart(**tables)
        assert isinstance(await w.ask(name), Listed)
        assert w.resolver.asked == []

    play(test, **tables)
