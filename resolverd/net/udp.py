"""Sockets: one for each UDP question, all of them in one epoll set, which is all that the event loop knows of them.

A reader of the loop's for each, and its coroutine, cost as much as the system calls, and nothing is waited for as often.
"""

import asyncio
import errno
import secrets
import select
import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from resolverd import bounds
from resolverd.wire.ask import Server
from resolverd.wire.names import Address

LOCAL_ERRORS: Final = (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.EACCES, errno.EPERM)
"""Errors that are ours, not the server's."""
_PACKET = 65535
_FRAGMENTS = 64
"""Room for what the kernel tells of fragments, where it has been asked to."""
_IP_MTU_DISCOVER = 10
_IP_PMTUDISC_DO = 2
_RECEIVE_FRAGMENT_SIZE = {4: (socket.IPPROTO_IP, 25), 6: (socket.IPPROTO_IPV6, 77)}
"""The socket option with which the kernel tells of a datagram that came in fragments."""
_PORT_TRIES = 8
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_ANY = {4: str(IPv4Address(0)), 6: str(IPv6Address(0))}


class UdpSocket(socket.socket):
    """Connected to a server, on a fresh random port. Raises OSError."""

    __slots__ = ("_tells_of_fragments",)

    def __init__(self, server: Server, source: Address | None):
        address = server.address
        version = address.version
        super().__init__(_FAMILY[version], socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            if version == 4:
                # Our own questions are never fragmented.
                self.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO)
            self._bind_random(str(source) if source else _ANY[version])
            try:
                self.setsockopt(*_RECEIVE_FRAGMENT_SIZE[version], 1)
                self._tells_of_fragments = True
            except OSError:  # Linux before 4.10
                self._tells_of_fragments = False
            self.connect((socket.inet_ntop(_FAMILY[version], address.packed), server.port))
        except BaseException:
            self.close()
            raise

    def receive(self) -> tuple[bytes, bool] | None:
        """A packet, and whether it is known to have come in one piece; None if there is none. Raises OSError as ICMP has it."""
        try:
            data, fragments, _, _ = self.recvmsg(_PACKET, _FRAGMENTS)
        except (BlockingIOError, InterruptedError):
            return None
        return data, self._tells_of_fragments and not fragments

    def _bind_random(self, source: str) -> None:
        # The kernel's own choice comes from about 28,000 ports; this is from 64,511.
        for _ in range(_PORT_TRIES):
            try:
                self.bind((source, 1024 + secrets.randbelow(65536 - 1024)))
                return
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
        self.bind((source, 0))


class Receiver:
    """Calls the readers of sockets that something has come to, some in a turn of the loop. Belongs to one loop."""

    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        self._readers: dict[int, Callable[[], object]] = {}

    def add(self, sock: socket.socket, reader: Callable[[], object]) -> None:
        """Call `reader` whenever there is something to read."""
        if self._epoll is None:
            self._epoll = select.epoll()
            asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._read)
        self._readers[sock.fileno()] = reader
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def remove(self, sock: socket.socket) -> None:
        """Call it no more; the socket is about to be closed, with which the kernel takes it out of the set."""
        self._readers.pop(sock.fileno(), None)

    def close(self) -> None:
        """Call nobody any more."""
        if self._epoll is not None:
            asyncio.get_running_loop().remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None
        self._readers.clear()

    def _read(self) -> None:
        if self._epoll is None:
            return
        for fileno, _ in self._epoll.poll(0, bounds.UDP_BATCH):
            reader = self._readers.get(fileno)
            if reader is not None:
                reader()


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
