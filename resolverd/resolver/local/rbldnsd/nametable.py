"""A hash table of names without an object for each: a blob, offsets into it, and slots that hold their numbers."""

from array import array

_FIRST_SLOTS = 64
_TAG_SHIFT = 48
"""Bits of a hash below those that are beside its slot."""


class NameTable:
    """Names, numbered in the order in which they came. Open addressing, linear probing; at most two thirds of it full.

    The hash is the interpreter's own, keyed anew in every process, so that nobody can prepare names that collide. A slot has
    seven more bits of it beside, and a bit that is always set: names that only share the slot are rarely looked at.
    """

    def __init__(self) -> None:
        self._blob = bytearray()
        self._ends = array("I", (0,))
        self._slots = array("I", bytes(4 * _FIRST_SLOTS))
        self._tags = bytearray(_FIRST_SLOTS)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def find(self, name: bytes) -> int:
        """The number of a name; -1 for none."""
        tags, hashed = self._tags, hash(name)
        mask = len(tags) - 1
        slot, wanted = hashed & mask, hashed >> _TAG_SHIFT & 0xFF | 0x80
        while tag := tags[slot]:
            if tag == wanted:
                number = self._slots[slot]
                if self._blob[self._ends[number] : self._ends[number + 1]] == name:
                    return number
            slot = slot + 1 & mask
        return -1

    def add(self, name: bytes) -> int:
        """The number of a name, new or old."""
        number = self.find(name)
        if number < 0:
            number = len(self)
            self._blob += name
            self._ends.append(len(self._blob))
            self._put(hash(name), number)
            if 3 * number > 2 * len(self._tags):
                self._grow()
        return number

    def _put(self, hashed: int, number: int) -> None:
        tags = self._tags
        mask = len(tags) - 1
        slot = hashed & mask
        while tags[slot]:
            slot = slot + 1 & mask
        tags[slot] = hashed >> _TAG_SHIFT & 0xFF | 0x80
        self._slots[slot] = number

    def _grow(self) -> None:
        ends, blob = self._ends, self._blob
        self._slots = array("I", bytes(8 * len(self._slots)))
        self._tags = bytearray(2 * len(self._tags))
        for number in range(len(self)):
            self._put(hash(bytes(blob[ends[number] : ends[number + 1]])), number)
