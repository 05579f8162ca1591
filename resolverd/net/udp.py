"""Sockets: one for each UDP question, all of them in one epoll set, which is all that the event loop knows of them.

A reader of the loop's for each, and its coroutine, cost as much as the system calls, and nothing is waited for as often.
"""

import asyncio
import errno
import os
import random
import select
import socket
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from time import monotonic, thread_time
from typing import Final

from resolverd import bounds
from resolverd.wire.ask import Server
from resolverd.wire.names import Address

LOCAL_ERRORS: Final = (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.EACCES, errno.EPERM)
"""Errors that are ours, not the server's."""
_POOL = 1024
"""Octets of randomness fetched at once."""
_PACKET = 65535
_FRAGMENTS = 64
"""Room for what the kernel tells of fragments, where it has been asked to."""
_RECEIVE_FRAGMENT_SIZE = {4: (socket.IPPROTO_IP, 25), 6: (socket.IPPROTO_IPV6, 77)}
"""The socket option with which the kernel tells of a datagram that came in fragments."""
_READY = 16
"""Sockets asked for at once; a system call more for each further that many."""
_PORT_TRIES = 8
_LOWEST_PORT = 1024
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_ANY = {4: str(IPv4Address(0)), 6: str(IPv6Address(0))}


class BufferedRandom(random.SystemRandom):
    """The system's randomness, fetched a page at a time: a system call for every ID, port, name and shuffle is dear."""

    def __init__(self) -> None:
        super().__init__()
        self._pool = b""
        self._taken = 0

    def octets(self, count: int) -> bytes:
        """So many random octets."""
        begin, end = self._taken, self._taken + count
        if end > len(self._pool):
            self._pool = os.urandom(max(_POOL, count))
            begin, end = 0, count
        self._taken = end
        return self._pool[begin:end]

    def getrandbits(self, k: int, /) -> int:
        """An integer of `k` random bits."""
        count = (k + 7) // 8
        return int.from_bytes(self.octets(count)) >> (count * 8 - k)


@lru_cache(maxsize=bounds.MAX_SERVERS)
def _peer(server: Server, source: Address | None) -> tuple[int, tuple[str, int], str, tuple[int, int]]:
    """What a socket towards a server is made by: family, whom to connect to, address to bind to, option that tells of fragments.

    Our own questions are shorter than the smallest MTU that Linux takes anybody's word for (`min_pmtu`, 552): never fragmented.
    """
    address = server.address
    version = address.version
    family = _FAMILY[version]
    host = socket.inet_ntop(family, address.packed)
    return family, (host, server.port), str(source) if source else _ANY[version], _RECEIVE_FRAGMENT_SIZE[version]


class UdpSocket:
    """A socket connected to a server, on a fresh random port. Raises OSError."""

    __slots__ = ("_sock", "_tells_of_fragments", "close", "fileno", "send")

    def __init__(self, server: Server, source: Address | None, rng: BufferedRandom):
        family, to, bound_to, tells = _peer(server, source)
        # The plain type: each question makes one and closes it, and the standard library's costs a quarter more.
        sock = self._sock = socket.SocketType(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.send = sock.send
        self.fileno = sock.fileno()
        self.close = sock.close  # with which the kernel takes it out of every epoll set
        try:
            _bind_random(sock, bound_to, rng)
            try:
                sock.setsockopt(*tells, 1)
                self._tells_of_fragments = True
            except OSError:  # Linux before 4.10
                self._tells_of_fragments = False
            sock.connect(to)
        except BaseException:
            sock.close()
            raise

    def receive(self) -> tuple[bytes, bool] | None:
        """A packet, and whether it is known to have come in one piece; None if there is none. Raises OSError as ICMP has it."""
        try:
            data, fragments, _, _ = self._sock.recvmsg(_PACKET, _FRAGMENTS)
        except (BlockingIOError, InterruptedError):
            return None
        return data, self._tells_of_fragments and not fragments


class Receiver:
    """Calls the readers of sockets that something has come to, some in a turn of the loop. Belongs to one loop.

    A reader is called with the time (monotonic seconds).
    """

    def __init__(self, spent: Callable[[], float] = thread_time) -> None:
        """`spent`: the seconds of processor time that the event loop's thread has had."""
        self._spent = spent
        self._epoll: select.epoll | None = None
        self._readers: dict[int, Callable[[float], object]] = {}

    def add(self, fileno: int, reader: Callable[[float], object]) -> None:
        """Call `reader` whenever there is something to read."""
        if self._epoll is None:
            self._epoll = select.epoll()
            asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._read)
        self._readers[fileno] = reader
        self._epoll.register(fileno, select.EPOLLIN)

    def remove(self, fileno: int) -> None:
        """Call it no more; the socket is about to be closed."""
        self._readers.pop(fileno, None)

    def close(self) -> None:
        """Call nobody any more."""
        if self._epoll is not None:
            asyncio.get_running_loop().remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None
        self._readers.clear()

    def _read(self) -> None:
        now, get, end = monotonic(), self._readers.get, self._spent() + bounds.UPSTREAM_TURN
        while self._epoll is not None:
            ready = self._epoll.poll(0, _READY)
            for fileno, _ in ready:
                reader = get(fileno)
                if reader is not None:
                    reader(now)
            if len(ready) < _READY or self._spent() >= end:
                return


def tcp_socket(address: Address, source: Address | None) -> socket.socket:
    """A TCP socket towards that address, bound as configured, not connected. Raises OSError."""
    sock = socket.socket(_FAMILY[address.version], socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if source is not None:
            sock.bind((str(source), 0))
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_random(sock: socket.SocketType, source: str, rng: BufferedRandom) -> None:
    # The kernel's own choice comes from about 28,000 ports; this is from 64,512.
    for _ in range(_PORT_TRIES):
        port = int.from_bytes(rng.octets(2))
        while port < _LOWEST_PORT:
            port = int.from_bytes(rng.octets(2))
        try:
            sock.bind((source, port))
            return
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
    sock.bind((source, 0))
