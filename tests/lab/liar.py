"""A responder on the way out, as hotels and providers have them: whatever server a question is meant for, he answers it.

`captive` makes a network from which every way leads to him. Run as a program: ``python -m tests.lab.liar KIND``.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from tests.lab.daemon import Daemon
from tests.lab.namespace import CLIENT_NETWORKS, MAIL_SERVER, Side, localise

OWN = "45.9.9.9"
"""The address that he gives for every name where he gives one."""

KINDS = ("denies", "denies as an authority", "his own address", "his own address, as an authority")
"""What liars there are."""

_PKTINFO = 8
"""IP_PKTINFO, which Python 3.11 has no name for."""


def captive() -> tuple[Side, Side]:
    """Make the network: the mail server's side of it, and the side beyond, on which every address of IPv4 is local."""
    for command in (
        "ip netns add captive",
        "ip netns add beyond",
        "ip -n captive link add out0 type veth peer name in0 netns beyond",
        "ip -n captive addr add 10.99.0.1/30 dev out0",
        "ip -n beyond addr add 10.99.0.2/30 dev in0",
        "ip -n captive link set lo up",
        "ip -n captive link set out0 up",
        "ip -n beyond link set lo up",
        "ip -n beyond link set in0 up",
        "ip -n captive route add default via 10.99.0.2",
        *(f"ip -n captive route add local {network} dev lo" for network in CLIENT_NETWORKS if ":" not in network),
        "ip -n beyond route add local 0.0.0.0/1 dev lo",
        "ip -n beyond route add local 128.0.0.0/1 dev lo",
    ):
        subprocess.run(command.split(), check=True)
    mail, beyond = (Side(name, Path("/run/netns") / name) for name in ("captive", "beyond"))
    localise(mail, MAIL_SERVER)
    return mail, beyond


def liar(kind: str, side: Side) -> Daemon:
    """Make the responder."""
    daemon = Daemon(f"liar {kind}", [sys.executable, "-m", "tests.lab.liar", kind], side,
                    lambda: "listening" in daemon.log_tail())
    return daemon


def answer(kind: str, wire: bytes) -> bytes:
    """What he says to a question."""
    query = dns.message.from_wire(wire)
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.RA
    if kind.endswith("as an authority"):
        reply.flags |= dns.flags.AA
    if kind.startswith("denies"):
        reply.set_rcode(dns.rcode.NXDOMAIN)
    elif query.question[0].rdtype == 1:
        reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", OWN))
    return reply.to_wire()


def _udp(kind: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, _PKTINFO, 1)
        sock.bind(("0.0.0.0", 53))
        print("listening", flush=True)
        while True:
            data, told, _, client = sock.recvmsg(4096, 200)
            meant_for = next(value[8:12] for _, which, value in told if which == _PKTINFO)
            source = (socket.IPPROTO_IP, _PKTINFO, struct.pack("=I4s4s", 0, meant_for, meant_for))
            sock.sendmsg([answer(kind, data)], [source], 0, client)


async def _tcp(kind: str) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                said = answer(kind, await reader.readexactly(int.from_bytes(await reader.readexactly(2))))
                writer.write(len(said).to_bytes(2) + said)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(client, "0.0.0.0", 53) as server:
        await server.serve_forever()


def main() -> None:
    """Answer everybody's questions."""
    threading.Thread(target=_udp, args=(sys.argv[1],), daemon=True).start()
    asyncio.run(_tcp(sys.argv[1]))


if __name__ == "__main__":
    main()
