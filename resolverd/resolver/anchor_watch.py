"""Looks after the trust anchors: follows their keys over time (RFC 5011), and tells their zones which are in use (RFC 8145)."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final, NoReturn

from resolverd.clock import Clock
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.resolver.iterator.response import Positive
from resolverd.resolver.mesh import Mesh
from resolverd.resolver.validator.algorithms import Policy
from resolverd.resolver.validator.anchors import TrustAnchor, TrustAnchors
from resolverd.resolver.validator.key_tags import NULL, signal_name
from resolverd.resolver.validator.rfc5011 import DAY, RETRY_INTERVAL, TrustPoint, decode
from resolverd.state.base import Store
from resolverd.wire import codes
from resolverd.wire.names import Name, to_text

log = logging.getLogger(__name__)

TABLE: Final = "trust_points"
SIGNALS: Final = "trust_anchor_signals"
_FOREVER: Final = float(2**32)
_SETTLE: Final = 60.0
"""Seconds after the start until zones are asked: clients come first, and a daemon that fails at its start asks nobody."""
_NOT_READY: Final = 5.0
"""Seconds after which it is looked again whether names can be resolved."""


class AnchorWatch:
    """`apply` is given the trust anchors in force whenever they change; `ready` says whether names can be resolved."""

    def __init__(
        self,
        mesh: Mesh,
        store: Store,
        clock: Clock,
        counters: Counters,
        apply: Callable[[TrustAnchors], object],
        ready: Callable[[], bool],
    ):
        self._mesh = mesh
        self._store = store
        self._clock = clock
        self._counters = counters
        self._apply = apply
        self._ready = ready
        self._points: dict[Name, TrustPoint] = {}
        self._loaded: set[Name] = set()
        self._looks: dict[Name, float] = {}
        self._tells: dict[Name, float] = {}
        """When each zone is looked at, and told, next (monotonic seconds)."""
        self._policy = Policy()
        self._base = TrustAnchors()
        self._follows = self._signals = False
        self._wake = asyncio.Event()

    def configure(self, base: TrustAnchors, policy: Policy, *, follow: bool, signal: bool) -> TrustAnchors:
        """Go on with other anchors to begin with, which `follow` their keys and `signal` their tags or not; those in force."""
        self._base, self._policy, self._follows, self._signals = base, policy, follow, signal
        for zone in [zone for zone in self._points if zone not in base.zones]:
            del self._points[zone]
            self._loaded.discard(zone)
            self._looks.pop(zone, None)
        for zone in base.zones:
            anchor = base.closest(zone)
            if anchor is None:
                continue
            if zone in self._points:
                self._points[zone].rebase(anchor.ds)
            else:
                self._points[zone] = TrustPoint(zone, anchor.ds)
        self._wake.set()
        return self.in_force

    @property
    def in_force(self) -> TrustAnchors:
        """The trust anchors in force; a zone all of whose keys are revoked has none (RFC 5011 §5)."""
        if not self._follows:
            return self._base
        return TrustAnchors(TrustAnchor(zone, ds) for zone, point in self._points.items() if (ds := point.trusted))

    async def load(self) -> None:
        """Take up what was learnt, as far as it can be read."""
        before = self._shown()
        for zone, point in list(self._points.items()):
            if not self._follows or zone in self._loaded:
                continue
            try:
                value = await self._store.get(TABLE, zone, self._clock.wall())
                if value is not None:
                    self._points[zone] = decode(zone, point.base, value)
            except StoreError as error:
                log.error("what was learnt of the trust anchors of %s cannot be read: %s", to_text(zone), error)
                continue
            except ValueError as error:
                self._counters.add("trust_point_damaged_records")
                log.warning("what was learnt of the trust anchors of %s is damaged and does not count: %s", to_text(zone), error)
            self._loaded.add(zone)
        if self._shown() != before:
            self._apply(self.in_force)

    async def run(self) -> NoReturn:
        """Look after them for ever; ends by cancellation."""
        while True:
            self._wake.clear()
            await self.load()
            wait = RETRY_INTERVAL
            if not self._ready():
                wait = _NOT_READY
            else:
                for zone in list(self._points):
                    first = self._clock.monotonic() + _SETTLE
                    if self._follows:
                        if self._clock.monotonic() >= self._looks.setdefault(zone, first):
                            self._looks[zone] = self._clock.monotonic() + await self._look(zone)
                        wait = min(wait, self._looks[zone] - self._clock.monotonic())
                    if self._signals:
                        if self._clock.monotonic() >= self._tells.setdefault(zone, first):
                            self._tells[zone] = self._clock.monotonic() + await self._tell(zone)
                        wait = min(wait, self._tells[zone] - self._clock.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(wait, 1.0)):
                    await self._wake.wait()

    async def _look(self, zone: Name) -> float:
        """Look at a zone's keys; seconds until the next time."""
        response = await self._mesh.own.fetch(zone, codes.DNSKEY)
        point = self._points.get(zone)
        if point is None or not isinstance(response, Positive) or response.chain[-1].rtype != codes.DNSKEY:
            return RETRY_INTERVAL
        before = self._shown()
        look = point.look(response.chain[-1], self._clock.wall(), self._clock.monotonic(), self._policy)
        for text in look.news:
            self._counters.add("trust_anchor_changes")
            log.log(logging.INFO if point.trusted else logging.ERROR, "trust anchors of %s: %s", to_text(zone), text)
        if not look.valid and point.trusted:
            log.warning("trust anchors of %s: its keys are not signed by any of them", to_text(zone))
        if look.valid or look.news:
            try:
                self._store.put(TABLE, zone, point.encode(), _FOREVER)
            except StoreError as error:
                log.error("what was learnt of the trust anchors of %s is not kept: %s", to_text(zone), error)
        if self._shown() != before:
            self._apply(self.in_force)
        return look.next_look

    async def _tell(self, zone: Name) -> float:
        """Tell the zone by which keys it is trusted, once a day however often the daemon starts; seconds until the next time."""
        wall, anchor = self._clock.wall(), self.in_force.closest(zone)
        if anchor is None or anchor.zone != zone:
            return DAY
        with contextlib.suppress(StoreError):
            if await self._store.get(SIGNALS, zone, wall) is not None:
                return RETRY_INTERVAL
            self._store.put(SIGNALS, zone, b"1", wall + DAY)
        self._counters.add("key_tag_signals")
        await self._mesh.own.fetch(signal_name(zone, (each.key_tag for each in anchor.ds)), NULL)
        return DAY

    def _shown(self) -> dict[Name, object]:
        anchors = self.in_force
        return {zone: anchors.closest(zone) for zone in anchors.zones}
