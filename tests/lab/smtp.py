"""An SMTP client that speaks from any address of the lab and remembers what was said."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from tests.lab.namespace import MAIL_SERVER, Side

MESSAGE = "Subject: hello\r\nFrom: <{sender}>\r\nTo: <{recipient}>\r\n\r\nA message from the lab.\r\n"


class Reply(NamedTuple):
    """A server's reply: its code and its text, lines joined."""

    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


class Delivery(NamedTuple):
    """How an attempt to deliver a message ended: the last reply, and everything that was said."""

    reply: Reply
    transcript: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """Whether the server took the message."""
        return 200 <= self.reply.code < 300

    @property
    def deferred(self) -> bool:
        """Whether the server asked to try again later."""
        return 400 <= self.reply.code < 500

    @property
    def refused(self) -> bool:
        """Whether the server refused for good."""
        return self.reply.code >= 500

    def __str__(self) -> str:
        return "\n".join(self.transcript)


@dataclass
class Session:
    """One connection to the mail server from `address`. Raises ConnectionError where the server hangs up."""

    address: str
    side: Side
    timeout: float = 60.0
    port: int = 25
    server: tuple[str, str] = MAIL_SERVER
    """The mail server's addresses, IPv4 and IPv6."""
    hasty: str = ""
    """A HELO name that is sent before the greeting, as bots do."""
    transcript: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        self._socket = self.side.socket(family, socket.SOCK_STREAM)
        self._socket.settimeout(self.timeout)
        try:
            self._socket.bind((self.address, 0))
            self._socket.connect((self.server[family == socket.AF_INET6], self.port))
            if self.hasty:
                self._socket.sendall(f"EHLO {self.hasty}\r\n".encode())
            self._lines = self._socket.makefile("rb")
            self.greeting = self._hear()
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()

    def say(self, line: str) -> Reply:
        """Send one command and give the reply."""
        self.transcript.append(f"C: {line}")
        self._socket.sendall(f"{line}\r\n".encode())
        return self._hear()

    def deliver(self, helo: str, sender: str, *recipients: str, body: str | None = None) -> Delivery:
        """Try to deliver a message, as far as the server lets us; with several recipients, one taken is enough."""
        reply = self.greeting
        if reply.code == 220:
            reply = self.say(f"EHLO {helo}")
        if reply.code == 250:
            reply = self.say(f"MAIL FROM:<{sender}>")
        if reply.code == 250:
            replies = [self.say(f"RCPT TO:<{recipient}>") for recipient in recipients]
            reply = min(replies)
        if reply.code == 250:
            reply = self.say("DATA")
        if reply.code == 354:
            text = body or MESSAGE.format(sender=sender, recipient=recipients[0])
            self.transcript.append("C: (the message)")
            self._socket.sendall(text.encode() + b".\r\n")
            reply = self._hear()
        last = reply
        if last.code not in (0, 421):
            self.say("QUIT")
        return Delivery(last, tuple(self.transcript))

    def _hear(self) -> Reply:
        texts = []
        while True:
            line = self._lines.readline()
            if not line:
                raise ConnectionError(f"the mail server hung up; so far:\n{chr(10).join(self.transcript)}")
            text = line.decode(errors="replace").rstrip("\r\n")
            self.transcript.append(f"S: {text}")
            texts.append(text[4:])
            if text[3:4] != "-":
                return Reply(int(text[:3]), "\n".join(texts))


def deliver(address: str, side: Side, helo: str, sender: str, *recipients: str,
            server: tuple[str, str] = MAIL_SERVER) -> Delivery:
    """Connect from `address`, try to deliver one message, hang up."""
    with Session(address, side, server=server) as session:
        return session.deliver(helo, sender, *recipients)
