"""Answers that came in fragments, over a loopback of its own with an MTU as networks have it.

Of a datagram's fragments only the first has the ports, the ID and the question in it. Whoever can guess the 16 bits by which
fragments find each other (RFC 791 §3.2) may plant the others beforehand, without having seen any question of ours. Within
the size that we announce the way is short of fragments (RFC 9715); what is longer is taken in one piece only.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import subprocess
import sys

import dns.message
import dns.rrset
import pytest

from resolverd.wire import codes
from resolverd.wire.ask import Ask, Server, Transport
from resolverd.wire.names import from_text
from tests.networks import Awaited

_MTU = 1500
_SIZES = {"::1": (1200, 1400, 1600, 4000), "127.0.0.1": (1200, 1472, 1473, 4000)}
_NO_DISCOVERY = (socket.IPPROTO_IP, 10, 0)


def served(size: int, query: bytes) -> bytes:
    """An answer of that many octets."""
    reply = dns.message.make_response(dns.message.from_wire(query))
    reply.answer.append(dns.rrset.from_text(reply.question[0].name, 60, "IN", "A", "193.0.0.1"))
    filler = size - len(reply.to_wire()) - 12
    reply.answer.append(dns.rrset.from_text(reply.question[0].name, 60, "IN", "TYPE65280", f"\\# {filler} " + "78" * filler))
    wire = reply.to_wire(max_size=65535)
    assert len(wire) == size
    return wire


async def asked(host: str, size: int) -> str:
    """What comes of a question to a server on `host` whose answer has `size` octets."""
    version = ipaddress.ip_address(host).version
    with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.bind((host, 0))
        server.setblocking(False)
        if version == 4:
            server.setsockopt(*_NO_DISCOVERY)

        def serve() -> None:
            query, client = server.recvfrom(4096)
            server.sendto(served(size, query), client)

        asyncio.get_running_loop().add_reader(server.fileno(), serve)
        ask = Ask(Server(ipaddress.ip_address(host), server.getsockname()[1]), from_text("www.example"), codes.A,
                  Transport.UDP, 1.0, random_case=True)
        reply = await Awaited().exchange(ask)
        asyncio.get_running_loop().remove_reader(server.fileno())
        return reply.failed.name if reply.failed else f"{len(reply.message.answer)} RRsets" if reply.message else ""


@pytest.mark.attack("R-24")
@pytest.mark.parametrize("host", _SIZES)
def test_what_is_longer_than_announced_is_taken_in_one_piece_only(host: str) -> None:
    there = f"ip link set lo up mtu {_MTU} && exec {sys.executable} -m tests.real.test_fragments {host}"
    argv = ["unshare", "-n", "sh", "-c", there]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == ["2 RRsets", "2 RRsets", "SPOOFED", "SPOOFED"]




if __name__ == "__main__":
    for each in _SIZES[sys.argv[1]]:
        print(asyncio.run(asked(sys.argv[1], each)))
