"""The server that spoils answers: it stands on the addresses of the zones' servers, with NSD behind it.

Run as a program: ``python -m tests.lab.signed.mutator BEHIND ADDRESS…``.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Sequence
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype

from tests.lab.daemon import Daemon
from tests.lab.namespace import Side
from tests.lab.signed.mutations import TEMPLATES, TLD, mutate, mutations, number_of


def mutator(behind: str, addresses: Sequence[str], side: Side) -> Daemon:
    """Make the server."""
    argv = [sys.executable, "-m", "tests.lab.signed.mutator", behind, *addresses]
    made = Daemon("mutator", argv, side, lambda: "listening" in made.log_tail())
    return made


class Behind:
    """NSD behind, asked over UDP with room for everything."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((address, 53))
        self.socket.settimeout(2)

    def ask(self, query: bytes) -> bytes:
        """Hand a question on as it is. Raises OSError."""
        self.socket.send(query)
        while True:
            said = self.socket.recv(65535)
            if said[:2] == query[:2]:
                return said

    def donor(self, zone: dns.name.Name) -> bytes:
        """Give another denial of a zone."""
        name = dns.name.from_text("zzz-nobody", zone)
        return self.ask(dns.message.make_query(name, "A", want_dnssec=True, payload=4096).to_wire())


def answer(query: bytes, behind: Behind) -> bytes:
    """What is said to a question: what NSD says, spoilt where that is a case's target."""
    said = behind.ask(query)
    message = dns.message.from_wire(query)
    name, rdtype = message.question[0].name, message.question[0].rdtype
    case = number_of(name)
    if case is None:
        return said
    template, number, zone = case
    relative, target_type = TEMPLATES[template].spoilt
    target = dns.name.from_text(relative, zone)
    if TEMPLATES[template].child.endswith("away"):
        reply = dns.message.from_wire(said)
        hit = name.is_subdomain(target) and any(
            each.rdtype == dns.rdatatype.NS and each.name == target for each in reply.authority
        )
    else:
        hit = name == target and dns.rdatatype.to_text(rdtype) == target_type
    return mutate(said, behind.donor(zone), number) if hit else said


class Answers:
    """What was said once is said again: resolvers ask many times for what they don't believe."""

    def __init__(self, behind: Behind) -> None:
        self.behind = behind
        self.known: dict[bytes, bytes] = {}

    def to(self, query: bytes) -> bytes:
        """Give the answer to a question, its ID and letters as they were asked. Raises OSError, DNSException."""
        end = query.index(b"\0", 12) + 5
        key = query[2:].lower()
        said = self.known.get(key)
        if said is None:
            said = self.known[key] = answer(query, self.behind)
        return query[:2] + said[2:12] + query[12:end] + said[end:]


def labels(behind: Behind, template: str, number: int) -> list[str]:
    """Give the words for each mutation of the answer in the zone of one case."""
    zone = dns.name.from_text(f"{template}-{number}.{TLD}")
    relative, rdtype = TEMPLATES[template].spoilt
    query = dns.message.make_query(dns.name.from_text(relative, zone), rdtype, want_dnssec=True, payload=4096)
    said = dns.message.from_wire(behind.ask(query.to_wire()))
    return [label for label, _ in mutations(said, dns.message.from_wire(behind.donor(zone)))]


class _Front(asyncio.DatagramProtocol):
    def __init__(self, answers: Answers) -> None:
        self.answers = answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, client: tuple[str, int]) -> None:
        try:
            said = self.answers.to(data)
        except (OSError, dns.exception.DNSException) as error:
            print(f"{type(error).__name__}: {error}", flush=True)
            return
        if len(said) > 1232:
            short = dns.message.make_response(dns.message.from_wire(data))
            short.flags |= dns.flags.TC | dns.flags.AA
            said = short.to_wire()
        self.transport.sendto(said, client)


async def _serve(answers: Answers, addresses: Sequence[str]) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                query = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                said = answers.to(query)
                writer.write(len(said).to_bytes(2) + said)
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    loop = asyncio.get_running_loop()
    for address in addresses:
        await loop.create_datagram_endpoint(lambda: _Front(answers), local_addr=(address, 53))
        await asyncio.start_server(client, address, 53)
    print("listening", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Answers(Behind(sys.argv[1])), sys.argv[2:]))
