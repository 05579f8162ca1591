"""What one question has cost each server so far: whoever is asked again has to be worth it (RFC 9520 §3.1, CVE-2026-5950).

Silence is no end: an answer to any send counts until the question is answered, whoever has been asked meanwhile.
"""


from collections.abc import Sequence

from resolverd import bounds
from resolverd.resolver.iterator.capabilities import Feature
from resolverd.values import Value
from resolverd.wire.ask import Ask, Core, Server, Transport


class Sent(Value, frozen=True):
    """A send at `at` whose answer is waited for until `due` (monotonic seconds) before anything else is tried."""

    ask: Ask
    at: float
    due: float


class Asked:
    """What one server has been asked of one question."""

    __slots__ = ("disabled", "has_replied", "last_ask", "sends")

    def __init__(self) -> None:
        self.last_ask: Ask | None = None
        self.has_replied = False
        """It has answered what it was asked last; what that means may take a while to find out."""
        self.sends: dict[Transport, int] = {}
        self.disabled: frozenset[Feature] = frozenset()
        """What it is asked this without."""

    def may_send(self, transport: Transport) -> bool:
        """Whether it has not had its share over this transport."""
        return self.sends.get(transport, 0) < bounds.SENDS_PER_SERVER

    def disable(self, feature: Feature) -> None:
        """It is asked this without that from now on."""
        self.disabled |= {feature}

    def disable_instead(self, kept: Feature, given_up: Feature) -> None:
        """Not the one but the other was at fault."""
        self.disabled = self.disabled - {kept} | {given_up}


class Attempts:
    """The sends of one question to one zone. `failed` counts each server's attempts without a response."""

    __slots__ = ("answered", "asked", "expected", "failed", "in_flight", "qmin_silent", "useless", "waiting")

    def __init__(self) -> None:
        self.asked: dict[Server, Asked] = {}
        self.failed: dict[Server, int] = {}
        self.expected: dict[Server, float] = {}
        """What was to be expected of each living server before it was chosen for this question (`InfraCache.select`)."""
        self.in_flight: dict[Server, Core] = {}
        """Servers whose answer may still come, and who deals with it (`ServerQuery.ask`)."""
        self.waiting: dict[Server, Sent] = {}
        """Sends whose time is not over."""
        self.qmin_silent: frozenset[Server] = frozenset()
        """Servers that were silent when they were asked for a minimised name just now."""
        self.useless = 0
        """Servers that have said nothing of use, and the same again in lower case."""
        self.answered = False
        """The question has its answer; what comes now only tells how its server fares."""

    def of(self, server: Server) -> Asked:
        """What the server has been asked."""
        asked = self.asked.get(server)
        if asked is None:
            asked = self.asked[server] = Asked()
        return asked

    def sent(self, ask: Ask, now: float, rto: float) -> None:
        """One more send."""
        server, transport = ask.server, ask.transport
        asked = self.asked.get(server) or self.of(server)
        asked.sends[transport] = asked.sends.get(transport, 0) + 1
        asked.last_ask, asked.has_replied = ask, False
        self.waiting[server] = Sent(ask, now, now + rto)

    def overdue(self, now: float) -> list[Sent]:
        """Take those out of `waiting` whose time is over, each as a failed attempt; those of them who were silent."""
        late = [(server, sent) for server, sent in self.waiting.items() if sent.due <= now]
        for server, _ in late:
            self.fail(server, silent=True)
        return [sent for server, sent in late if not self.of(server).has_replied]

    def finish(self, branch: Core) -> Server | None:
        """Whoever dealt with a server's answers is at his end; which server it was, None if it was none of these."""
        for server, each in self.in_flight.items():
            if each is branch:
                del self.in_flight[server]
                return server
        return None

    def fail(self, server: Server, *, silent: bool) -> None:
        """An attempt has failed. Who answered nonsense will do so again; who was silent may have lost a packet."""
        self.waiting.pop(server, None)
        self.failed[server] = self.failed.get(server, 0) + 1 if silent else bounds.SENDS_PER_SERVER

    def available(self, servers: Sequence[Server]) -> Sequence[Server]:
        """Those among the servers that may be asked again. A connection in use repeats by itself what gets lost."""
        return [server for server in servers if self._is_available(server)]

    def _is_available(self, server: Server) -> bool:
        if self.failed.get(server, 0) >= bounds.SENDS_PER_SERVER:
            return False
        asked = self.asked.get(server)
        if asked is None or asked.last_ask is None or server not in self.in_flight:
            return True
        return asked.last_ask.transport is Transport.UDP and asked.may_send(Transport.UDP)
