"""A value for every address, as sorted intervals: the longest matching prefix found by one binary search."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from heapq import merge

from resolverd.resolver.local.rbldnsd.buckets import Buckets, buckets
from resolverd.resolver.local.rbldnsd.key import AddressRange
from resolverd.resolver.local.rbldnsd.values import EXCLUDED

_NOTHING = EXCLUDED
_HALF = (1 << 64) - 1
_SLICE = 1 << 13
"""Rows sorted at once: a few milliseconds."""


class Prefixes:
    """Prefixes as they are read: the first of several equal ones counts."""

    def __init__(self, bits: int):
        """`bits`: those of an address, 32 or 128."""
        self._bits = bits
        self._octets = bits // 8
        self._rows = bytearray()
        self._count = 0

    def add(self, network: int, length: int, number: int) -> None:
        """One prefix and the number of its value."""
        # The count keeps equal prefixes in the order in which they came.
        self._rows += network.to_bytes(self._octets) + bytes((length,)) + self._count.to_bytes(4) + number.to_bytes(4)
        self._count += 1

    def intervals(self) -> "tuple[Intervals, int]":
        """All of them, and how many were there already."""
        out = Intervals(self._bits)
        around: list[tuple[int, int]] = []
        doubled = 0
        last = None
        for network, length, number in self._ordered():
            if (network, length) == last:
                doubled += 1
                continue
            last = network, length
            out.close(around, network)
            out.append(network, number)
            around.append((network | (1 << self._bits - length) - 1, number))
        out.close(around, 1 << self._bits)
        out.finish()
        self._rows = bytearray()
        return out, doubled

    def _ordered(self) -> Iterator[tuple[int, int, int]]:
        octets = self._octets
        for row in in_order(self._rows, octets + 9):
            yield int.from_bytes(row[:octets]), row[octets], int.from_bytes(row[octets + 5 :])


class Intervals:
    """Where each begins, and the number of the value of all addresses from there on, `_NOTHING` for none."""

    def __init__(self, bits: int):
        self._bits = bits
        self._high = array("Q")
        """The upper halves of IPv6 addresses; IPv4 has none."""
        self._low = array("Q" if bits > 32 else "I")
        self._numbers = array("I")
        self._index = Buckets(0, array("I"))

    def append(self, begin: int, number: int) -> None:
        """The next interval; at the beginning of the one before, it takes its place."""
        numbers = self._numbers
        if numbers and self._begin(-1) == begin:
            self._low.pop()
            numbers.pop()
            if self._high:
                self._high.pop()
        if (numbers[-1] if numbers else _NOTHING) != number:
            if self._bits > 32:
                self._high.append(begin >> 64)
            self._low.append(begin & _HALF)
            numbers.append(number)

    def close(self, around: list[tuple[int, int]], begin: int) -> None:
        """End the prefixes (last address and value) that do not reach to `begin`; what lies around them goes on behind."""
        while around and around[-1][0] < begin:
            end, _ = around.pop()
            if end + 1 < 1 << self._bits:
                self.append(end + 1, around[-1][1] if around else _NOTHING)

    def finish(self) -> None:
        """No more will come."""
        self._index = buckets(self._high, 64) if self._bits > 32 else buckets(self._low, 32)

    def at(self, address: int) -> int:
        """The number of an address's value."""
        at = self._place(address)
        return self._numbers[at] if at >= 0 else _NOTHING

    def has_any(self, key_range: AddressRange) -> bool:
        """Whether any address of a span has a value. No two neighbours have the same, so the second step is the last."""
        at = max(self._place(key_range.low), 0)
        while at < len(self._numbers) and self._begin(at) <= key_range.high:
            if self._numbers[at] != _NOTHING:
                return True
            at += 1
        return False

    def _begin(self, at: int) -> int:
        return self._high[at] << 64 | self._low[at] if self._high else self._low[at]

    def _place(self, address: int) -> int:
        """Which interval holds an address; -1 if it is in front of the first."""
        shift, starts = self._index
        if self._bits == 32:
            upper = address >> shift
            return bisect_right(self._low, address, starts[upper], starts[upper + 1]) - 1
        high, low = address >> 64, address & _HALF
        upper = high >> shift
        begin = starts[upper]
        last = bisect_right(self._high, high, begin, starts[upper + 1]) - 1
        if last < begin or self._high[last] != high or self._low[last] <= low:
            return last
        return bisect_right(self._low, low, bisect_left(self._high, high, begin, last), last) - 1


def in_order(rows: bytes | bytearray, width: int) -> Iterator[bytes]:
    """The rows, each of `width` octets, in ascending order, sorted without holding the interpreter for long.

    A list is read beside the event loop, in a thread; one `sorted` over a million rows would keep the loop from turning for
    as long as it takes, since nothing interrupts it. Slices are sorted one by one, and merged row by row.
    """
    runs: list[list[bytes]] = []
    last = b""
    for begin in range(0, len(rows), _SLICE * width):
        end = min(begin + _SLICE * width, len(rows))
        part = sorted(bytes(rows[at : at + width]) for at in range(begin, end, width))
        # Most files are in order, or nearly: what goes on where the run before it ended needs no merging.
        if not runs or part[0] < last:
            runs.append([])
        runs[-1].append(b"".join(part))
        last = part[-1]
    return merge(*(_rows(run, width) for run in runs)) if len(runs) > 1 else _rows(runs[0] if runs else [], width)


def _rows(parts: list[bytes], width: int) -> Iterator[bytes]:
    for part in parts:
        for at in range(0, len(part), width):
            yield part[at : at + width]
