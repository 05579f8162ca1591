"""How what is spent of lists' quotas stands in a store: a counter for each slot of a quota's period."""

from math import isfinite
from typing import Final, NamedTuple

from resolverd.dnsbl.quota import Budget

TABLE: Final = "list-quotas"


class QuotaSlot(NamedTuple):
    """A slot of a list's quota: the `number`th of so many seconds since 1970."""

    name: str
    seconds: float
    number: int

    @property
    def key(self) -> bytes:
        """``NAME SECONDS NUMBER``, under which its counter stands."""
        return f"{self.name} {self.seconds!r} {self.number}".encode()

    @property
    def expires(self) -> float:
        """The wall second at which it has long left the period."""
        return (self.number + Budget.SLOTS + 2) * self.seconds

    def as_spent(self, spent: int) -> dict[str, list[tuple[float, int]]]:
        """As `Engine.restore` takes it."""
        return {self.name: [(self.number * self.seconds, spent)]}


def slot_of(key: bytes) -> QuotaSlot | None:
    """The slot of a key; None for what is none."""
    try:
        name, seconds, number = key.decode().rsplit(" ", 2)
        slot = QuotaSlot(name, float(seconds), int(number))
        sound = slot.seconds > 0 and slot.number >= 0 and isfinite(slot.expires) and slot.key == key
    except (ValueError, OverflowError):
        return None
    return slot if sound else None
