"""Datagrams received and sent in batches: what a batch is, and one through Python's sockets, a system call a datagram.

`mmsg` is the other kind, a system call a batch; `udp.open_batch` chooses.
"""

import logging
import socket
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from resolverd import bounds

log = logging.getLogger(__name__)

DATAGRAM = 4096
"""Octets kept of a datagram: what a longer one has behind them is no part of its question."""
IP_PKTINFO = 8
INTERFACE = {socket.AF_INET: 0, socket.AF_INET6: 16}
"""Where the interface's index stands in the control data that tell the address that was asked."""
_ANCILLARY = 128


class Batch(Protocol):
    """The datagrams received last, each in its slot, until the next are received.

    On a socket on all addresses, replies are sent from the address that was asked; by which interface, routing decides, and not
    that which the question came by (RFC 3542 §6.7). A link-local address is one of its interface, which is left to it.
    """

    def receive(self) -> Iterable[tuple[int, bytes, bytes]]:
        """What has come, at most `bounds.UDP_BATCH`: the slot, the octets of the client's address, the octets behind the ID."""
        ...

    def packet(self, slot: int) -> bytes:
        """The whole datagram."""
        ...

    def client(self, slot: int) -> Any:
        """Who sent it, as `socket.sendto` takes it."""
        ...

    def source(self, slot: int) -> list[Any] | None:
        """The address that was asked, as ancillary data for `socket.sendmsg`; None for a socket on that one address."""
        ...

    def send(self, replies: Sequence[bytes | bytearray | None]) -> None:
        """Send replies to the first slots in turn, each given without its ID; None: nothing is sent to that one.

        Each is of `DATAGRAM` octets at most. Never raises OSError.
        """
        ...


class SocketBatch:
    """One system call a datagram."""

    def __init__(self, sock: socket.socket, wildcard: bool):
        self._sock = sock
        self._wildcard = wildcard
        self._packets: list[bytes] = []
        self._clients: list[Any] = []
        self._sources: list[list[Any]] = []

    def receive(self) -> Iterable[tuple[int, bytes, bytes]]:
        """As `Batch`."""
        self._packets, self._clients, self._sources = [], [], []
        try:
            for _ in range(bounds.UDP_BATCH):
                if self._wildcard:
                    packet, source, _, client = self._sock.recvmsg(DATAGRAM, _ANCILLARY)
                    self._sources.append(source)
                else:
                    packet, client = self._sock.recvfrom(DATAGRAM)
                self._packets.append(packet)
                self._clients.append(client)
        except OSError as error:
            tell(error)
        family = self._sock.family
        for slot, (packet, client) in enumerate(zip(self._packets, self._clients, strict=True)):
            yield slot, socket.inet_pton(family, client[0].partition("%")[0]), packet[2:]

    def packet(self, slot: int) -> bytes:
        """As `Batch`."""
        return self._packets[slot]

    def client(self, slot: int) -> Any:
        """As `Batch`."""
        return self._clients[slot]

    def source(self, slot: int) -> list[Any] | None:
        """As `Batch`."""
        if not self._wildcard:
            return None
        at = INTERFACE[self._sock.family]
        return [
            (level, kind, info if at and is_link_local(info) else info[:at] + bytes(4) + info[at + 4 :])
            for level, kind, info in self._sources[slot]
        ]

    def send(self, replies: Sequence[bytes | bytearray | None]) -> None:
        """As `Batch`."""
        for slot, reply in enumerate(replies):
            if reply is not None:
                send(self._sock, self._packets[slot][:2] + reply, self._clients[slot], self.source(slot))


def is_link_local(address: bytes | bytearray) -> bool:
    """Whether that is how a link-local IPv6 address begins (fe80::/10, RFC 4291 §2.5.6)."""
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80


def send(sock: socket.socket, reply: bytes, client: Any, source: list[Any] | None) -> None:
    """Send one reply, whole. Never raises OSError."""
    try:
        if source is None:
            sock.sendto(reply, client)
        else:
            sock.sendmsg([reply], source, 0, client)
    except OSError as error:
        tell(error)


def tell(error: OSError) -> None:
    """Nothing more to read, a reply that cannot be sent, or a full send buffer: the client will ask again."""
    if not isinstance(error, (BlockingIOError, InterruptedError)):
        log.debug("udp: %s", error)
