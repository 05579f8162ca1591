"""Private namespaces: going in, and the two sides of the wire once inside.

`enter` runs a command in new network, mount, PID and UTS namespaces. The PID namespace is what makes the lab leave nothing:
its first process dies with us, whatever kills us (PR_SET_PDEATHSIG), and the kernel then ends everything else inside;
mounts and interfaces go with their namespaces.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The project's directory."""

LAB = Path("/run/resolverd-lab")
"""Where everything of a lab is kept: on a tmpfs over /run that only this lab sees."""

CLIENT_NETWORKS = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
"""The documentation networks (RFC 5737, RFC 3849): any address of them can be a mail client."""

PROGRAMS = ("ip", "nsenter", "nsd", "rbldnsd", "unbound", "postgrey", "postfix")
"""What the lab runs; `tests/peers.txt` has the packages."""

HOSTS = "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 mx.our-company.org mx\n"
"""The lab's /etc/hosts, as Debian's installer writes it."""

MAIL_SERVER = ("203.0.113.25", "2001:db8:25::25")
"""Where Postfix listens."""

HOST_NAME = "mx.our-company.org"
"""What the mail server's machine is called, in DNS and to itself."""

VOID_NETWORKS = ("45.66.0.0/16", "2a00:45:66::/48")
"""Packets to these addresses are never answered, not even by an ICMP error: the dead name servers live here."""

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUTS = 0x04000000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1


class LabError(Exception):
    """The lab cannot run here, or a program in it did not start; the message says what to do."""


def inside() -> bool:
    """Say whether this process runs in a lab's namespaces."""
    return LAB.is_dir()


def require() -> None:
    """Raise LabError unless this machine can run the lab: root, and every program that is part of it."""
    if os.geteuid() != 0:
        raise LabError("the lab makes network namespaces, so it needs root: sudo make lab")
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        raise LabError(f"not installed: {', '.join(missing)}. On a Debian without a mail server: sudo tests/install-peers")


def enter(command: Sequence[str]) -> int:
    """Run `command` inside fresh namespaces and give its exit status. Raises LabError where that is impossible."""
    require()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        _libc("unshare", _CLONE_NEWNET | _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWUTS)
    except OSError as error:
        raise LabError(f"this machine does not let root make namespaces ({error.strerror}); a container for the lab "
                       "needs CAP_SYS_ADMIN") from error
    first = os.fork()
    if first == 0:
        _libc("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        os.execve(sys.executable, [sys.executable, "-m", "tests.lab.init", *command], {**os.environ, "PYTHONPATH": path})
    # Ctrl-C reaches everybody in the terminal's foreground: the command decides. A SIGTERM reaches only us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(first, signal.SIGTERM))
    _, status = os.waitpid(first, 0)
    return exit_status(status)


def exit_status(status: int) -> int:
    """Turn what wait(2) gives into an exit status, as shells do: 128 + N for signal N."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def furnish() -> None:
    """Make the fresh namespaces a place where the lab's programs can run: host name, /run, hosts, resolv.conf, loopback.

    Called once, by the first process inside.
    """
    socket.sethostname(HOST_NAME)
    _run("mount", "--make-rprivate", "/")
    _run("mount", "-t", "proc", "proc", "/proc")
    targets = {"resolv.conf": Path("/etc/resolv.conf").resolve(), "hosts": Path("/etc/hosts").resolve()}
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "resolverd-lab", "/run")
    LAB.mkdir(mode=0o755)
    use_nameserver("127.0.0.1")
    use_hosts(HOSTS)
    for name, target in targets.items():
        if not target.exists():                  # a link into the /run that the tmpfs hides, or none at all
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        _run("mount", "--bind", str(LAB / name), str(target))
    _furnish_network()
    _local(CLIENT_NETWORKS)
    localise(Side("mail"), MAIL_SERVER)
    _run("ip", "tuntap", "add", "dev", "void0", "mode", "tun")       # nobody reads it: what enters is gone
    _run("ip", "link", "set", "void0", "up")
    for network in VOID_NETWORKS:
        _run("ip", "route", "add", network, "dev", "void0", "src", MAIL_SERVER[":" in network])


def _furnish_network() -> None:
    _run("ip", "link", "set", "lo", "up")
    # IPv6 sockets may bind to addresses that a local route covers, as IPv4 sockets always may.
    Path("/proc/sys/net/ipv6/ip_nonlocal_bind").write_text("1")


def _local(networks: Sequence[str]) -> None:
    for network in networks:
        _run("ip", "route", "add", "local", network, "dev", "lo")


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the wire, where programs run and sockets open: a network namespace, or the lab's own (None)."""

    name: str
    netns: Path | None = None
    host_name: str = ""
    """What programs on this side are told that their machine is called; the lab's own name where it is empty."""

    def command(self, argv: Sequence[str]) -> list[str]:
        """Give the command line that runs `argv` on this side, under the process id of the command itself."""
        if self.host_name:
            named = 'echo "$0" >/proc/sys/kernel/hostname && exec "$@"'
            argv = ["unshare", "--uts", "--", "sh", "-c", named, self.host_name, *argv]
        return list(argv) if self.netns is None else ["nsenter", f"--net={self.netns}", "--", *argv]

    def socket(self, family: int, kind: int) -> socket.socket:
        """Open a socket on this side; it stays there, whoever uses it."""
        with self.entered():
            return socket.socket(family, kind)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let the calling thread, and only it, stand on this side for a moment."""
        if self.netns is None:
            yield
            return
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(self.netns, os.O_RDONLY)
        try:
            _libc("setns", there, _CLONE_NEWNET)
            try:
                yield
            finally:
                _libc("setns", here, _CLONE_NEWNET)
        finally:
            os.close(here)
            os.close(there)


def split() -> Side:
    """Move the internet to a network namespace of its own and give its side; what joins the two is `wire`'s business."""
    _run("ip", "netns", "add", "internet")
    internet = Side("internet", Path("/run/netns/internet"))
    with internet.entered():
        _furnish_network()
        _local(CLIENT_NETWORKS)
    for network in (*CLIENT_NETWORKS, *VOID_NETWORKS):
        _run("ip", "route", "del", *(("local",) if network in CLIENT_NETWORKS else ()), network)
    return internet


def localise(side: Side, addresses: Sequence[str]) -> None:
    """Put addresses on a side's loopback interface, all in one call."""
    batch = "\n".join(
        f"addr add {address}/128 dev lo nodad" if ":" in address else f"addr add {address}/32 dev lo"
        for address in addresses
    )
    subprocess.run(side.command(["ip", "-batch", "-"]), input=batch, text=True, check=True)


def use_nameserver(address: str) -> None:
    """Rewrite the lab's resolv.conf in place; programs started afterwards ask `address`."""
    (LAB / "resolv.conf").write_text(f"nameserver {address}\n")


def use_hosts(text: str) -> None:
    """Rewrite the lab's /etc/hosts in place."""
    (LAB / "hosts").write_text(text)


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"{' '.join(argv)}: {done.stderr.strip()}")


def _libc(function: str, *arguments: int) -> None:
    """Call a function of the C library that Python 3.11 does not have. Raises OSError."""
    if getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
