"""What a verdict takes with a store of one's own, and with a Valkey that is shared: `python -m bench.shared_verdicts`.

Two hosts of the lab, in turns: smtpd's requests about triplets that are known, and about new ones of known clients, one at a time
and ten at once. Times as the asking side sees them, the daemon's CPU time, and what the server was asked for it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import count, product
from statistics import median

from bench.measure import in_the_lab, machine, table
from bench.policy_load import SENDERS, Load, load, request
from tests.lab.fleet import MailHost, furnish_store, shared
from tests.lab.fleet_world import ADDRESSES, FLEET_WORLD
from tests.lab.lab import Lab
from tests.lab.namespace import Side, use_nameserver
from tests.lab.redis import Redis

TURNS = 5
REQUESTS = 400
KNOWN = 50
"""Triplets that have passed."""

KINDS = ("known", "new")


def known(kind: str, numbers: Iterator[int]) -> Iterator[bytes]:
    """Requests of one kind."""
    for number in numbers:
        client = SENDERS[number % len(SENDERS)]
        yield request(client, number % KNOWN if kind == "known" else 1000 + number)


def asked_of(redis: Redis) -> int:
    """How many commands the server has worked off."""
    found = re.search(r"total_commands_processed:(\d+)", redis.ask("INFO", "stats"))
    assert found
    return int(found[1])


def turn(host: MailHost, kind: str, connections: int, numbers: Iterator[int]) -> Load:
    """So many requests of a kind to one host."""
    with host.side.entered():
        return load(host.resolverd, 10023, known(kind, numbers), REQUESTS, connections)


def measure() -> None:
    """Measure, and print a table."""
    use_nameserver("127.0.0.1")
    furnish_store()
    with Lab(world=FLEET_WORLD) as lab:
        redis = Redis(Side("store"))
        hosts = {
            "own": MailHost(ADDRESSES[0], shared("disk:state").replace("directory", "# directory")),
            "shared": MailHost(ADDRESSES[1], shared()),
        }
        with lab.running(redis.daemon, *(host.resolverd for host in hosts.values())):
            assert hosts["shared"].has_store()
            for _ in range(2):                                   # then the triplets have passed, and all else is known
                for host in hosts.values():
                    turn(host, "known", 1, count())
                time.sleep(2)
            rows, numbers = [], count()
            for kind, connections in product(KINDS, (1, 10)):
                loads: dict[str, list[Load]] = {name: [] for name in hosts}
                before = asked_of(redis)
                for _ in range(TURNS):
                    for name, host in hosts.items():
                        loads[name].append(turn(host, kind, connections, numbers))
                commands = (asked_of(redis) - before) / REQUESTS / TURNS
                rows += [row(kind, connections, name, of, commands * (name == "shared")) for name, of in loads.items()]
    print(table(("triplets", "at once", "store", "p50 ms", "p99 ms", "CPU us", "commands"), rows))
    print(machine())


def row(kind: str, connections: int, store: str, loads: list[Load], commands: float) -> tuple[str, ...]:
    """The median of the turns."""
    p50, p99 = (median(each.quantile(share) for each in loads) * 1000 for share in (0.5, 0.99))
    cpu = median(each.spent.cpu / REQUESTS for each in loads) * 1e6
    return kind, str(connections), store, f"{p50:.2f}", f"{p99:.2f}", f"{cpu:.0f}", f"{commands:.1f}"


if __name__ == "__main__":
    in_the_lab("bench.shared_verdicts", measure)
