"""What a core may want from outside: values that a generator yields and a driver performs.

A core is a generator: ``reply = yield Ask(…)``; sub-work runs by ``yield from`` under the same budget. Where work may go
side by side it yields ``First`` or ``Race``. It never sees a socket or a clock: replies carry the time they came.
"""

from collections.abc import Generator
from enum import Enum
from typing import Any, TypeAlias

from resolverd.values import Value
from resolverd.wire.message import Message
from resolverd.wire.names import Address, Name


class Transport(Enum):
    """How a question travels to a server."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"

    __hash__ = object.__hash__  # that of Enum is a function in Python, and every question in flight is found by it


class Server(Value, frozen=True, cache_hash=True):
    """One address that can be asked. `tls_name` is the certificate's name where DNS over TLS is wanted (RFC 7858)."""

    address: Address
    port: int = 53
    tls_name: str = ""

    def __str__(self) -> str:
        text = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return text if self.port == 53 else f"{text}:{self.port}"


class Failed(Enum):
    """Why no message came back."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    MALFORMED = "malformed"
    SPOOFED = "wrong ID or size: perhaps forged"
    CASE_MISMATCH = "letter case of the question changed: perhaps forged"
    COOKIE = "cookie missing or not ours: perhaps forged"
    LOCAL = "local"


class Ask(Value, frozen=True):
    """One exchange with one server: send this question, give me what comes back within `timeout` seconds.

    `timeout` is how long an answer is of use at all; when to ask elsewhere meanwhile is the asker's business (`Race`, `Again`).

    `recursion` sets RD (forwarders); `edns_size` 0 sends no OPT; `dnssec` sets DO; `random_case` sends the name's letters
    in random case and wants them back like that (0x20; over UDP only, TCP needs no such defence). `cookie` sends a cookie,
    where there is an OPT to carry it, and wants it back from a server that has had one (RFC 7873 §5).
    """

    server: Server
    qname: Name
    qtype: int
    transport: Transport
    timeout: float
    recursion: bool = False
    edns_size: int = 1232
    dnssec: bool = True
    random_case: bool = False
    cookie: bool = True

    @property
    def question(self) -> tuple[object, ...]:
        """All but how long it is waited for: what the packet is made of, and whom it is for."""
        return (
            self.server, self.qname, self.qtype, self.transport,
            self.recursion, self.edns_size, self.dnssec, self.random_case, self.cookie,
        )  # fmt: skip


class Reply(Value, frozen=True):
    """What came of an Ask: the message or why there is none, when (monotonic seconds), after how long, how many octets.

    `sent`: how often the question left for it, those aside that `Again` sent; 0 where it shared the exchange of somebody who
    asked the same. `cookie`: the message carries the cookie that we sent, so that nobody off the path has forged it.
    `repeated`: seconds since the question left for the last time, where it did so more than once. `plain_letters`: it was to
    leave in random case, and chance or a name without letters had it leave as it was, so that the answer says nothing of 0x20.
    """

    message: Message | None
    failed: Failed | None
    now: float
    rtt: float
    size: int = 0
    sent: int = 1
    cookie: bool = False
    repeated: float | None = None
    plain_letters: bool = False

    @property
    def sample(self) -> float | None:
        """The round-trip time; None where it is not known which copy of the question was answered (RFC 6298 §3).

        What comes just behind the last copy is the answer to that: it would be a coincidence else.
        """
        if self.repeated is None:
            return self.rtt
        return self.repeated if 5 * self.repeated < self.rtt else None


class Join(Value, frozen=True):
    """Wait for the exchange of somebody who has put the same question; the reply is its `Reply`.

    An Ask that would have to share an exchange is answered by None: at that moment nothing has left for it, and a packet that
    was lost long ago may be waited for.
    """

    ask: Ask


class Again(Value, frozen=True):
    """Send the question of an Ask that is in flight once more; the reply is whether it left.

    It is the same packet from the same port, but for its `cookie` where that is to be left out: a second one with another ID
    would halve the work of guessing (RFC 5452 §5).
    """

    ask: Ask
    cookie: bool = True


Core: TypeAlias = Generator[Any, Any, Any]
"""A generator that yields what is in this module and returns its result."""


class First(Value, frozen=True, gc=True):
    """Run the branches side by side; the reply is the first result that is not None (else None); the rest are closed."""

    branches: tuple[Core, ...]


class Race(Value, frozen=True, gc=True):
    """Let the branches go on side by side until one has ended or `timeout` seconds are over; the reply is a `Raced`.

    New branches are started, known ones were never stopped: they may be raced again and again. When the core that races them
    ends, those still in flight get their reply and nothing else.
    """

    branches: tuple[Core, ...]
    timeout: float


class Raced(Value, frozen=True, gc=True):
    """What a Race has come to at `now` (monotonic seconds): a branch with its result or its error; no branch: time was over."""

    branch: Core | None
    result: Any
    error: Exception | None
    now: float


class Drop(Value, frozen=True, gc=True):
    """End these branches of earlier races, wherever they are."""

    branches: tuple[Core, ...]
