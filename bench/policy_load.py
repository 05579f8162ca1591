"""What Postfix would send a policy service, as a load: requests about new triplets, over several connections.

The load is one process of few system calls a request, for a server on another core; `Load.busy` tells how much of its own core
it took, and so whether it, and not the server, set the rate.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import NamedTuple

from bench.harness import Spent, spending
from tests.lab.daemon import Daemon
from tests.lab.namespace import LabError

CONNECTIONS = 10
"""How many smtpd processes ask at once; each waits for its reply before it asks again."""

MEDIAN, TAIL = "p50 ms", "p99 ms"
LOAD = "load's share of its core"
"""CPU time of the load over wall time: near 1 it, and not the server, set the rate."""


class Sender(NamedTuple):
    """A client and the domain that it sends for, whose SPF record lets it."""

    address: str
    name: str
    domain: str


SENDERS = (
    Sender("192.0.2.10", "mail.honest-mail.com", "honest-mail.com"),
    Sender("192.0.2.11", "mail2.honest-mail.com", "honest-mail.com"),
    Sender("192.0.2.20", "mx.gardening-club.org", "gardening-club.org"),
    Sender("198.51.100.10", "out.friendly-news.com", "friendly-news.com"),
    Sender("198.51.100.11", "out2.friendly-news.com", "friendly-news.com"),
    Sender("2001:db8:10::10", "mail.honest-mail.com", "honest-mail.com"),
)

_REQUEST = """request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address={client.address}
client_name={client.name}
client_port={port}
reverse_client_name={client.name}
server_address=203.0.113.25
server_port=25
helo_name={client.name}
sender={letters}@{client.domain}
recipient=anna@our-company.org
recipient_count=0
queue_id=
instance={number:x}.a
size=2048
etrn_domain=
stress=
sasl_method=
sasl_username=
sasl_sender=
ccert_subject=
ccert_issuer=
ccert_fingerprint=
ccert_pubkey_fingerprint=
encryption_protocol=
encryption_cipher=
encryption_keysize=0
policy_context=

"""
"""All that Postfix 3.7 sends."""


def letters(number: int) -> str:
    """A number as a mailbox: Postgrey takes all digits for the same."""
    return "".join(chr(97 + int(digit)) for digit in str(number))


def request(client: Sender, number: int) -> bytes:
    """The request about the triplet of a number."""
    return _REQUEST.format(client=client, letters=letters(number), number=number, port=40000 + number % 20000).encode()


def new_triplets() -> Iterator[bytes]:
    """Requests without end: known clients in turns, each time with a sender that nobody has seen."""
    return (request(SENDERS[number % len(SENDERS)], number) for number in count())


class Load(NamedTuple):
    """What came of a load: seconds each request took, shortest first; and what the server and the load cost."""

    latencies: list[float]
    deferred: int
    spent: Spent
    own_cpu: float

    def figures(self) -> dict[str, float]:
        """The figures of a turn."""
        return {
            **self.spent.figures(len(self.latencies)), MEDIAN: self.quantile(0.5) * 1000, TAIL: self.quantile(0.99) * 1000,
            LOAD: self.own_cpu / self.spent.seconds,
        }

    def quantile(self, share: float) -> float:
        """The seconds within which this share of the requests was answered."""
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


def load(daemon: Daemon, port: int, requests: Iterable[bytes], number: int, connections: int = CONNECTIONS) -> Load:
    """Put so many requests, each connection one at a time. Raises LabError where the server hangs up, or is silent for 30 s."""
    batch = [each for each, _ in zip(requests, range(number), strict=False)]
    latencies: list[float] = []
    sockets = [connected(port) for _ in range(connections)]
    try:
        own = time.process_time()
        with spending(daemon.pid) as spent:
            deferred = _exchange(daemon, {each.fileno(): each for each in sockets}, batch, latencies.append)
        own = time.process_time() - own
    finally:
        for each in sockets:
            each.close()
    return Load(sorted(latencies), deferred, spent, own)


def _exchange(daemon: Daemon, sockets: dict[int, socket.socket], batch: list[bytes], took: Callable[[float], None]) -> int:
    deferred, waiting, clock = 0, iter(batch), time.perf_counter
    sent: dict[int, float] = {}
    with select.epoll() as epoll:
        for descriptor, connection in sockets.items():
            epoll.register(descriptor, select.EPOLLIN)
            sent[descriptor] = clock()
            connection.send(next(waiting))
        while sent:
            ready = epoll.poll(30)
            if not ready:
                raise LabError(f"{daemon.name} stopped answering:\n{daemon.log_tail()}")
            for descriptor, _ in ready:
                connection = sockets[descriptor]
                reply = connection.recv(4096)
                took(clock() - sent.pop(descriptor))
                if reply[-2:] != b"\n\n":
                    raise LabError(f"{daemon.name} hung up or answered {reply!r}:\n{daemon.log_tail()}")
                deferred += reply.startswith(b"action=DEFER")
                if (following := next(waiting, None)) is not None:
                    sent[descriptor] = clock()
                    connection.send(following)
    return deferred


def connected(port: int) -> socket.socket:
    """A connection to a policy service, as smtpd makes it."""
    new = socket.create_connection(("127.0.0.1", port))
    new.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return new
