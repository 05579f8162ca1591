"""How lists fare as the hosts of a fleet see it: one host's canary serves all, one host's trouble is its own until two agree.

Every host tells how each list fares as it sees it. It takes from the others:

- a suspension, where two of them have it: that a list answers errors, or lists the world, may be true for one host only. As it
  may be for two, it lasts no longer than a first one of this host's own would: then it asks for itself;
- that the list has denied its test point: no other host need ask that, while it has asked for itself within the hour;
- that a list has listed the world, from one host: its listings from before, as shared, are asked for anew, and each host asks
  its test point itself before it believes another one;
- that a suspension is over: a host that still has its own may find that out with one question.

Failures to answer are not told: they are the network's as often as the list's, and cost a host three questions to find out.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.dnsbl.health import CANARY_TTL, SUSPENSION, Suspension
from resolverd.dnsbl.health_view import TOLERANCE, HealthView, agreed, decode, encode, last_passed, last_poisoned
from resolverd.dnsbl.list_state import ListState
from resolverd.dnsbl.spec import ListSpec
from resolverd.failures import StoreError, Unknown
from resolverd.logs import WarnOnce
from resolverd.metrics import Counters
from resolverd.state.base import Change, Store

TABLE: Final = "list-health"
_KEPT_FOR: Final = 86400.0
"""Seconds for which a view is kept: no shared reply lives longer, so no longer does what is held against it."""
_TELL_EVERY: Final = CANARY_TTL / 2
"""Seconds after which it is told again that a list is sound, unless another host has told it meanwhile."""
_NEVER: Final = float("-inf")

log = logging.getLogger(__name__)


class SharedHealth:
    """The views of all hosts. `clock`: that which they have in common. `host`: this one's id.

    `on_change` is called with a list's id whenever something else holds for it; once it is found to list the world, with when.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        counters: Counters,
        host: Callable[[], str],
        states: Callable[[], Mapping[str, ListState]],
    ):
        """`states`: of all lists that are known, by id."""
        self._store = store
        self._clock = clock
        self._counters = counters
        self._host = host
        self._states = states
        self._views: dict[str, dict[str, HealthView]] = {}
        self._told: dict[str, HealthView] = {}
        self._agreed: dict[str, float] = {}
        self._poisoned: dict[str, float] = {}
        self._count = 0
        self._warn_once = WarnOnce(log)
        self.on_change: Callable[[ListState], object] = lambda state: None

    async def run(self) -> None:
        """Take up what the hosts say and whatever becomes of it, for ever; ends by cancellation. Raises StoreError."""
        async for change in self._store.watch(TABLE):
            if change is None:
                await self._load()
            else:
                self._take(change)

    def tell(self, state: ListState, *, poisoned: bool = False) -> None:
        """Say how a list fares here, if that is news. `poisoned`: it has just been found to list the world."""
        spec = state.spec
        if self._states().get(spec.id) is not state:
            return  # of a key of a client's own, or a part of a list
        shown, view = _shown(spec), self._own_view(state, poisoned=poisoned)
        old = self._told.get(shown)
        if old is not None and not self._is_news(shown, old, view):
            return
        if old is None and view == HealthView():
            return
        self._put(shown, view)

    def overrule(self, state: ListState) -> None:
        """What other hosts agree on counts no longer here: this one, or the admin, knows better."""
        if _shown(state.spec) in self._agreed:
            self._agreed[_shown(state.spec)] = _NEVER

    def voids(self, spec: ListSpec, since: float) -> bool:
        """Whether a listing that was seen then (wall seconds) is void, as a host has found the list to list the world since."""
        found = self._poisoned.get(_shown(spec))
        # A host whose clock is ahead has seen it before then, too.
        return found is not None and since <= found + TOLERANCE

    def apply(self) -> None:
        """Have it hold for the lists as they are now, some of which are new."""
        for state in self._states().values():
            self._hold(state)

    async def _load(self) -> None:
        """All views, after changes may have been missed; and say the own ones again, which may have been lost."""
        self._views.clear()
        self._count = 0
        try:
            async for entry in self._store.scan(TABLE, self._clock.wall()):
                self._note(entry.key, entry.value)
        except StoreError as error:
            log.warning("how lists fare at other hosts is not known: %s", error)
        for shown, view in self._told.items():
            self._put(shown, view)
        self.apply()

    def _take(self, change: Change) -> None:
        shown, host = _parts(change.key)
        before = self._views.get(shown, {}).get(host)
        self._note(change.key, change.value)
        after = self._views.get(shown, {}).get(host)
        is_over = before is not None and after is not None and before.until > 0 and not after.until
        for state in self._states().values():
            if _shown(state.spec) == shown:
                self._hold(state)
                if is_over:
                    state.health.retry(self._clock.monotonic())

    def _note(self, key: bytes, value: bytes | None) -> None:
        """What a host says now of a list; None for nothing."""
        shown, host = _parts(key)
        views = self._views.setdefault(shown, {})
        if views.pop(host, None) is not None:
            self._count -= 1
        view = decode(value) if value is not None else None
        if value is not None and (view is None or not host):
            self._counters.add("list_health_damaged_records")
            self._warn_once("how a list fares at another host cannot be read and does not count: %r", key[:100])
        elif view is not None and host == self._host():
            # Of an earlier run, which knew what it had found; how the list fares now is found out anew.
            self._told.setdefault(shown, HealthView(poisoned=view.poisoned))
        elif view is not None and self._count < bounds.LIST_VIEWS:
            views[host] = view
            self._count += 1
        if not views:
            del self._views[shown]

    def _hold(self, state: ListState) -> None:
        """Have what the other hosts say hold for a list."""
        shown, health = _shown(state.spec), state.health
        views = self._views.get(shown, {}).values()
        wall = self._clock.wall()
        ahead = wall - self._clock.monotonic()
        passed, poisoned = last_passed(views, wall), last_poisoned(views, wall)
        health.others_passed = min(passed, wall) - ahead if passed else _NEVER
        self._void(shown, min(poisoned, wall))
        doubted = min(poisoned, wall) - ahead if poisoned else _NEVER
        self._suspend(state, agreed(views, wall), ahead)
        if doubted > health.doubted:
            health.doubted = doubted
            self.on_change(state)

    def _suspend(self, state: ListState, view: HealthView | None, ahead: float) -> None:
        """Have a suspension hold on which other hosts agree, or its end."""
        shown, health = _shown(state.spec), state.health
        before = self._agreed.pop(shown, None)
        health.agreed = None
        if view is not None:
            begun = self._agreed[shown] = self._clock.monotonic() if before is None else before
            unknown = Unknown(view.why, f"suspended by several hosts: {view.detail}")
            health.agreed = Suspension("suspended", min(view.until - ahead, begun + SUSPENSION), unknown, begun)
            if before is None:
                state.set_error(unknown.detail)
                log.warning("list %s: suspended here too, as other hosts agree: %s", state.spec.id, view.detail)
        elif before is not None:
            log.info("list %s: other hosts do not agree any longer that it is suspended", state.spec.id)
        if (view is None) != (before is None):
            self.on_change(state)

    def _own_view(self, state: ListState, *, poisoned: bool) -> HealthView:
        wall = self._clock.wall()
        ahead = wall - self._clock.monotonic()
        health, old = state.health, self._told.get(_shown(state.spec), HealthView())
        passed = health.last_passed + ahead if health.last_passed > _NEVER else 0.0
        found = wall if poisoned else old.poisoned
        own = health.own_suspension
        if own is None or own.state != "suspended":
            return HealthView(passed=passed, poisoned=found)
        if old.until and abs(own.since + ahead - old.since) < 1:
            return old._replace(passed=passed, poisoned=found)  # the clock has been set a little
        return HealthView(own.since + ahead, own.until + ahead, passed, found, own.unknown.why, own.unknown.detail)

    def _is_news(self, shown: str, old: HealthView, view: HealthView) -> bool:
        if view._replace(passed=0) != old._replace(passed=0) or view.passed < old.passed - 1:
            return True
        others = last_passed(self._views.get(shown, {}).values(), self._clock.wall())
        return view.passed >= max(old.passed, others) + _TELL_EVERY

    def _put(self, shown: str, view: HealthView) -> None:
        try:
            self._store.put(TABLE, f"{shown} {self._host()}".encode(), encode(view), self._clock.wall() + _KEPT_FOR)
        except StoreError as error:
            log.debug("how a list fares is not told to the other hosts: %s", error)
        self._told[shown] = view
        self._void(shown, view.poisoned)

    def _void(self, shown: str, poisoned: float) -> None:
        if poisoned > self._poisoned.get(shown, 0.0):
            self._poisoned[shown] = poisoned


def _shown(spec: ListSpec) -> str:
    """What a list is called among hosts: lists of other zones are others, whatever their ids; a keyed one is the same for all."""
    return f"{spec.id} {spec.shown}"


def _parts(key: bytes) -> tuple[str, str]:
    shown, _, host = key.decode("ascii", "replace").rpartition(" ")
    return shown, host
