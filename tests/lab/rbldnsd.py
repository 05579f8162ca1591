"""The lists: one rbldnsd each, which can be broken alone and while everything runs.

What breaks a list in life is staged by what really happens then: its server stops, hangs, or another server takes its
place at its addresses: one that answers every question with the operator's error code, one of a domain parker, one
whose zone has a wildcard, one that does not know the zone. Only the first is rbldnsd's own business; NSD plays the rest.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence
from ipaddress import ip_network

from tests.lab.daemon import Daemon, answers_dns, fresh
from tests.lab.lists import Entry, List
from tests.lab.namespace import LabError, Side
from tests.lab.nsd import nsd
from tests.lab.relay import relay


class ListServer:
    """One list and whatever answers for it at the moment."""

    def __init__(self, details: List, addresses: list[str], side: Side) -> None:
        self.details = details
        self.addresses = addresses
        self.side = side
        self.directory = fresh(f"lists/{details.zone}")
        self.state = "healthy"
        self.relay: Daemon | None = None
        self.daemon = self._rbldnsd()

    def launch(self) -> None:
        """Start the list's own server; `wait` until it answers."""
        self.daemon.launch()

    def wait(self) -> None:
        """Return once whoever answers for the list does."""
        self.daemon.wait()

    def heal(self) -> None:
        """Make the list what it should be: rbldnsd with the list's own entries."""
        if self.relay is not None:
            self.relay.stop()
            self.relay = None
        if self.state == "silent":
            self.daemon.resume()
        elif self.state == "relisted":
            self._reload(self.details.entries)
        elif self.state != "healthy":
            self._replace(self._rbldnsd())
        self.state = "healthy"

    def stop(self) -> None:
        """The list's servers are down: ICMP port unreachable."""
        self.daemon.stop()
        self.state = "stopped"

    def silence(self) -> None:
        """The list's servers hang: questions are taken and never answered."""
        self.daemon.pause()
        self.state = "silent"

    def answer_all(self, address: str, text: str = "") -> None:
        """Answer every question with one address and text.

        `127.255.255.254` is Spamhaus's word to those who ask through a public resolver; `127.0.0.2` the list that lists
        the world; `192.0.2.1` a domain parker who has caught the expired domain.
        """
        records = f"* 60 A {address}\n" + (f'* 60 TXT "{text}"\n' if text else "")
        self._replace(self._impostor({self.details.zone: records}))
        self.state = f"answers {address}"

    def refuse(self) -> None:
        """The servers no longer know the zone: REFUSED."""
        self._replace(self._impostor({}))
        self.state = "refuses"

    def hamper(self, *, delay: float = 0.0, loss: float = 0.0) -> None:
        """Make the list's own server slow (seconds), or have a share of the questions to it lost on their way."""
        port = 10000 + int(self.addresses[0].split(".")[1])
        self._replace(self._rbldnsd(["127.0.0.1"], port))
        self.relay = relay(self.details.zone, self.addresses, port, self.side, delay=delay, loss=loss)
        self.relay.start()
        self.state = "hampered"

    def list_the_world(self, code: str = "127.0.0.2") -> None:
        """Have the running list list every address from one moment to the next, its test points included."""
        everybody = [(network, code, "wildcard") for network in ("0.0.0.0/1", "128.0.0.0/1")]
        self._reload([*everybody, *self.details.entries])
        self.state = "relisted"

    def relist(self, entries: Iterable[Entry]) -> None:
        """Give the running list other entries beside its test points; they are served when this returns."""
        if self.state not in ("healthy", "relisted"):
            raise LabError(f"{self.details.zone} {self.state}: heal it first")
        self._reload([*entries, *(entry for entry in self.details.entries if _is_test_point(entry[0]))])
        self.state = "relisted"

    def shutdown(self) -> None:
        """End whatever answers for the list."""
        if self.relay is not None:
            self.relay.stop()
        self.daemon.stop()

    def _reload(self, entries: Iterable[Entry]) -> None:
        self._write(entries)
        os.kill(self.daemon.pid, signal.SIGHUP)
        # It reloads between two packets; the signal may have come just before the first.
        self.daemon.wait()
        self.daemon.wait()

    def _replace(self, daemon: Daemon) -> None:
        self.daemon.stop()
        self.daemon = daemon
        daemon.start()

    def _impostor(self, zones: dict[str, str]) -> Daemon:
        zone = self.details.zone
        head = f"$ORIGIN {zone}.\n$TTL 60\n@ SOA ns. hostmaster. 1 60 60 60 60\n@ NS {self.details.hosts[0][0]}.\n"
        return nsd(f"impostor {zone}", self.addresses, {name: head + text for name, text in zones.items()}, self.side)

    def _rbldnsd(self, addresses: Sequence[str] = (), port: int = 53) -> Daemon:
        self._write(self.details.entries)
        zone = self.details.zone
        argv = ["rbldnsd", "-n", "-u", "nobody", "-w", str(self.directory), "-c", "0", "-t", f"{self.details.ttl}"]
        argv += [part for address in addresses or self.addresses for part in ("-b", f"{address}/{port}")]
        argv += [f"{zone}:generic:apex"]
        argv += [f"{zone}:{dataset}:{file}" for dataset, file in self._datasets()]
        return Daemon(self.details.program, argv, self.side,
                      lambda: all(answers_dns(self.side, address, zone, port=port) for address in addresses or self.addresses))

    def _datasets(self) -> list[tuple[str, str]]:
        return [("dnset", "names")] if self.details.kind == "domain" else [("ip4set", "four"), ("ip6trie", "six")]

    def _write(self, entries: Iterable[Entry]) -> None:
        details = self.details
        files: dict[str, list[str]] = {file: [] for _, file in self._datasets()}
        for subject, code, text in entries:
            file = "names" if details.kind == "domain" else "six" if ":" in subject else "four"
            files[file].append(f"{subject} :{code}:{text}\n")
        primary = details.hosts[0][0]
        files["apex"] = [
            f"$SOA 3600 {primary}. hostmaster.{details.operator}. 1 600 300 86400 {details.ttl}\n",
            f"$NS 3600 {' '.join(f'{name}.' for name, _ in details.hosts)}\n",
        ]
        for file, lines in files.items():
            (self.directory / file).write_text("".join(lines))


def _is_test_point(subject: str) -> bool:
    """Say whether an entry is one of RFC 5782 §5 or its operator's."""
    try:
        network = ip_network(subject)
    except ValueError:
        return "test" in subject
    return network.is_loopback
