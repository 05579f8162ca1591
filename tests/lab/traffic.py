"""Mail from many senders to the mail servers of a fleet, and what has to hold of every attempt whatever dies meanwhile.

A correspondent is a greylisting triplet: an organisation's sender and one of our recipients. It sends messages one after the
other, each attempt from another of its hosts to another of our servers, tries again while it is told to, and goes to the next
server where one does not take its connection. Spammers are hosts that zen lists; each comes once.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.lab.fleet import MailHost
from tests.lab.fleet_world import ORGANISATIONS, listed, organisation
from tests.lab.postfix import DOMAIN

RECIPIENTS = tuple(f"{name}@{DOMAIN}" for name in ("anna", "bert"))
MARK = "X-Lab-Message"
"""The header that tells messages apart in a mailbox."""

PATIENCE = 20.0
"""Seconds for a server to say something; Postfix waits 10 for its policy service."""
GIVES_UP = 40
"""Attempts after which a message is returned to its sender."""

GONE = 0
"""In place of a reply's code: the server hung up or did not answer."""


class Attempt(NamedTuple):
    """One try to deliver a message: begun and ended (monotonic seconds), at which host, and what its last reply was."""

    begun: float
    ended: float
    host: str
    code: int
    text: str
    handed_over: bool
    """Whether the whole message had been sent: without a reply then, nobody knows who has it."""


@dataclass
class Message:
    """A message, and how it fared."""

    number: int
    triplet: int | None
    """None for spam."""
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def accepted(self) -> bool:
        """Whether a server has taken it."""
        return bool(self.attempts) and 200 <= self.attempts[-1].code < 300


@dataclass
class Traffic:
    """All that is sent, until `stop`. `delay` is the fleet's greylisting delay, in seconds."""

    hosts: Sequence[MailHost]
    delay: float
    correspondents: int = 20
    pause: float = 1.5
    """Seconds between two messages of a correspondent, on average."""
    spam_pause: float = 1.0
    """Seconds between two spammers, on average."""
    messages_each: int = 8
    """After how many messages a correspondent is another one."""
    seed: int = 1
    """Traffic of another seed has other triplets, spammers and numbers of messages."""
    messages: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stopping = asyncio.Event()
        self._chance = random.Random(self.seed)
        self._numbers = itertools.count(10_000 * self.seed)
        self._triplets = itertools.count(10_000 * self.seed)

    async def run(self) -> None:
        """Send until `stop` is called and what is under way has ended, one way or another."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.correspondents):
                group.create_task(self._correspond())
            group.create_task(self._spam())

    def stop(self) -> None:
        """Begin no new message."""
        self._stopping.set()

    async def _paused(self, mean: float) -> bool:
        """Wait a while; False once everything is to stop."""
        try:
            async with asyncio.timeout(self._chance.uniform(0.2, 1.8) * mean):
                await self._stopping.wait()
        except TimeoutError:
            return True
        return False

    async def _correspond(self) -> None:
        """Be one correspondent after the other."""
        while await self._paused(self.pause):
            triplet = next(self._triplets)
            hosts = organisation(triplet % ORGANISATIONS)
            sender, recipient = f"person-{_letters(triplet)}@{hosts[0].organisation}", RECIPIENTS[triplet // ORGANISATIONS % 2]
            for _ in range(self.messages_each):
                message = self._begun(triplet)
                while not message.attempts or (not message.accepted and len(message.attempts) < GIVES_UP):
                    client = self._chance.choice(hosts)
                    await self._try(message, client.address, client.name, sender, recipient)
                    if message.attempts[-1].code >= 500:
                        break
                    if not message.accepted and message.attempts[-1].code != GONE:
                        await asyncio.sleep(self._chance.choice((0.5, self.delay + 0.2, self.delay + 1)))
                    elif not message.accepted:
                        await asyncio.sleep(0.2)
                if not await self._paused(self.pause):
                    return

    async def _spam(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in itertools.count(0x10000 * self.seed):
                message = self._begun(None)
                sender = f"offer-{number}@spam-factory.net"
                group.create_task(self._try(message, listed(number), "mail.spam-factory.net", sender, RECIPIENTS[0]))
                if not await self._paused(self.spam_pause):
                    return

    def _begun(self, triplet: int | None) -> Message:
        message = Message(next(self._numbers), triplet)
        self.messages.append(message)
        return message

    async def _try(self, message: Message, client: str, helo: str, sender: str, recipient: str) -> None:
        """Try the servers in any order until one takes the connection."""
        for host in self._chance.sample(self.hosts, len(self.hosts)):
            begun = time.monotonic()
            code, text, handed_over = await _deliver(host, client, helo, sender, recipient, message.number)
            message.attempts.append(Attempt(begun, time.monotonic(), host.name, code, text, handed_over))
            if code != GONE or handed_over:
                return


async def _deliver(host: MailHost, client: str, helo: str, sender: str, recipient: str, number: int) -> tuple[int, str, bool]:
    """One SMTP session: the last reply's code and text, and whether the message was handed over."""
    code, text, handed_over = GONE, "", False
    body = f"{MARK}: {number}\r\nFrom: <{sender}>\r\nTo: <{recipient}>\r\nSubject: mail {number}\r\n\r\nHello.\r\n."
    steps = (("", 220), (f"EHLO {helo}", 250), (f"MAIL FROM:<{sender}>", 250), (f"RCPT TO:<{recipient}>", 250), ("DATA", 354),
             (body, 250))  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(host.address.ipv6, 25, local_addr=(client, 0))
            try:
                for line, expected in steps:
                    if line:
                        writer.write(f"{line}\r\n".encode())
                        handed_over = line is body
                    code, text = GONE, ""
                    code, text = await _heard(reader)
                    if code != expected:
                        break
                writer.write(b"QUIT\r\n")
            finally:
                writer.close()
    except (OSError, EOFError, TimeoutError, ValueError) as error:
        return GONE, f"{type(error).__name__}: {error}", handed_over
    return code, text, handed_over


async def _heard(reader: asyncio.StreamReader) -> tuple[int, str]:
    while True:
        line = (await reader.readuntil(b"\n")).decode(errors="replace").rstrip()
        if line[3:4] != "-":
            return int(line[:3]), line[4:]


def _letters(number: int) -> str:
    """A number as part of a mailbox: Postgrey takes all digits for the same."""
    return "".join(chr(97 + int(digit)) for digit in str(number))


class Judged(NamedTuple):
    """What came of some traffic. What must not be is a list of what was said; the others are counts."""

    mails: int
    accepted: int
    tries: int
    deferrals: int
    hang_ups: int
    refused: list[str]
    """Good mail that was refused for good."""
    waited_twice: list[str]
    """Good mail that was greylisted though its triplet had been told so before, longer ago than the delay."""
    early: list[tuple[str, Attempt]]
    """Good mail that passed though its triplet had not waited: right only where nobody knew."""
    given_up: int
    spam: int
    spam_refused: int
    spam_accepted: int


def judged(messages: Sequence[Message], delay: float) -> Judged:
    """Judge every attempt. Greylisting counts whole seconds: a delay of 3 s may be over after little more than 2."""
    good = [message for message in messages if message.triplet is not None and message.attempts]
    spam = [message for message in messages if message.triplet is None and message.attempts]
    tries = [attempt for message in good for attempt in message.attempts]
    told: dict[int | None, Attempt] = {}
    waited_twice, early = [], []
    for message, each in sorted(((m, a) for m in good for a in m.attempts), key=lambda pair: pair[1].ended):
        first = told.get(message.triplet)
        if "Greylisted" in each.text:
            if first is not None and each.begun > first.ended + delay + 0.1:
                waited_twice.append(_told(message, each))
            told.setdefault(message.triplet, each)
        elif 200 <= each.code < 300 and (first is None or each.ended - first.begun < delay - 1):
            early.append((_told(message, each), each))
    return Judged(
        mails=len(good),
        accepted=sum(message.accepted for message in good),
        tries=len(tries),
        deferrals=sum(400 <= each.code < 500 for each in tries),
        hang_ups=sum(each.code == GONE for each in tries),
        refused=[_told(message, each) for message in good for each in message.attempts if each.code >= 500],
        waited_twice=waited_twice,
        early=early,
        given_up=sum(not message.accepted and message.attempts[-1].code < 500 for message in good),
        spam=len(spam),
        spam_refused=sum(message.attempts[-1].code >= 500 for message in spam),
        spam_accepted=sum(message.accepted for message in spam),
    )


def _told(message: Message, attempt: Attempt) -> str:
    since = attempt.begun - message.attempts[0].begun
    which = f"mail {message.number}, try {message.attempts.index(attempt) + 1} after {since:.1f} s"
    return f"at {attempt.begun:.1f} s, {which}, at {attempt.host}: {attempt.code} {attempt.text}"


def delivered(hosts: Sequence[MailHost]) -> Counter[int]:
    """How often each message lies in a mailbox, once what has been accepted is delivered."""
    found: Counter[int] = Counter()
    for host in hosts:
        for recipient in RECIPIENTS:
            host.postfix.count(recipient)
            found.update(int(mail[MARK]) for mail in host.postfix.delivered(recipient, 0) if mail[MARK])
    return found


@dataclass
class Probe:
    """Policy requests about a triplet that is known, one after the other at each host: what a verdict takes."""

    hosts: Sequence[MailHost]
    pause: float = 0.05
    times: list[tuple[float, float, str]] = field(default_factory=list)
    """When each was asked (monotonic), and the seconds until its reply, with the action."""

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            for host in self.hosts:
                group.create_task(self._ask(host))

    async def _ask(self, host: MailHost) -> None:
        client = organisation(0)[0]
        for number in itertools.count():
            lines = {
                "request": "smtpd_access_policy", "protocol_state": "RCPT", "client_address": client.address,
                "client_name": client.name, "reverse_client_name": client.name, "helo_name": client.name,
                "sender": f"probe@{client.organisation}", "recipient": RECIPIENTS[0], "instance": f"{host.name}.{number:x}",
            }  # fmt: skip
            request = "".join(f"{key}={value}\n" for key, value in lines.items()).encode() + b"\n"
            begun = time.monotonic()
            try:
                said = await policy(host, request)
            except (OSError, EOFError, TimeoutError):
                said = ""
            self.times.append((begun, time.monotonic() - begun, said))
            await asyncio.sleep(self.pause)

    def quantile(self, share: float, since: float, until: float) -> float:
        """The seconds within which this share of the replies between two moments came; those that never came are left out."""
        taken = sorted(seconds for at, seconds, said in self.times if since <= at < until and said)
        return taken[min(len(taken) - 1, int(share * len(taken)))] if taken else float("nan")


async def policy(host: MailHost, request: bytes) -> str:
    """Ask a host's policy service as its Postfix does, on a connection of its own. Raises OSError, EOFError, TimeoutError."""
    loop = asyncio.get_running_loop()
    with host.side.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        async with asyncio.timeout(PATIENCE):
            await loop.sock_connect(sock, ("127.0.0.1", 10023))
            await loop.sock_sendall(sock, request)
            reply = b""
            while not reply.endswith(b"\n\n"):
                if not (more := await loop.sock_recv(sock, 4096)):
                    raise EOFError
                reply += more
    return reply.decode().strip().removeprefix("action=")
