"""Work counted without a clock: lines of Python run and functions entered. What C does within one call is not seen.

And the input that costs most, for tests that count and for `bench.bounds`, which measures.
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from resolverd.wire import codes


class Steps:
    """So much work was done."""

    done = 0


@contextmanager
def counted(most: int = 20_000_000) -> Iterator[Steps]:
    """Count what this thread does until the context ends. Raises AssertionError in its midst beyond `most`."""
    steps, before = Steps(), sys.gettrace()

    def count(frame: FrameType, event: str, arg: object) -> Any:
        steps.done += event in ("call", "line")
        if steps.done > most:
            raise AssertionError(f"more than {most} steps")
        return count

    sys.settrace(count)
    try:
        yield steps
    finally:
        sys.settrace(before)


def steps_of(work: Callable[[], object], most: int = 20_000_000) -> int:
    """The work that a call does. Raises AssertionError beyond `most`."""
    with counted(most) as steps:
        work()
    return steps.done


def staircase(steps: int) -> bytes:
    """Each step a pointer to the one before; then as many records as fit, all owned by the last step."""
    stairs = b"\0" + b"".join(struct.pack("!H", 0xC000 | (23 + 1 + 2 * (n - 1) if n else 23)) for n in range(steps))
    first = b"\0" + struct.pack("!HHIH", 10, 1, 0, len(stairs)) + stairs
    owner = struct.pack("!H", 0xC000 | (23 + 1 + 2 * (steps - 1)))
    record = owner + struct.pack("!HHIH", 1, 1, 0, 4) + b"\1\2\3\4"
    count = (65535 - 12 - len(first)) // len(record)
    return struct.pack("!6H", 1, 0x8000, 0, count + 1, 0, 0) + first + record * count


def faulty_names(count: int) -> bytes:
    """So many records, each with a name that goes on for 127 labels before it turns out to be none."""
    labels = b"\x01a" * 127
    first = b"\0" + struct.pack("!HHIH", 10, 1, 0, len(labels) + 2) + labels + b"\x80\0"
    record = b"\0" + struct.pack("!HHIH", codes.CNAME, 1, 0, 2) + struct.pack("!H", 0xC000 | 23)
    return struct.pack("!6H", 1, 0x8000, 0, count + 1, 0, 0) + first + record * count


def sound_names(count: int) -> bytes:
    """So many records, each with a name that is a pointer to the same one."""
    record = b"\0" + struct.pack("!HHIH", codes.CNAME, 1, 0, 2) + b"\xc0\x0c"
    return struct.pack("!6H", 1, 0x8000, 0, count, 0, 0) + record * count


def delegation(servers: int) -> bytes:
    """A referral to so many servers of ``evil``, each with its address."""
    zone = b"\xc0\x0c"  # a pointer to the question's name
    names = [b"\5%05d" % number + zone for number in range(servers)]
    ns = b"".join(zone + struct.pack("!HHIH", codes.NS, 1, 300, len(name)) + name for name in names)
    glue = b"".join(name + struct.pack("!HHIHI", codes.A, 1, 300, 4, number) for number, name in enumerate(names))
    question = b"\4evil\0" + struct.pack("!HH", codes.A, 1)
    return struct.pack("!6H", 1, 0x8000, 1, 0, servers, servers) + question + ns + glue


BUSY = (
    (r"^(\w+\.?)+$", "a" * 250 + "!"), (r"(a*)*b", "a" * 500), (r"(a|a)*b", "a" * 500),
    (r"^(([a-z])+.)+[0-9]([a-z])+$", "a" * 500), (r".*.*.*.*.*.*=x", "a" * 500), (r"(a?){150}a{150}", "a" * 149),
    (r"(.*)@(.*\.)*example", "a." * 250), (r"a" * 400, "a" * 399),
)  # fmt: skip
"""Expressions that a matcher which backtracks does not end with in this century, or has to begin again with at each character,
and texts that they do not match."""

ORDINARY_NAME = "m\u00fcnchen.b\u00fccher.example"
LONG_NAMES = ("\u00fc" * 16_000, ".".join(["\u00fc" * 63] * 60), "\u00fc\u00ad" * 8000 + ".de", "\u4e00." * 127)
"""Names for whose A-labels the work grows with the square of their length."""

BLOCKS = " ".join(f"ip6:2001:db8:{number:x}::/48" for number in range(700))
"""Terms that nearly fill an SPF record."""


def longest_spf(domain: str) -> dict[str, str]:
    """Records of a domain that cost as much as those of one check may."""
    half = f"v=spf1 {BLOCKS[: len(BLOCKS) // 2].rpartition(' ')[0]} -all"
    includes = " ".join(f"include:{each}.example" for each in "abcd")
    halves = {f"{each}.example TXT": half.replace("48", f"4{at}") for at, each in enumerate("abcd")}
    return {f"{domain} TXT": f"v=spf1 {includes} -all", **halves}


def ordinary_spf(domain: str) -> dict[str, str]:
    """A record of a domain with twenty addresses."""
    return {f"{domain} TXT": "v=spf1 " + " ".join(f"ip4:198.51.100.{number}" for number in range(20)) + " -all"}


def allow_file(clients: int) -> str:
    """Postgrey's list of so many host names and as many networks."""
    return "".join(f"c{n}.example.com\n10.{n // 250}.{n % 250}.0/24\n" for n in range(clients))


def least_cpu(work: Callable[[], object], times: int = 9) -> float:
    """The processor time that a call takes at least, in milliseconds: what else the machine does makes it more, never less."""
    least = float("inf")
    for _ in range(times):
        begun = time.process_time()
        work()
        least = min(least, time.process_time() - begun)
    return least * 1000


def record(rtype: int, octets: bytes, owner: bytes = b"\0") -> bytes:
    """A record of class IN as it stands in a message, whose TTL is 0."""
    return owner + struct.pack("!HHIH", rtype, 1, 0, len(octets)) + octets


def response(records: list[bytes], room: int = 65535) -> bytes:
    """A reply without a question, of as many of these records as there is room for."""
    size, count = 12, 0
    while count < len(records) and size + len(records[count]) <= room:
        size += len(records[count])
        count += 1
    return struct.pack("!6H", 1, 0x8000, 0, count, 0, 0) + b"".join(records[:count])
