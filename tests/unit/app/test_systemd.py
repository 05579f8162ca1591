"""systemd's side: readiness and its like as datagrams, and sockets that its units bound."""

import fcntl
import os
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from authority import pair

from resolverd.app.listeners import Listeners, listeners
from resolverd.app.systemd import Passed, take_sockets, watchdog_interval
from resolverd.config.files import parse
from resolverd.failures import ConfigFault
from tests.running import REQUEST, Running

AS_SYSTEMD = """
import os, sys
for at, given in enumerate(os.environ.pop("GIVEN").split()):
    os.dup2(int(given), 3 + at)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""What stands between fork and exec with systemd: the process's own number."""


def test_the_words_of_a_life(tmp_path: Path) -> None:
    """Ready when it answers, alive while it runs, reloading with the moment, stopping."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        running = Running(tmp_path, environment={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"})
        try:
            said = [manager.recv(100).decode() for _ in range(3)]
            running.process.send_signal(1)
            while said[-1] == "WATCHDOG=1":
                said.append(manager.recv(100).decode())
            reloading = said[-1]
            while said[-1] != "READY=1":
                said.append(manager.recv(100).decode())
        finally:
            running.end()
        while said[-1] != "STOPPING=1":
            said.append(manager.recv(100).decode())
    assert said[:3] == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]
    first, second = reloading.split("\n")
    assert first == "RELOADING=1"
    assert second.startswith("MONOTONIC_USEC=")
    assert int(second.partition("=")[2]) > 0


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_how_often_systemd_wants_to_hear(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], interval: float | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert watchdog_interval() == interval


@pytest.mark.parametrize(
    "environment",
    [{}, {"LISTEN_FDS": "1"}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"}],
)
def test_what_was_passed_to_somebody_else_is_left_alone(environment: dict[str, str]) -> None:
    assert take_sockets(environment) == []
    assert environment == {}


def test_a_daemon_whose_sockets_are_all_systemds(tmp_path: Path) -> None:
    """UDP and TCP of one address, and a policy socket that it could not have bound: at descriptors 3 to 5, as they come."""
    udp, tcp = pair()
    with udp, tcp, socket.socket(socket.AF_UNIX) as policy:
        tcp.listen()
        policy.bind(str(tmp_path / "policy"))
        policy.listen()
        where = udp.getsockname()
        high = [fcntl.fcntl(each.fileno(), fcntl.F_DUPFD_CLOEXEC, 100) for each in (udp, tcp, policy)]
        names = "resolverd.socket:resolverd.socket:policy"
        try:
            running = Running(
                tmp_path,
                python=[sys.executable, "-c", AS_SYSTEMD],
                environment={"LISTEN_FDS": "3", "LISTEN_FDNAMES": names, "GIVEN": " ".join(map(str, high))},
                passed=high,
            )
        finally:
            for at in high:
                os.close(at)
    try:
        running.ports["DNS"] = where[1]
        assert running.dns("localhost.").answer
        assert running.dns("localhost.", tcp=True).answer
        with socket.socket(socket.AF_UNIX) as smtpd:
            smtpd.settimeout(10)
            smtpd.connect(str(tmp_path / "policy"))
            smtpd.sendall(REQUEST)
            assert smtpd.recv(4096).startswith(b"action=DEFER_IF_PERMIT 4.2.0 Greylisted")
        assert f"127.0.0.1:{where[1]} (UDP, of systemd)" in running.log.read_text()
    finally:
        assert running.end() == 0
    assert stat.S_ISSOCK((tmp_path / "policy").stat().st_mode), "a socket of systemd's is systemd's to remove"


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    socks: list[socket.socket] = []
    yield socks
    for sock in socks:
        sock.close()


def stream(opened: list[socket.socket]) -> tuple[socket.socket, str]:
    sock = socket.socket()
    opened.append(sock)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return sock, f"127.0.0.1:{sock.getsockname()[1]}"


PURPOSES = [
    ("dns", "", "dns"),
    ("policy", "", "policy"),
    ("http", "", "http"),
    ("", "resolverd.socket", None),
    ("", "policy", "policy"),
    ("http", "policy", "policy"),
    ("dot", "", "dot"),
    ("", "dot", "dot"),
]


@pytest.mark.parametrize(("configured", "name", "purpose"), PURPOSES)
def test_what_a_passed_socket_is_for(
    tmp_path: Path, opened: list[socket.socket], configured: str, name: str, purpose: str | None
) -> None:
    """Its unit says it, or the configuration, which then binds that address no more; else it is a fault, and not a guess."""
    sock, where = stream(opened)
    at = {**dict.fromkeys(("dns", "dot", "policy", "http"), "127.0.0.1:0"), configured: where}
    text = '[dns]\nlisten = ["127.0.0.1:0", "{dns}"]\n[policy]\nlisten = ["{policy}"]\n[http]\nlisten = "{http}"\n'
    text += '[dns.tls]\nlisten = ["{dot}"]\ncertificate = "c"\nkey = "k"\n'
    faults: list[ConfigFault] = []
    settings = parse(text.format(**at).replace('"127.0.0.1:0", "127.0.0.1:0"', '"127.0.0.1:0"'), tmp_path)
    found: Listeners = listeners(settings, [Passed(sock, name)], faults, [])
    opened += [*found.udp, *found.tcp, *found.tls, *found.http, *(each for each, _ in found.policy)]
    where_found = {
        "dns": sock in found.tcp, "dot": sock in found.tls, "http": sock in found.http,
        "policy": sock in [each for each, _ in found.policy],
    }  # fmt: skip
    assert [kind for kind, there in where_found.items() if there] == ([purpose] if purpose else [])
    said = f"systemd passes {where}; its unit must say what for: FileDescriptorName=dns, dot, policy or http"
    assert [str(fault) for fault in faults] == ([] if purpose else [said])


def test_a_socket_for_tls_needs_a_certificate(tmp_path: Path, opened: list[socket.socket]) -> None:
    sock, _ = stream(opened)
    faults: list[ConfigFault] = []
    found = listeners(parse('[dns]\nlisten = ["127.0.0.1:0"]', tmp_path), [Passed(sock, "dot")], faults, [])
    opened += [*found.udp, *found.tcp, *found.http, *(each for each, _ in found.policy)]
    assert "dns.tls" in [fault.path for fault in faults]


def test_udp_without_tcp_is_told(tmp_path: Path, opened: list[socket.socket]) -> None:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    opened.append(sock)
    sock.bind(("127.0.0.1", 0))
    warnings: list[str] = []
    settings = parse('[dns]\nlisten = []\n[policy]\nlisten = []\n[http]\nlisten = "127.0.0.1:0"', tmp_path)
    found = listeners(settings, [Passed(sock, "dns")], [], warnings)
    opened += [*found.udp, *found.tcp, *found.http]
    assert [text for text in warnings if "UDP alone" in text]
