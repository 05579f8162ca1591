"""Which keys are surely not in the file: a Bloom filter (B. H. Bloom, CACM 1970) of those that are, or may be.

Most of what greylisting looks up is not there, as most mail is new; without the filter each look-up would wait for the thread
that reads, for nothing. Whatever the filter does not hold is absent for certain; what it holds has to be looked up. Each key
has two bits of one octet, chosen by Python's own hash of octets, whose secret (SipHash) nobody outside knows.
"""

from itertools import combinations
from typing import Final

_BITS: Final = tuple(1 << one | 1 << other for one, other in combinations(range(8), 2))
_COUNT: Final = len(_BITS)


class KeyFilter:
    """Keys, of which none that was added is forgotten. Of so many octets, a power of two, it takes as many."""

    __slots__ = ("_mask", "_octets", "added")

    def __init__(self, octets: int) -> None:
        self._octets = bytearray(octets)
        self._mask = octets - 1
        self.added = 0

    def __len__(self) -> int:
        """Octets."""
        return len(self._octets)

    def add(self, *keys: bytes) -> None:
        """From now on the keys may be there."""
        octets, mask = self._octets, self._mask
        for number in map(hash, keys):
            at, bits = number & mask, _BITS[(number >> 32) % _COUNT]
            if octets[at] & bits != bits:
                octets[at] |= bits
                self.added += 1

    def may_hold(self, key: bytes) -> bool:
        """Whether the key may be there; False: it is not."""
        number = hash(key)
        bits = _BITS[(number >> 32) % _COUNT]
        return self._octets[number & self._mask] & bits == bits
