"""What a whole daemon tells of itself: counted where it happens, over a restart, and with somebody listening at its end."""

import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.running import REQUEST, Running


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    daemon = Running(folder)
    try:
        yield daemon
    finally:
        assert daemon.end() == 0
    assert "Traceback" not in daemon.log.read_text()


def metrics(daemon: Running) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{daemon.ports['HTTP']}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def read_to(listener: socket.socket, end: bytes) -> None:
    told = b""
    while end not in told:
        part = listener.recv(4096)
        assert part, told
        told += part


def test_what_is_counted_survives_a_restart_and_a_listener_keeps_nobody_from_ending(tmp_path: Path):
    with running(tmp_path) as first, socket.create_connection(("127.0.0.1", first.ports["HTTP"]), 10) as listener:
        listener.sendall(
            b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n" % first.token.encode()
        )
        read_to(listener, b"from now on")
        assert first.dns("nobody.example").rcode() == 2
        assert first.policy(REQUEST).startswith(b"action=")
        read_to(listener, b"event: verdict")
        first.policy(REQUEST.replace(b"instance=1.2.3", b"sasl_username=ann"))  # answered at once
        counted = metrics(first)
        for name in ("policy_reply_seconds", "verdict_seconds"):
            assert counted[f"resolverd_{name}_count"] == 2, name
        begun = time.monotonic()
        assert first.end() == 0
        heard = time.monotonic() - begun
    with running(tmp_path) as again:
        found = again.http("/v1/series?span=7d")[1]["series"]
        assert sum(filter(None, found["policy.requests"])) == 2
        assert sum(filter(None, found["dns.questions"])) == 1
        assert sum(filter(None, again.http("/v1/series")[1]["series"]["dns.questions"])) == 0, "the last hour is not kept"
        begun = time.monotonic()
        assert again.end() == 0
        assert heard - (time.monotonic() - begun) < 1, "the grace for requests in flight is not waited for"
