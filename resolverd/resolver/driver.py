"""Runs cores: a reply's arrival steps the generator that waits for it, and its end calls back whoever runs it.

No task, no future, no timer: a core in flight is a `Run`, the branches that it races are Runs of their own where there is more
than one, or it does more than ask, and what leaves for a server is an entry in one table. Nothing is called back before `start`
has returned, but by a core that ends without waiting.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.deadlines import Deadline, Deadlines
from resolverd.metrics import Counters
from resolverd.resolver.ports import Network, OutboundQuery
from resolverd.values import replace
from resolverd.wire.ask import Again, Ask, Core, Drop, First, Join, Race, Raced, Reply, Transport

_Key: TypeAlias = tuple[object, ...]
"""What of an Ask makes its packet (`Ask.question`)."""


class _Waits:
    """What performing a step comes to where its reply takes time."""


_WAITS: Final = _Waits()


class Run:
    """A core in flight, until `ended`: then there is its `result`, or the `error` that it raised."""

    __slots__ = (
        "_alone", "_branches", "_deadline", "_driver", "_first", "_race", "_waits", "core", "done", "ended", "error", "result",
    )  # fmt: skip

    def __init__(self, driver: "Driver", core: Core, done: "Callable[[Run], object]"):
        """`done` is called with the run at its end, but for one that is cancelled."""
        self._driver = driver
        self._alone: Core | None = None
        """The only branch of a race that has just begun: stepped in its core's place as long as it does nothing but ask."""
        self._branches: dict[Core, Run] | None = None
        """Those of races, until they are reported or dropped."""
        self._first: list[Run] | None = None
        """Those of the `First` that is waited for."""
        self._race: tuple[Core, ...] = ()
        """The branches whose end is waited for."""
        self._deadline: Deadline | None = None
        """Until when."""
        self._waits: _Outbound | None = None
        """Whose reply is waited for."""
        self.core = core
        self.done = done
        self.ended = False
        self.result: Any = None
        self.error: Exception | None = None

    def step(self, reply: Any = None, error: Exception | None = None) -> None:
        """Send the core its reply, or raise the error in it, and perform what it yields, until it has to wait or has ended."""
        while True:
            core = self._alone or self.core
            try:
                wanted = core.send(reply) if error is None else core.throw(error)
            except StopIteration as stop:
                result, error = stop.value, None
            except Exception as raised:
                result, error = None, raised
            else:
                error = None
                try:
                    kind = type(wanted)
                    perform = _PERFORM[kind] if kind is Ask or core is self.core else Run._apart
                    reply = perform(self, wanted)
                except Exception as raised:
                    error = raised
                if reply is _WAITS:
                    return
                continue
            if core is self.core:
                self._end(result, error)
                return
            self._alone = None
            assert self._deadline is not None
            self._deadline.cancel()
            reply, error = Raced(core, result, error, self._driver.now), None

    def cancel(self) -> None:
        """End it and all its branches, at once and without a word."""
        if self.ended:
            return
        self.ended = True
        if self._alone is not None:
            self._set_apart(self._alone)
        waits, self._waits = self._waits, None
        if waits is not None and waits.asker is self:
            self._driver.abandon(waits)
        if self._deadline is not None:
            self._deadline.cancel()
        self._race = ()
        first, self._first = self._first or (), None
        branches, self._branches = self._branches or {}, None
        self._driver.late.pop(self, None)
        try:
            self.core.close()
        finally:
            for run in (*first, *branches.values()):
                run.cancel()

    def on_reply(self, outbound: "_Outbound", reply: Reply | Exception) -> None:
        """A reply has come, or a fault of ours; nothing happens if it is no longer what is waited for."""
        if self._waits is outbound:
            self._waits = None
            if isinstance(reply, Reply):
                self.step(reply)
            else:
                self.step(error=reply)

    def join_again(self, outbound: "_Outbound", ask: Ask) -> None:
        """Whose exchange it shared has gone, and the exchange with it: share the next, or begin it."""
        if self._waits is not outbound:
            return
        self._waits = None
        try:
            self._join(Join(ask))
        except Exception as error:
            self.step(error=error)

    def _end(self, result: Any, error: Exception | None) -> None:
        self.ended = True
        self.result, self.error = result, error
        driver = self._driver
        if self._branches:
            branches, self._branches = self._branches, None
            for run in branches.values():
                if error is None:
                    driver.keep(run)
                else:
                    run.cancel()
        if driver.late:
            driver.late.pop(self, None)
        self.done(self)

    def _ask(self, ask: Ask) -> Any:
        self._waits = self._driver.ask(ask, self)
        return None if self._waits is None else _WAITS

    def _join(self, join: Join) -> _Waits:
        self._waits = self._driver.ask(join.ask, self) or self._driver.join(join.ask, self)
        return _WAITS

    def _again(self, again: Again) -> bool:
        return self._driver.again(again)

    def _drop(self, drop: Drop) -> None:
        for branch in drop.branches:
            assert self._branches is not None
            self._branches.pop(branch).cancel()

    def _begin_race(self, race: Race) -> Any:
        driver = self._driver
        if self._branches is None:
            self._branches = {}
        branches = self._branches
        if len(race.branches) == 1 and race.branches[0] not in branches:
            (self._alone,) = race.branches
            self._deadline = driver.deadlines.add(driver.now + race.timeout, self._time_over)
            return None
        for branch in race.branches:
            if branch not in branches:
                run = branches[branch] = Run(driver, branch, self._branch_ended)
                run.step()
        for branch in race.branches:
            if branches[branch].ended:
                return self._raced(branch)
        self._race = race.branches
        self._deadline = driver.deadlines.add(driver.now + race.timeout, self._time_over)
        return _WAITS

    def _set_apart(self, branch: Core) -> "Run":
        """Have the branch that was alone go on as a Run of its own, with the reply that it waits for."""
        assert self._branches is not None
        run = self._branches[branch] = Run(self._driver, branch, self._branch_ended)
        self._alone = None
        waits, self._waits = self._waits, None
        if waits is not None:
            waits.asker, run._waits = run, waits
        return run

    def _apart(self, wanted: Any) -> Any:
        """The branch that was alone does more than ask."""
        assert self._alone is not None
        run = self._set_apart(self._alone)
        try:
            reply = _PERFORM[type(wanted)](run, wanted)
        except Exception as error:
            run.step(error=error)
        else:
            if reply is not _WAITS:
                run.step(reply)
        if not run.ended:
            self._race = (run.core,)
            return _WAITS
        assert self._deadline is not None
        self._deadline.cancel()
        return self._raced(run.core)

    def _branch_ended(self, run: "Run") -> None:
        """A branch has ended, or one that nobody waits for."""
        if run.core in self._race:
            if self._deadline is not None:
                self._deadline.cancel()
            self._race = ()
            self.step(self._raced(run.core))

    def _raced(self, branch: Core) -> Raced:
        assert self._branches is not None
        run = self._branches.pop(branch)
        return Raced(branch, run.result, run.error, self._driver.now)

    def _time_over(self, now: float) -> None:
        self._race, self._deadline = (), None
        if self._alone is not None:
            self._set_apart(self._alone)
        self._driver.now = now
        self.step(Raced(None, None, None, now))

    def _begin_first(self, first: First) -> Any:
        runs = [Run(self._driver, branch, self._one_ended) for branch in first.branches]
        for run in runs:
            run.step()
        ended = [run for run in runs if run.ended]
        self._first = [run for run in runs if not run.ended]
        for run in ended:
            if run.error is not None or run.result is not None:
                return self._take_first(run)
        return _WAITS if self._first else None

    def _one_ended(self, run: "Run") -> None:
        if self._first is None:
            return
        self._first.remove(run)
        if run.error is not None or run.result is not None or not self._first:
            try:
                reply = self._take_first(run)
            except Exception as error:
                self.step(error=error)
            else:
                self.step(reply)

    def _take_first(self, run: "Run") -> Any:
        """The result that wins, or the error; the others end."""
        others, self._first = self._first or (), None
        for each in others:
            each.cancel()
        if run.error is not None:
            raise run.error
        return run.result


_PERFORM: Final[dict[type, Callable[[Run, Any], Any]]] = {
    Ask: Run._ask,
    Race: Run._begin_race,
    Join: Run._join,
    Again: Run._again,
    Drop: Run._drop,
    First: Run._begin_first,
}
"""What is done about what a core yields; it returns the reply, or `_WAITS`."""


class _Outbound:
    """A question that has left for a server: who asked, and who has put the same question since."""

    __slots__ = ("asker", "driver", "joined", "key", "query")

    def __init__(self, driver: "Driver", key: _Key, asker: Run):
        self.driver = driver
        self.key = key
        self.asker = asker
        self.joined: list[tuple[Run, Ask]] = []
        self.query: OutboundQuery

    def on_reply(self, reply: Reply | Exception) -> None:
        driver = self.driver
        del driver.outbound[self.key]
        if isinstance(reply, Reply) and reply.now > driver.now:
            driver.now = reply.now
        if self.joined:
            loop = asyncio.get_running_loop()
            for run, ask in self.joined:
                if isinstance(reply, Reply):
                    loop.call_soon(run.on_reply, self, replace(reply, sent=0))
                else:
                    loop.call_soon(run.join_again, self, ask)
        self.asker.on_reply(self, reply)


class Driver:
    """Performs what cores yield. Every exchange with a server goes through here, and no question is in flight to one twice."""

    def __init__(self, network: Network, counters: Counters, clock: Clock):
        self._network = network
        self._sent = {transport: counters.count("queries_sent", transport=transport.value) for transport in Transport}
        self._clock = clock
        self.deadlines = Deadlines(clock.monotonic)
        self.now = -1.0
        """When what is being worked off happened: a reply's arrival, the end of a deadline, the start of a core."""
        self.outbound: dict[_Key, _Outbound] = {}
        """What has left for servers and has no reply yet."""
        self.late: dict[Run, None] = {}
        """Branches whose race is over and that still have their reply."""

    def start(self, core: Core, done: Callable[[Run], object], now: float) -> Run:
        """Run a core; `done` is called at its end, which may be before this returns."""
        self.now = max(self.now, now)
        run = Run(self, core, done)
        run.step()
        return run

    async def run(self, core: Core) -> Any:
        """Run a core to its end; returns what it returns and raises what it raises."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        run = self.start(core, partial(_settle, future), self._clock.monotonic())
        try:
            return await future
        finally:
            run.cancel()

    def close(self) -> None:
        """End every branch that waits for a reply that nobody needs, and every deadline."""
        for run in tuple(self.late):
            run.cancel()
        self.deadlines.close()

    def ask(self, ask: Ask, asker: Run) -> _Outbound | None:
        """Put a question to its server; None if it is in flight already.

        Two copies of one question in flight would halve the work of guessing a reply (the birthday attack), however long each of
        those who ask it would wait.
        """
        key = ask.question
        if key in self.outbound:
            return None
        outbound = self.outbound[key] = _Outbound(self, key, asker)
        self._sent[ask.transport][0] += 1
        try:
            outbound.query = self._network.start(ask, outbound.on_reply)
        except BaseException:
            del self.outbound[key]
            raise
        return outbound

    def join(self, ask: Ask, run: Run) -> _Outbound:
        """Share the exchange of somebody who has put the same question."""
        outbound = self.outbound[ask.question]
        outbound.joined.append((run, ask))
        return outbound

    def abandon(self, outbound: _Outbound) -> None:
        """Its asker has gone: the question is no longer in flight, and one who shared it may ask."""
        del self.outbound[outbound.key]
        outbound.query.cancel()
        loop = asyncio.get_running_loop()
        for run, ask in outbound.joined:
            loop.call_soon(run.join_again, outbound, ask)

    def again(self, again: Again) -> bool:
        """Send a question that is in flight once more; whether it left."""
        outbound = self.outbound.get(again.ask.question)
        left = outbound is not None and outbound.query.again(cookie=again.cookie)
        if left:
            self._sent[again.ask.transport][0] += 1
        return left

    def keep(self, run: Run) -> None:
        """Let a branch that nobody needs any more have the reply it waits for: it tells how its server fares."""
        if run.ended:
            return
        run.done = _ignore
        while len(self.late) >= bounds.LATE_REPLIES:
            next(iter(self.late)).cancel()
        self.late[run] = None


def _settle(future: "asyncio.Future[Any]", run: Run) -> None:
    if future.done():
        return
    if run.error is not None:
        future.set_exception(run.error)
    else:
        future.set_result(run.result)


def _ignore(_: Run) -> None:
    """Nobody waits for it."""
