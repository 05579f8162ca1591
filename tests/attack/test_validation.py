"""Zones made to be dear to validate (KeyTrap, CVE-2023-50387; NSEC3, CVE-2023-50868): what one question costs in CPU, in ordinary
secure ones of the same run, and that it ends.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median

import dns.dnssec
import dns.message
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "unit")]

from scriptednet import Message, rcode  # noqa: E402
from signednet import SignedNet, SignedZone  # noqa: E402
from virtualtime import VirtualLoop  # noqa: E402

from resolverd.wire.ask import Ask  # noqa: E402
from resolverd.wire.dnssec import key_tag  # noqa: E402
from tests.attacks import Figure  # noqa: E402

DEAREST = 15
"""What the dearest question may cost, in ordinary secure ones with the whole chain anew, about 3 ms each (R-30: 50 ms of CPU a
question, which is less than the loop may stall, so that no signature needs a thread)."""
DNSKEY = dns.rdatatype.from_text("DNSKEY")


Shape = Callable[[SignedZone, Message], Message]


def plain(zone: SignedZone, query: Message) -> Message:
    return zone(query, None)  # type: ignore[arg-type]


class Prepared:
    """A server that answers with `shape`, each message made once: the attacker's work is not what is measured."""

    def __init__(self, zone: SignedZone, shape: Shape = plain):
        self._zone = zone
        self._shape = shape
        self._made: dict[str, bytes] = {}

    def __call__(self, query: Message, ask: Ask) -> bytes:
        asked = query.question[0].to_text().lower()
        if asked not in self._made:
            self._made[asked] = self._shape(self._zone, query).to_wire(max_size=65535)
        return query.id.to_bytes(2) + self._made[asked][2:]


def forged(tag: int, number: int, bits: int, exponent: bytes) -> list[dns.rdata.Rdata]:
    """RSA keys of which nobody knows the other half, all with one tag."""
    rng = Random(number)
    keys = []
    for _ in range(number):
        rdata = bytearray(b"\x01\x00\x03\x08" + bytes([len(exponent)]) + exponent + rng.randbytes(bits // 8))
        at = 5 + len(exponent)
        at += at % 2
        rdata[5 + len(exponent)] |= 0x80
        rdata[-1] |= 1
        rdata[at + 20 : at + 22] = b"\0\0"
        rdata[at + 20 : at + 22] = ((tag - key_tag(bytes(rdata))) % 0xFFFF).to_bytes(2)
        keys.append(dns.rdata.from_wire(dns.rdataclass.IN, DNSKEY, bytes(rdata), 0, len(rdata)))
    return keys


def many_keys(zone: SignedZone, query: Message) -> Message:
    """As many keys as are looked at, all of one tag, and as many signatures that name it."""
    tag = 4711
    if query.question[0].rdtype == DNSKEY:
        keys = zone._records[zone.origin][DNSKEY]
        for each in forged(tag, 29, 4096, b"\xff" * 7 + b"\x01") if len(keys) == 1 else ():
            keys.add(each)
        return plain(zone, query)
    out = plain(zone, query)
    for section in (out.answer, out.authority):
        for each in list(section):
            if each.rdtype == dns.rdatatype.RRSIG:
                section.remove(each)
                for number in range(60):
                    fields = each[0].to_text().split()
                    fields[1], fields[6] = "8", str(tag)
                    text = " ".join([*fields[:8], Random(number).randbytes(512).hex()])
                    section.append(dns.rrset.from_text(each.name, each.ttl, "IN", "RRSIG", text))
    return out


def many_proofs(zone: SignedZone, query: Message) -> Message:
    """Sixty thousand octets of NSEC records, all signed, none of which proves anything."""
    out = plain(zone, query)
    if out.answer:
        return out
    out.authority = []
    for number in range(300):
        zone._show(out.authority, dns.rrset.from_text(f"x{number}.dear.", 300, "IN", "NSEC", f"x{number}a.dear. A RRSIG NSEC"))
    return out


def deep_hashes(zone: SignedZone, query: Message) -> Message:
    """NSEC3 records with as many iterations as count, for a name of a hundred labels."""
    out = plain(zone, query)
    if out.answer:
        return out
    soa = out.authority[:2]
    out.authority = list(soa)
    for number in range(10):
        label = dns.dnssec.nsec3_hash(f"x{number}.dear.", b"salt", 150, "SHA1").lower()
        text = f"1 0 150 {'ab' * 60} {label} A RRSIG"
        zone._show(out.authority, dns.rrset.from_text(f"{label}.dear.", 300, "IN", "NSEC3", text))
    return out


def long_chain(zone: SignedZone, query: Message) -> Message:
    """An alias to an alias, each with its signature, to the end."""
    name = query.question[0].name
    first = name.labels[0].decode()
    if len(name.labels) > 2 and first.startswith("c") and query.question[0].rdtype != DNSKEY:
        out = dns.message.make_response(query)
        out.flags |= dns.flags.AA
        zone._show(out.answer, dns.rrset.from_text(name, 300, "IN", "CNAME", f"c{int(first[1:] or 0) + 1}.dear."))
        return out
    return plain(zone, query)


CASES = [
    (many_keys, "www.dear", "SERVFAIL", 13),
    (many_proofs, "no.dear", "SERVFAIL", 8),
    (deep_hashes, "a." * 100 + "no.dear", "SERVFAIL", 13),
    (long_chain, "c0.dear", "SERVFAIL", 16),
]


@pytest.mark.attack("R-30")
@pytest.mark.parametrize(("shape", "name", "code", "algorithm"), CASES, ids=[each[0].__name__ for each in CASES])
def test_a_zone_is_not_dear_to_validate(
    shape: Shape, name: str, code: str, algorithm: int, tmp_path: Path, figure: Figure
) -> None:
    async def run() -> tuple[float, float]:
        net = SignedNet(tmp_path)
        net.serve("198.41.0.4", Prepared(net.root))  # type: ignore[arg-type]
        for number in range(40):
            shop = net.signed(f"shop{number}", {f"ns.shop{number}": f"45.2.0.{number}"}, "www A 193.0.0.1")
            net.serve(f"45.2.0.{number}", Prepared(shop))
        zone = net.signed("dear", {"ns.dear": "45.1.0.1"}, "www A 193.0.0.1", algorithm=algorithm)
        net.serve("45.1.0.1", Prepared(zone, shape))
        resolver = net.resolver()

        async def costs(name: str, code: str) -> float:
            await resolver.ask(name)  # everybody makes his packets
            await resolver.settle()
            resolver.parts.flush()
            gc.collect()
            begun = time.process_time()
            reply = await resolver.ask(name)
            await resolver.settle()
            took = time.process_time() - begun
            assert rcode(reply) == code, name
            return took

        ordinary = [await costs(f"www.shop{number}", "NOERROR") for number in range(40)]
        return await costs(name, code), median(ordinary)

    for _ in range(3):  # somebody else may have had the processor
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            dearest, ordinary = runner.run(run())
        if dearest <= DEAREST * ordinary:
            break
    figure("CPU of the dearest question", 1000 * dearest, "ms", most=50)
    figure("the same in ordinary secure questions", dearest / ordinary, most=DEAREST)
