"""What one question has cost each server so far: whoever is asked again has to be worth it (RFC 9520 §3.1, CVE-2026-5950)."""

from collections import Counter

from resolverd import bounds
from resolverd.recursion.capabilities import Feature
from resolverd.wire.ask import Transport
from resolverd.wire.names import Address


class Tries:
    """The sends of one question. `turns` counts how often each server has had its turn without an outcome."""

    __slots__ = ("_given_up", "_sends", "turns")

    def __init__(self) -> None:
        self.turns: dict[Address, int] = {}
        self._sends: Counter[tuple[Address, Transport]] = Counter()
        self._given_up: set[tuple[Address, Feature]] = set()

    def send(self, address: Address, transport: Transport) -> bool:
        """Count one more send; False if the server has had its share over this transport."""
        if self._sends[address, transport] >= bounds.SENDS_PER_SERVER:
            return False
        self._sends[address, transport] += 1
        return True

    def give_up(self, address: Address, feature: Feature) -> None:
        """It is asked this without that from now on."""
        self._given_up.add((address, feature))

    def instead(self, address: Address, kept: Feature, given_up: Feature) -> None:
        """Not the one but the other was at fault."""
        self._given_up.discard((address, kept))
        self._given_up.add((address, given_up))

    def gave_up(self, address: Address, feature: Feature) -> bool:
        """Whether it is asked this without that."""
        return (address, feature) in self._given_up

    def unanswered(self, address: Address, *, silent: bool) -> None:
        """Its turn is over. Who answered nonsense will do so again; who was silent may have lost a packet."""
        self.turns[address] = self.turns.get(address, 0) + 1 if silent else bounds.SENDS_PER_SERVER

    def open(self, addresses: list[Address]) -> list[Address]:
        """Those among the addresses whose turn it is: fewest turns so far, and some left."""
        if not self.turns:
            return addresses
        left = [address for address in addresses if self.turns.get(address, 0) < bounds.SENDS_PER_SERVER]
        fewest = min((self.turns.get(address, 0) for address in left), default=0)
        return [address for address in left if self.turns.get(address, 0) == fewest]
