"""What comes to one socket, packet by packet, for one who waits for it until a point in time.

The event loop's own `sock_recv` with a timeout around it does the same at twice the price, and nothing is waited for as often.
"""

import asyncio
import socket
from types import TracebackType
from typing import Self

_PACKET = 65535
_FRAGMENTS = 64
"""Room for what the kernel tells of fragments, if the socket has been told to ask for it."""


class Receiver:
    """The packets of a non-blocking socket, until `deadline` (the loop's time); a context manager that leaves the socket open.

    `in_fragments`: the last packet came in several pieces, as far as the socket tells.
    """

    __slots__ = ("_deadline", "_loop", "_sock", "_timed_out", "_timer", "_waiter", "in_fragments")

    def __init__(self, sock: socket.socket, deadline: float):
        self._sock = sock
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[bytes] | None = None
        self._timed_out = False
        self.in_fragments = False

    def __enter__(self) -> Self:
        self._loop.add_reader(self._sock.fileno(), self._readable)
        self._timer = self._loop.call_at(self._deadline, self._timeout)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._sock.fileno())

    async def packet(self) -> bytes:
        """The next packet. Raises TimeoutError at the deadline, OSError for what ICMP says meanwhile."""
        self._waiter = self._loop.create_future()
        if self._timed_out:
            self._timeout()
        return await self._waiter

    def hurry(self, seconds: float) -> None:
        """Wait no longer than that from now on."""
        sooner = self._loop.time() + seconds
        if sooner < self._deadline:
            self._deadline = sooner
            self._timer.cancel()
            self._timer = self._loop.call_at(sooner, self._timeout)

    def _readable(self) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return  # the packet stays in the socket until it is asked for
        try:
            data, told, _, _ = self._sock.recvmsg(_PACKET, _FRAGMENTS)
            self.in_fragments = bool(told)
            waiter.set_result(data)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            waiter.set_exception(error)

    def _timeout(self) -> None:
        self._timed_out = True
        # After a busy moment of ours the loop comes to its timers first, and what has come meanwhile is no silence.
        self._readable()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(TimeoutError())
