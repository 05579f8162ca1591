"""What authorities say, hostile ones above all: their octets, recursion, caches and validation, and the reply to the client."""

import asyncio
import struct
import sys
import tempfile
from collections.abc import Coroutine, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from resolverd.wire.ask import Ask
from tests.fuzz.target import target
from tests.fuzz.targets.serving import Faults

_UNIT = str(Path(__file__).parents[2] / "unit")
if _UNIT not in sys.path:
    sys.path.append(_UNIT)

from scriptednet import Message, Net, ScriptedResolver, reply_to  # noqa: E402
from signednet import SignedNet  # noqa: E402
from virtualtime import VirtualLoop  # noqa: E402

_END = b"\xff\xfe"
"""Between what is said to one question and what is said to the next."""
_HEAD = struct.Struct("!4H")
_SCRATCH = tempfile.TemporaryDirectory(prefix="fuzz-")
_FOLDER = Path(_SCRATCH.name)


def _run(work: Coroutine[Any, Any, None]) -> None:
    with Faults() as faults, asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.get_loop().set_exception_handler(faults.from_loop)
        runner.run(work)


def _said(answer: str = "", authority: str = "", additional: str = "", **how: Any) -> bytes:
    """Flags, counts and records of a reply to ``www.evil. A``, as the input has them."""
    octets = reply_to(dns.message.make_query("www.evil.", "A", use_edns=0), answer, authority, additional, **how).to_wire()
    return octets[2:4] + octets[6:12] + octets[26:]


def _replies() -> Iterable[bytes]:
    soa = "evil. SOA ns.evil. a.evil. 1 2 3 4 5"
    yield _said("www.evil. A 193.0.0.1")
    yield _said("www.evil. CNAME www.victim.\nwww.victim. A 6.6.6.6")
    yield _said("evil. DNAME victim.\nwww.evil. CNAME www.victim.\nwww.victim. A 6.6.6.6")
    yield _END.join([_said("www.evil. CNAME a.evil."), _said("a.evil. CNAME b.evil."), _said(authority=soa, rcode="NXDOMAIN")])
    yield _said(authority=soa, rcode="NXDOMAIN")
    yield _said(authority="www.evil. NS ns.victim.", additional="ns.victim. A 192.5.6.30", aa=False)
    yield _said(authority="www.evil. NS ns.www.evil.", additional="ns.www.evil. A 192.5.6.30", aa=False)
    yield _said("www.evil. A 193.0.0.1", "victim. NS ns.evil.\n. NS ns.evil.", "ns.evil. A 192.5.6.30\nwww.victim. A 6.6.6.6")
    yield _said("www.evil. A 193.0.0.1\nwww.victim. A 6.6.6.6", "victim. SOA . . 1 2 3 4 5")
    yield _END.join([_said(rcode="REFUSED"), _said(rcode="SERVFAIL"), _said(rcode="FORMERR"), _said("www.evil. MX 1 a.evil.")])


@target(_replies, 1.0, 1500)
def resolution(data: bytes) -> None:
    """A hostile authority: the client gets a sound reply, and nobody else's names are touched."""
    _run(_resolve(data.split(_END)))


async def _resolve(sayings: list[bytes]) -> None:
    net = Net()
    rest = iter(sayings)
    last = [b""]

    def hostile(query: Message, ask: Ask) -> bytes:
        octets = query.to_wire()
        said = last[0] = next(rest, last[0])
        end = 12 + len(query.question[0].name.to_wire()) + 4
        if len(said) < 8:
            return said
        return octets[:2] + bytes((said[0] | 0x80, said[1])) + octets[4:6] + said[2:8] + octets[12:end] + said[8:]

    net.zone("evil", {"ns.evil": "192.5.6.30"})
    net.zone("victim", {"ns.victim": "192.5.6.31"}, "www A 193.0.0.9\nns A 192.5.6.31")
    net.serve("192.5.6.30", hostile)
    resolver = ScriptedResolver(net, _FOLDER)
    for name, rtype in (("www.evil", "A"), ("a.evil", "MX"), ("evil", "NS")):
        reply = await resolver.ask(name, rtype)
        assert reply.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL, dns.rcode.YXDOMAIN)
    for name in ("www.victim", "ns.victim"):
        reply = await resolver.ask(name)
        found = [each.to_text() for rrset in reply.answer for each in rrset]
        assert found == ["193.0.0.9" if name == "www.victim" else "192.5.6.31"], found
    reply = await resolver.ask("nothing.victim")
    assert reply.rcode() == dns.rcode.NXDOMAIN
    assert len(net.asked) < 400
    await resolver.settle()
    await resolver.stack.aclose()


_NAMES = (("www.example", "A"), ("a.example", "A"), ("nothing.example", "A"), ("x.w.example", "TXT"), ("www.example", "MX"))


@cache
def _signed() -> tuple[SignedNet, dict[tuple[str, bytes, int], bytes]]:
    net = SignedNet(_FOLDER)
    net.signed("example", {"ns.example": "192.5.6.30"}, "www A 193.0.0.1\na CNAME www.example.\n*.w TXT x")
    return net, {}


def _mutations() -> Iterable[bytes]:
    for which in range(len(_NAMES)):
        yield bytes((which,))
        for number in range(8):
            # the RCODE, the first record's type and data, what is behind it
            for at in (3, 41, 60, 130):
                yield bytes((which, number, 1, 0, at, 1))
            yield bytes((which, number, 2, 0, 60, 4, number, 0, 0, 3, 3))


@target(_mutations, 2.0, 60)
def validation(data: bytes) -> None:
    """A signed zone whose replies are changed on the way: what a client gets of it is what was signed, or SERVFAIL.

    Five octets of the input are a change: which question, what is done, where (two octets), and with what.
    """
    if data:
        _run(_validate(data[0] % len(_NAMES), [data[at : at + 5] for at in range(1, len(data) - 4, 5)]))


async def _validate(which: int, changes: list[bytes]) -> None:
    net, known = _signed()
    net.asked.clear()
    changed = Net.__new__(Net)
    changed.__dict__ = dict(net.__dict__, asked=[], under_way={}, doubled=[], _open={}, _repeated={}, octets=0)
    numbers = iter(range(1000))
    changed.servers = {
        address: lambda query, ask, address=address, handler=handler: _change(
            _genuine(known, address, handler, query, ask), next(numbers), changes
        )
        for address, handler in net.servers.items()
    }
    anchors = _FOLDER / "anchors"
    anchors.write_text(f". 3600 DS {net.root.ds}\n")
    resolver = ScriptedResolver(changed, _FOLDER, trust_anchors=anchors)
    name, rtype = _NAMES[which]
    query = dns.message.make_query(name, rtype, use_edns=0, want_dnssec=True, id=1)
    octets = await resolver.stack.ask(query.to_wire(), udp=False)
    assert octets is not None
    reply = dns.message.from_wire(octets)
    await resolver.settle()
    await resolver.stack.aclose()
    if reply.rcode() == dns.rcode.SERVFAIL:
        return
    found = {
        (each.rdtype, rdata.to_text()) for each in reply.answer if each.rdtype != dns.rdatatype.RRSIG for rdata in each
    }
    wanted = {
        ("www.example", "A"): {(1, "193.0.0.1")}, ("a.example", "A"): {(1, "193.0.0.1"), (5, "www.example.")},
        ("x.w.example", "TXT"): {(16, '"x"')},
    }.get((name, rtype), set())  # fmt: skip
    assert found == wanted, (found, reply.rcode())
    assert (reply.rcode() == dns.rcode.NXDOMAIN) == (name == "nothing.example")
    assert reply.flags & dns.flags.AD


def _genuine(known: dict[tuple[str, bytes, int], bytes], address: str, handler: Any, query: Message, ask: Ask) -> bytes:
    key = address, ask.qname.lower(), ask.qtype
    if key not in known:
        known[key] = handler(query, ask).to_wire(max_size=65535)
    octets = query.to_wire()
    end = 12 + len(ask.qname) + 4
    return octets[:2] + known[key][2:12] + octets[12:end] + known[key][end:]


def _change(octets: bytes, number: int, changes: list[bytes]) -> bytes:
    out = bytearray(octets)
    for question, kind, high, low, value in changes:
        at = high << 8 | low
        if question % 8 != number % 8 or at >= len(out):
            continue
        if kind % 4 == 0:
            out[at] = value
        elif kind % 4 == 1:
            out[at] ^= value
        elif kind % 4 == 2:
            del out[at : at + value]
        else:
            out[at:at] = out[at : at + value]
    return bytes(out)
