"""A hash table of names without an object for each: a blob, offsets into it, and slots that hold their numbers."""

from array import array

_FIRST_SLOTS = 64


class NameTable:
    """Names, numbered in the order in which they came. Open addressing, linear probing; at most two thirds of it full.

    The hash is the interpreter's own, keyed anew in every process, so that nobody can prepare names that collide.
    """

    def __init__(self) -> None:
        self._blob = bytearray()
        self._ends = array("I", (0,))
        self._slots = array("I", bytes(4 * _FIRST_SLOTS))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def find(self, name: bytes) -> int:
        """The number of a name; -1 for none."""
        return self._slots[self._slot(name)] - 1

    def add(self, name: bytes) -> int:
        """The number of a name, new or old."""
        slot = self._slot(name)
        number = self._slots[slot] - 1
        if number >= 0:
            return number
        number = len(self)
        self._blob += name
        self._ends.append(len(self._blob))
        self._slots[slot] = number + 1
        if 3 * number > 2 * len(self._slots):
            self._grow()
        return number

    def _slot(self, name: bytes) -> int:
        """The slot in which the name is, or should be."""
        slots, ends, blob = self._slots, self._ends, self._blob
        mask = len(slots) - 1
        slot = hash(name) & mask
        while number := slots[slot]:
            if blob[ends[number - 1] : ends[number]] == name:
                return slot
            slot = slot + 1 & mask
        return slot

    def _grow(self) -> None:
        ends, blob = self._ends, self._blob
        slots = array("I", bytes(8 * len(self._slots)))
        mask = len(slots) - 1
        for number in range(1, len(ends)):
            slot = hash(bytes(blob[ends[number - 1] : ends[number]])) & mask
            while slots[slot]:
                slot = slot + 1 & mask
            slots[slot] = number
        self._slots = slots
