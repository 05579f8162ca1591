"""Hosts whose clocks differ have one wall clock: that of the store they share."""

import pytest
from virtualtime import VirtualClock, virtual

from resolverd.clock import Clock
from resolverd.fleet.clock import FleetClock


@virtual
async def test_hosts_with_clocks_apart_agree() -> None:
    stores = VirtualClock()
    hosts = []
    for skew in (-300.0, 0.0, 300.0):
        own = VirtualClock()
        own.set_wall(stores.wall() + skew)
        hosts.append((own, FleetClock(own, lambda skew=skew: -skew)))  # type: ignore[misc]
    for own, common in hosts:
        seen_by_others: Clock = common  # checked by mypy
        assert common.wall() == pytest.approx(stores.wall())
        assert seen_by_others.monotonic() == own.monotonic()
