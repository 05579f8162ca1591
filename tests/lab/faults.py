"""Name servers with faults that no real server can be configured to have: each a proxy that spoils what a real NSD says.

One process stands on many addresses, each with one fault. It hands a question on to the NSD behind it and spoils the answer,
or leaves the NSD alone where the fault is not to know anything. Run as a program: `python -m tests.lab.faults FILE`, where
FILE has lines of address, zone and fault.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.lab.daemon import Daemon, fresh
from tests.lab.namespace import Side

BEHIND = "45.99.0.1"
"""Where the NSD behind the faulty servers listens; no zone names it."""

SLOW = 0.25
"""Seconds that a slow server takes."""

_QR, _AA, _TC, _RA = 0x80, 0x04, 0x02, 0x80


class Question(NamedTuple):
    """A question as it came to a faulty server."""

    wire: bytes
    zone: str
    server: str
    tcp: bool

    @property
    def end(self) -> int:
        """Where the question section ends."""
        at = 12
        while self.wire[at]:
            at += 1 + self.wire[at]
        return at + 5

    @property
    def rdtype(self) -> int:
        """The type asked for."""
        return int.from_bytes(self.wire[self.end - 4 : self.end - 2])

    @property
    def has_edns(self) -> bool:
        """Whether it came with an OPT record: the only thing that resolvers put behind a question."""
        return self.wire[10:12] != b"\0\0"

    def bare(self, rcode: int = 0, flags: int = 0) -> bytes:
        """An answer with nothing in it."""
        return self.wire[:2] + bytes((_QR | flags | self.wire[2] & 1, rcode)) + b"\0\1\0\0\0\0\0\0" + self.wire[12 : self.end]

    def truth(self, wire: bytes = b"") -> bytes:
        """What NSD says (to `wire`, or to the question as it came)."""
        kind = socket.SOCK_STREAM if self.tcp else socket.SOCK_DGRAM
        with socket.socket(socket.AF_INET, kind) as sock:
            sock.settimeout(2)
            sock.connect((BEHIND, 53))
            if not self.tcp:
                sock.send(wire or self.wire)
                return sock.recv(65535)
            dns.query.send_tcp(sock, wire or self.wire)
            with sock.makefile("rb") as stream:
                return stream.read(int.from_bytes(stream.read(2)))

    def message(self) -> dns.message.Message:
        """What NSD says, to be spoilt."""
        return dns.message.from_wire(self.truth())

    def referral(self, zone: str, server: str, address: str) -> bytes:
        """A referral to `zone`."""
        message = dns.message.make_response(dns.message.from_wire(self.wire))
        message.authority.append(dns.rrset.from_text(zone, 3600, "IN", "NS", server))
        message.additional.append(dns.rrset.from_text(server, 3600, "IN", "A", address))
        return message.to_wire()


Fault = Callable[[Question], bytes | None]
"""What a faulty server answers: None for nothing."""


def _error(rcode: int) -> Fault:
    return lambda question: question.bare(rcode)


def _edns(spoil: Fault) -> Fault:
    return lambda question: spoil(question) if question.has_edns else question.truth()


def _for_type(rdtype: int, spoil: Fault) -> Fault:
    return lambda question: spoil(question) if question.rdtype == rdtype else question.truth()


def _udp(spoil: Fault) -> Fault:
    return lambda question: question.truth() if question.tcp else spoil(question)


def _flags(clear: int, ra: int) -> Fault:
    def spoil(question: Question) -> bytes:
        wire = question.truth()
        return wire[:2] + bytes((wire[2] & ~clear, wire[3] | ra)) + wire[4:]

    return spoil


def _letters(change: Callable[[bytes], bytes]) -> Fault:
    def spoil(question: Question) -> bytes:
        wire = question.truth()
        return wire[:12] + change(wire[12 : question.end - 4]) + wire[question.end - 4 :]

    return spoil


def _message(spoil: Callable[[dns.message.Message, Question], object]) -> Fault:
    def answer(question: Question) -> bytes:
        message = question.message()
        spoil(message, question)
        return message.to_wire(max_size=65535)

    return answer


def _badvers(question: Question) -> bytes:
    return question.bare()[:10] + b"\0\1" + question.bare()[12:] + struct.pack("!BHHBBHH", 0, 41, 1232, 1, 0, 0, 0)


def _without_edns(question: Question) -> bytes:
    return question.truth(question.wire[:10] + b"\0\0" + question.wire[12 : question.end])


def _other_owner(message: dns.message.Message, question: Question) -> None:
    """Answer for a name that nobody asked for; deny by another zone's SOA."""
    message.answer = [_renamed(each, "www.somebody-else.com.") for each in message.answer]
    message.authority = [_renamed(each, "somebody-else.com.") for each in message.authority]


def _soa_of(owner: Callable[[Question], str]) -> Fault:
    def spoil(message: dns.message.Message, question: Question) -> None:
        message.authority = [
            _renamed(each, owner(question)) if each.rdtype == dns.rdatatype.SOA else each for each in message.authority
        ]

    return _message(spoil)


def _no_soa(message: dns.message.Message, _: Question) -> None:
    message.authority = [each for each in message.authority if each.rdtype != dns.rdatatype.SOA]


def _deny_empty(message: dns.message.Message, _: Question) -> None:
    """Deny a name that has no records itself but names below it, as rbldnsd does."""
    if message.rcode() == dns.rcode.NOERROR and not message.answer:
        message.set_rcode(dns.rcode.NXDOMAIN)


def _twice(message: dns.message.Message, _: Question) -> None:
    message.answer += message.answer


def _in_answer(message: dns.message.Message, _: Question) -> None:
    message.answer += [dns.rrset.from_text("www.bystander.com.", 86400, "IN", "A", "45.66.6.6")]


def _in_authority(message: dns.message.Message, question: Question) -> None:
    message.authority += [dns.rrset.from_text(name, 86400, "IN", "NS", "ns1.takeover.net.") for name in (
        f"{question.zone.partition('.')[2]}.", "bystander.com.")]
    message.additional += [dns.rrset.from_text("ns1.takeover.net.", 86400, "IN", "A", "45.66.6.6")]


def _in_additional(message: dns.message.Message, _: Question) -> None:
    message.additional += [dns.rrset.from_text(name, 86400, "IN", "A", "45.66.6.6") for name in (
        "www.bystander.com.", "ns1.east-hosting.net.", "a.gtld-servers.net.")]


def _two_aliases(message: dns.message.Message, question: Question) -> None:
    # At most one record of an RRset each, so that both aliases are really there.
    message.answer += [
        dns.rrset.from_text(each.name, each.ttl, "IN", "CNAME", f"mx.{question.zone}.")
        for each in message.answer if each.rdtype == dns.rdatatype.CNAME
    ]


def _denied_answer(message: dns.message.Message, _: Question) -> None:
    message.set_rcode(dns.rcode.NXDOMAIN)


def _other_type(message: dns.message.Message, _: Question) -> None:
    message.answer = [dns.rrset.from_text(each.name, 300, "IN", "HINFO", '"other" "type"') for each in message.answer]


def _no_question(message: dns.message.Message, _: Question) -> None:
    message.question = []


def _renamed(rrset: dns.rrset.RRset, owner: str) -> dns.rrset.RRset:
    out = dns.rrset.RRset(dns.name.from_text(owner), rrset.rdclass, rrset.rdtype)
    out.update(rrset)
    return out


FAULTS: dict[str, Fault] = {
    "SERVFAIL": _error(2),
    "REFUSED": _error(5),
    "NOTAUTH": _error(9),
    "FORMERR to everything": _error(1),
    "NOTIMP to everything": _error(4),
    "upward referral": lambda question: question.referral(".", "a.root-servers.net.", "198.41.0.4"),
    "referral to itself": lambda question: question.referral(f"{question.zone}.", f"ns.{question.zone}.", question.server),
    "sideways referral": lambda question: question.referral(
        f"beside-{question.zone}.", f"ns.beside-{question.zone}.", question.server),
    "referral without end": lambda question: question.referral(
        str(dns.message.from_wire(question.wire).question[0].name), f"ns.{question.zone}.", question.server),
    "answer for another zone": _message(_other_owner),
    "recursive server, no AA": _flags(_AA, _RA),
    "no AA": _flags(_AA, 0),
    "RA beside AA": _flags(0, _RA),
    "everything truncated": _udp(lambda question: question.bare(flags=_AA | _TC)),
    "truncated, TCP closed": lambda question: question.bare(flags=_AA | _TC),
    "truncated, TCP silent": lambda question: None if question.tcp else question.bare(flags=_AA | _TC),
    "truncated over TCP too": lambda question: question.bare(flags=_AA | _TC),
    "TCP closed": lambda question: question.truth(),
    "EDNS: FORMERR": _edns(_error(1)),
    "EDNS: NOTIMP": _edns(_error(4)),
    "EDNS: SERVFAIL": _edns(_error(2)),
    "EDNS: REFUSED": _edns(_error(5)),
    "EDNS: dropped": _edns(lambda _: None),
    "EDNS: BADVERS": _edns(_badvers),
    "EDNS: ignored": _without_edns,
    "letters lowered": _letters(bytes.lower),
    "letters raised": _letters(lambda name: bytes(each - 32 if 97 <= each <= 122 else each for each in name)),
    "empty names denied": _message(_deny_empty),
    "SOA of the parent": _soa_of(lambda question: f"{question.zone.partition('.')[2]}."),
    "SOA of another zone": _soa_of(lambda _: "somebody-else.com."),
    "SOA of the root": _soa_of(lambda _: "."),
    "denial without SOA": _message(_no_soa),
    "answers twice": _message(_twice),
    "strangers in the answer": _message(_in_answer),
    "strangers in authority": _message(_in_authority),
    "strangers in additional": _message(_in_additional),
    "two aliases": _message(_two_aliases),
    "NXDOMAIN with an answer": _message(_denied_answer),
    "answer of another type": _message(_other_type),
    "no question section": _message(_no_question),
    "AAAA: NXDOMAIN": _for_type(28, _message(_denied_answer)),
    "AAAA: SERVFAIL": _for_type(28, _error(2)),
    "AAAA: NOTIMP": _for_type(28, _error(4)),
    "AAAA: dropped": _for_type(28, lambda _: None),
    "garbage": lambda question: question.wire[:2] + b"\x84\0\0\1\0\x09\0\0\0\0" + question.wire[12 : question.end] + b"\xc0" * 20,
    "short packet": lambda question: question.wire[:5],
    "echo": lambda question: question.wire,
    "wrong ID": _udp(lambda question: bytes((question.wire[0] ^ 0x55,)) + question.truth()[1:]),
    "slow": lambda question: question.truth(),
}
"""Every fault by what it is called."""

NO_TCP = frozenset({"truncated, TCP closed", "TCP closed"})
"""Faults whose servers do not listen on TCP."""


def faulty(places: Sequence[tuple[str, str, str]], side: Side) -> Daemon:
    """Make the faulty servers: addresses, each with the zone it is asked for and its fault."""
    file = fresh("faults") / "places"
    file.write_text("".join(f"{address} {zone} {fault}\n" for address, zone, fault in places))
    faults = Daemon("faults", [sys.executable, "-m", "tests.lab.faults", str(file)], side,
                    lambda: "listening" in faults.log_tail())
    return faults


def _answer(fault: str, question: Question) -> bytes | None:
    """What the fault makes of the question; nothing where that is none (Unbound 1.17 sends some over TCP without flags)."""
    try:
        whole = question.end <= len(question.wire)
    except IndexError:
        whole = False
    return FAULTS[fault](question) if whole else None


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, address: str, zone: str, fault: str) -> None:
        self.place = address, zone
        self.fault = fault
        self.delay = SLOW if fault == "slow" else 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, client: tuple[str, int]) -> None:
        zone, server = self.place[1], self.place[0]
        answer = _answer(self.fault, Question(data, zone, server, False))
        if answer is not None:
            asyncio.get_running_loop().call_later(self.delay, self.transport.sendto, answer, client)


async def _serve(places: Sequence[tuple[str, str, str]]) -> None:
    loop = asyncio.get_running_loop()

    def tcp(address: str, zone: str, fault: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]:
        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    data = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                    answer = _answer(fault, Question(data, zone, address, True))
                    if answer is not None:
                        writer.write(len(answer).to_bytes(2) + answer)
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        return client

    for address, zone, fault in places:
        await loop.create_datagram_endpoint(lambda place=(address, zone, fault): _Udp(*place), (address, 53))
        if fault not in NO_TCP:
            await asyncio.start_server(tcp(address, zone, fault), address, 53)
    print("listening", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Serve what the file in our first argument says."""
    lines = Path(sys.argv[1]).read_text().splitlines()
    asyncio.run(_serve([(address, zone, fault) for address, zone, fault in (line.split(" ", 2) for line in lines)]))


if __name__ == "__main__":
    main()
