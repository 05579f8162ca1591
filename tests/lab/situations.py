"""Situations in which a resolver needs patience or tolerance, as data, and the name servers that bring them about.

One process stands on all addresses. Each server has a behaviour, which sees who asks (resolvers are told apart by their source
addresses, so that each meets the same), how often it has asked, and over what. `tests.real.test_situations` asks resolverd,
Unbound and PowerDNS Recursor about all of them in one run. A situation is added by one entry of `SITUATIONS`.

Run as a program (`python -m tests.lab.situations`) it is the servers.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.lab import odd
from tests.lab.daemon import Daemon, answers_dns
from tests.lab.namespace import ROOT, Side
from tests.lab.world import ROOT_SERVERS

SOURCES = {"resolverd": "45.98.0.1", "unbound": "45.98.0.2", "pdns": "45.98.0.3"}
"""Where each resolver asks from."""

REGISTRY = "45.96.0.1"
"""Serves the root and the top level domains, always and at once."""

VOID = "45.66.77.1"
"""Nobody answers here, not even by an ICMP error."""

_TTL = 3600


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it came to a server."""

    message: dns.message.Message
    wire: bytes
    zone: str
    tcp: bool
    client: str
    again: int
    """How often this client has put this very question to this server over this transport before."""
    before: int
    """How many questions of this client this server has seen before."""
    on_connection: int = 0
    """How many questions came over the same connection before."""

    @property
    def name(self) -> str:
        return self.message.question[0].name.to_text().lower()

    @property
    def rtype(self) -> str:
        return dns.rdatatype.to_text(self.message.question[0].rdtype)

    def reply(self, *answer: str, aa: bool = True, ttl: int = _TTL) -> dns.message.Message:
        """A reply with these records (``TYPE DATA``) of the name in question; denied by the zone's SOA where there are none."""
        reply = dns.message.make_response(self.message)
        reply.flags |= dns.flags.AA if aa else 0
        for each in answer:
            rtype, _, data = each.partition(" ")
            reply.answer.append(dns.rrset.from_text(self.message.question[0].name, ttl, "IN", rtype, data))
        if not answer:
            reply.authority.append(
                dns.rrset.from_text(self.zone, _TTL, "IN", "SOA", ". . 1 3600 900 86400 300"))
        return reply


Behaviour = Callable[[Asked], Awaitable[bytes | None]]
"""What a server answers: None for nothing."""


class Hangup(Exception):
    """Close the connection, after `last` if there is any."""

    def __init__(self, last: bytes = b""):
        self.last = last


@dataclass(frozen=True, slots=True)
class Situation:
    """A zone of `.com`, its servers, and the questions about it: `first` one after another, then those that are judged."""

    name: str
    servers: tuple[Behaviour | None, ...]
    then: tuple[tuple[str, str], ...]
    first: tuple[tuple[str, str], ...] = ()
    together: bool = False
    """Whether the judged questions are put all at once."""
    clients: int = 1
    """How many clients put each of them at the same time."""
    chance: bool = False
    """Whether chance decides which of the questions a fault hits."""

    @property
    def zone(self) -> str:
        return f"{self.name}.com."

    def addresses(self, number: int) -> list[str]:
        """Addresses of its servers; `number`: its place among the situations."""
        return [VOID if each is None else f"45.97.{number}.{at}" for at, each in enumerate(self.servers, 1)]


# -- behaviours ---------------------------------------------------------------------------------------------------------------


def truth(asked: Asked) -> bytes:
    """What a sound server says. Names that begin with ``none`` are not there, ``big`` ones have much to say."""
    label = asked.name.split(".")[0]
    if label.startswith("none"):
        reply = asked.reply()
        reply.set_rcode(dns.rcode.NXDOMAIN)
    elif asked.name == asked.zone and asked.rtype == "NS":
        reply = asked.reply(f"NS ns1.{asked.zone}")
    elif asked.name == asked.zone or asked.rtype not in ("A", "TXT", "MX", "PTR"):
        reply = asked.reply()
    elif asked.rtype == "TXT":
        many = 12 if label.startswith("big") else 1
        reply = asked.reply("TXT " + " ".join(['"' + "t" * 200 + '"'] * many))
    elif asked.rtype == "PTR":
        reply = asked.reply(*(f"PTR host{each}.{asked.zone}" for each in range(150 if label.startswith("big") else 1)))
    else:
        reply = asked.reply({"A": "A 45.95.0.1", "MX": f"MX 10 mx.{asked.zone}"}[asked.rtype])
    wire = reply.to_wire(max_size=65535)
    if asked.tcp or len(wire) <= 1232:
        return wire
    return truncated(asked)


def truncated(asked: Asked) -> bytes:
    """An empty reply with TC set."""
    reply = dns.message.make_response(asked.message)
    reply.flags |= dns.flags.AA | dns.flags.TC
    return reply.to_wire()


async def sound(asked: Asked) -> bytes | None:
    """Right and at once."""
    return truth(asked)


def after(seconds: float, tcp: float | None = None) -> Behaviour:
    """Right, but so late."""

    async def behaviour(asked: Asked) -> bytes | None:
        await asyncio.sleep(tcp if asked.tcp and tcp is not None else seconds)
        return truth(asked)

    return behaviour


async def slow_for_some(asked: Asked) -> bytes | None:
    """Quick as a rule; a name ``slow900`` takes 900 ms, as where a server has to look it up elsewhere first."""
    label = asked.name.split(".")[0]
    if label.startswith("slow"):
        await asyncio.sleep(int(label[4:]) / 1000)
    return truth(asked)


def losing_first(seconds: float = 0.002) -> Behaviour:
    """Loses the first packet of each question."""

    async def behaviour(asked: Asked) -> bytes | None:
        if not asked.tcp and not asked.again:
            return None
        await asyncio.sleep(seconds)
        return truth(asked)

    return behaviour


async def losing_a_fifth(asked: Asked) -> bytes | None:
    """Loses one packet in five, whatever it holds."""
    if not asked.tcp and asked.before % 5 == 2:
        return None
    await asyncio.sleep(0.02)
    return truth(asked)


def over_tcp(behaviour: Behaviour, seconds: float = 0.002) -> Behaviour:
    """All answers are truncated over UDP."""

    async def both(asked: Asked) -> bytes | None:
        if asked.tcp:
            return await behaviour(asked)
        await asyncio.sleep(seconds)
        return truncated(asked)

    return both


async def closing(asked: Asked) -> bytes | None:
    """Closes the connection behind the first answer."""
    raise Hangup(truth(asked))


async def reading_one(asked: Asked) -> bytes | None:
    """Never answers a second question of a connection."""
    await asyncio.sleep(0.01)
    return None if asked.on_connection else truth(asked)


def oddly(oddity: odd.Oddity, *, tcp: bool = True) -> Behaviour:
    """A right answer, as an odd server sends it; without TCP it closes every connection at the first question."""

    async def behaviour(asked: Asked) -> bytes | None:
        if asked.tcp and not tcp:
            raise Hangup
        return oddity(asked, truth(asked))

    return behaviour


async def one_family(asked: Asked) -> bytes | None:
    """Its servers have an address of either family."""
    if asked.name.startswith("ns") and asked.rtype in ("A", "AAAA"):
        number = asked.name.split(".")[0][2:]
        return asked.reply("AAAA 2a00:45:97::1" if asked.rtype == "AAAA" else f"A {_MOVED[number]}").to_wire()
    return truth(asked)


async def zero_ttl(asked: Asked) -> bytes | None:
    """Nothing that it says may be kept."""
    reply = dns.message.from_wire(truth(asked))
    for rrset in reply.answer:
        rrset.ttl = 0
    return reply.to_wire()


def wrong_address_of_its_own(address: str) -> Behaviour:
    """The child says that its server is at `address`, where nobody answers."""

    async def behaviour(asked: Asked) -> bytes | None:
        if asked.name == f"ns1.{asked.zone}" and asked.rtype == "A":
            return asked.reply(f"A {address}").to_wire()
        return truth(asked)

    return behaviour


_MOVED: dict[str, str] = {}


# -- the situations -----------------------------------------------------------------------------------------------------------

_WARM = tuple((f"warm{n}", "A") for n in range(6))

_ODD: dict[str, odd.Oddity] = {
    "letters-lower-cased": odd.lower_cases,
    "letters-denied": odd.for_mixed("NXDOMAIN", denies=True),
    "letters-empty": odd.for_mixed("NOERROR", denies=True),
    "letters-refused": odd.for_mixed("REFUSED"),
    "letters-servfail": odd.for_mixed("SERVFAIL"),
    "cookie-dropped": odd.drops_cookies,
    "cookie-formerr": odd.formerr_for_cookies,
    "cookie-formerr-without-opt": odd.formerr_without_opt,
    "cookie-foreign": odd.foreign_cookie,
    "cookie-never-right": odd.bad_cookie,
    "cookie-no-more": odd.stops_cookies,
    "opt-twice": odd.second_opt,
    "opt-named": odd.named_opt,
    "option-past-opt": odd.option_past_opt,
    "answer-count": odd.too_many(0),
    "authority-count": odd.too_many(1),
    "additional-count": odd.too_many(2),
    "bad-additional": odd.bad_additional,
    "too-long": odd.too_long,
}
_CUT: dict[str, odd.Oddity] = {
    "cut-in-a-record": odd.cut_in_a_record,
    "cut-behind-question": odd.cut_behind_the_question,
    "cut-without-question": odd.cut_without_question,
}

SITUATIONS = (
    Situation("sound", (sound, sound), (("a", "A"), ("none", "A"), ("a", "AAAA"), ("big", "TXT"))),
    *(Situation(f"slow-{ms}", (slow_for_some,), ((f"slow{ms}", "A"), (f"slow{ms + 1}", "MX")), _WARM)
      for ms in (500, 900, 1500, 2500)),
    *(Situation(f"both-slow-{ms}", (slow_for_some, slow_for_some), ((f"slow{ms}", "A"),), _WARM) for ms in (500, 1500)),
    Situation("never-quick", (after(1.2),), (("a", "A"),)),
    *(Situation(f"tcp-far-{ms}", (after(ms / 1000),), (("big", "TXT"), ("big2", "TXT"), ("big", "PTR")))
      for ms in (100, 200, 350)),
    Situation("tcp-slower", (after(0.002, tcp=0.25),), (("big", "TXT"), ("big2", "TXT")), _WARM),
    Situation("tcp-much-slower", (after(0.002, tcp=1.0),), (("big", "TXT"),), _WARM),
    *(Situation(f"dead-and-lossy-{n}", (None, losing_first()), (("a", "A"), ("b", "A"), ("c", "MX")), _WARM) for n in range(2)),
    Situation("dead-and-slow", (None, slow_for_some), (("slow200", "A"), ("slow500", "A"), ("slow201", "MX")), _WARM),
    Situation("lossy", (losing_a_fifth, losing_a_fifth), tuple((f"a{n}", "A") for n in range(40)), together=True, chance=True),
    Situation("lossy-alone", (losing_a_fifth,), tuple((f"a{n}", "A") for n in range(40)), chance=True),
    Situation("losing-first", (losing_first(),), (("a", "A"), ("b", "A"))),
    Situation("crowd", (slow_for_some,), (("slow800", "A"),), _WARM, clients=150),
    Situation("closes-tcp", (over_tcp(closing),), tuple((f"t{n}", "TXT") for n in range(30)), together=True, chance=True),
    Situation("reads-one", (over_tcp(reading_one),), tuple((f"t{n}", "TXT") for n in range(30)), together=True, chance=True),
    Situation("reads-one-later", (over_tcp(reading_one),), (("a", "TXT"), ("b", "TXT"), ("c", "TXT"))),
    Situation("other-family", (one_family,), (("a", "A"), ("b", "MX")), (("ns1", "AAAA"),)),
    Situation("glue-right-child-wrong", (wrong_address_of_its_own(VOID),), (("a", "A"), ("b", "A")), (("ns1", "A"),)),
    Situation("zero-ttl", (zero_ttl, zero_ttl), (("a", "A"), ("a", "A"))),
    Situation("many-records", (sound,), (("big", "PTR"), ("big", "PTR"))),
    *(Situation(f"{name}{'' if tcp else '-no-tcp'}", (oddly(oddity, tcp=tcp),), (("a", "A"), ("b.c", "TXT"), ("none", "A")),
                _WARM if name.startswith("cookie") else ())
      for tcp in (True, False) for name, oddity in _ODD.items()),
    *(Situation(name, (oddly(oddity),), (("a", "A"), ("a", "TXT"))) for name, oddity in _CUT.items()),
    *(Situation(f"empty-{what.lower() or 'alone'}", (oddly(odd.empty(what)),) * 2, (("a", "A"), ("a", "AAAA"), ("b.c", "MX")))
      for what in ("", "NS", "RA", "SOA")),
    Situation("whole-names-only", (oddly(odd.whole_names_only),) * 2, (("a.b.c", "A"), ("b.b.c", "A"), ("a.d.e", "MX"))),
)

_MOVED.update({"1": next(each.addresses(number)[0] for number, each in enumerate(SITUATIONS) if each.name == "other-family")})

LOCAL = [
    REGISTRY, *SOURCES.values(), *(each for host in ROOT_SERVERS for each in host.addresses if ":" not in each),
    *(each for number, situation in enumerate(SITUATIONS) for each in situation.addresses(number) if each != VOID),
]
"""All addresses that the servers and resolvers stand on."""


# -- the servers --------------------------------------------------------------------------------------------------------------


async def _registry(asked: Asked) -> bytes | None:
    """The root, the root servers' names, and every top level domain: refers to the situations."""
    labels = asked.name.rstrip(".").split(".")
    if asked.name == "." and asked.rtype == "NS":
        reply = asked.reply(*(f"NS {host.name}." for host in ROOT_SERVERS))
        reply.answer = [dns.rrset.from_text(".", _TTL, "IN", "NS", *(f"{host.name}." for host in ROOT_SERVERS))]
        reply.authority = []
        return reply.to_wire()
    found = next(((n, each) for n, each in enumerate(SITUATIONS) if ".".join(labels[-2:]) == each.zone.rstrip(".")), None)
    if found is None:
        if labels[-2:] in (["root-servers", "net"],) and asked.rtype == "A":
            host = next((host for host in ROOT_SERVERS if host.name == ".".join(labels)), None)
            return (asked.reply(f"A {host.addresses[0]}") if host else asked.reply()).to_wire()
        reply = asked.reply()
        if len(labels) > 1:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply.to_wire()
    number, situation = found
    reply = dns.message.make_response(asked.message)
    names = [f"ns{at}.{situation.zone}" for at in range(1, len(situation.servers) + 1)]
    reply.authority.append(dns.rrset.from_text(situation.zone, _TTL, "IN", "NS", *names))
    for name, address in zip(names, situation.addresses(number), strict=True):
        reply.additional.append(dns.rrset.from_text(name, _TTL, "IN", "A", address))
    return reply.to_wire()


class _Server:
    """One address with its behaviour."""

    def __init__(self, behaviour: Behaviour, zone: str) -> None:
        self.behaviour = behaviour
        self.zone = zone
        self._seen: Counter[tuple[str, str, bool]] = Counter()
        self._clients: Counter[str] = Counter()

    def asked(self, wire: bytes, client: str, tcp: bool, on_connection: int = 0) -> Asked:
        message = dns.message.from_wire(wire)
        key = client, str(message.question[0]).lower(), tcp
        asked = Asked(message, wire, self.zone, tcp, client, self._seen[key], self._clients[client], on_connection)
        self._seen[key] += 1
        self._clients[client] += 1
        return asked

    async def stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = writer.get_extra_info("peername")[0]
        tasks: set[asyncio.Task[None]] = set()
        number = 0

        async def answer(asked: Asked) -> None:
            try:
                wire = await self.behaviour(asked)
            except Hangup as hangup:
                wire = hangup.last
                if wire:
                    writer.write(len(wire).to_bytes(2) + wire)
                writer.close()
                return
            if wire is not None and not writer.is_closing():
                writer.write(len(wire).to_bytes(2) + wire)

        try:
            while not writer.is_closing():
                wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                tasks.add(asyncio.create_task(answer(self.asked(wire, client, True, number))))
                number += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: _Server) -> None:
        self._server = server
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        task = asyncio.create_task(self._answer(self._server.asked(data, address[0], False), address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, asked: Asked, address: tuple[str, int]) -> None:
        if (wire := await self._server.behaviour(asked)) is not None:
            self._transport.sendto(wire, address)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    places: list[tuple[str, Behaviour, str]] = [(REGISTRY, _registry, ".")]
    places += [(each, _registry, ".") for host in ROOT_SERVERS for each in host.addresses if ":" not in each]
    for number, situation in enumerate(SITUATIONS):
        places += [(address, behaviour, situation.zone)
                   for address, behaviour in zip(situation.addresses(number), situation.servers, strict=True) if behaviour]
    for address, behaviour, zone in places:
        server = _Server(behaviour, zone)
        await loop.create_datagram_endpoint(lambda server=server: _Datagrams(server), local_addr=(address, 53))  # type: ignore[misc]
        await asyncio.start_server(server.stream, address, 53, backlog=1000)
    await asyncio.Event().wait()


def servers(side: Side) -> Daemon:
    """Make the servers' process."""
    return Daemon("situations", [sys.executable, "-m", "tests.lab.situations"], side,
                  lambda: answers_dns(side, REGISTRY, "com"), {"PYTHONPATH": str(ROOT)})


if __name__ == "__main__":
    asyncio.run(_serve())
