"""The combined zone: what a client of the mail server waits for when none of the lists' answers is known.

The lists are rbldnsd's, a round trip of 20 ms away, and every address is asked for the first time. Beside resolverd's one
question stands Unbound with one a list: one after another, as Postfix asks its `reject_rbl_client` lines, and all at once.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from statistics import median

import dns.message
import dns.rcode

from bench.harness import OURS, Case, Figures, Turns, at_most, spending
from bench.measure import serving
from tests.lab.daemon import Daemon, answers_dns
from tests.lab.grove import RESOLVERS, Grove
from tests.lab.grower import Grower, Tree
from tests.lab.lists import List
from tests.lab.model import Host, Zone
from tests.lab.namespace import LabError, Side
from tests.lab.rbldnsd import ListServer
from tests.lab.resolverd import resolverd
from tests.lab.unbound import unbound

RTT = 0.020
TEN = 10
GROWING = (1, 10, 50)
CLIENTS = 12
"""Addresses a turn."""

LATENCY, CPU_A_CLIENT = "latency ms", "CPU ms a client"

CONFIG = """
[dns]
listen = ["{address}:53"]
[resolver]
dnssec = false                 # the lists' internet is not signed, and nobody else here validates
[store]
url = "disk:state"
[policy]
listen = ["{address}:10023"]
[http]
listen = "{address}:8053"
[lists]
spamhaus-zen = {{enabled = false}}
spamhaus-dbl = {{enabled = false}}
dnswl = {{enabled = false}}
"""


def list_zone(number: int) -> str:
    """The zone of a list."""
    return f"bl.list-{number}.net"


def with_lists(number: int) -> tuple[Tree, list[List]]:
    """Grow an internet with so many lists, each with a server of its own below its operator's domain."""
    grower = Grower(1)
    made = []
    for each in range(number):
        zone, operator = list_zone(each), f"list-{each}.net"
        server, address = f"a.bl-ns.{operator}", f"45.9.{each}.1"
        made.append(List(zone, operator, "address", ((server, address),), (("127.0.0.2", "127.0.0.2", "test entry"),)))
        grower.hosts.append(Host(server, (address,), made[-1].program))
        grower.zones += [Zone(operator, grower.company("east")), Zone(zone, (server,), loaded_elsewhere=True)]
    return grower.tree(), made


def combining(address: str, number: int, side: Side) -> Daemon:
    """Make a resolverd that asks the first so many lists."""
    own = "".join(f'[lists.own{each}]\nzone = "{list_zone(each)}"\nkinds = ["ip4", "ip6"]\nnumber = {100 + each}\n'
                  for each in range(number))
    made = resolverd(side, CONFIG.format(address=address) + own, name=f"{OURS} {number}")
    made.ready = lambda: answers_dns(side, address, "localhost", "A")
    return made


def ask(address: str, names: Sequence[str], at_once: bool) -> float:
    """Ask for the A record of each name; the seconds until the last answer. Raises LabError where one is none."""
    queries = [dns.message.make_query(name, "A").to_wire() for name in names]
    began = time.perf_counter()
    together = [queries] if at_once else [[query] for query in queries]
    replies = [reply for each in together for reply in _exchange(address, each)]
    took = time.perf_counter() - began
    for reply in map(dns.message.from_wire, replies):
        if reply.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise LabError(f"{address} failed:\n{reply}")
    return took


def _exchange(address: str, queries: Sequence[bytes]) -> list[bytes]:
    """A socket a query, as so many processes have them."""
    replies = []
    with selectors.DefaultSelector() as selector:
        for query in queries:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            selector.register(sock, selectors.EVENT_READ)
            sock.connect((address, 53))
            sock.send(query)
        while selector.get_map():
            ready = selector.select(10)
            if not ready:
                raise LabError(f"{address} does not answer")
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                replies.append(key.fileobj.recv(4096))
                selector.unregister(key.fileobj)
                key.fileobj.close()
    return replies


def combined(client: str) -> list[str]:
    """What resolverd is asked about a client."""
    return [f"{client}.bl.rbl.internal"]


def one_by_one(number: int, client: str) -> list[str]:
    """What is asked about a client where there is no combined zone."""
    return [f"{client}.{list_zone(each)}" for each in range(number)]


@contextmanager
def internet(number: int) -> Iterator[Side]:
    """Have the lists run; the mail server's side."""
    tree, made = with_lists(number)
    with Grove(tree, rtt=RTT) as grove:
        servers = [ListServer(each, [each.hosts[0][1]], grove.internet) for each in made]
        try:
            for server in servers:
                server.launch()
            for server in servers:
                server.wait()
            yield grove.mail
        finally:
            for server in servers:
                server.shutdown()


def fresh_clients() -> Iterator[str]:
    """Reversed addresses, none twice."""
    return (f"{number & 255}.{number >> 8}.100.198" for number in count(1))


def wait(daemon: Daemon, address: str, clients: Iterator[str], names: partial[list[str]], at_once: bool) -> tuple[float, float]:
    """The median of what a turn's clients wait for, in ms, and the CPU time that a client costs, in ms."""
    with spending(daemon.pid) as spent:
        took = [ask(address, names(next(clients)), at_once) for _ in range(CLIENTS)]
    return median(took) * 1000, spent.cpu / CLIENTS * 1000


@contextmanager
def ten_lists() -> Iterator[Turns]:
    """Both know the way to every list."""
    clients = fresh_clients()
    with internet(TEN) as side:
        ours, theirs = combining(RESOLVERS[OURS], TEN, side), unbound(RESOLVERS["unbound"], side)
        ways = {
            OURS: (ours, RESOLVERS[OURS], clients, partial(combined), True),
            "unbound, in sequence": (theirs, RESOLVERS["unbound"], clients, partial(one_by_one, TEN), False),
            "unbound, at once": (theirs, RESOLVERS["unbound"], clients, partial(one_by_one, TEN), True),
        }

        def turn(way: str) -> Figures:
            latency, cpu = wait(*ways[way])
            return {LATENCY: latency, CPU_A_CLIENT: cpu}

        with serving(ours, theirs):
            for way in ways:
                turn(way)
            yield {way: partial(turn, way) for way in ways}


@contextmanager
def more_and_more_lists() -> Iterator[Turns]:
    """A resolverd for each number of lists, and one Unbound that is asked for all of them at once."""
    clients = fresh_clients()
    with internet(max(GROWING)) as side:
        ours = {number: combining(f"127.0.1.{number}", number, side) for number in GROWING}
        theirs = unbound(RESOLVERS["unbound"], side)
        ways = {
            OURS: {number: (daemon, f"127.0.1.{number}", clients, partial(combined), True) for number, daemon in ours.items()},
            "unbound": {number: (theirs, RESOLVERS["unbound"], clients, partial(one_by_one, number), True) for number in GROWING},
        }

        def turn(server: str) -> Figures:
            waits = {number: wait(*way) for number, way in ways[server].items()}
            least, most = GROWING[0], GROWING[-1]
            return {
                **{f"{LATENCY} @ {number}": latency for number, (latency, _) in waits.items()},
                **{f"{CPU_A_CLIENT} @ {number}": cpu for number, (_, cpu) in waits.items()},
                "growth of latency": waits[most][0] / waits[least][0],
                "growth of CPU": waits[most][1] / waits[least][1],
            }

        with serving(*ours.values(), theirs):
            for server in ways:
                turn(server)
            yield {server: partial(turn, server) for server in ways}


CASES = (
    Case("ten-lists", "The combined zone: ten lists, nothing known of the client, 20 ms away", ten_lists, (
        at_most(0.25, LATENCY, "unbound, in sequence"),
    ), peers=("unbound", "rbldnsd")),
    Case("more-lists", "The combined zone growing from one list to fifty, beside Unbound asked for all at once",
         more_and_more_lists, (at_most(1.0, "growth of latency", "unbound"),), turns=3, peers=("unbound", "rbldnsd")),
)  # fmt: skip
