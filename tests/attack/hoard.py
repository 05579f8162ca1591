"""Fills the caches of a resolver with what costs most, in a process of its own: `python hoard.py WHAT SIZE`.

Prints how much memory the process has taken for it, and the bound, in octets.
"""

import asyncio
import gc
import os
import random
import struct
import sys
from collections.abc import Callable
from ipaddress import IPv6Address
from pathlib import Path

from resolverd import bounds
from resolverd.app.resolver import Resolution
from resolverd.clock import SystemClock
from resolverd.config.settings import CacheSettings, Settings
from resolverd.dnsbl.cache import ResponseCache
from resolverd.dnsbl.response import Behaviour, ListResponse
from resolverd.mail.lookups import Listed
from resolverd.metrics import Counters
from resolverd.resolver.cache.delegations import Delegation
from resolverd.resolver.mesh import Mesh
from resolverd.resolver.validator.aggressive import AggressiveCache
from resolverd.wire import codes
from resolverd.wire.answer import ExtendedError
from resolverd.wire.ask import Server
from resolverd.wire.dnssec import hash_label
from resolverd.wire.names import Name
from resolverd.wire.rrset import RRset, Trust

rng = random.Random(1)


def name(length: int = 255) -> Name:
    """A name of about so many octets that nobody has had yet."""
    parts = [bytes([63]) + rng.randbytes(8).hex().encode() + b"x" * 47 for _ in range(length // 64)]
    rest = rng.randbytes(8).hex().encode()
    return bytes([len(rest)]) + rest + b"".join(parts)[: max(0, length - 20) // 64 * 64] + b"\0"


def addresses(count: int) -> tuple[IPv6Address, ...]:
    return tuple(IPv6Address(rng.getrandbits(128)) for _ in range(count))


def tiny_records(parts: Resolution) -> int:
    owner = name(20)
    parts.rrsets.put(RRset(owner, codes.A, 86400, (rng.randbytes(4),)), Trust.ANSWER, 0.0, bytes(bytearray(owner)))
    return 1


def many_types(parts: Resolution) -> int:
    owner = name(20)
    for rtype in range(1000, 1100):
        parts.rrsets.put(RRset(bytes(bytearray(owner)), rtype, 86400, (rng.randbytes(1),)), Trust.ANSWER, 0.0, owner)
    return 100


def long_aliases(parts: Resolution) -> int:
    owner = name()
    parts.rrsets.put(RRset(owner, codes.CNAME, 86400, (name(),)), Trust.ANSWER, 0.0, bytes(bytearray(owner)))
    return 1


def large_sets(parts: Resolution) -> int:
    owner = name(20)
    rdatas = tuple(rng.randbytes(4) for _ in range(1000))
    parts.rrsets.put(RRset(owner, codes.A, 86400, rdatas), Trust.ANSWER, 0.0, bytes(bytearray(owner)))
    return 50


def signed(parts: Resolution) -> int:
    owner = name(20)
    rrset = RRset(owner, codes.A, 86400, (rng.randbytes(4),), tuple(rng.randbytes(100) for _ in range(8)))
    parts.rrsets.put(rrset, Trust.ANSWER, 0.0, bytes(bytearray(owner)))
    return 3


def denials(parts: Resolution) -> int:
    soa = RRset(name(20), codes.SOA, 3600, (rng.randbytes(64),))
    parts.rrsets.put_negative(name(20), codes.A, 3600, (soa,), Trust.ANSWER, 0.0, nxdomain=True)
    return 1


def nsec(count: int) -> tuple[RRset, ...]:
    return tuple(RRset(name(20), codes.NSEC, 3600, (rng.randbytes(3),)) for _ in range(count))


THOUSANDS = nsec(2000)


def fat_denials(parts: Resolution) -> int:
    """Thousands of tiny NSEC beside one denial, and as many as are kept beside another."""
    soa = RRset(name(20), codes.SOA, 3600, (rng.randbytes(64),))
    for proofs in (THOUSANDS, nsec(20)):
        parts.rrsets.put_negative(name(20), codes.A, 3600, (soa, *proofs), Trust.ANSWER, 0.0)
    return 16


def tiny_packets(parts: Resolution) -> int:
    owner = name(20)
    parts.packets.put(rng.randbytes(10) + owner, rng.randbytes(40), (20,), owner, 0.0, 86400, 0)
    return 1


def large_packets(parts: Resolution) -> int:
    """Counted down, as that must not leave them there twice."""
    owner = name()
    key = rng.randbytes(10) + owner + rng.randbytes(15)
    parts.packets.put(key, rng.randbytes(4096), tuple(range(300, 4000, 16)), owner, 0.0, 86400, 0)
    parts.packets.get(key, 10.0)
    return 5


def delegations(parts: Resolution) -> int:
    parts.delegations.put(Delegation(name(), tuple(name() for _ in range(13)), (), 86400.0, 0.0), 0.0)
    return 7


def glued_delegations(parts: Resolution) -> int:
    servers = tuple(name(20) for _ in range(13))
    parts.delegations.put(Delegation(name(20), servers, tuple((each, addresses(6)) for each in servers), 86400.0, 0.0), 0.0)
    return 20


def tiny_delegations(parts: Resolution) -> int:
    parts.delegations.put(Delegation(name(20), (name(20),), (), 86400.0, 0.0), 0.0)
    return 1


def failures(parts: Resolution) -> int:
    parts.failures.put(name(), codes.A, ExtendedError(22, "x" * 900 + name(20).hex()), 0.0)
    return 2


def servers(parts: Resolution) -> int:
    (address,) = addresses(1)
    server = Server(address)
    parts.infra.rtt_update(server, rng.random(), 0.0)
    parts.infra.timed_out(server, 0.0)
    return 1


ATTACKS: dict[str, Callable[[Resolution], int]] = {
    each.__name__: each
    for each in (
        tiny_records, many_types, long_aliases, large_sets, signed, denials, fat_denials, tiny_packets, large_packets,
        delegations, glued_delegations, tiny_delegations, failures, servers,
    )
}  # fmt: skip
"""What fills a cache; each says about how many entries of half a KiB it was."""


def resident() -> int:
    """What this process has of the machine's memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Nowhere:
    """No network."""

    def start(self, ask: object, done: object) -> object:
        raise NotImplementedError


def fill(what: str, size: int) -> tuple[int, int]:
    """Fill the caches of a resolver of this size with three times as much as they may hold."""
    parts = Resolution(Settings(cache=CacheSettings(size=size)), Nowhere(), SystemClock(), Counters())  # type: ignore[arg-type]
    assert isinstance(parts.mesh, Mesh)
    chosen = list(ATTACKS.values()) if what == "everything" else [ATTACKS[what]]
    before = resident()
    for attack in chosen:
        done = 0
        while done < 3 * size // 512:
            done += attack(parts)
    return resident() - before, size


def response(number: int) -> ListResponse:
    text = (f"{number} " + "r" * 250)[:250]
    codes_told = tuple(f"code{number}-{each}" for each in range(10))
    ips = tuple(f"127.0.{number % 250}.{each}" for each in range(20))
    listed = Listed("list", codes_told, ips, 1.0, text, f"https://example.com/{number}/" + "l" * 200, 86400)
    return ListResponse(listed, tuple(rng.randbytes(4) for _ in range(20)), Behaviour.SOUND, 86400)


def replies(_: int) -> tuple[int, int]:
    """Fill the memory of what lists have said."""

    cache = ResponseCache(bounds.LIST_REPLIES, bounds.LIST_REPLY_OCTETS)
    before = resident()
    for number in range(bounds.LIST_REPLY_OCTETS // 1500):
        cache.put((name(), codes.A), response(number), 0.0)
    return resident() - before, bounds.LIST_REPLY_OCTETS


def deep_name() -> Name:
    """One of many labels."""
    return b"".join(b"\1" + bytes([each]) for each in rng.randbytes(110)) + b"\0"


NSEC3_HEAD = b"\1\0\0\0\0\x14"
"""SHA-1, no flags, no iterations, no salt, and the length of the hash."""


def after(hashed: bytes) -> bytes:
    """The hash behind it."""
    return ((int.from_bytes(hashed) + 1) % (1 << 160)).to_bytes(20)


def aggressive(_: int) -> tuple[int, int]:
    """Fill the memory of what answers for names never asked for: names of many labels, hashes, wildcards, tiny zones."""
    cache = AggressiveCache()
    numbers = struct.pack("!5I", 1, 2, 3, 4, 86400)
    before = resident()
    for _zone in range(6 * bounds.AGGRESSIVE_OCTETS // bounds.AGGRESSIVE_ZONE_OCTETS):
        zone = name(20)
        soa = RRset(zone, codes.SOA, 86400, (b"\0\0" + numbers,))
        for number in range(bounds.AGGRESSIVE_ZONE_OCTETS // 4096):
            owner, hashed = deep_name()[:-1] + zone, rng.randbytes(20)
            cache.learn(zone, [
                RRset(owner, codes.NSEC, 86400, (b"\1\0" + owner + b"\0\1\x40",)),
                RRset(b"\x20" + hash_label(hashed) + zone, codes.NSEC3, 86400, (NSEC3_HEAD + after(hashed) + b"\0\1\x40",)),
            ], soa, 0.0)  # fmt: skip
            cache.learn_wildcard(zone, zone, RRset(name(20)[:-1] + zone, 1000 + number, 86400, (rng.randbytes(4),)), 0.0)
    for _zone in range(bounds.AGGRESSIVE_OCTETS // 3000):
        zone = name(20)
        soa = RRset(bytes(bytearray(zone)), codes.SOA, 86400, (b"\0\0" + numbers,))
        cache.learn(zone, [RRset(bytes(bytearray(zone)), codes.NSEC, 86400, (zone + b"\0\1\x02",))], soa, 0.0)
    return resident() - before, bounds.AGGRESSIVE_OCTETS


def main() -> None:
    """Measure one attack."""
    what, size = sys.argv[1], int(sys.argv[2])
    asyncio.set_event_loop(asyncio.new_event_loop())
    others = {"list_replies": replies, "aggressive": aggressive}
    print(*(others[what](size) if what in others else fill(what, size)))


if __name__ == "__main__":
    main()
