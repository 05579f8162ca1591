"""What strangers do while the clients ask: each attack goes on until it is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

from bench.policy_load import Sender, request
from bench.soak.clients import DNS, HOST, HTTP, POLICY, datagrams, question

_rng = random.Random(7)


def _letters() -> str:
    return f"x{_rng.getrandbits(48):x}"


async def _ask(rate: float, made: Callable[[], bytes]) -> None:
    """So many datagrams a second; nobody reads the answers."""
    async with datagrams() as udp:
        while True:
            for _ in range(max(1, int(rate / 50))):
                udp.transport.sendto(made())
            await asyncio.sleep(0.02)


async def water_torture() -> None:
    """Random names below a zone whose servers are silent."""
    await _ask(300, lambda: question(f"{_letters()}.all-silent.com"))


async def circles() -> None:
    """Delegations and aliases in a circle, and chains to nothing."""
    names = ("{}.loop-left.com", "{}.loop-right.net", "ping.aliases.net", "{}.glue-forgotten.com", "{}.all-lame.com")
    await _ask(100, lambda: question(_rng.choice(names).format(_letters())))


async def garbage() -> None:
    """Datagrams cut, mangled and made up."""

    def made() -> bytes:
        octets = bytearray(question(f"{_letters()}.org"))
        for _ in range(_rng.randrange(1, 6)):
            octets[_rng.randrange(len(octets))] = _rng.randrange(256)
        return bytes(octets[: _rng.randrange(2, len(octets) + 1)])

    await _ask(500, made)


async def _heaps(port: int, heap: bytes, connections: int, pause: float = 0.5) -> None:
    """Connections that send heaps and hardly read."""

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(HOST, port)
                try:
                    writer.write(heap)
                    async with asyncio.timeout(5):
                        await reader.read(4096)
                        await asyncio.sleep(pause)
                finally:
                    writer.close()
            await asyncio.sleep(pause)

    await asyncio.gather(*(one() for _ in range(connections)))


async def tcp_heaps() -> None:
    """Thousands of questions in one piece."""
    framed = b"".join(len(each).to_bytes(2) + each for each in (question(f"{_letters()}.wild.wildcards.net"),) * 2000)
    await _heaps(DNS, framed, 10)


async def slow_tcp() -> None:
    """A first octet, and no second."""
    await _heaps(DNS, b"\0", 100, pause=1.0)


async def http_heaps() -> None:
    """Requests ahead of their answers, and heads without end."""
    await asyncio.gather(
        _heaps(HTTP, b"GET /v1/lists HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500, 10),
        _heaps(HTTP, b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000, 10),
    )


async def policy_garbage() -> None:
    """Attributes without end, and requests whose answers nobody reads."""
    heap = request(Sender("192.0.2.10", "mail.honest-mail.com", "honest-mail.com"), 1) * 100
    await asyncio.gather(_heaps(POLICY, b"a=b\n" * 5000, 10), _heaps(POLICY, heap, 10))


async def botnet() -> None:
    """A new client with a new name for every mail."""
    async def one() -> None:
        client = f"2001:db8:{_rng.getrandbits(16):x}::{_rng.getrandbits(16):x}"
        name = f"{_letters()}.wild.wildcards.net"
        with contextlib.suppress(OSError):
            async with asyncio.timeout(15):
                reader, writer = await asyncio.open_connection(HOST, POLICY)
                try:
                    writer.write(request(Sender(client, name, name), _rng.getrandbits(24)))
                    await reader.read(1000)
                finally:
                    writer.close()

    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(one())
            await asyncio.sleep(0.05)


ATTACKS: dict[str, Callable[[], Awaitable[None]]] = {
    each.__name__.replace("_", " "): each
    for each in (water_torture, circles, garbage, tcp_heaps, slow_tcp, http_heaps, policy_garbage, botnet)
}
