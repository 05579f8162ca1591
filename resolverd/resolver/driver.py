"""Runs cores: carries their Asks to the network, and what they want side by side into tasks."""

import asyncio
from collections.abc import Generator
from typing import Any, TypeAlias

from resolverd import bounds
from resolverd.metrics import Counters
from resolverd.resolver.ports import Network
from resolverd.wire.ask import Again, Ask, Core, Drop, First, Join, Race, Raced, Reply

_TURNS = 4
"""Turns of the loop from a packet in a socket to the end of the branch that waits for it."""

_End: TypeAlias = tuple[Any, Exception | None]
"""What a branch has come to: its result or its error."""
_Branches: TypeAlias = dict[Core, "asyncio.Task[_End]"]


class Driver:
    """Fulfils what cores yield. Every exchange with a server goes through here, and no question is under way to one twice."""

    def __init__(self, network: Network, counters: Counters):
        self._network = network
        self._counters = counters
        self._exchanges: dict[tuple[object, ...], asyncio.Future[Reply | None]] = {}
        self._branches: set[asyncio.Task[_End]] = set()
        self._late: dict[asyncio.Task[_End], None] = {}
        self._waiting: dict[asyncio.Task[_End], asyncio.Future[None]] = {}
        """Branches of races, and what wakes who waits for them."""

    async def run(self, core: Generator[Any, Any, Any]) -> Any:
        """Run a core to its end, fulfilling what it yields; returns what it returns and raises what it raises."""
        branches: _Branches = {}
        try:
            step = next(core)
            while True:
                try:
                    reply = await (self._exchange(step) if isinstance(step, Ask) else self._perform(step, branches))
                except Exception as error:
                    step = core.throw(error)
                else:
                    step = core.send(reply)
        except StopIteration as stop:
            for task in branches.values():
                self._keep(task)
            branches.clear()
            return stop.value
        finally:
            core.close()
            for task in branches.values():
                task.cancel()

    async def aclose(self) -> None:
        """End every branch, those too that wait for replies that nobody needs."""
        tasks = list(self._branches)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _perform(self, step: Again | First | Join | Race | Drop, branches: _Branches) -> Any:
        if isinstance(step, Race):
            return await self._race(step, branches)
        if isinstance(step, Join):
            return await self._join(step.ask)
        if isinstance(step, Again):
            return self._again(step)
        if isinstance(step, Drop):
            for branch in step.branches:
                branches.pop(branch).cancel()
            return None
        return await self._first(step)

    async def _race(self, race: Race, branches: _Branches) -> Raced:
        loop = asyncio.get_running_loop()
        racing = {branch: branches.get(branch) or self._begin(branch, branches) for branch in race.branches}
        branch = _ended(racing)
        if branch is None:
            await self._wait(racing, race.timeout)
            branch = _ended(racing)
        for _ in range(_TURNS):
            # After a busy moment of ours the loop comes to its timers first, and what has come meanwhile is no silence.
            if branch is not None:
                break
            await asyncio.sleep(0)
            branch = _ended(racing)
        if branch is None:
            return Raced(None, None, None, loop.time())
        result, error = branches.pop(branch).result()
        return Raced(branch, result, error, loop.time())

    def _begin(self, branch: Core, branches: _Branches) -> "asyncio.Task[_End]":
        branches[branch] = asyncio.get_running_loop().create_task(self._branch(branch))
        return branches[branch]

    async def _branch(self, core: Core) -> _End:
        """Run a branch to its end and wake whoever waits for it: a callback would do so a turn of the loop later."""
        task = asyncio.current_task()
        assert task is not None
        self._branches.add(task)
        try:
            return await self.run(core), None
        except Exception as error:
            return None, error
        finally:
            self._branches.discard(task)
            self._late.pop(task, None)
            if (over := self._waiting.get(task)) is not None:
                _wake(over)

    async def _wait(self, racing: _Branches, seconds: float) -> None:
        """Wait until one of them has ended or so many seconds are over: `asyncio.wait` at a fraction of the price."""
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        timer = loop.call_at(loop.time() + seconds, _wake, over)
        for task in racing.values():
            self._waiting[task] = over
        try:
            await over
        finally:
            timer.cancel()
            for task in racing.values():
                self._waiting.pop(task, None)

    async def _first(self, first: First) -> Any:
        tasks = [asyncio.ensure_future(self.run(branch)) for branch in first.branches]
        try:
            for done in asyncio.as_completed(tasks):
                if (result := await done) is not None:
                    return result
            return None
        finally:
            for task in tasks:
                task.cancel()

    async def _exchange(self, ask: Ask) -> Reply | None:
        # Two copies of one question under way would halve the work of guessing a reply (the birthday attack), however
        # long each of those who ask it would wait.
        key = ask.question
        if key in self._exchanges:
            return None
        reply = None
        shared = self._exchanges[key] = asyncio.get_running_loop().create_future()
        self._counters.add("queries_sent", transport=ask.transport.value)
        try:
            reply = await self._network.exchange(ask)
        finally:
            # None: who asked has been cancelled, and its copy is no longer under way. Another may ask.
            del self._exchanges[key]
            shared.set_result(reply)
        return reply

    async def _join(self, ask: Ask) -> Reply:
        while True:
            if (shared := self._exchanges.get(ask.question)) is not None:
                if (reply := await asyncio.shield(shared)) is not None:
                    return reply._replace(sent=0)
            elif (reply := await self._exchange(ask)) is not None:
                return reply

    def _again(self, again: Again) -> bool:
        left = self._network.again(again.ask, cookie=again.cookie)
        if left:
            self._counters.add("queries_sent", transport=again.ask.transport.value)
        return left

    def _keep(self, task: "asyncio.Task[_End]") -> None:
        """Let a branch that nobody needs any more have the reply it waits for: it tells how its server fares."""
        while len(self._late) >= bounds.LATE_REPLIES:
            oldest = next(iter(self._late))
            del self._late[oldest]
            oldest.cancel()
        if not task.done():
            self._late[task] = None


def _ended(racing: _Branches) -> Core | None:
    """The first that has ended, None while none has."""
    for branch, task in racing.items():
        if task.done():
            return branch
    return None


def _wake(over: "asyncio.Future[None]") -> None:
    if not over.done():
        over.set_result(None)
