"""A daemon for the edges to talk to, that answers from what the test laid out and remembers what it was asked."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path

from resolverd.clock import SystemClock
from resolverd.dnsbl.spec import ListStatus
from resolverd.failures import ConfigFault, Unknown, Why
from resolverd.greylist.admin import Greybook, Page, Place, Remembered, Sought
from resolverd.greylist.decide import GreylistRules
from resolverd.mail.findings import Action, Consequence, Evidence, Finding, GreylistOutcome, SmtpReply, Verdict
from resolverd.mail.lookups import Clear, Listed
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.overrides.rules import Key, Override
from resolverd.overrides.store import OverrideBook, Shown, Wish
from resolverd.servers import unix_socket
from resolverd.servers.ports import CacheEntry, Exchange, Gauge, ListSaying, Readiness, TaskState, Trace
from resolverd.state import dump
from resolverd.state.dump import Loaded, Stored
from resolverd.state.memory import MemoryStore
from resolverd.wire.names import Address

ZEN = ListStatus(
    "spamhaus-zen", "zen.spamhaus.org", "block", ("ip4", "ip6"), True, "ok", 300000, 299990, 10, 4, 0, 12.5, 40.0, forecast=72000
)
WHITE = ListStatus("dnswl", "list.dnswl.org", "allow", ("ip4",), True, "unreachable", last_error="timeout")

ACCEPTED = Verdict("ACCEPT0001", Action.ACCEPT, 0, "nothing against it")
REFUSED = Verdict(
    "REJECT0001",
    Action.REJECT,
    6,
    "listed by zen.spamhaus.org",
    findings=(
        Finding(
            "ptr", "ptr_ok", "reverse hostname mail.example.org", evidence=(Evidence("1.2.0.192 PTR", "mail.example.org", 12, 3),)
        ),
        Finding(
            "dnsbl",
            "dnsbl_listed",
            "listed by zen.spamhaus.org",
            score=6,
            consequence=Consequence.REJECT,
            reply=SmtpReply(554, "5.7.1", "Service unavailable"),
            link="https://example.org/",
            evidence=(Evidence("192.0.2.1 in zen.spamhaus.org", "SBL, as 127.0.0.2", 60, 20),),
        ),
    ),
    reply=SmtpReply(554, "5.7.1", "Service unavailable (Client host [192.0.2.1] blocked using zen.spamhaus.org); ref REJECT0001"),
    ms=23,
)
GREYLISTED = Verdict("GREY000001", Action.GREYLIST, 0, "greylisted", greylist=GreylistOutcome("new", 300, 0, "new"))


def for_commands(state: Path) -> socket.socket:
    """The socket that commands use, in a state directory."""
    state.mkdir(exist_ok=True)
    return unix_socket.bind(state / "resolverd.sock", 0o660)


def bound() -> socket.socket:
    """A TCP socket on a loopback port that the system chose."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


class FakeBackend:
    """Fulfils `resolverd.servers.ports.Backend`."""

    def __init__(self) -> None:
        self.asked: list[tuple[Attempt, bool]] = []
        self.decide: Callable[[Attempt], Verdict] = lambda attempt: ACCEPTED
        self.gate: asyncio.Event | None = None
        self.states = {"spamhaus-zen": ZEN, "dnswl": WHITE}
        self.flushed: list[tuple[bytes | None, int | None]] = []
        self.faults: list[ConfigFault] = []
        self.reloads = 0
        self.readiness = Readiness(True)
        self.store = MemoryStore()
        self.clock = SystemClock()
        self.book = OverrideBook(self.store, self.clock, Counters())
        self.greybook = Greybook(self.store, self.clock, GreylistRules())

    async def screen(self, attempt: Attempt, *, record: bool) -> Verdict:
        self.asked.append((attempt, record))
        if self.gate is not None:
            await self.gate.wait()
        return self.decide(attempt)

    async def verdict(self, reference: str) -> Verdict | None:
        return REFUSED if reference == REFUSED.id else None

    async def lookup(self, subject: object) -> list[ListSaying]:
        listed = Listed("spamhaus-zen", ("sbl",), ("127.0.0.2",), 6, "spam source", "https://example.org/", 300, 5, 20)
        if subject == ip_address("192.0.2.1"):
            return [ListSaying(ZEN, listed), ListSaying(WHITE, Unknown(Why.TIMEOUT, "no answer"))]
        return [ListSaying(ZEN, Clear("spamhaus-zen", 300))]

    def lists(self) -> list[ListStatus]:
        return list(self.states.values())

    def set_list(self, name: str, enabled: bool) -> ListStatus | None:
        if name not in self.states:
            return None
        self.states[name] = self.states[name]._replace(enabled=enabled, state="ok" if enabled else "disabled")
        return self.states[name]

    async def probe_list(self, name: str) -> ListStatus | None:
        return self.states.get(name)

    async def greylist_find(self, sought: Sought, start: Place | None, limit: int) -> Page:
        return await self.greybook.find(sought, start=start, limit=limit)

    async def greylist_allow(self, client: Address, sender: str | None, recipient: str | None) -> Remembered:
        return await self.greybook.allow(client, sender, recipient)

    async def greylist_forget(self, sought: Sought) -> int:
        return await self.greybook.forget(sought)

    def overrides(self, subject: str | None) -> list[Shown]:
        return self.book.shown(subject)

    async def override(self, wish: Wish) -> Override:
        return await self.book.set(wish)

    async def forget_overrides(self, keys: Sequence[Key], owner: str) -> int:
        return await self.book.forget(keys, owner)

    async def store_read(self, start: tuple[str, bytes] | None, count: int) -> dump.Page:
        return await dump.read(self.store, self.clock.wall(), start, count)

    async def store_load(self, records: Sequence[Stored]) -> Loaded:
        return await dump.load(self.store, self.clock.wall(), records)

    async def trace(self, name: bytes, rtype: int) -> Trace:
        exchange = Exchange(".", "198.41.0.4", "example.org.", "MX", "referral to org.", 20)
        return Trace((exchange,), "NOERROR", ("example.org. 3600 MX 10 mail.example.org.",), (), 20)

    def cache_stats(self) -> dict[str, float]:
        return {"records": 2, "octets": 512}

    def cache_show(self, name: bytes, rtype: int | None) -> list[CacheEntry]:
        return [CacheEntry("example.org.", "MX", 3600, "AUTHORITATIVE", "UNKNOWN", ("10 mail.example.org.",))]

    def cache_flush(self, name: bytes | None, rtype: int | None) -> int:
        self.flushed.append((name, rtype))
        return 2

    async def reload(self) -> list[ConfigFault]:
        self.reloads += 1
        return self.faults

    def ready(self) -> Readiness:
        return self.readiness

    def tasks(self) -> dict[str, TaskState]:
        return {"priming": TaskState("running", 0)}

    def gauges(self) -> list[Gauge]:
        return [Gauge("cache_octets", 512.0), Gauge("list_quota_left", 299990, {"list": "spamhaus-zen"})]
