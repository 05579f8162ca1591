"""Hosts whose clocks differ have one wall clock: that of the store they share."""

import pytest
from virtualtime import VirtualClock, virtual

from resolverd.clock import Clock
from resolverd.fleet.clock import MAX_OFFSET, FleetClock


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


@virtual
async def test_a_store_that_is_far_away_is_not_followed_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    own, offset = VirtualClock(), MAX_OFFSET
    common = FleetClock(own, lambda: offset)
    assert common.wall() == own.wall() + MAX_OFFSET
    for offset in (MAX_OFFSET + 1, -2 * MAX_OFFSET):  # noqa: B007
        assert common.wall() == own.wall()
    assert caplog.messages == ["the shared store's clock is +3601 s from this machine's: one is wrong, it is not followed"]
    offset = 5.0
    assert common.wall() == own.wall() + 5
    offset = 86400.0
    assert common.wall() == own.wall()
    assert len(caplog.messages) == 2
