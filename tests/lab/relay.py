"""A name server that is slow, or loses packets: what stands on a list's addresses while the list itself answers behind it.

Run as a program on the internet's side: ``python -m tests.lab.relay DELAY LOSS PORT ADDRESS…``. Questions that come to port 53
of the addresses are handed to PORT on loopback, `DELAY` seconds late; a share `LOSS` of them (0.3: every third, in rows that
differ from one another) is lost. UDP only.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Sequence
from typing import cast

from tests.lab.daemon import Daemon
from tests.lab.namespace import Side


def relay(name: str, addresses: Sequence[str], port: int, side: Side, *, delay: float = 0.0, loss: float = 0.0) -> Daemon:
    """Make a relay on `addresses` to a server on `port` of loopback."""
    argv = [sys.executable, "-m", "tests.lab.relay", str(delay), str(loss), str(port), *addresses]
    made = Daemon(f"relay {name}", argv, side, lambda: "relaying" in made.log_tail())
    return made


class _Front(asyncio.DatagramProtocol):
    def __init__(self, delay: float, loss: float, port: int, rng: random.Random) -> None:
        self.delay, self.loss, self.port, self.rng = delay, loss, port, rng
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, client: tuple[str, int]) -> None:
        if self.rng.random() < self.loss:
            return
        task = asyncio.create_task(self.carry(data, client))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def carry(self, data: bytes, client: tuple[str, int]) -> None:
        await asyncio.sleep(self.delay)
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Back(reply), remote_addr=("127.0.0.1", self.port)
        )
        try:
            transport.sendto(data)
            async with asyncio.timeout(2):
                self.transport.sendto(await reply, client)
        except (TimeoutError, OSError):
            pass
        finally:
            transport.close()


class _Back(asyncio.DatagramProtocol):
    def __init__(self, reply: asyncio.Future[bytes]) -> None:
        self.reply = reply

    def datagram_received(self, data: bytes, _: tuple[str, int]) -> None:
        if not self.reply.done():
            self.reply.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)


async def main(argv: list[str]) -> None:
    """Relay until we are ended."""
    delay, loss, port = float(argv[0]), float(argv[1]), int(argv[2])
    rng = random.Random(1)
    for address in argv[3:]:
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Front(delay, loss, port, rng), local_addr=(address, 53)
        )
    print("relaying", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
