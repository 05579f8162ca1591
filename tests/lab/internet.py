"""An internet in bad shape, in one process: packets get lost, one server in three is dead, some are far away, some answers late.

Root, one registry and the servers of `OPERATORS` stand on addresses of their own. How far away a server is and whether it is
dead is decided by its address, which answers come late by server and name: each resolver (told apart by its source address)
meets the same. Losses are drawn, at the same rate for all. What reaches the servers is counted by resolver; what got lost too.

Run as a program (`python -m tests.lab.internet LOSS FILE`) it is the servers, and writes its counts into FILE.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path

from tests.lab.daemon import Daemon, answers_dns
from tests.lab.namespace import LAB, ROOT, Side
from tests.lab.world import ROOT_SERVERS

SOURCES = {"resolverd": "45.98.1.1", "unbound": "45.98.1.2", "pdns": "45.98.1.3"}
"""Where each resolver asks from."""

LATE_SHARE = 0.02
"""Of the answers, how many come a second or two late."""

OPERATORS = 60
ZONES = 300
_TTL = 3600
_ROOTS = [address for host in ROOT_SERVERS for address in host.addresses if ":" not in address]
_GTLD = [f"45.1.9.{number}" for number in range(1, 5)]
_A, _NS, _SOA, _OPT = 1, 2, 6, 41

COUNTS = LAB / "internet-counts.json"


def _operator(number: int) -> list[str]:
    return [f"45.50.{number}.{each}" for each in (1, 2, 3)]


LOCAL = [*SOURCES.values(), *_ROOTS, *_GTLD, *(each for number in range(OPERATORS) for each in _operator(number))]
"""All addresses that the servers and resolvers stand on."""


def names(size: int, seed: int) -> list[str]:
    """Names to be asked for, each with an address; none is in the lists of two seeds."""
    rng = random.Random(seed)
    return [f"n{number}x{seed}.z{rng.randrange(ZONES)}.com" for number in range(size)]


def _chance(*parts: object) -> float:
    """A number between 0 and 1 that the parts decide."""
    return zlib.crc32(":".join(map(str, parts)).encode() * 3) / 2**32


def is_dead(address: str) -> bool:
    """One server of each operator is."""
    _, _, operator, number = map(int, address.split("."))
    return address.startswith("45.50.") and number == 1 + int(3 * _chance("dead", operator))


def rtt(address: str) -> float:
    """Seconds to a server and back: 10 to 300 ms, more of the near ones; registries are near."""
    far = 0.03 if address in _ROOTS or address in _GTLD else 0.3
    return float(0.01 * (far / 0.01) ** _chance("rtt", address))


def _wire(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def _record(name: str, rtype: int, data: bytes) -> bytes:
    return _wire(name) + struct.pack("!HHIH", rtype, 1, _TTL, len(data)) + data


def _address(name: str, address: str) -> bytes:
    return _record(name, _A, IPv4Address(address).packed)


def _referral(zone: str, servers: dict[str, str]) -> tuple[list[bytes], list[bytes]]:
    return [_record(zone, _NS, _wire(each)) for each in servers], [_address(*each) for each in servers.items()]


def _soa(zone: str) -> bytes:
    return _record(zone, _SOA, b"\0\0" + struct.pack("!IIIII", 1, 7200, 3600, 86400, 300))


def _zone_servers(zone: str) -> dict[str, str]:
    operator = _operator(int(zone[1:].partition(".")[0]) % OPERATORS)
    return {f"ns{number}.{zone}": address for number, address in enumerate(operator, 1)}


def answer(packet: bytes, server: str) -> bytes:
    """The reply of a server, when it gives any."""
    at, labels = 12, []
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode("latin-1").lower())
        at += 1 + packet[at]
    rtype = int.from_bytes(packet[at + 1 : at + 3])
    question, name = packet[12 : at + 5], ".".join(labels)
    found: list[bytes] = []
    authority: list[bytes] = []
    additional: list[bytes] = []
    aa, rcode = 4, 0
    zone = ".".join(labels[-2:])
    if server in _ROOTS:
        own = {host.name: host.addresses[0] for host in ROOT_SERVERS}
        gtld = {f"{'abcd'[number]}.gtld-servers.net": address for number, address in enumerate(_GTLD)}
        if labels[-1:] == ["com"]:
            aa, (authority, additional) = 0, _referral("com", gtld)
        elif not name and rtype == _NS:
            found, additional = _referral("", own)
        elif name in own | gtld and rtype == _A:
            found = [_address(name, (own | gtld)[name])]
        else:
            authority = [_soa("")]
    elif server in _GTLD:
        if len(labels) < 2:
            found = _referral("com", {})[0]
            authority = [_soa("com")]
        else:
            aa, (authority, additional) = 0, _referral(zone, _zone_servers(zone))
    elif name in _zone_servers(zone) and rtype == _A:
        found = [_address(name, _zone_servers(zone)[name])]
    elif name == zone and rtype == _NS:
        found, additional = _referral(zone, _zone_servers(zone))
    elif len(labels) == 3 and labels[0].startswith("n") and rtype == _A:
        found = [_address(name, f"45.20.{zlib.crc32(name.encode()) % 250}.1")]
    else:
        authority, rcode = [_soa(zone)], 0 if len(labels) <= 3 else 3
    opt = [b"\0" + struct.pack("!HHIH", _OPT, 1232, 0, 0)] if packet[10:12] != b"\0\0" else []
    counts = struct.pack("!HHHH", 1, len(found), len(authority), len(additional) + len(opt))
    head = packet[:2] + bytes((0x80 | aa | packet[2] & 1, rcode)) + counts
    return head + question + b"".join((*found, *authority, *additional, *opt))


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: str, loss: float, seen: Counter[str]) -> None:
        self._server = server
        self._loss = loss
        self._seen = seen
        self._dead = is_dead(server)
        self._rtt = rtt(server)
        self._rng = random.Random(server)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self._seen[address[0]] += 1
        if self._dead or self._rng.random() < self._loss:
            return
        reply = answer(data, self._server)
        late = _chance("late", self._server, reply[12:80].lower())
        wait = self._rtt + (1 + late / LATE_SHARE if late < LATE_SHARE else 0)
        asyncio.get_running_loop().call_later(wait, self._transport.sendto, reply, address)


def _write(file: Path, seen: Counter[str]) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps({name: seen[source] for name, source in SOURCES.items()}))
    fresh.replace(file)


async def _serve(loss: float, file: Path) -> None:
    loop = asyncio.get_running_loop()
    seen: Counter[str] = Counter()
    for address in LOCAL[len(SOURCES) :]:
        await loop.create_datagram_endpoint(
            lambda address=address: _Datagrams(address, loss, seen), local_addr=(address, 53))  # type: ignore[misc]

        async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str = address) -> None:
            try:
                while not is_dead(address):
                    packet = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                    seen[writer.get_extra_info("peername")[0]] += 1
                    await asyncio.sleep(rtt(address))
                    reply = answer(packet, address)
                    writer.write(len(reply).to_bytes(2) + reply)
            except (asyncio.IncompleteReadError, ConnectionError):
                pass

        await asyncio.start_server(stream, address, 53, backlog=1000)
    while True:
        _write(file, seen)
        await asyncio.sleep(0.2)


def internet(side: Side, loss: float) -> Daemon:
    """Make the servers' process."""
    argv: Sequence[str] = [sys.executable, "-m", "tests.lab.internet", str(loss), str(COUNTS)]
    return Daemon("internet", argv, side, lambda: answers_dns(side, _ROOTS[0], "com"), {"PYTHONPATH": str(ROOT)})


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]), Path(sys.argv[2])))
