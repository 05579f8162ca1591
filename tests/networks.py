"""Networks for tests: the one outside with its exchanges to be awaited, and one whose exchanges are coroutines."""

import asyncio
from collections.abc import Callable

from resolverd.net.outside import OutsideNetwork
from resolverd.resolver.ports import OutboundQuery
from resolverd.values import replace
from resolverd.wire.ask import Ask, Reply


class Awaited(OutsideNetwork):
    """The network outside; a question is awaited, and repeated while it is."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._outbound: dict[Ask, OutboundQuery] = {}

    async def exchange(self, ask: Ask) -> Reply:
        """The reply. Raises what was a fault of ours."""
        future: asyncio.Future[Reply | Exception] = asyncio.get_running_loop().create_future()
        place = replace(ask, timeout=0.0)
        query = self._outbound[place] = self.start(ask, lambda reply: future.done() or future.set_result(reply))
        try:
            reply = await future
        finally:
            query.cancel()
            self._outbound.pop(place, None)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def again(self, ask: Ask, *, cookie: bool = True) -> bool:
        """Send a question that is awaited once more."""
        query = self._outbound.get(replace(ask, timeout=0.0))
        return query is not None and query.again(cookie=cookie)


class AsyncNetwork:
    """A network whose exchange is a coroutine; whoever is silent stays so."""

    async def exchange(self, ask: Ask) -> Reply:
        """The reply."""
        raise NotImplementedError

    def again(self, ask: Ask, *, cookie: bool = True) -> bool:
        """The question leaves once more."""
        return True

    def start(self, ask: Ask, done: Callable[[Reply | Exception], object]) -> OutboundQuery:
        """As the driver wants it."""
        return _Exchange(self, ask, done)


class _Exchange:
    def __init__(self, network: AsyncNetwork, ask: Ask, done: Callable[[Reply | Exception], object]):
        self._network = network
        self._ask = ask
        self._done = done
        self._task = asyncio.get_running_loop().create_task(self._network.exchange(ask))
        self._task.add_done_callback(self._ended)

    def again(self, *, cookie: bool = True) -> bool:
        return self._network.again(self._ask, cookie=cookie)

    def cancel(self) -> None:
        self._task.remove_done_callback(self._ended)
        self._task.cancel()

    def _ended(self, task: "asyncio.Task[Reply]") -> None:
        done = self._done
        del self._task, self._done  # no cycles: whoever counts garbage means the daemon's
        if not task.cancelled():
            error = task.exception()
            assert error is None or isinstance(error, Exception)
            done(error or task.result())
