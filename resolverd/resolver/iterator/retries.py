"""What one question has cost each server so far: whoever is asked again has to be worth it (RFC 9520 §3.1, CVE-2026-5950).

Silence is no end: an answer to any send counts until the question is answered, whoever has been asked meanwhile.
"""


from resolverd import bounds
from resolverd.resolver.iterator.capabilities import Feature
from resolverd.values import Value
from resolverd.wire.ask import Ask, Core, Transport
from resolverd.wire.names import Address


class Sent(Value, frozen=True):
    """A send at `at` whose answer is waited for until `due` (monotonic seconds) before anything else is tried."""

    ask: Ask
    at: float
    due: float


class Attempts:
    """The sends of one question to one zone. `failed` counts each server's attempts without a response."""

    __slots__ = (
        "_disabled", "_received", "_sends", "answered", "expected", "failed", "in_flight", "last_ask", "qmin_silent", "waiting",
    )  # fmt: skip

    def __init__(self) -> None:
        self.failed: dict[Address, int] = {}
        self.expected: dict[Address, float] = {}
        """What was to be expected of each living server before this question (`InfraCache.expected`)."""
        self.in_flight: dict[Address, Core] = {}
        """Servers whose answer may still come, and who deals with it (`ServerQuery.ask`)."""
        self.last_ask: dict[Address, Ask] = {}
        """What each was asked last."""
        self.waiting: dict[Address, Sent] = {}
        """Sends whose time is not over."""
        self.qmin_silent: frozenset[Address] = frozenset()
        """Servers that were silent when they were asked for a minimised name just now."""
        self.answered = False
        """The question has its answer; what comes now only tells how its server fares."""
        self._sends: dict[tuple[Address, Transport], int] = {}
        self._disabled: set[tuple[Address, Feature]] = set()
        self._received: set[Address] = set()

    def may_send(self, address: Address, transport: Transport) -> bool:
        """Whether the server has not had its share over this transport."""
        return self._sends.get((address, transport), 0) < bounds.SENDS_PER_SERVER

    def sent(self, ask: Ask, now: float, rto: float) -> None:
        """One more send."""
        address = ask.server.address
        self._sends[address, ask.transport] = self._sends.get((address, ask.transport), 0) + 1
        self.last_ask[address] = ask
        self.waiting[address] = Sent(ask, now, now + rto)
        self._received.discard(address)

    def received(self, address: Address) -> None:
        """It has answered what it was asked last; what that means may take a while to find out."""
        self._received.add(address)

    def disable(self, address: Address, feature: Feature) -> None:
        """It is asked this without that from now on."""
        self._disabled.add((address, feature))

    def disable_instead(self, address: Address, kept: Feature, given_up: Feature) -> None:
        """Not the one but the other was at fault."""
        self._disabled.discard((address, kept))
        self._disabled.add((address, given_up))

    def is_disabled(self, address: Address, feature: Feature) -> bool:
        """Whether it is asked this without that."""
        return bool(self._disabled) and (address, feature) in self._disabled

    def overdue(self, now: float) -> list[Sent]:
        """Take those out of `waiting` whose time is over, each as a failed attempt; those of them who were silent."""
        late = [(address, sent) for address, sent in self.waiting.items() if sent.due <= now]
        for address, _ in late:
            self.fail(address, silent=True)
        return [sent for address, sent in late if address not in self._received]

    def finish(self, branch: Core) -> Address:
        """Whoever dealt with a server's answers is at his end; which server it was."""
        for address, each in self.in_flight.items():
            if each is branch:
                del self.in_flight[address]
                return address
        raise LookupError("no attempt of that branch is in flight")

    def fail(self, address: Address, *, silent: bool) -> None:
        """An attempt has failed. Who answered nonsense will do so again; who was silent may have lost a packet."""
        self.waiting.pop(address, None)
        self.failed[address] = self.failed.get(address, 0) + 1 if silent else bounds.SENDS_PER_SERVER

    def available(self, addresses: list[Address]) -> list[Address]:
        """Those among the addresses that may be asked again. A connection in use repeats by itself what gets lost."""
        if not self.failed and not self.in_flight:
            return addresses
        return [address for address in addresses if self._is_available(address)]

    def _is_available(self, address: Address) -> bool:
        if self.failed.get(address, 0) >= bounds.SENDS_PER_SERVER:
            return False
        asked = self.last_ask.get(address)
        return asked is None or address not in self.in_flight or (
            asked.transport is Transport.UDP and self.may_send(address, Transport.UDP)
        )
