"""One real program as our child: started in the foreground, waited for, stopped by its process id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode

from tests.lab.namespace import LAB, LabError, Side

START_LIMIT = 30.0
"""Seconds a program has to answer after its start, where it gets no others."""

STOP_LIMIT = 5.0
"""Seconds a program has to end after SIGTERM."""


class Daemon:
    """A program with a directory and a log of its own. `ready` says whether it answers; it must not block for long."""

    def __init__(self, name: str, argv: Sequence[str], side: Side, ready: Callable[[], bool],
                 environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.argv = side.command(argv)
        self.ready = ready
        self.start_limit = START_LIMIT
        self.environment = {**os.environ, **(environment or {})}
        self.log_path = LAB / "log" / f"{name.replace(' ', '-')}.log"
        self.log_path.unlink(missing_ok=True)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running program."""
        if self.process is None:
            raise LabError(f"{self.name} does not run")
        return self.process.pid

    def launch(self) -> None:
        """Start the program and return at once; `wait` for it later. Its output is added to its log."""
        self.log_path.parent.mkdir(exist_ok=True)
        with self.log_path.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal is for whoever holds the lab, who then stops us in order.
            try:
                self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                env=self.environment, start_new_session=True)
            except FileNotFoundError as error:
                raise LabError(f"{self.argv[0]} is not installed: tests/install-peers") from error

    def wait(self) -> None:
        """Return once the program answers. Raises LabError with the end of its log if it ended or stays silent."""
        for _ in until(self.start_limit):
            if self.process is None or self.process.poll() is not None:
                raise LabError(f"{self.name} ended at its start:\n{self.log_tail()}")
            if self.ready():
                return
        raise LabError(f"{self.name} does not answer after {self.start_limit:.0f} s:\n{self.log_tail()}")

    def start(self) -> None:
        """Start the program and return once it answers."""
        self.launch()
        self.wait()

    def running(self) -> bool:
        """Say whether the program runs."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> int | None:
        """End the program and all that it started, and give its exit status; what does not end within 5 s is killed.

        A process of Postfix's that outlives its master still has a share in the listening socket (SO_REUSEPORT): part of what
        connects to the next one would come to it, and be cut off.
        """
        if self.process is None:
            return None
        process, self.process = self.process, None
        process.terminate()
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            pass
        for _ in until(STOP_LIMIT):
            if not _runs(process.pid):
                break
        _signal_group(process.pid, signal.SIGKILL)
        return process.wait()

    def kill(self) -> None:
        """End the program as a crash would, with all that it started (SIGKILL)."""
        if self.process is not None:
            _signal_group(self.pid, signal.SIGKILL)
            self.process.wait()
            for _ in until(STOP_LIMIT):
                if not _runs(self.process.pid):
                    break

    def pause(self) -> None:
        """Make the program hang: its sockets stay open, and nobody reads them (SIGSTOP)."""
        _signal_group(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused program go on."""
        _signal_group(self.pid, signal.SIGCONT)

    def log_tail(self, lines: int = 30) -> str:
        """Give the end of the program's log."""
        if not self.log_path.exists():
            return "(no log)"
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])


def _signal_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to a program and what it started; its own session is its own process group."""
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        pass


def _runs(leader: int) -> bool:
    """Whether any process of a group runs; one that has ended and nobody has asked for does not."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = file.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(group) == leader and state != "Z":
            return True
    return False


def fresh(name: str) -> Path:
    """Give a program an empty directory of its own."""
    directory = LAB / name.replace(" ", "-")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def until(limit: float, step: float = 0.02) -> Iterator[float]:
    """Poll with patience: yield the seconds passed, then pause a little (more each time), until `limit` has passed."""
    began = time.monotonic()
    while (passed := time.monotonic() - began) < limit:
        yield passed
        time.sleep(step)
        step = min(step * 1.2, 0.25)


def answers_dns(side: Side, address: str, name: str, rdtype: str = "SOA", port: int = 53) -> bool:
    """Say whether a name server at `address` answers a question within 200 ms, with anything but SERVFAIL."""
    with side.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        try:
            reply = dns.query.udp(dns.message.make_query(name, rdtype), address, timeout=0.2, port=port, sock=sock)
        except (dns.exception.DNSException, OSError):
            return False
    return reply.rcode() != dns.rcode.SERVFAIL
