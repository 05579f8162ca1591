"""A TCP authority that sends what nobody asked for, as fast as it can: what one question to it costs, and whom it stalls.

The flood comes from a process of its own, so that the CPU time here is ours alone.
"""

import asyncio
import multiprocessing
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

import pytest

from resolverd.wire.ask import Ask, Failed, Reply, Server, Transport
from resolverd.wire.names import from_text
from tests.attacks import Figure
from tests.networks import Awaited

HOST = "127.0.0.1"
FLOODS = ["empty frames", "frames of eleven octets", "whole messages", "large messages", "answers without end"]
_LIMIT = 1 << 28
_SPAWN = multiprocessing.get_context("spawn")


def _reply(packet: bytes, size: int = 0) -> bytes:
    record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x0e\x10\x00\x04\xc1\x00\x00\x01"
    question = packet[12 : packet.index(b"\x00", 12) + 5]
    data = packet[:2] + b"\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00" + question + record
    return data + bytes(max(0, size - len(data)))


def _flood(what: str, packet: bytes) -> bytes:
    stranger = bytes([packet[0] ^ 1]) + packet[1:]
    frame = {
        "empty frames": b"",
        "frames of eleven octets": packet[:11],
        "whole messages": _reply(stranger),
        "large messages": _reply(stranger, 65535),
        "answers without end": _reply(packet),
    }[what]
    return (len(frame).to_bytes(2) + frame) * (131_072 // (2 + len(frame)))


def _serve(what: str, port: "multiprocessing.Queue[int]", written: "multiprocessing.Queue[int]") -> None:
    """Answer every connection's first question: soundly, or with a flood; tell how much could be written."""
    with socket.create_server((HOST, 0), backlog=200) as listening:
        port.put(listening.getsockname()[1])
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(10)
                total = 0
                try:
                    packet = connection.recv(4096)[2:]
                    if not what:
                        data = _reply(packet)
                        connection.sendall(len(data).to_bytes(2) + data)
                        connection.recv(4096)
                    frames = _flood(what, packet) if what else b""
                    while what and total < _LIMIT:
                        connection.sendall(frames)
                        total += len(frames)
                except OSError:
                    pass
                written.put(total)


@contextmanager
def authority(what: str = "") -> Iterator[tuple[int, "multiprocessing.Queue[int]"]]:
    """Such a server in a process of its own: its port, and how much it could write on each connection."""
    port: multiprocessing.Queue[int] = _SPAWN.Queue()
    written: multiprocessing.Queue[int] = _SPAWN.Queue()
    process = _SPAWN.Process(target=_serve, args=(what, port, written), daemon=True)
    process.start()
    try:
        yield port.get(timeout=30), written
    finally:
        process.terminate()
        process.join()


def asking(port: int, name: str) -> Ask:
    return Ask(Server(IPv4Address(HOST), port), from_text(name), 1, Transport.TCP, 8.0)


async def probe(stalls: list[float]) -> None:
    """A second client: how late its turn comes."""
    while True:
        begun = time.perf_counter()
        await asyncio.sleep(0.001)
        stalls.append(time.perf_counter() - begun - 0.001)


async def cost(port: int, questions: int) -> tuple[float, float, list[Reply]]:
    """CPU seconds a question, the longest stall of others, and what came of it."""
    stalls: list[float] = []
    replies = []
    beside = asyncio.create_task(probe(stalls))
    cpu = time.process_time()
    for number in range(questions):
        # Each over a connection of its own.
        exchange = Awaited()
        replies.append(await exchange.exchange(asking(port, f"w{number}.example")))
        await asyncio.sleep(0.002)
        await exchange.aclose()
    beside.cancel()
    return (time.process_time() - cpu) / questions, max(stalls), replies


@pytest.mark.attack("R-05", "R-25")
@pytest.mark.parametrize("what", FLOODS)
async def test_a_flood_costs_little_more_than_an_answer(what: str, at_length: bool, figure: Figure) -> None:
    questions = 200 if at_length else 8
    with authority() as (port, _):
        ordinary, quiet, replies = await cost(port, questions)
    assert all(reply.message is not None for reply in replies)
    with authority(what) as (port, written):
        cpu, stall, replies = await cost(port, questions)
        most = max(written.get(timeout=10) for _ in range(questions))
    if what == "answers without end":
        assert all(reply.message is not None for reply in replies), "the first is one"
    else:
        assert {reply.failed for reply in replies} == {Failed.MALFORMED}
    assert max(reply.rtt for reply in replies) < 2
    assert most < 1 << 24, "what fits into the kernel's buffers"
    assert cpu < 10 * ordinary + 0.002
    assert stall < quiet + 20 * ordinary + 0.1
    figure("how late a second client's turn came under floods of servers", 1000 * stall, "ms", row="R-05")
    figure("CPU of a question that is flooded", 1000 * cpu, "ms", row="R-25")
