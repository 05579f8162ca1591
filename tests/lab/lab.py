"""The lab put together: the fake internet, the programs on the mail server's machine, and sessions between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from tests.lab import namespace, wire
from tests.lab.daemon import Daemon, until
from tests.lab.lists import LISTS
from tests.lab.model import World
from tests.lab.namespace import LabError, Side, localise, use_nameserver
from tests.lab.nsd import nsd
from tests.lab.postfix import DOMAIN, Postfix
from tests.lab.postgrey import postgrey
from tests.lab.rbldnsd import ListServer
from tests.lab.resolverd import CONFIG, resolverd
from tests.lab.smtp import Delivery, deliver
from tests.lab.tap import Tap
from tests.lab.unbound import unbound
from tests.lab.world import WORLD

RECIPIENT = f"anna@{DOMAIN}"


class Lab:
    """The fake internet, started; a context manager that ends everything it holds, last started first."""

    def __init__(self, rtt: float = 0.0, world: World = WORLD) -> None:
        """Make the internet, `rtt` seconds of round trip away from the mail server's side."""
        if not namespace.inside():
            raise LabError("not inside a lab's namespaces: python -m tests.lab enter -- COMMAND")
        self.mail = Side("mail")
        self.internet = self.mail
        self.daemons: list[Daemon] = []
        self._way_out = wire.DEVICE if rtt else "lo"
        if rtt:
            self.internet = namespace.split()
            self._started(wire.between(self.mail, self.internet, rtt))
        localise(self.internet, world.local_addresses())
        self.nsd = {
            program: nsd(program, world.addresses(program), {zone.name: world.zone_text(zone) for zone in zones},
                         self.internet)
            for program, zones in world.carried.items() if not program.startswith("list ")
        }
        self.lists = {each.zone: ListServer(each, world.addresses(each.program), self.internet) for each in LISTS}

    def __enter__(self) -> Self:
        servers: list[Daemon | ListServer] = [*self.nsd.values(), *self.lists.values()]
        try:
            for server in servers:
                server.launch()
            for server in servers:
                server.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End every program."""
        for daemon in reversed(self.daemons):
            daemon.stop()
        for server in self.lists.values():
            server.shutdown()
        for daemon in self.nsd.values():
            daemon.stop()

    @contextmanager
    def running(self, *daemons: Daemon | Postfix) -> Iterator[None]:
        """Have programs run for a while, started in order and ended in reverse."""
        started: list[Daemon] = []
        try:
            for each in daemons:
                daemon = each.daemon if isinstance(each, Postfix) else each
                started.append(daemon)
                self.daemons.append(daemon)
                daemon.start()
            yield
        finally:
            for daemon in reversed(started):
                daemon.stop()
                self.daemons.remove(daemon)

    @contextmanager
    def stack(self, name: str, variant: str | None = None, config: str = CONFIG) -> Iterator[Postfix]:
        """Have a whole mail server run: `resolverd` with Postfix, or the `tutorial`'s Unbound, Postgrey and Postfix."""
        use_nameserver("127.0.0.1")
        helpers = {
            "resolverd": lambda: [resolverd(self.mail, config)],
            "tutorial": lambda: [unbound("127.0.0.1", self.mail), postgrey(self.mail)],
        }[name]()
        postfix = Postfix(variant or {"resolverd": "policy"}.get(name, name), self.mail)
        with self.running(*helpers, postfix):
            yield postfix

    def tap(self) -> Tap:
        """Listen to what the mail server's side asks name servers; a context manager."""
        return Tap(self.mail, self._way_out)

    def deliver(self, address: str, helo: str, sender: str, *recipients: str) -> Delivery:
        """Try to deliver one message from a client's address; to Anna where no recipient is given."""
        return deliver(address, self.internet, helo, sender, *(recipients or (RECIPIENT,)))

    def deliver_patiently(
        self, address: str, helo: str, sender: str, *recipients: str, limit: float = 30.0
    ) -> list[Delivery]:
        """Try again and again, as a mail server's queue does, while the answer is "try later"; give every attempt."""
        attempts: list[Delivery] = []
        for _ in until(limit, step=0.5):
            attempts.append(self.deliver(address, helo, sender, *recipients))
            if not attempts[-1].deferred:
                break
        return attempts

    def _started(self, daemon: Daemon) -> None:
        self.daemons.append(daemon)
        daemon.start()
