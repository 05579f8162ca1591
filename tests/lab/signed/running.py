"""The signed internet, running: NSD everywhere, validators asked of it, and what they said."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self

import dns.flags
import dns.message
from dns.rdtypes.ANY.DS import DS

from tests.lab import namespace
from tests.lab.daemon import Daemon
from tests.lab.namespace import LAB, LabError, Side, localise
from tests.lab.nsd import nsd
from tests.lab.resolverd import CONFIG, resolverd
from tests.lab.signed.mutations import TEMPLATES
from tests.lab.signed.mutator import Behind, labels, mutator
from tests.lab.signed.questions import Asked
from tests.lab.signed.world import MUTATOR, Internet
from tests.lab.unbound import unbound

OURS, THEIRS, BEHIND, NSD_BEHIND = "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"
"""resolverd; Unbound; an Unbound that asks resolverd alone; the NSD behind the mutator."""

ANCHOR = LAB / "root.anchor"

PATIENCE = 5.0
"""Seconds after which a question is asked again, over two turns; as libc does."""

AT_ONCE = 24
"""Zones asked at once."""

LIKE_OURS = [
    "  aggressive-nsec: yes",  # RFC 8198; ours by default
    "  harden-below-nxdomain: yes",  # RFC 8020; the default of both
    "  qname-minimisation: yes",  # the default of both
    "  val-clean-additional: yes",  # the default
    "  harden-dnssec-stripped: yes",  # the default: an anchor whose zone is not signed is bogus, not insecure
    "  trust-anchor-signaling: no",  # a query of its own that nobody compares
    "  root-key-sentinel: yes",  # RFC 8509; ours by default
    "  ede: yes",
    "  log-servfail: yes",
]
"""What makes Unbound a validator such as ours is, each with its reason."""


class SignedLab:
    """The signed internet's servers, started; a context manager."""

    def __init__(self, internet: Internet) -> None:
        if not namespace.inside():
            raise LabError("not inside a lab's namespaces: python -m tests.lab enter -- COMMAND")
        self.side = Side("mail")
        self.internet = internet
        world = internet.world
        localise(self.side, world.local_addresses())
        programs, root = internet.files()
        write_anchor(root)
        self.servers = [
            nsd(program, world.addresses(program), zones, self.side) for program, zones in programs.items() if program != MUTATOR
        ]
        if MUTATOR in programs:
            self.servers += [
                nsd("behind", [NSD_BEHIND], programs[MUTATOR], self.side),
                mutator(NSD_BEHIND, world.addresses(MUTATOR), self.side),
            ]

    def __enter__(self) -> Self:
        try:
            for server in self.servers:
                server.launch()
            for server in self.servers:
                server.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for server in reversed(self.servers):
            server.stop()

    def labels(self) -> list[str]:
        """Give the words for what is spoilt, case by case. Raises LabError where a mutation has no case."""
        behind, found = Behind(NSD_BEHIND), []
        for name, template in TEMPLATES.items():
            for number in range(template.cases):
                words = labels(behind, name, number)
                if len(words) > template.cases:
                    raise LabError(f"{name} {number}: {len(words)} mutations, and {template.cases} cases in mutations.TEMPLATES")
                found.append(words[number] if number < len(words) else words[0])
        return found


def write_anchor(records: Sequence[DS]) -> None:
    """Write what both validators start from."""
    ANCHOR.write_text("".join(f". IN DS {record}\n" for record in records))


def ours(side: Side, more: str = "") -> Daemon:
    """Make a resolverd that validates from the lab's root, and is a resolver only."""
    config = CONFIG.replace('trust_anchors = "/dev/null"', f'trust_anchors = "{ANCHOR}"')
    return resolverd(side, f"{config}{more}\n[dnsbl]\nenabled = false\n")


def theirs(side: Side, address: str = THEIRS, more: Sequence[str] = ()) -> Daemon:
    """Make an Unbound that validates from the lab's root."""
    return unbound(address, side, anchors=ANCHOR, more=[*LIKE_OURS, *more])


def behind_ours(side: Side) -> Daemon:
    """Make an Unbound that validates, and has everything from resolverd (RFC 4035 §3.2: what a validating client needs)."""
    return theirs(side, BEHIND, ["  do-not-query-localhost: no", "forward-zone:", "  name: .", f"  forward-addr: {OURS}"])


@contextmanager
def running(*daemons: Daemon) -> Iterator[None]:
    """Have validators run, side by side."""
    try:
        for daemon in daemons:
            daemon.launch()
        for daemon in daemons:
            daemon.wait()
        yield
    finally:
        for daemon in daemons:
            daemon.stop()


class _Client(asyncio.DatagramProtocol):
    """Asks one resolver over one socket; answers are told apart by their IDs."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, asyncio.Future[bytes]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)

    def datagram_received(self, data: bytes, _: object) -> None:
        future = self.waiting.get(data[:2])
        if future is not None and not future.done():
            future.set_result(data)

    async def ask(self, query: bytes) -> bytes:
        """Give the answer; empty after all patience."""
        future = self.waiting[query[:2]] = asyncio.get_running_loop().create_future()
        try:
            for _ in range(2):
                self.transport.sendto(query)
                try:
                    return await asyncio.wait_for(asyncio.shield(future), PATIENCE)
                except TimeoutError:
                    continue
            return b""
        finally:
            del self.waiting[query[:2]]


def query(asked: Asked, dnssec: bool, ident: int = 0) -> dns.message.Message:
    """Write a question; `dnssec` sets DO (RFC 3225)."""
    message = dns.message.make_query(asked.name, asked.rdtype, want_dnssec=dnssec, use_edns=0, payload=4096, id=ident)
    if asked.checking_disabled:
        message.flags |= dns.flags.CD
    # What is compared is AD: whoever does not set DO asks for it by AD (RFC 6840 §5.7).
    message.flags |= dns.flags.AD
    return message


async def ask_all(address: str, asked: Sequence[Asked], dnssec: bool) -> list[bytes]:
    """Ask a resolver everything, over TCP too where UDP is too small; the answers as they came.

    Zones side by side, the questions of one zone one after another: what a resolver knows by then does not depend on chance.
    """
    loop = asyncio.get_running_loop()
    _, client = await loop.create_datagram_endpoint(_Client, remote_addr=(address, 53))
    turns = asyncio.Semaphore(AT_ONCE)
    lines: dict[tuple[str, ...], list[int]] = {}
    for number, each in enumerate(asked):
        lines.setdefault(tuple(each.name.split(".")[-3:]), []).append(number)
    answers = [b""] * len(asked)

    async def line(numbers: Sequence[int]) -> None:
        async with turns:
            for number in numbers:
                octets = query(asked[number], dnssec, number & 0xFFFF).to_wire()
                said = await client.ask(octets)
                answers[number] = await _over_tcp(address, octets) if said[2:3] and said[2] & 2 else said

    try:
        await asyncio.gather(*map(line, lines.values()))
    finally:
        client.transport.close()
    return answers


async def _over_tcp(address: str, octets: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(address, 53)
    try:
        writer.write(len(octets).to_bytes(2) + octets)
        async with asyncio.timeout(PATIENCE):
            return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
    except (TimeoutError, asyncio.IncompleteReadError):
        return b""
    finally:
        writer.close()


def gather(addresses: Mapping[str, str], asked: Sequence[Asked], dnssec: bool) -> dict[str, list[bytes]]:
    """Ask several resolvers at once."""

    async def all_of_them() -> dict[str, list[bytes]]:
        said = await asyncio.gather(*(ask_all(address, asked, dnssec) for address in addresses.values()))
        return dict(zip(addresses, said, strict=True))

    return asyncio.run(all_of_them())
