"""Own lists in rbldnsd's formats beside rbldnsd, a million entries in random order: answers, memory, what loading costs."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from itertools import count
from pathlib import Path
from typing import NamedTuple

from bench.dnsperf import dnsperf
from bench.harness import OURS, RATE, TURNS, Case, Figures, Turns, at_least, at_most, spending
from bench.measure import cpu_seconds, resident, serving
from tests.lab.daemon import Daemon, answers_dns, fresh
from tests.lab.namespace import LAB, Side
from tests.lab.resolverd import CONFIG, resolverd

ZONE = "big.lists.org"
ENTRIES = 1_000_000
ASKED = 150_000
"""Names a turn, none of them asked before; every other one is listed."""
SECONDS = 1.5

MEMORY, LOAD = "MiB of the entries", "CPU s to load"

QUIET = CONFIG.replace("[resolver]", "[dnsbl]\nenabled = false\n\n[resolver]\npriming = false")
"""Nobody else is asked: there is no internet here."""

HEAD = "$SOA 3600 ns.example.net admin.example.net 1 600 300 86400 900\n$NS 3600 ns.example.net\n:2:listed, see https://example.net/$\n"


class Format(NamedTuple):
    """How a format's entries look, and the name that asks for one."""

    entry: Callable[[random.Random], str]
    name: Callable[[str], str]


def _reversed(entry: str) -> str:
    address = entry.partition("/")[0]
    if ":" not in address:
        return ".".join(reversed(address.split(".")))
    return ".".join(reversed(IPv6Address(address).exploded.replace(":", "")))


FORMATS = {
    "ip4set": Format(lambda chance: str(IPv4Address(chance.getrandbits(32))), _reversed),
    "ip6trie": Format(lambda chance: f"{IPv6Address(chance.getrandbits(61) << 64 | 1 << 125)}/64", _reversed),
    "dnset": Format(lambda chance: f".{chance.getrandbits(44):x}-spam.{chance.choice(('com', 'net', 'org', 'xyz'))}",
                    lambda entry: "www" + entry),
}


def written(form: str) -> tuple[Path, Path, list[Path]]:
    """Write a list with one entry, the whole one, and the questions of each turn."""
    chance = random.Random(1)
    kind = FORMATS[form]
    lines = [kind.entry(chance) for _ in range(ENTRIES)]
    single, whole = LAB / f"{form}-single", LAB / f"{form}-whole"
    single.write_text(HEAD + lines[0] + "\n")
    whole.write_text(HEAD + "\n".join(lines) + "\n")
    listed = chance.sample(lines, TURNS * ASKED // 2)
    asked = []
    for turn in range(TURNS):
        each = [*listed[turn :: TURNS], *(kind.entry(chance) for _ in range(ASKED // 2))]
        chance.shuffle(each)
        asked.append(LAB / f"{form}-asked-{turn}")
        asked[-1].write_text("".join(f"{kind.name(entry)}.{ZONE} A\n" for entry in each))
    return single, whole, asked


def rbldnsd(side: Side, form: str, file: Path) -> Daemon:
    """Make rbldnsd with a file: in the foreground, as nobody, on an address of its own; else as its defaults are."""
    directory = fresh("rbldnsd")
    shutil.copy(file, directory / "file")
    argv = ["rbldnsd", "-n", "-u", "nobody", "-w", str(directory), "-b", "127.0.0.2/53", f"{ZONE}:{form}:file"]
    return Daemon("rbldnsd", argv, side, lambda: answers_dns(side, "127.0.0.2", ZONE))


def ours(side: Side, form: str, file: Path) -> Daemon:
    """Make a resolverd with a file."""
    made = resolverd(side, QUIET, name=OURS)
    made.start_limit = 120.0
    made.ready = lambda: answers_dns(side, "127.0.0.1", ZONE)
    folder = LAB / OURS / "zones"
    folder.mkdir()
    shutil.copy(file, folder / f"{ZONE}.{form}")
    return made


SERVERS = {OURS: (ours, "127.0.0.1"), "rbldnsd": (rbldnsd, "127.0.0.2")}


def zone(form: str) -> Callable[[], AbstractContextManager[Turns]]:
    """Give a case's `run` for a format."""

    @contextmanager
    def run() -> Iterator[Turns]:
        single, whole, asked = written(form)
        side = Side("mail")
        with ExitStack() as stack:
            turns = {}
            for name, (make, address) in SERVERS.items():
                without = make(side, form, single)
                with serving(without):
                    started, memory = cpu_seconds(without.pid), resident(without.pid)
                daemon = make(side, form, whole)
                stack.enter_context(serving(daemon))
                loaded = {LOAD: cpu_seconds(daemon.pid) - started, MEMORY: resident(daemon.pid) - memory}
                turns[name] = partial(turn, daemon, address, asked, count(), loaded)
            yield turns

    return run


def turn(daemon: Daemon, address: str, asked: list[Path], numbers: Iterator[int], loaded: Figures) -> Figures:
    """Ask what has not been asked for yet."""
    file = asked[next(numbers)]
    with spending(daemon.pid) as spent:
        perf = dnsperf(address, file, "-l", f"{SECONDS:g}")
    spent.seconds = perf.seconds
    return {**spent.figures(perf.answered), **loaded}


CASES = tuple(
    Case(f"own-zone-{form}", f"An own zone of 10⁶ entries, {form}, beside rbldnsd", zone(form), (
        at_least(0.5, RATE, "rbldnsd"), at_most(2.0, MEMORY, "rbldnsd"),
    ), peers=("rbldnsd",), limit=240, long=form == "ip6trie") for form in FORMATS
)
