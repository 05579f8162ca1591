"""What one question has cost each server so far: whoever is asked again has to be worth it (RFC 9520 §3.1, CVE-2026-5950)."""

from collections import Counter

from resolverd import bounds
from resolverd.wire.ask import Transport
from resolverd.wire.names import Address


class Tries:
    """The sends of one question. `turns` counts how often each server has had its turn without an outcome."""

    __slots__ = ("_plain", "_sends", "turns")

    def __init__(self) -> None:
        self.turns: dict[Address, int] = {}
        self._sends: Counter[tuple[Address, Transport]] = Counter()
        self._plain: set[Address] = set()

    def send(self, address: Address, transport: Transport) -> bool:
        """Count one more send; False if the server has had its share over this transport."""
        if self._sends[address, transport] >= bounds.SENDS_PER_SERVER:
            return False
        self._sends[address, transport] += 1
        return True

    def without_edns(self, address: Address) -> None:
        """It cannot be asked this with EDNS."""
        self._plain.add(address)

    def edns(self, address: Address) -> bool:
        """Whether it may be asked with EDNS, as far as this question has shown."""
        return address not in self._plain

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
