"""Policy requests a second: resolverd beside Postgrey, the same stream of requests, greylisting to disk in both.

`python -m bench.policy [TRIPLETS]`. Every triplet comes twice: new, then known, after the delay of a second. Postgrey only
greylists; resolverd gives its whole verdict (PTR, HELO, sender, lists), which after the first requests comes out of caches.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from typing import NamedTuple

from bench.measure import cpu_seconds, in_the_lab, machine, table
from tests.lab.daemon import Daemon
from tests.lab.lab import Lab
from tests.lab.namespace import LabError, use_nameserver
from tests.lab.postgrey import postgrey
from tests.lab.resolverd import CONFIG, resolverd

CONNECTIONS = 10
"""How many smtpd processes ask at once; each waits for its reply before it asks again."""

CLIENTS = (
    ("192.0.2.10", "mail.honest-mail.com", "honest-mail.com"),
    ("192.0.2.11", "mail2.honest-mail.com", "honest-mail.com"),
    ("192.0.2.20", "mx.gardening-club.org", "gardening-club.org"),
    ("198.51.100.10", "out.friendly-news.com", "friendly-news.com"),
    ("198.51.100.11", "out2.friendly-news.com", "friendly-news.com"),
    ("2001:db8:10::10", "mail.honest-mail.com", "honest-mail.com"),
)
"""Address, name, and the domain that it sends for: one whose SPF record lets it."""

REQUEST = """request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address={address}
client_name={name}
reverse_client_name={name}
helo_name={name}
sender={letters}@{domain}
recipient=anna@our-company.org
recipient_count=0
queue_id=
instance={number:x}.{phase}
size=2048
etrn_domain=
stress=
sasl_method=
sasl_username=
sasl_sender=
ccert_subject=
ccert_issuer=
ccert_fingerprint=
encryption_protocol=
encryption_cipher=
encryption_keysize=0

"""


class Load(NamedTuple):
    """What came of one phase: requests, wall and CPU seconds, and how many were deferred."""

    requests: int
    seconds: float
    cpu: float
    deferred: int


def stream(triplets: int, phase: str) -> list[bytes]:
    """Make the requests of a phase. Senders are told apart by letters: Postgrey takes all numbers for the same."""
    requests = []
    for number in range(triplets):
        address, name, domain = CLIENTS[number % len(CLIENTS)]
        letters = "".join(chr(97 + int(digit)) for digit in str(number))
        request = REQUEST.format(address=address, name=name, domain=domain, letters=letters, number=number, phase=phase)
        requests.append(request.encode())
    return requests


def load(daemon: Daemon, port: int, requests: list[bytes]) -> Load:
    """Send all requests over ten connections, one at a time on each. Raises LabError where a connection is closed."""
    waiting = iter(requests)
    deferred = done = 0
    cpu, began = cpu_seconds(daemon.pid), time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for _ in range(CONNECTIONS):
            new = socket.create_connection(("127.0.0.1", port))
            new.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            new.sendall(next(waiting))
            selector.register(new, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(30)
            if not ready:
                raise LabError(f"{daemon.name} stopped answering after {done} requests:\n{daemon.log_tail()}")
            for key, _ in ready:
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                reply = connection.recv(4096)
                if not reply.endswith(b"\n\n"):
                    raise LabError(f"{daemon.name} hung up or answered {reply!r}:\n{daemon.log_tail()}")
                done += 1
                deferred += b"DEFER" in reply
                if (request := next(waiting, None)) is None:
                    selector.unregister(connection)
                    connection.close()
                else:
                    connection.sendall(request)
    return Load(done, time.perf_counter() - began, cpu_seconds(daemon.pid) - cpu, deferred)


def run() -> None:
    """Measure both, one after the other, and print the table."""
    triplets = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    loads: dict[tuple[str, str], Load] = {}
    use_nameserver("127.0.0.1")
    with Lab() as lab:
        servers = {"resolverd": (resolverd(lab.mail, CONFIG), 10023), "postgrey": (postgrey(lab.mail, port=10024), 10024)}
        with lab.running(*(daemon for daemon, _ in servers.values())):
            for phase in ("new", "known"):
                for name, (daemon, port) in servers.items():
                    loads[name, phase] = load(daemon, port, stream(triplets, phase))
                time.sleep(1.5)               # the greylisting delay, after which every triplet may pass
    print(f"{triplets} triplets, each twice, {CONNECTIONS} connections, client on the same {machine()}")
    rows = []
    for phase in ("new", "known"):
        rate = {name: loads[name, phase].requests / loads[name, phase].seconds for name in servers}
        cpu = {name: loads[name, phase].cpu / loads[name, phase].requests * 1e6 for name in servers}
        rows += [(f"{phase}: {name}", f"{rate[name]:,.0f}", f"{cpu[name]:.0f}",
                  f"{loads[name, phase].deferred}/{loads[name, phase].requests}") for name in servers]
        rows.append((f"{phase}: resolverd / postgrey", f"{rate['resolverd'] / rate['postgrey']:.2f}",
                     f"{cpu['resolverd'] / cpu['postgrey']:.2f}", ""))
    print(table(("", "requests/s", "CPU µs/request", "deferred"), rows))


if __name__ == "__main__":
    in_the_lab("bench.policy", run)
