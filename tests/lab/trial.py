"""The lists' trial: 200 clients, 95 % of them spam, while lists fail in every way that is known; as JSON, a line a scene.

`python -m tests.lab.trial [SCENE…]`, in fresh namespaces, over a wire with a round trip of 20 ms. Everything that answers is
real: rbldnsd behind the lists (NSD where an operator's error code or a domain parker answers in its place), resolverd asked as
Postfix asks it. The queries are counted by the packets that leave, and held against those that resolverd accounts for.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

from tests.lab.lab import Lab
from tests.lab.lists import LISTS, Entry
from tests.lab.resolverd import CONFIG, get, resolverd

RTT = 0.02
CLIENTS = 200
SPAM = 0.95
PACE = 0.025
"""Seconds between two clients: the lists' own rates (50 questions a second) are kept even by all of them."""
WARM = 3.0
"""Seconds from the start to the first client: the lists' test points have been asked by then."""
SETTLED = 4.5
"""Seconds after which no question is under way any more."""
DELAY = 0.8
"""Seconds that a slow list takes for an answer."""

ZEN, SPAMCOP, PSBL, DNSWL = "zen.spamhaus.org", "bl.spamcop.net", "psbl.surriel.com", "list.dnswl.org"
MAILSPIKE, BARRACUDA, SMALL = "bl.mailspike.net", "b.barracudacentral.org", "rbl.small-list.net"

SETTINGS = CONFIG.replace('delay = "1s"', "enabled = false") + """
[lists.spamcop]
enabled = true
[lists.psbl]
enabled = true
[lists.mailspike]
enabled = true
[lists.barracuda]
enabled = true
[lists.small]
zone = "rbl.small-list.net"
kinds = ["ip4", "ip6"]
"""

IDS = {"spamhaus-zen": ZEN, "spamcop": SPAMCOP, "psbl": PSBL, "dnswl": DNSWL, "mailspike": MAILSPIKE,
       "barracuda": BARRACUDA, "small": SMALL, "spamhaus-dbl": "dbl.spamhaus.org"}  # fmt: skip

_CODES: Final = ("127.0.0.4", "127.0.0.10", "127.0.0.3", "127.0.0.2")
_NAMES: Final = ("mail.honest-mail.com", "mail2.honest-mail.com", "mx.gardening-club.org", "out.friendly-news.com")


class Client(NamedTuple):
    """One client of the trial. `code`: what zen lists it with, if it does; `named`: nothing but lists speaks against it."""

    address: str
    good: bool
    named: bool
    code: str
    elsewhere: tuple[str, ...]


@dataclass
class Scene:
    """What came of one scene; times in milliseconds. `sent` and `accounted`: queries by list. `sooner`: spam that was refused
    before a slow list can have answered.
    """

    name: str
    refused_good: list[str] = field(default_factory=list)
    refused_spam: int = 0
    listed_spam: int = 0
    sooner: int = 0
    let_through: int = 0
    p50: float = 0
    p99: float = 0
    worst: float = 0
    slowest: str = ""
    slowest_p99: float = 0
    states: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    accounted: dict[str, int] = field(default_factory=dict)


def clients(seed: int = 1) -> list[Client]:
    """The 200: zen lists two thirds of the spam with its usual mix of codes, other lists some of that, a quarter has names."""
    rng = random.Random(seed)
    made = []
    for number in range(CLIENTS):
        good = number % round(1 / (1 - SPAM)) == 7
        code = "" if good or rng.random() > 0.7 else rng.choices(_CODES, (6, 2, 1, 1))[0]
        elsewhere = tuple(zone for zone in (SPAMCOP, PSBL, SMALL) if code and rng.random() < 0.3)
        address = f"81.{2 + number % 7}.{rng.randrange(256)}.{1 + number}"
        made.append(Client(address, good, good or rng.random() < 0.25, code, elsewhere))
    return made


def _entries(zone: str, crowd: list[Client]) -> list[Entry]:
    if zone == ZEN:
        return [(each.address, each.code, "https://www.spamhaus.org/query/ip/$") for each in crowd if each.code]
    return [(each.address, "127.0.0.2", "listed: $") for each in crowd if zone in each.elsewhere]


Fault = Callable[[Lab], None]

BEFORE: dict[str, Fault] = {
    "all is well": lambda lab: None,
    "error codes (zen 127.255.255.254)": lambda lab: lab.lists[ZEN].answer_all("127.255.255.254", "Error: open resolver"),
    "dead (spamcop)": lambda lab: lab.lists[SPAMCOP].stop(),
    "silent (spamcop)": lambda lab: lab.lists[SPAMCOP].silence(),
    "slow (psbl, 800 ms)": lambda lab: lab.lists[PSBL].hamper(delay=DELAY),
    "refusing (mailspike)": lambda lab: lab.lists[MAILSPIKE].refuse(),
    "lossy (zen, a fifth)": lambda lab: lab.lists[ZEN].hamper(loss=0.2),
    "wildcarded from the start (zen)": lambda lab: lab.lists[ZEN].list_the_world(),
    "parked (psbl 192.0.2.1)": lambda lab: lab.lists[PSBL].answer_all("192.0.2.1"),
    "unknown code (small 127.0.0.77)": lambda lab: lab.lists[SMALL].answer_all("127.0.0.77"),
    "over quota (dnswl 127.0.10.3)": lambda lab: lab.lists[DNSWL].answer_all("127.0.10.3"),
    "allow list dead (dnswl)": lambda lab: lab.lists[DNSWL].stop(),
}
"""What is broken from the start."""

DURING: dict[str, Fault] = {
    "wildcarded in the middle (zen)": lambda lab: lab.lists[ZEN].list_the_world(),
    "wildcarded in the middle (spamcop)": lambda lab: lab.lists[SPAMCOP].list_the_world(),
    "parked in the middle (zen)": lambda lab: lab.lists[ZEN].answer_all("192.0.2.1"),
}
"""What breaks when half of the clients have come."""


def everything(lab: Lab) -> None:
    """All at once."""
    lab.lists[SPAMCOP].silence()
    lab.lists[PSBL].hamper(delay=DELAY)
    lab.lists[MAILSPIKE].refuse()
    lab.lists[BARRACUDA].answer_all("127.255.255.255")
    lab.lists[SMALL].answer_all("192.0.2.1")
    lab.lists[DNSWL].answer_all("127.0.10.3")


SCENES: dict[str, tuple[Fault, Fault]] = {
    **{name: (fault, lambda lab: None) for name, fault in BEFORE.items()},
    **{name: (lambda lab: None, fault) for name, fault in DURING.items()},
    "all of that, and wildcarded in the middle (zen)": (everything, DURING["wildcarded in the middle (zen)"]),
}


async def attempt(client: Client, number: int) -> tuple[str, float]:
    """One request as smtpd sends it: the action, and how long it took in seconds."""
    name = _NAMES[number % len(_NAMES)]
    shown = name if client.named else "unknown"
    lines = {
        "request": "smtpd_access_policy", "protocol_state": "RCPT", "client_address": client.address, "client_name": shown,
        "reverse_client_name": shown, "helo_name": name, "sender": f"s{number}@gardening-club.org",
        "recipient": "anna@our-company.org", "instance": f"{number:x}.1",
    }  # fmt: skip
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", 10023)
    writer.write("".join(f"{key}={value}\n" for key, value in lines.items()).encode() + b"\n")
    reply = (await reader.readuntil(b"\n\n")).decode().strip()
    writer.close()
    return reply.removeprefix("action="), time.perf_counter() - began


async def traffic(crowd: list[Client], half: Callable[[], None]) -> list[tuple[Client, str, float]]:
    """All clients, one after the other begun at a steady pace; at half of them something happens."""
    tasks = []
    loop = asyncio.get_running_loop()
    for number, client in enumerate(crowd):
        if number == len(crowd) // 2:
            await loop.run_in_executor(None, half)
        tasks.append(asyncio.create_task(attempt(client, number)))
        await asyncio.sleep(PACE)
    return [(client, *await task) for client, task in zip(crowd, tasks, strict=True)]


def play(lab: Lab, name: str) -> Scene:
    """One scene with a fresh resolverd."""
    before, during = SCENES[name]
    crowd = clients()
    scene = Scene(name, listed_spam=sum(bool(client.code) for client in crowd))
    for zone in (ZEN, SPAMCOP, PSBL, SMALL):
        # A server that is started anew has them too.
        details = lab.lists[zone].details
        lab.lists[zone].details = replace(details, entries=(*_entries(zone, crowd), *details.entries))
        lab.lists[zone].relist(_entries(zone, crowd))
    before(lab)
    try:
        with lab.tap() as tap, lab.running(resolverd(lab.mail, SETTINGS, name=f"trial {list(SCENES).index(name)}")):
            time.sleep(WARM)
            told = asyncio.run(traffic(crowd, lambda: during(lab)))
            time.sleep(SETTLED)
            states = {state["id"]: state for state in get("/v1/lists")["lists"]}
            servers = {str(ip_address(address)): each.zone for each in LISTS for address in lab.lists[each.zone].addresses}
            packets = Counter(servers[query.server] for query in tap.queries() if query.server in servers
                              and query.name.endswith(servers[query.server]))  # fmt: skip
    finally:
        for each in LISTS:
            lab.lists[each.zone].heal()
            lab.lists[each.zone].details = each
    scene.refused_good = [action for client, action, _ in told if client.good and action[:1] == "5"]
    scene.refused_spam = sum(action[:1] == "5" for client, action, _ in told if not client.good)
    scene.sooner = sum(action[:1] == "5" and seconds < DELAY for client, action, seconds in told if not client.good)
    scene.let_through = sum(action.startswith(("DUNNO", "PREPEND")) for client, action, _ in told if client.good)
    times = sorted(seconds * 1000 for _, _, seconds in told)
    scene.p50, scene.p99, scene.worst = (round(times[min(len(times) - 1, int(at * len(times)))]) for at in (0.5, 0.99, 1.0))
    used: dict[str, dict[str, Any]] = {name: states[name] for name in IDS}
    scene.slowest = max(used, key=lambda name: used[name]["p99"] or 0)
    scene.slowest_p99 = used[scene.slowest]["p99"]
    scene.states = {name: state["state"] for name, state in used.items() if state["state"] != "ok"}
    scene.errors = {name: state["last_error"] for name, state in used.items() if state["last_error"]}
    scene.sent = {name: packets[zone] for name, zone in IDS.items()}
    scene.accounted = {name: state["asked"] for name, state in used.items()}
    return scene


def main(names: list[str]) -> None:
    """Play the scenes that are named, or all."""
    with Lab(rtt=RTT) as lab:
        for name in names or SCENES:
            print(json.dumps(asdict(play(lab, name))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
