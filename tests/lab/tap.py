"""A count of DNS queries as they really leave: every packet to port 53 on the mail server's way to the internet.

The kernel puts a copy of each packet into our socket before the packet goes on, so nothing has to run beside a test:
`queries` looks at what has gathered since the last look.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address
from typing import NamedTuple, Self

import dns.exception
import dns.flags
import dns.message
import dns.rdatatype

from tests.lab.model import is_below
from tests.lab.namespace import LabError, Side
from tests.lab.rbldnsd import ListServer

_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_SO_RCVBUFFORCE = 33
_TCP, _UDP = 6, 17


class SeenQuery(NamedTuple):
    """One query as it was sent. The name is lower case, without final dot."""

    server: str
    name: str
    rdtype: str
    transport: str


class Tap:
    """Listens to what is sent to name servers; a context manager. Loopback resolvers are no name servers."""

    def __init__(self, side: Side, device: str = "lo") -> None:
        with side.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 64 << 20)
        self._socket.bind((device, _ETH_P_ALL))
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def queries(self) -> list[SeenQuery]:
        """Give the queries sent since the last look. Raises LabError where some were missed."""
        seen: list[SeenQuery] = []
        while True:
            try:
                packet, (_, _, kind, _, _) = self._socket.recvfrom(65536)
            except BlockingIOError:
                break
            # Loopback shows each packet twice: going out and coming in.
            if kind == socket.PACKET_OUTGOING and (query := _query(packet)):
                seen.append(query)
        _, missed = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        if missed:
            raise LabError(f"the tap missed {missed} packets: look more often")
        return seen

    def asked(self, zone: str) -> list[SeenQuery]:
        """Give the queries for names in a zone since the last look; the others are forgotten."""
        return [query for query in self.queries() if is_below(query.name, zone)]

    def charged(self, server: ListServer) -> list[SeenQuery]:
        """Give the queries that a list's own servers were asked since the last look: those of which a quota consists."""
        servers = {ip_address(each) for each in server.addresses}
        return [query for query in self.asked(server.details.zone) if ip_address(query.server) in servers]


def _query(packet: bytes) -> SeenQuery | None:
    """Read a DNS query out of an IP packet, or None."""
    if packet[0] >> 4 == 4:
        protocol, server, start = packet[9], packet[16:20], (packet[0] & 15) * 4
    else:
        protocol, server, start = packet[6], packet[24:40], 40
    segment = packet[start:]
    address = ip_address(server)
    if protocol not in (_TCP, _UDP) or int.from_bytes(segment[2:4]) != 53 or address.is_loopback:
        return None
    wire = segment[8:] if protocol == _UDP else segment[(segment[12] >> 4) * 4 + 2:]
    if len(wire) < 12:
        return None                                                   # a TCP segment without data
    try:
        message = dns.message.from_wire(wire, question_only=True)
    except dns.exception.DNSException:
        return None
    if message.flags & dns.flags.QR or not message.question:
        return None
    question = message.question[0]
    name = question.name.to_text(omit_final_dot=True).lower()
    return SeenQuery(str(address), name, dns.rdatatype.to_text(question.rdtype), "udp" if protocol == _UDP else "tcp")
