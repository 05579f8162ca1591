"""Greylisting as its table grows: known triplets all over a file of ten thousand, and of a million."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from bench.cases.policy import GREYLISTING_ALONE
from bench.harness import CPU, OURS, Case, Figures, Turns, at_most
from bench.measure import resident, serving
from bench.policy_load import MEDIAN, TAIL, Sender, letters, load, request
from resolverd import bounds
from resolverd.greylist.decide import GreylistRules, Triplet, encode_triplet
from resolverd.greylist.service import TRIPLETS
from resolverd.state.base import StoredValue, address
from resolverd.state.disk.opening import DIRECTORY
from resolverd.state.disk.sqlite_file import SLICE, SqliteFile
from tests.lab.daemon import Daemon
from tests.lab.namespace import LAB, LabError, Side
from tests.lab.postgrey import postgrey
from tests.lab.resolverd import resolverd

SIZES = (10_000, 1_000_000)
REQUESTS = 1500
GROWTH = f"{MEDIAN} with {SIZES[-1]} triplets, over that with {SIZES[0]}"

CONFIG = GREYLISTING_ALONE.replace("[resolver]", "[resolver]\npriming = false") + '[greylist]\nkey = "network"\n'
"""Nobody is asked, as there is no internet here; the key is Postgrey's."""

PORT = {OURS: 10023, "postgrey": 10024}


def client(number: int) -> Sender:
    """The client of a number: each in a network of its own, as far as there are so many."""
    net = number * 97 % (1 << 20)
    domain = f"firm{number % 5000}.com"
    return Sender(f"{11 + (net >> 16)}.{net >> 8 & 255}.{net & 255}.7", f"mail.{domain}", domain)


def keys(size: int) -> list[bytes]:
    """The keys of so many triplets, in order: the same words in both programs."""
    found = []
    for number in range(size):
        each = client(number)
        found.append(f"{each.address[:-1]}0/{letters(number)}@{each.domain}/anna@our-company.org".encode())
    return sorted(found)


def fill_ours(daemon: Daemon, known: list[bytes]) -> None:
    """Write triplets that have passed as resolverd would."""
    now, rules = int(time.time()), GreylistRules()
    passed = Triplet(now - 7200, now - 1800, True)
    value = StoredValue(encode_triplet(passed), passed.expires(rules))
    state = LAB / daemon.name / "state" / DIRECTORY
    state.mkdir(parents=True)
    file = SqliteFile(state, bounds.STORE_OCTETS)
    for start in range(0, len(known), SLICE):
        file.write({address(TRIPLETS, key): value for key in known[start : start + SLICE]})
    file.close()


def fill_theirs(port: int, known: list[bytes]) -> None:
    """The same with Berkeley DB's own tool, in Postgrey's words. Raises LabError."""
    now = int(time.time())
    value = f"{now - 7200},{now - 1800}\n".encode()
    directory = LAB / f"postgrey-{port}"
    done = subprocess.run(["db5.3_load", "-T", "-t", "btree", str(directory / "postgrey.db")],
                          input=b"".join(key + b"\n" + value for key in known), capture_output=True)
    if done.returncode:
        raise LabError(f"db5.3_load: {done.stderr!r}")
    subprocess.run(["chown", "-R", "postgrey:postgrey", str(directory)], check=True)


@contextmanager
def run() -> Iterator[Turns]:
    """A turn starts a server over each file, one after the other, and asks for triplets at random."""
    side = Side("mail")
    ours = {size: resolverd(side, CONFIG, name=f"resolverd-{size}") for size in SIZES}
    theirs = {size: postgrey(side, delay=300, port=PORT["postgrey"] + place) for place, size in enumerate(SIZES)}
    for place, size in enumerate(SIZES):
        known = keys(size)
        fill_ours(ours[size], known)
        fill_theirs(PORT["postgrey"] + place, known)
    ports = {size: PORT["postgrey"] + place for place, size in enumerate(SIZES)}
    turn = partial(_turn, chance=random.Random(1))
    yield {OURS: partial(turn, ours, dict.fromkeys(SIZES, PORT[OURS])), "postgrey": partial(turn, theirs, ports)}


def _turn(daemons: Mapping[int, Daemon], ports: Mapping[int, int], chance: random.Random) -> Figures:
    figures: dict[str, float] = {}
    medians = []
    for size, daemon in daemons.items():
        with serving(daemon):
            load(daemon, ports[size], _known(size, chance), 300)
            done = load(daemon, ports[size], _known(size, chance), REQUESTS)
            if done.deferred:
                raise LabError(f"{daemon.name} deferred {done.deferred} of {REQUESTS} triplets that had passed")
            medians.append(done.quantile(0.5))
            figures |= {f"{MEDIAN} @ {size}": medians[-1] * 1000, f"{TAIL} @ {size}": done.quantile(0.99) * 1000,
                        f"{CPU} @ {size}": done.figures()[CPU], f"MiB @ {size}": resident(daemon.pid)}
    return {**figures, GROWTH: medians[-1] / medians[0]}


def _known(size: int, chance: random.Random) -> Iterator[bytes]:
    while True:
        number = chance.randrange(size)
        yield request(client(number), number)


CASES = (
    Case("greylist-growth", "Greylisting over ten thousand triplets and over a million: known ones at random", run,
         (at_most(1.0, GROWTH, "postgrey"),), turns=3, limit=300.0, peers=("postgrey",),
         note="All other checks off. Both start over files that were written before, so little of a large one is in memory."),
)
