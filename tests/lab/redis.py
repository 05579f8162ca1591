"""The shared store of several mail servers, Valkey where it is installed, else Redis (`engines.chosen`): on a network of its own
that every one of them reaches.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.engines import chosen
from tests.lab.daemon import Daemon, fresh, until
from tests.lab.namespace import LabError, Side

STORE = "10.20.0.10"
"""Where the store answers."""

PORT = 6379
SENTINEL_PORT = 26379


def program(name: str) -> str:
    """The ``server``, ``cli`` or ``sentinel`` that is run. Raises LabError where it is not installed."""
    try:
        return chosen().required(name)
    except FileNotFoundError as error:
        raise LabError(str(error)) from None


class Redis:
    """One server, whose records outlive a kill but for the last second's (``appendfsync everysec``)."""

    def __init__(self, side: Side, name: str = "redis", address: str = STORE, *options: str) -> None:
        self.address = address
        self.directory = fresh(name)
        argv = [program("server"), "--bind", address, "--port", f"{PORT}", "--protected-mode", "no", "--dir", str(self.directory),
                "--save", "", "--appendonly", "yes", "--repl-diskless-sync-delay", "0", *options]
        self._side = side
        self.daemon = Daemon(name, argv, side, lambda: self.says("PING") == "PONG")

    def ask(self, *words: str) -> str:
        """What the server says to a command. Raises LabError where it says nothing within two seconds, or an error."""
        said = self.says(*words)
        if said is None:
            raise LabError(f"{self.daemon.name} does not answer {' '.join(words)}:\n{self.daemon.log_tail()}")
        return said

    def says(self, *words: str) -> str | None:
        """What the server says, a line an element, or None where it does not answer."""
        return says(self._side, self.address, PORT, *words)

    def empty(self) -> None:
        """Have a server that does not run forget everything."""
        shutil.rmtree(self.directory)
        self.directory.mkdir()


def says(side: Side, address: str, port: int, *words: str) -> str | None:
    """What a server or sentinel says to a command; None where it says nothing within two seconds, or an error."""
    argv = side.command([program("cli"), "-e", "-h", address, "-p", str(port), *words])
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=2)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.rstrip("\n") if done.returncode == 0 else None


class Sentinels:
    """Two servers, the second a replica of the first, and three sentinels that make it the master when the first is gone."""

    SERVICE = "mail"
    _ADDRESSES = tuple(f"10.20.0.{number}" for number in (21, 22, 23))

    def __init__(self, side: Side) -> None:
        self._side = side
        self.servers = (
            _announced(side, "redis one", "10.20.0.11"),
            _announced(side, "redis two", "10.20.0.12", "--replicaof", "10.20.0.11", f"{PORT}"),
        )
        # A sentinel asks a master for its replicas at once, and then every ten seconds.
        self.servers[1].daemon.ready = self._linked
        self.sentinels = [self._sentinel(number, address) for number, address in enumerate(self._ADDRESSES)]

    @property
    def url(self) -> str:
        """How the fleet finds the master."""
        return f"redis+sentinel://{','.join(self._ADDRESSES)}/{self.SERVICE}"

    @property
    def daemons(self) -> list[Daemon]:
        """All five, in the order in which they start."""
        return [*(server.daemon for server in self.servers), *self.sentinels]

    def master(self) -> str:
        """The address of the master, as the first sentinel has it."""
        said = says(self._side, self._ADDRESSES[0], SENTINEL_PORT, "SENTINEL", "get-master-addr-by-name", self.SERVICE)
        return (said or "").partition("\n")[0]

    def wait_linked(self, limit: float = 15.0) -> None:
        """Return once every sentinel knows both servers and the other sentinels."""
        for _ in until(limit):
            asked = ("SENTINEL", "master", self.SERVICE)
            told = [says(self._side, address, SENTINEL_PORT, *asked) or "" for address in self._ADDRESSES]
            fields = [dict(zip(lines[::2], lines[1::2], strict=False)) for lines in (text.split("\n") for text in told)]
            if all(each.get("num-slaves") == "1" and each.get("num-other-sentinels") == "2" for each in fields):
                return
        raise LabError(f"the sentinels do not know one another after {limit:.0f} s: {told}")

    def _linked(self) -> bool:
        """Whether the second server has what the first one has."""
        return "master_link_status:up" in (self.servers[1].says("INFO", "replication") or "")

    def wait_moved(self, away_from: str, limit: float = 15.0) -> None:
        """Return once another server is the master."""
        for _ in until(limit):
            if self.master() not in ("", away_from):
                return
        raise LabError(f"{away_from} is still the master after {limit:.0f} s")

    def _sentinel(self, number: int, address: str) -> Daemon:
        name = f"sentinel {number + 1}"
        directory = fresh(name)
        config = _written(directory / "sentinel.conf", [
            f"bind {address}", f"port {SENTINEL_PORT}", "protected-mode no", f"dir {directory}",
            f"sentinel announce-ip {address}", f"sentinel monitor {self.SERVICE} 10.20.0.11 {PORT} 2",
            f"sentinel down-after-milliseconds {self.SERVICE} 1000",
            f"sentinel failover-timeout {self.SERVICE} 4000",
        ])  # fmt: skip
        return Daemon(name, [program("sentinel"), str(config)], self._side,
                      lambda: says(self._side, address, SENTINEL_PORT, "PING") == "PONG")


def _announced(side: Side, name: str, address: str, *options: str) -> Redis:
    """A server that the others know by its own address, not by that of which it happens to ask."""
    return Redis(side, name, address, "--replica-announce-ip", address, *options)


def _written(file: Path, lines: Sequence[str]) -> Path:
    file.write_text("\n".join([*lines, ""]))
    return file
