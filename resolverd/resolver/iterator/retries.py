"""What one question has cost each server so far: whoever is asked again has to be worth it (RFC 9520 §3.1, CVE-2026-5950).

Silence is no end: an answer to any send counts until the question is answered, whoever has been asked meanwhile.
"""

from typing import NamedTuple

from resolverd import bounds
from resolverd.resolver.iterator.capabilities import Feature
from resolverd.wire.ask import Ask, Core, Transport
from resolverd.wire.names import Address


class Sent(NamedTuple):
    """A send at `at` whose answer is waited for until `due` (monotonic seconds) before anything else is tried."""

    ask: Ask
    at: float
    due: float


class Tries:
    """The sends of one question to one zone. `turns` counts how often each server has had its turn without an outcome."""

    __slots__ = ("_given_up", "_heard", "_sends", "answered", "asked", "expected", "mute", "turns", "under_way", "waiting")

    def __init__(self) -> None:
        self.turns: dict[Address, int] = {}
        self.expected: dict[Address, float] = {}
        """What was to be expected of each living server before this question (`Servers.expected`)."""
        self.under_way: dict[Address, Core] = {}
        """Servers whose answer may still come, and who deals with it (`Asking.ask`)."""
        self.asked: dict[Address, Ask] = {}
        """What each was asked last."""
        self.waiting: dict[Address, Sent] = {}
        """Sends whose time is not over."""
        self.mute: frozenset[Address] = frozenset()
        """Servers that were silent when they were asked for a minimised name just now."""
        self.answered = False
        """The question has its answer; what comes now only tells how its server fares."""
        self._sends: dict[tuple[Address, Transport], int] = {}
        self._given_up: set[tuple[Address, Feature]] = set()
        self._heard: set[Address] = set()

    def may_send(self, address: Address, transport: Transport) -> bool:
        """Whether the server has not had its share over this transport."""
        return self._sends.get((address, transport), 0) < bounds.SENDS_PER_SERVER

    def sent(self, ask: Ask, now: float, patience: float) -> None:
        """One more send."""
        address = ask.server.address
        self._sends[address, ask.transport] = self._sends.get((address, ask.transport), 0) + 1
        self.asked[address] = ask
        self.waiting[address] = Sent(ask, now, now + patience)
        self._heard.discard(address)

    def heard(self, address: Address) -> None:
        """It has answered what it was asked last; what that means may take a while to find out."""
        self._heard.add(address)

    def give_up(self, address: Address, feature: Feature) -> None:
        """It is asked this without that from now on."""
        self._given_up.add((address, feature))

    def instead(self, address: Address, kept: Feature, given_up: Feature) -> None:
        """Not the one but the other was at fault."""
        self._given_up.discard((address, kept))
        self._given_up.add((address, given_up))

    def gave_up(self, address: Address, feature: Feature) -> bool:
        """Whether it is asked this without that."""
        return bool(self._given_up) and (address, feature) in self._given_up

    def overdue(self, now: float) -> list[Sent]:
        """Take those out of `waiting` whose time is over, each with a turn less; those of them who were silent."""
        late = [(address, sent) for address, sent in self.waiting.items() if sent.due <= now]
        for address, _ in late:
            self.unanswered(address, silent=True)
        return [sent for address, sent in late if address not in self._heard]

    def ended(self, branch: Core) -> Address:
        """Whoever dealt with a server's answers is at his end; which server it was."""
        for address, each in self.under_way.items():
            if each is branch:
                del self.under_way[address]
                return address
        raise LookupError("nobody of whom anything is under way")

    def unanswered(self, address: Address, *, silent: bool) -> None:
        """Its turn is over. Who answered nonsense will do so again; who was silent may have lost a packet."""
        self.waiting.pop(address, None)
        self.turns[address] = self.turns.get(address, 0) + 1 if silent else bounds.SENDS_PER_SERVER

    def open(self, addresses: list[Address]) -> list[Address]:
        """Those among the addresses that may have another turn. A connection under way repeats by itself what gets lost."""
        if not self.turns and not self.under_way:
            return addresses
        return [address for address in addresses if self._is_open(address)]

    def _is_open(self, address: Address) -> bool:
        if self.turns.get(address, 0) >= bounds.SENDS_PER_SERVER:
            return False
        asked = self.asked.get(address)
        return asked is None or address not in self.under_way or (
            asked.transport is Transport.UDP and self.may_send(address, Transport.UDP)
        )
