"""Clients that send heaps and do not wait for their answers: nobody else waits for them, and little of it lies in memory."""

import contextlib
import math
import selectors
import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from victim import FRAMED, GET, HOST, QUESTION, REQUEST, STRANGER, Victim, victim

from tests.attacks import Figure

MEGABYTE = 1 << 20

STALL = 50
"""The longest that the loop may be kept from others, in ordinary questions' costs: some 15 ms of an ordinary machine."""
WAITING = 50
"""The work that may be done before an ordinary client has its answer, but for one in a hundred, in the same measure."""
TRIES = 3
"""Runs, of which the best counts for each measure: of a virtual machine's processor what its host takes counts as CPU time of
whoever runs (a loop that does nothing else is kept waiting for 6 ms at times). What we do ourselves we do in each of them."""
MEMORY = 48 << 20
"""Octets that a heap may add: 300 connections of 16 KiB here, and as much again in its replies and everything else."""


class Heap(NamedTuple):
    """An attack: what each connection sends, how many there are, to which port, and from where."""

    port: str
    octets: bytes
    connections: int
    source: str = HOST


HEAPS = {
    "a megabyte of questions on one connection": Heap("tcp", FRAMED, 1),
    "the same on twenty": Heap("tcp", FRAMED, 20),
    "twenty of strangers": Heap("tcp", FRAMED, 20, STRANGER),
    "questions that nobody can answer": Heap("tcp", FRAMED.replace(b"\x09localhost", b"\x09nosuchtld"), 20),
    "three hundred policy connections": Heap("policy", REQUEST, 300),
    "garbage for the policy service": Heap("policy", b"a=b\n", 300),
    "pipelined HTTP": Heap("http", GET, 20),
}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    with victim(tmp_path_factory.mktemp("victim")) as running:
        yield running


def attack(heap: Heap, port: int, seconds: float) -> int:
    """Have all connections send their heap and read what comes, anew where they are cut; octets that were taken."""
    data = memoryview(heap.octets * (MEGABYTE // len(heap.octets)))
    selector = selectors.DefaultSelector()
    sent: dict[socket.socket, int] = {}
    taken = 0

    def connect() -> None:
        sock = socket.socket()
        sock.bind((heap.source, 0))
        sock.setblocking(False)
        sock.connect_ex((HOST, port))
        sent[sock] = 0
        selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)

    for _ in range(heap.connections):
        connect()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for key, events in selector.select(0.05):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            try:
                if events & selectors.EVENT_WRITE:
                    count = sock.send(data[sent[sock] : sent[sock] + 65536])
                    taken += count
                    sent[sock] = (sent[sock] + count) % len(data)
                if events & selectors.EVENT_READ and not sock.recv(262144):
                    raise ConnectionError
            except BlockingIOError:
                pass
            except OSError:
                selector.unregister(sock)
                sock.close()
                del sent[sock]
                connect()
    for sock in sent:
        sock.close()
    selector.close()
    return taken


@pytest.mark.attack("R-05", "R-28")
@pytest.mark.parametrize("name", HEAPS)
def test_nobody_waits_for_a_heap(attacked: Victim, at_length: bool, name: str, figure: Figure) -> None:
    seconds = 10.0 if at_length else 1.5
    attacked.begin()
    time.sleep(0.5)
    quiet = attacked.cost()
    least = dict.fromkeys(("stall", *quiet.waited), math.inf)
    """By measure, in ordinary questions."""
    stalls = []
    for _ in range(TRIES):
        attacked.begin()
        assert attack(HEAPS[name], attacked.ports[HEAPS[name].port], seconds)
        cost = attacked.cost()
        stalls.append(cost.stall)
        question = quiet.ordinary(cost)
        for what, took in {"stall": cost.stall, **{probe: almost_all for probe, (_, almost_all) in cost.waited.items()}}.items():
            least[what] = min(least[what], took / question)
        if least["stall"] <= STALL and max(least[probe] for probe in quiet.waited) <= WAITING:
            break
    longest = max(100.0, 1000 * STALL * quiet.ordinary())
    figure("CPU for which the loop was kept from others", 1000 * min(stalls), "ms", most=longest, row="R-05")
    figure("the same in ordinary questions", least["stall"], most=STALL, row="R-05")
    for probe in quiet.waited:
        assert least[probe] <= WAITING, f"{probe}: {least}; {quiet}, {cost}"
    figure("memory that a heap adds", (cost.rss - quiet.rss) / MEGABYTE, "MiB", most=MEMORY / MEGABYTE, row="R-28")


@pytest.mark.attack("R-28")
def test_heaps_come_to_their_end(attacked: Victim) -> None:
    """The bounds are no censorship: who sends a heap of questions and reads the answers has them all, in any order."""
    count = 5000
    with contextlib.closing(socket.create_connection((HOST, attacked.ports["tcp"]), 10)) as sock:
        sock.setblocking(False)
        data, sent, got = memoryview(b"".join(_numbered(number) for number in range(count))), 0, bytearray()
        end = time.monotonic() + 60
        numbers: set[int] = set()
        while len(numbers) < count and time.monotonic() < end:
            with contextlib.suppress(BlockingIOError):
                sent += sock.send(data[sent : sent + 65536]) if sent < len(data) else 0
            with contextlib.suppress(BlockingIOError):
                got += sock.recv(65536)
            while len(got) >= 2 and len(got) >= 2 + int.from_bytes(got[:2]):
                numbers.add(int.from_bytes(got[2:4]))
                del got[: 2 + int.from_bytes(got[:2])]
    assert numbers == set(range(count))


def _numbered(number: int) -> bytes:
    return len(QUESTION).to_bytes(2) + number.to_bytes(2) + QUESTION[2:]
