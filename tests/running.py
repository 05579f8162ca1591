"""The daemon as a process of its own, on loopback, with a root that nobody serves."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dns.message
import dns.query

CONFIG = """
[dns]
listen = ["127.0.0.1:0"]
[resolver]
trust_anchors = "/dev/null"
root_hints = "hints"
do_not_query = []
query_deadline = "1s"
{policy}
[http]
listen = "127.0.0.1:0"
{more}
"""


class Running:
    def __init__(
        self,
        folder: Path,
        more: str = "",
        address_space: int = resource.RLIM_INFINITY,
        *,
        options: Sequence[str] = (),
        python: Sequence[str] = (sys.executable,),
        environment: Mapping[str, str] | None = None,
        passed: Sequence[int] = (),
        policy: str = '[policy]\nlisten = ["127.0.0.1:0"]',
    ):
        """`options`: of ``serve``; `python`: how to call it; `environment`: what is added to ours; `passed`: descriptors;
        `policy`: its table."""
        self.folder = folder
        # A root that nobody serves, on loopback: no packet leaves the machine.
        (folder / "hints").write_text(". 60 NS ns.test.\nns.test. 60 A 127.255.255.254\n")
        (folder / "config.toml").write_text(CONFIG.format(more=more, policy=policy))
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*python, "-m", "resolverd", "serve", "-c", str(folder / "config.toml"), *options],
                env={**os.environ, **(environment or {})},
                pass_fds=passed,
                stderr=log,
                stdout=log,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space)),
            )
        try:
            self.ports = self._ports()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def _ports(self) -> dict[str, int]:
        for _ in range(200):
            text = self.log.read_text()
            if "try it" in text:
                found = re.findall(r"(DNS|DoT|policy|HTTP) +(?:http://)?127\.0\.0\.1:(\d+)", text)
                return {what: int(port) for what, port in found}
            if self.process.poll() is not None:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
        raise AssertionError(f"did not start:\n{self.log.read_text()}")

    def dns(self, question: str, rtype: str = "A", tcp: bool = False, **options: Any) -> dns.message.Message:
        ask = dns.query.tcp if tcp else dns.query.udp
        return ask(dns.message.make_query(question, rtype, **options), "127.0.0.1", 5, self.ports["DNS"])

    def policy(self, octets: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.ports["policy"]), 10) as sock:
            sock.sendall(octets)
            sock.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: sock.recv(4096), b""))

    @property
    def token(self) -> str:
        """That of its state directory."""
        return (self.folder / "var" / "token").read_text().strip()

    def http(self, path: str, token: str = "") -> tuple[int, Any]:
        url, headers = f"http://127.0.0.1:{self.ports['HTTP']}{path}", {"Authorization": f"Bearer {token}"} if token else {}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def waits_for(self, text: str) -> None:
        """Until its log has it."""
        for _ in range(200):
            if text in self.log.read_text():
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
        raise AssertionError(f"{text!r} is not in the log:\n{self.log.read_text()}")

    def end(self, within: float = 10.0) -> int:
        """Its status. Raises TimeoutExpired where it takes longer than so many seconds to end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)


REQUEST = b"".join(
    line + b"\n"
    for line in (
        b"request=smtpd_access_policy", b"protocol_state=RCPT", b"client_address=193.0.0.1", b"client_name=unknown",
        b"helo_name=h.example.com", b"sender=a@example.com", b"recipient=b@example.org", b"instance=1.2.3", b"",
    )
)  # fmt: skip
