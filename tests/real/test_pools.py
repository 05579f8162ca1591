"""Pools of sending hosts beside real Postgrey: each message is tried again by another host, as big providers do it.

The same messages from the same hosts at the same times go to Postgrey, and to our greylisting by network and by organisation.
"""

import asyncio
import contextlib
import os
import random
import shutil
from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple

import pytest

from resolverd.greylist.decide import HOUR, GreylistRules
from resolverd.greylist.organisation import VerifiedDomains
from resolverd.greylist.service import Greylister
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.state.memory import MemoryStore
from tests.real.test_as_postgrey import Postgrey, Try

pytestmark = pytest.mark.skipif(shutil.which("postgrey") is None, reason="needs postgrey")

MINUTE = 60
HOSTS = 60
MESSAGES = 120
START = 1_700_000_000

# Seconds after the first try at which a provider tries again, the last interval over and over: a first retry soon and
# longer pauses then; every quarter of an hour; once below five minutes and then after hours; minutes that double.
SCHEDULES = {
    "soon": (60, 300, 900, 1800, 3600, 7200),
    "quarters": (900, 1800, 2700, 3600, 4500, 5400),
    "impatient, then hours": (240, 3 * HOUR, 6 * HOUR, 9 * HOUR, 12 * HOUR, 15 * HOUR),
    "doubling": (285, 570, 1140, 2280, 4560, 9120),
}


class Message(NamedTuple):
    """When it is tried, and by which host each time."""

    sender: str
    recipient: str
    tries: tuple[tuple[int, int], ...]


class Delivered(NamedTuple):
    retries: list[int]
    delays: list[int]
    given_up: int
    late: list[int]


def messages(schedule: tuple[int, ...], seed: int) -> list[Message]:
    chance = random.Random(seed)
    found = []
    for number in range(MESSAGES):
        begun = START + number * 600 + chance.randrange(300)
        waits = [0, *schedule]
        while waits[-1] < 40 * HOUR:
            waits.append(waits[-1] + schedule[-1] - schedule[-2])
        tries = tuple((begun + wait, chance.randrange(HOSTS)) for wait in waits)
        letters = "".join(chr(97 + int(digit)) for digit in str(number))
        found.append(Message(f"{letters}@customer.example.net", f"{chr(97 + number % 26)}@example.org", tries))
    return found


def in_time(mails: list[Message]) -> list[tuple[int, int, int]]:
    """Time, message and try, in the order in which they happen."""
    return sorted((at, number, count) for number, mail in enumerate(mails) for count, (at, _) in enumerate(mail.tries))


class Tally:
    def __init__(self, mails: list[Message]):
        self.mails = mails
        self.passed: dict[int, int] = {}

    def note(self, number: int, count: int, waits: bool) -> None:
        if not waits:
            self.passed[number] = count

    def result(self) -> Delivered:
        delays = [self.mails[number].tries[count][0] - self.mails[number].tries[0][0] for number, count in self.passed.items()]
        late = [number for number in range(len(self.mails)) if self.passed.get(number) != 0]
        return Delivered(sorted(self.passed.values()), sorted(delays), len(self.mails) - len(self.passed), late)


def host(pool: int, number: int) -> str:
    """Each in a network of its own."""
    return f"10.{pool}.{number}.{number + 1}"


def by_postgrey(postgrey: Postgrey, mails: list[Message], pool: int) -> Delivered:
    tally = Tally(mails)
    for at, number, count in in_time(mails):
        if number not in tally.passed:
            mail = mails[number]
            attempt = Try(at, host(pool, mail.tries[count][1]), mail.sender, mail.recipient)
            tally.note(number, count, postgrey.ask(attempt) == "wait")
    return tally.result()


class Calendar:
    """A clock that stands where it is set."""

    def __init__(self) -> None:
        self.now = float(START)

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


async def by_us(mails: list[Message], pool: int, spf_domain: str = "", **rules: object) -> Delivered:
    calendar = Calendar()
    desk = Greylister(MemoryStore(), calendar, GreylistRules(**rules), Counters())  # type: ignore[arg-type]
    tally = Tally(mails)
    for at, number, count in in_time(mails):
        if number not in tally.passed:
            calendar.now = at
            mail = mails[number]
            sending = mail.tries[count][1]
            proof = VerifiedDomains(spf_domain, f"mail-{sending}.out.provider-{pool}.com")
            attempt = Attempt(ip_address(host(pool, sending)), sender=mail.sender, recipient=mail.recipient)
            outcome = await desk.consider(attempt, record=True, suspicious=True, verify=lambda proof=proof: proof)
            tally.note(number, count, bool(outcome.missing))
    return tally.result()


@pytest.fixture(scope="module")
def postgrey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgrey]:
    if os.geteuid() != 0:
        pytest.skip("postgrey wants root to take its user")
    with contextlib.closing(Postgrey(tmp_path_factory.mktemp("postgrey"))) as server:
        yield server


@pytest.mark.parametrize(("pool", "schedule"), list(enumerate(SCHEDULES)), ids=list(SCHEDULES))
def test_a_pool_of_sixty_hosts(postgrey: Postgrey, pool: int, schedule: str) -> None:
    mails = messages(SCHEDULES[schedule], pool)
    theirs = by_postgrey(postgrey, mails, pool)
    network = asyncio.run(by_us(mails, pool, auto_allow_after=3, key="network"))
    organisation = asyncio.run(by_us(mails, pool, auto_allow_after=3))
    unlearnt = asyncio.run(by_us(mails, pool, auto_allow_after=0))
    for name, found in (("postgrey", theirs), ("network", network), ("organisation", organisation), ("no AWL", unlearnt)):
        half = found.delays[len(found.delays) // 2] if found.delays else 0
        worst = found.delays[-1] if found.delays else 0
        retries, left = max(found.retries, default=0), f"{found.given_up}/{MESSAGES}"
        print(f"{schedule:22} {name:13} retries {retries:3} at most, delay {half:6} s median {worst:6} s at most, lost {left}")
    # By network we are Postgrey, which keeps the pool out for hours; by organisation nobody is tried more than three times.
    assert network == theirs
    assert max(theirs.retries) > 5
    for found in (organisation, unlearnt):
        assert found.given_up == 0
        assert max(found.retries) <= 2
    assert organisation.delays[-1] <= 30 * MINUTE or schedule == "impatient, then hours"


def test_one_time_codes(postgrey: Postgrey) -> None:
    """Everybody is sent one, by any host of the pool, and tried again every quarter of an hour: as the network key and its
    defaults have it, the sender is learnt from its SPF record and nobody waits any more."""
    pool = len(SCHEDULES)
    mails = [
        Message(f"code-{number}@accounts.example.net", f"user-{chr(97 + number % 26)}{chr(97 + number // 26)}@example.org", tries)
        for number, (_, _, tries) in enumerate(messages(SCHEDULES["quarters"], pool))
    ]
    theirs = by_postgrey(postgrey, mails, pool)
    ours = asyncio.run(by_us(mails, pool, "accounts.example.net", key="network"))
    unproved = asyncio.run(by_us(mails, pool, key="network"))
    late = [len(found.late) for found in (theirs, unproved, ours)]
    print(f"of {MESSAGES} codes late: postgrey {late[0]}, ours without SPF {late[1]}, ours {late[2]}")
    assert min(late[:2]) > MESSAGES / 2
    assert ours.late == list(range(late[2])), "from some code on nobody waits"
    assert late[2] < MESSAGES / 2
