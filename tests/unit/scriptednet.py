"""A small internet in process: zones on fake servers, hostile ones among them, and the resolver in front of it.

    net = Net()                                     # the root's server is there already
    zone = net.zone("example", {"ns.example": "192.5.6.30"}, "www A 193.0.0.1")
    net.serve("192.5.6.31", handler)                # anything else: a function from the question to its reply
    resolver = ScriptedResolver(net, tmp_path)
    reply = await resolver.ask("www.example")

It runs on virtual time: each exchange takes `net.rtt` seconds unless its server says otherwise (`Late`).
"""

import asyncio
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from virtualtime import VirtualClock

from resolverd.resolver.mesh import Timeouts
from resolverd.values import replace
from resolverd.wire import message, render
from resolverd.wire.ask import Ask, Failed, Reply
from resolverd.wire.names import Name, from_text
from tests.networks import AsyncNetwork
from tests.replay.stack import Stack, root_hints, settings

ROOT_SERVER = "198.41.0.4"
_CACHE_KEYS = ("min_ttl", "max_ttl", "serve_stale", "prefetch", "size")

Message: TypeAlias = dns.message.Message
Said: TypeAlias = Message | bytes | Failed
"""What a server says to a question: a message, octets, or a failure (TIMEOUT: nothing at all)."""


class Late(NamedTuple):
    """What a server says after so many seconds."""

    after: float
    said: Said


Handler: TypeAlias = Callable[[Message, Ask], Said | Late]
"""A server: each packet is a call, a repeated one as well."""


def rrset(line: str) -> dns.rrset.RRset:
    """``owner [ttl] type rdata``, names absolute whether or not they end in a dot."""
    owner, *rest = line.split()
    ttl = int(rest.pop(0)) if rest[0].isdigit() else 3600
    rtype = dns.rdatatype.from_text(rest[0])
    return dns.rrset.from_rdata(_name(owner), ttl, _rdata(rtype, " ".join(rest[1:])))


@cache
def _name(text: str, origin: dns.name.Name = dns.name.root) -> dns.name.Name:
    return dns.name.from_text(text, origin)


@cache
def _rdata(rtype: dns.rdatatype.RdataType, text: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text(dns.rdataclass.IN, rtype, text, dns.name.root, relativize=False)


def reply_to(
    query: Message, answer: str = "", authority: str = "", additional: str = "", rcode: str = "NOERROR", aa: bool = True
) -> Message:
    """A reply with those records, one a line."""
    out = dns.message.make_response(query)
    if aa:
        out.flags |= dns.flags.AA
    out.set_rcode(dns.rcode.from_text(rcode))
    for section, lines in ((out.answer, answer), (out.authority, authority), (out.additional, additional)):
        for line in filter(str.strip, lines.splitlines()):
            section.append(rrset(line))  # the wire knows records only; who reads them makes RRsets of them
    return out


class Zone:
    """A zone as a well-behaved authority serves it: answers, wildcards, CNAMEs, cuts with their glue, denials with their SOA."""

    def __init__(self, origin: str, text: str = "", negative_ttl: int = 300):
        self.origin = dns.name.from_text(origin)
        self._records: dict[dns.name.Name, dict[dns.rdatatype.RdataType, dns.rrset.RRset]] = {}
        self.add(f"@ 3600 SOA ns. admin. 1 7200 3600 1209600 {negative_ttl}")
        self.add(text)

    def add(self, text: str) -> None:
        """Records, one a line: ``owner [ttl] type rdata``; owners are relative to the zone unless they end in a dot, or ``@``."""
        for line in filter(str.strip, text.splitlines()):
            owner, _, rest = line.strip().partition(" ")
            name = self.origin if owner == "@" else _name(owner, self.origin)
            parsed = rrset(f"{name} {rest}")
            types = self._records.setdefault(parsed.name, {})
            if parsed.rdtype in types:
                for rdata in parsed:
                    types[parsed.rdtype].add(rdata, parsed.ttl)
            else:
                types[parsed.rdtype] = parsed

    def remove(self, owner: str) -> None:
        """Everything of that (absolute) name."""
        del self._records[dns.name.from_text(owner)]

    def __call__(self, query: Message, ask: Ask) -> Message:
        out = dns.message.make_response(query)
        name, rtype = query.question[0].name, query.question[0].rdtype
        if not name.is_subdomain(self.origin):
            out.set_rcode(dns.rcode.REFUSED)
            return out
        for depth in range(len(self.origin.labels) + 1, len(name.labels) + 1):
            cut = dns.name.Name(name.labels[-depth:])
            ns = self._records.get(cut, {}).get(dns.rdatatype.NS)
            if ns is not None and not (cut == name and rtype == dns.rdatatype.DS):
                out.authority.append(ns)
                targets = {rdata.target for rdata in ns}
                out.additional += [each for target in targets for each in self._addresses(target)]
                return out
        out.flags |= dns.flags.AA
        types = self._records.get(name)
        if types is None and not any(each.is_subdomain(name) for each in self._records):
            types = self._wildcard(name)
            if types is None:
                out.set_rcode(dns.rcode.NXDOMAIN)
        shown = dns.rdatatype.CNAME if types and dns.rdatatype.CNAME in types else rtype
        if types and shown in types:
            # A wildcard's records stand under the name that was asked.
            out.answer.append(dns.rrset.from_rdata_list(name, types[shown].ttl, list(types[shown])))
        else:
            out.authority.append(self._records[self.origin][dns.rdatatype.SOA])
        return out

    def _addresses(self, name: dns.name.Name) -> list[dns.rrset.RRset]:
        types = self._records.get(name, {})
        return [types[rtype] for rtype in (dns.rdatatype.A, dns.rdatatype.AAAA) if rtype in types]

    def _wildcard(self, name: dns.name.Name) -> dict[dns.rdatatype.RdataType, dns.rrset.RRset] | None:
        while name != self.origin:
            name = name.parent()
            if (types := self._records.get(dns.name.Name((b"*", *name.labels)))) is not None:
                return types
            if name in self._records:
                return None
        return None


class Net(AsyncNetwork):
    """Servers by address; `asked` is what was asked of whom, in order."""

    def __init__(self, rtt: float = 0.01):
        self.rtt = rtt
        self.root = Zone(".")
        self.asked: list[Ask] = []
        self.servers: dict[str, Handler] = {}
        self.under_way: dict[tuple[str, Name, int], int] = {}
        self.doubled: list[Ask] = []
        self.with_cookies: set[str] = set()
        """Servers that give our cookies back."""
        self.octets = 0
        self._open: dict[Ask, asyncio.Future[Said]] = {}
        self._repeated: dict[Ask, float] = {}
        self.serve(ROOT_SERVER, self.root)

    def serve(self, address: str, handler: Handler) -> None:
        """A server at that address."""
        self.servers[address] = handler

    def zone(self, origin: str, servers: dict[str, str], text: str = "", parent: Zone | None = None, ttl: int = 3600) -> Zone:
        """A zone on servers (name to address), delegated from `parent` (the root) with glue where the parent has it."""
        parent = parent or self.root
        zone = Zone(origin, text)
        for name, address in servers.items():
            parent.add(f"{origin}. {ttl} NS {name}.")
            zone.add(f"@ {ttl} NS {name}.")
            if dns.name.from_text(name).is_subdomain(parent.origin):
                parent.add(f"{name}. {ttl} A {address}")
            if dns.name.from_text(name).is_subdomain(zone.origin):
                zone.add(f"{name}. {ttl} A {address}")
            self.servers.setdefault(address, zone)
        return zone

    async def exchange(self, ask: Ask) -> Reply:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        key = str(ask.server), ask.qname, ask.qtype
        if self.under_way.get(key):
            self.doubled.append(ask)
        self.under_way[key] = self.under_way.get(key, 0) + 1
        place = replace(ask, timeout=0.0)
        self._open[place] = loop.create_future()
        self._repeated.pop(place, None)
        try:
            self._send(ask, self._open[place])
            async with asyncio.timeout(ask.timeout):
                said = await self._open[place]
        except TimeoutError:
            said = Failed.TIMEOUT
        finally:
            self.under_way[key] -= 1
            del self._open[place]
        took = loop.time() - begun
        if isinstance(said, Failed):
            return Reply(None, said, loop.time(), took)
        data = said if isinstance(said, bytes) else said.to_wire(max_size=65535)
        self.octets += len(data)
        try:
            cookie = ask.cookie and str(ask.server.address) in self.with_cookies
            repeated = loop.time() - self._repeated[place] if place in self._repeated else None
            return Reply(message.parse(data), None, loop.time(), took, len(data), 1, cookie, repeated)
        except message.Malformed:
            return Reply(None, Failed.MALFORMED, loop.time(), took, len(data))

    def again(self, ask: Ask, *, cookie: bool = True) -> bool:
        place = replace(ask, timeout=0.0)
        if place not in self._open:
            return False
        self._repeated[place] = asyncio.get_running_loop().time()
        self._send(replace(ask, cookie=ask.cookie and cookie), self._open[place])
        return True

    def _send(self, ask: Ask, reply: "asyncio.Future[Said]") -> None:
        self.asked.append(ask)
        packet = render.question(0, 0x100 if ask.recursion else 0, ask.qname, ask.qtype, ask.edns_size, ask.dnssec)
        handler = self.servers.get(str(ask.server.address))
        said = handler(dns.message.from_wire(packet), ask) if handler else Failed.TIMEOUT
        late = said if isinstance(said, Late) else Late(self.rtt, said)
        if late.said is not Failed.TIMEOUT:
            asyncio.get_running_loop().call_later(late.after, lambda: reply.done() or reply.set_result(late.said))

    def names(self, address: str = "") -> list[tuple[str, str]]:
        """Name and type of what was asked (of that address)."""
        return [
            (dns.name.from_wire(ask.qname, 0)[0].to_text(), dns.rdatatype.to_text(dns.rdatatype.RdataType(ask.qtype)))
            for ask in self.asked
            if address in ("", str(ask.server.address))
        ]


class ScriptedResolver:
    """The resolver in front of a net: packets in, packets out, as the sockets would have it."""

    def __init__(self, net: Net, folder: Path, timeouts: Timeouts | None = None, seed: int = 1, **changes: Any):
        """`changes`: keys of ``[resolver]`` and ``[cache]``; `list_zones`, names of DNS lists."""
        self.net = net
        lists = frozenset(from_text(each) for each in changes.pop("list_zones", ()))
        cache = {key: changes.pop(key) for key in _CACHE_KEYS if key in changes}
        hints = root_hints(folder, "k.root-servers.net", [ROOT_SERVER])
        built = settings(hints, resolver={"ipv6": False, **changes}, cache={"prefetch": False, **cache})
        self.clock = VirtualClock()
        self.stack = Stack(built, net, self.clock, seed, timeouts, list_zones=lists)
        self.parts = self.stack.parts

    async def ask(self, name: str, rtype: str = "A", *, rd: bool = True, edns: bool = True) -> Message:
        """The reply to a client's question over TCP (so that nothing is truncated)."""
        query = dns.message.make_query(name, rtype, use_edns=0 if edns else -1, id=1)
        if not rd:
            query.flags &= ~dns.flags.RD
        data = await self.stack.ask(query.to_wire(), udp=False)
        assert data is not None
        return dns.message.from_wire(data)

    async def settle(self) -> None:
        """Wait until no recursion is under way any more."""
        while self.parts.mesh.in_flight:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def addresses(reply: Message) -> list[str]:
    """The addresses in an answer, sorted."""
    return sorted(rdata.to_text() for each in reply.answer if each.rdtype in (1, 28) for rdata in each)


def rcode(reply: Message) -> str:
    """The RCODE's mnemonic."""
    return dns.rcode.to_text(reply.rcode())


def errors(reply: Message) -> list[int]:
    """The Extended DNS Errors."""
    return [int(option.code) for option in reply.options if int(option.otype) == 15]
