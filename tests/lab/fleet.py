"""Three mail servers of one domain, each a machine of its own: a Postfix and a resolverd, and one store that they share.

Each stands in a network namespace with its own loopback, joined to the lab's internet by a cable that only it uses: what it asks
name servers is counted there, and its way to the store can be cut without the store or another host noticing anything else.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tests.lab.daemon import Daemon, until
from tests.lab.fleet_world import ADDRESSES, Address, Client, organisation
from tests.lab.lab import RECIPIENT, Lab
from tests.lab.lists import List
from tests.lab.namespace import ROOT, LabError, Side, localise, use_nameserver
from tests.lab.nsd import nsd
from tests.lab.postfix import Postfix
from tests.lab.redis import STORE
from tests.lab.resolverd import CONFIG, HTTP, resolverd
from tests.lab.smtp import Delivery, deliver
from tests.lab.tap import Tap

GATEWAY = "10.20.0.1"
"""The internet's end of every cable."""

STORE_NETWORK = "10.20.0.0/24"
_GATEWAY6 = "fe80::1"
_DEVICE = "eth0"
_LOST = "lost0"


def shared(url: str = f"redis://{STORE}", *, delay: int = 1, more: str = "") -> str:
    """The configuration of a host of the fleet; `delay` is greylisting's, in seconds."""
    return on_store(CONFIG, url).replace('delay = "1s"', f'delay = "{delay}s"') + more


def on_store(config: str, url: str) -> str:
    """The same configuration on a store that hosts share."""
    return config.replace('url = "disk:state"', f'url = "{url}"\ndirectory = "state"')


class MailHost:
    """One mail server: its cable, its Postfix, its resolverd."""

    def __init__(self, address: Address, settings: str) -> None:
        self.address = address
        self.settings = settings
        self.name = address.name.partition(".")[0]
        self.side = _cable(self.name, address)
        self.postfix = Postfix("policy", self.side, name=f"postfix {self.name}", host_name=address.name,
                               addresses=(address.ipv4, address.ipv6))
        self.resolverd = resolverd(self.side, settings, name=f"resolverd {self.name}")
        self.config = Path(self.resolverd.argv[-1])

    @property
    def daemons(self) -> list[Daemon]:
        """Both programs, in the order in which they start."""
        return [self.resolverd, self.postfix.daemon]

    def tap(self) -> Tap:
        """Listen to what this host asks name servers; a context manager."""
        return Tap(self.side, _DEVICE)

    def get(self, path: str) -> Any:
        """Ask the running daemon over HTTP, with its token, and give the JSON of its answer."""
        return self._http(urllib.request.Request(HTTP + path))

    def send(self, method: str, path: str, body: object = None) -> Any:
        """Have the running daemon change something over HTTP."""
        data = b"" if body is None else json.dumps(body).encode()
        return self._http(urllib.request.Request(HTTP + path, data, {"Content-Type": "application/json"}, method=method))

    def text(self, path: str) -> str:
        """A page of the running daemon as it is."""
        with self.side.entered(), urllib.request.urlopen(HTTP + path, timeout=10) as reply:
            return str(reply.read().decode())

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of resolverd's on this host."""
        argv = self.side.command([sys.executable, "-m", "resolverd", *words, "-c", str(self.config)])
        return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)

    def deliver(self, lab: Lab, client: str, helo: str, sender: str, *recipients: str) -> Delivery:
        """Try to deliver a message from a client's address to this host; to Anna where no recipient is given."""
        server = (self.address.ipv4, self.address.ipv6)
        return deliver(client, lab.internet, helo, sender, *(recipients or (RECIPIENT,)), server=server)

    def verdict(self, reference: str) -> dict[str, Any] | None:
        """The verdict that a reference stands for, or None where the host knows of none."""
        try:
            found: dict[str, Any] = self.get(f"/v1/verdict/{reference}")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise
        return found

    def configure(self, settings: str) -> None:
        """Have the running daemon read another configuration."""
        self.config.write_text(settings)
        self.send("POST", "/v1/reload")

    def set_clock(self, seconds: float) -> None:
        """Have resolverd's wall clock be wrong by so much from its next start on."""
        at = self.resolverd.argv.index("resolverd")
        self.resolverd.argv[at : at + 1] = ["tests.lab.wrong_clock", f"{seconds}"]

    def intercept(self, details: List, addresses: Sequence[str], text: str) -> Daemon:
        """Make somebody on this host's way who answers for a list in its place, every name with these records."""
        localise(self.side, addresses)
        head = f"$ORIGIN {details.zone}.\n$TTL 60\n@ SOA ns. hostmaster. 1 60 60 60 60\n@ NS {details.hosts[0][0]}.\n"
        return nsd(f"interceptor {self.name}", addresses, {details.zone: head + text}, self.side)

    def let_through(self, addresses: Sequence[str]) -> None:
        """Let questions reach those at these addresses again."""
        for address in addresses:
            _ip(self.side, f"addr del {address}/{128 if ':' in address else 32} dev lo")

    def cut_off(self) -> None:
        """Lose every packet to the store from now on; nobody says so (a cable pulled out behind the switch)."""
        _ip(self.side, f"route replace {STORE_NETWORK} dev {_LOST}")

    def join(self) -> None:
        """Let packets to the store pass again."""
        _ip(self.side, f"route replace {STORE_NETWORK} dev {_DEVICE}")

    def _http(self, request: urllib.request.Request) -> Any:
        token = (self.config.parent / "state" / "token").read_text().strip()
        request.add_header("Authorization", f"Bearer {token}")
        with self.side.entered(), urllib.request.urlopen(request, timeout=10) as reply:
            return json.loads(reply.read() or b"null")


    def has_store(self, limit: float = 10.0) -> bool:
        """Whether the host finds its store within so many seconds."""
        return any(not self.get("/v1/status")["store"]["fault"] for _ in until(limit))


class Fleet:
    """The mail servers, started side by side; a context manager that ends all it holds. The lab's world is `FLEET_WORLD`."""

    def __init__(self, lab: Lab, settings: str, *before: Daemon, hosts: int = len(ADDRESSES),
                 each: Callable[[MailHost], None] = lambda host: None) -> None:
        """`before`: what runs before the hosts do, the store; `each` may change a host before it starts."""
        self.lab = lab
        self.before = before
        use_nameserver("127.0.0.1")
        furnish_store()
        self.hosts = [MailHost(address, settings) for address in ADDRESSES[:hosts]]
        for host in self.hosts:
            each(host)

    def __enter__(self) -> Self:
        try:
            for daemon in self.before:
                self._start([daemon])
            self._start([daemon for host in self.hosts for daemon in host.daemons])
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self, group: Sequence[Daemon]) -> None:
        self.lab.daemons += group
        for daemon in group:
            daemon.launch()
        for daemon in group:
            daemon.wait()

    def attempt(self, number: int, client: Client, user: str) -> Delivery:
        """A mail to Anna from one of a sending organisation's hosts, to the host of ours with this number."""
        return self.hosts[number].deliver(self.lab, client.address, client.name, f"{user}@{client.organisation}")

    def wait_for_store(self) -> None:
        """Return once every host has found the store. Raises LabError."""
        for host in self.hosts:
            if not host.has_store():
                raise LabError(f"{host.name} does not find its store: {host.get('/v1/status')['store']}")

    def lets_pass_who_has_waited(self, first: int, then: int, sender: int, delay: float) -> None:
        """Of two mails of an organisation that one host has put off, have another let pass the one that has waited."""
        one, other = organisation(sender)[:2]
        begun = time.monotonic()
        for user in ("hasty", "patient"):
            put_off = self.attempt(first, one, user)
            assert "Greylisted" in put_off.reply.text, put_off
        asked = time.monotonic()
        early = self.attempt(then, other, "hasty")
        assert early.deferred or time.monotonic() - begun > delay - 1, early
        time.sleep(max(0.0, asked + delay + 0.1 - time.monotonic()))
        patient = self.attempt(then, other, "patient")
        assert patient.accepted, patient

    def stop(self) -> None:
        """End every program, and take the cables away."""
        ours = [*self.before, *(daemon for host in self.hosts for daemon in host.daemons)]
        for daemon in ours:
            if daemon.process is not None and daemon.running():
                daemon.process.terminate()
        for daemon in reversed(ours):
            daemon.stop()
        self.lab.daemons = [daemon for daemon in self.lab.daemons if daemon not in ours]
        for host in self.hosts:
            _remove(host.name)


def furnish_store() -> None:
    """Put the addresses of the store, of its sentinels and of the cables' near ends where everybody reaches them."""
    for number in (1, 10, 11, 12, 21, 22, 23):
        _ip(Side("store"), f"addr replace 10.20.0.{number}/32 dev lo")


def _cable(name: str, address: Address) -> Side:
    """Make a host's namespace and join it to the internet; packets to the host's addresses go there from now on."""
    here = Side("internet")
    _ip(here, f"netns add {name}")
    side = Side(name, Path("/run/netns") / name, address.name)
    for command in (
        f"link add to-{name} type veth peer name {_DEVICE} netns {name}",
        f"link set to-{name} up",
        f"addr add {_GATEWAY6}/64 dev to-{name} nodad",
    ):
        _ip(here, command)
    for command in (
        "link set lo up",
        f"link set {_DEVICE} up",
        f"tuntap add dev {_LOST} mode tun",       # nobody reads it: what enters is gone
        f"link set {_LOST} up",
        f"addr add {address.ipv4}/32 dev {_DEVICE}",
        f"addr add {address.ipv6}/128 dev {_DEVICE} nodad",
        f"route add {STORE_NETWORK} dev {_DEVICE}",
        f"route add default via {GATEWAY} dev {_DEVICE} src {address.ipv4}",
        f"-6 route add default via {_GATEWAY6} dev {_DEVICE} src {address.ipv6}",
    ):
        _ip(side, command)
    # Into the local table, where the documentation networks are: the longer prefix wins only within a table.
    _ip(here, f"route add unicast {address.ipv4} dev to-{name} table local")
    _ip(here, f"-6 route add unicast {address.ipv6} dev to-{name} table local")
    return side


def _remove(name: str) -> None:
    with suppress(LabError):
        _ip(Side("internet"), f"netns del {name}")
    with suppress(LabError):
        _ip(Side("internet"), f"link del to-{name}")


def _ip(side: Side, command: str) -> None:
    argv = ["ip", *command.split()]
    with side.entered():
        done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"on {side.name}: {' '.join(argv)}: {done.stderr.strip()}")
