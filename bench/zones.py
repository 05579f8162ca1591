"""Own lists of a million entries: resolverd beside rbldnsd, both from the same file.

`python -m bench.zones [ENTRIES]`. For each format: seconds to load, memory that the entries cost (with the file less
without it), answers a second to names asked once each, and what clients notice while resolverd reads the file anew.
"""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import NamedTuple

import dns.message

from bench.dns import _figure
from bench.measure import in_the_lab, machine, table
from tests.lab.daemon import Daemon, answers_dns, fresh
from tests.lab.namespace import LAB, LabError, Side
from tests.lab.resolverd import CONFIG, resolverd

ZONE = "big.lists.org"
ASKED = 200_000
SECONDS = 4.0
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
    "ip4trie": Format(lambda chance: str(IPv4Address(chance.getrandbits(32))), _reversed),
    "ip6trie": Format(lambda chance: f"{IPv6Address(chance.getrandbits(61) << 64 | 1 << 125)}/64", _reversed),
    "dnset": Format(lambda chance: f".{chance.getrandbits(44):x}-spam.{chance.choice(('com', 'net', 'org', 'xyz'))}",
                    lambda entry: "www" + entry),
}


class Figures(NamedTuple):
    """Of one server and format."""

    load: float
    memory: float
    rate: float


def resident(daemon: Daemon) -> float:
    """MiB of memory that a program holds."""
    lines = Path(f"/proc/{daemon.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def started(daemon: Daemon) -> float:
    """Seconds until a program answers."""
    begun = time.monotonic()
    daemon.start()
    return time.monotonic() - begun


def rbldnsd(side: Side, form: str, file: Path) -> Daemon:
    directory = fresh("rbldnsd")
    shutil.copy(file, directory / "file")
    argv = ["rbldnsd", "-n", "-u", "nobody", "-w", str(directory), "-b", "127.0.0.2/53", f"{ZONE}:{form}:file"]
    return Daemon("rbldnsd", argv, side, lambda: answers_dns(side, "127.0.0.2", ZONE))


def ours(side: Side, form: str, file: Path) -> Daemon:
    daemon = resolverd(side, QUIET, name="resolverd")
    folder = LAB / "resolverd" / "zones"
    folder.mkdir()
    shutil.copy(file, folder / f"{ZONE}.{form}")
    return daemon


def measured(make: Callable[[Side, str, Path], Daemon], address: str, form: str, files: Files) -> Figures:
    """A server with next to nothing in the file, then with all of it."""
    side = Side("mail")
    empty = make(side, form, files.empty)
    without = started(empty), resident(empty)
    empty.stop()
    full = make(side, form, files.full)
    with_all = started(full), resident(full)
    done = subprocess.run(["dnsperf", "-s", address, "-d", str(files.questions), "-l", f"{SECONDS:g}", "-n", "1", "-c", "4", "-T",
                           "1", "-q", "100"], capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"dnsperf: {done.stderr}")
    full.stop()
    rate = float(_figure(r"Queries per second:\s+([\d.]+)", done.stdout))
    return Figures(with_all[0] - without[0], with_all[1] - without[1], rate)


class Files(NamedTuple):
    empty: Path
    full: Path
    questions: Path


def written(form: str, entries: int) -> Files:
    """A list, one with a single entry, and questions: half of them for names that are listed."""
    chance = random.Random(entries)
    kind = FORMATS[form]
    lines = [kind.entry(chance) for _ in range(entries)]
    files = Files(*(LAB / f"{form}-{name}" for name in Files._fields))
    files.full.write_text(HEAD + "\n".join(lines) + "\n")
    files.empty.write_text(HEAD + lines[0] + "\n")
    asked = chance.sample(lines, min(ASKED // 2, entries)) + [kind.entry(chance) for _ in range(ASKED // 2)]
    chance.shuffle(asked)
    files.questions.write_text("".join(f"{kind.name(entry)}.{ZONE} A\n" for entry in asked))
    return files


def while_reading(form: str, files: Files) -> tuple[float, float, float]:
    """Seconds until a changed file counts, and what a client waits meanwhile at most, and usually, in ms."""
    side = Side("mail")
    daemon = ours(side, form, files.empty)
    daemon.start()
    target = LAB / "resolverd" / "zones" / f"{ZONE}.{form}"
    fuller = target.with_suffix(".tmp")
    shutil.copy(files.full, fuller)
    last = files.full.read_text().splitlines()[-1]
    fuller.rename(target)
    query = dns.message.make_query(f"{FORMATS[form].name(last)}.{ZONE}", "A", use_edns=0).to_wire()
    waits = []
    begun = time.monotonic()
    with side.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect(("127.0.0.1", 53))
        while time.monotonic() - begun < 60:
            sent = time.monotonic()
            sock.send(query)
            reply = dns.message.from_wire(sock.recv(4096))
            waits.append(time.monotonic() - sent)
            if reply.answer:
                break
            time.sleep(0.002)
    daemon.stop()
    return time.monotonic() - begun, 1000 * max(waits), 1000 * sorted(waits)[len(waits) // 2]


def run() -> None:
    """Measure every format and print the table."""
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rows, reading = [], []
    for form in FORMATS:
        files = written(form, entries)
        mine = measured(ours, "127.0.0.1", form, files)
        theirs = measured(rbldnsd, "127.0.0.2", form, files)
        rows += [
            (f"{form}: {name}", f"{each.load:.1f}", f"{each.memory:.0f}", f"{each.rate:,.0f}")
            for name, each in (("resolverd", mine), ("rbldnsd", theirs))
        ]
        rows.append(("  resolverd / rbldnsd", "", f"{mine.memory / theirs.memory:.2f}", f"{mine.rate / theirs.rate:.2f}"))
        took, longest, usual = while_reading(form, files)
        reading.append((form, f"{took:.1f}", f"{usual:.1f}", f"{longest:.1f}"))
    print(f"{entries:,} entries in random order, {ASKED:,} names asked once each; dnsperf on the same {machine()}")
    print(table(("", "load s", "MiB", "answers/s"), rows))
    print("\nresolverd reads a changed file (a look every 2 s included) beside a client that asks all the time")
    print(table(("", "in force after s", "usual wait ms", "longest wait ms"), reading))


if __name__ == "__main__":
    in_the_lab("bench.zones", run)
