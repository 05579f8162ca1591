"""Two daemons with one server: what one has asked of lists costs the other nothing, and one looks own addresses up for both."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest
from served import GOOD, LISTED, configured, internet
from shared_stores import until

from resolverd import bounds
from resolverd.app.fleet import join
from resolverd.app.service import Service
from resolverd.clock import SystemClock
from resolverd.config.endpoints import store_url
from resolverd.mail.lookups import Clear, Listed, ListLookup
from resolverd.metrics import Counters
from resolverd.state.memory import MemoryStore
from tests.redis_server import RedisServer


class Daemon:
    """One of them, with an internet of its own that has the same in it."""

    def __init__(self, folder: Path, server: RedisServer):
        folder.mkdir()
        watch = {"addresses": (ip_address(LISTED),)}
        self.settings = configured(folder, store={"url": store_url(server.url)}, watch=watch)
        self.net = internet()
        self.counters = Counters()

    async def start(self) -> None:
        own, clock = MemoryStore(), SystemClock()
        fleet = await join(self.settings, own, clock, self.counters, lambda: None)
        assert fleet is not None
        self.store = fleet.store
        assert await fleet._shared.connected(10)
        self.service = Service(self.settings, self.net, own, clock, self.counters, lambda: self.settings, None, fleet)
        await self.service.prepare()
        self.service.start()

    @property
    def asked(self) -> list[str]:
        """What lists were asked of clients."""
        return [name for name, _ in self.net.names() if ".69.2.81." in name and not name.endswith(".arpa.")]

    @property
    def knows_zen(self) -> bool:
        """Whether it has seen zen list its test point."""
        return self.service._shared.lists.states["spamhaus-zen"].health.last_listed > 0

    async def ask(self, client: str) -> object:
        engine = self.service.runtime.engine
        return await engine.ask(ListLookup("spamhaus-zen", ip_address(client)), deadline=SystemClock().monotonic() + 5)


async def test_lists_are_asked_once_and_own_addresses_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A busy machine is late; what then becomes of questions is tested elsewhere.
    for patience in ("LIST_SHARED_TIME", "STORE_SHARED_READ", "STORE_SHARED_REPLY"):
        monkeypatch.setattr(bounds, patience, 5.0)
    with RedisServer(tmp_path) as server:
        one, two = (Daemon(tmp_path / name, server) for name in ("one", "two"))
        for daemon in (one, two):
            await daemon.start()

            def watched(daemon: Daemon = daemon) -> tuple[str, ...]:
                status = daemon.service.runtime.engine.status("spamhaus-zen")
                assert status is not None
                return status.watched

            await until(lambda watched=watched: watched() == (LISTED,))
        # A host that has not seen the list list anybody tells the others of nobody whom it does not list.
        await until(lambda: all(each.knows_zen for each in (one, two)))
        assert sum(f"{'.'.join(reversed(LISTED.split('.')))}.zen.spamhaus.org." in each.asked for each in (one, two)) == 1
        assert one.counters.get("watch_alerts", list="spamhaus-zen") + two.counters.get("watch_alerts", list="spamhaus-zen") == 1
        before = len(two.asked)
        assert isinstance(await one.ask(GOOD), Clear)
        assert isinstance(await one.ask(LISTED), Listed)  # what came while the test points were looked at is not kept
        await one.store.flush()
        assert isinstance(await two.ask(GOOD), Clear)
        assert isinstance(await two.ask(LISTED), Listed)
        assert len(two.asked) == before
        for daemon in (one, two):
            await daemon.service.aclose()
