"""ip4set: IPv4 addresses and ranges, kept as rbldnsd keeps them: in whole /32, /24, /16 and /8 networks.

A question is answered from the smallest of these that holds the address, by all its entries together; an exclusion among
them answers for all. So an entry for a /25 stands beside one for a /32 in it, but before one for the /24 around it.
"""

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from resolverd.resolver.local.rbldnsd.addresses import IP4_TOKEN, range4
from resolverd.resolver.local.rbldnsd.buckets import Buckets, buckets
from resolverd.resolver.local.rbldnsd.dataset import UNDECIDED, Dataset, Listing
from resolverd.resolver.local.rbldnsd.intervals import in_order
from resolverd.resolver.local.rbldnsd.key import AddressRange, LookupKey, address4, is_none4
from resolverd.resolver.local.rbldnsd.reader import EXCLUDED, LineReader, excluded

_SHIFTS = (0, 8, 16, 24)
_WIDTH = 8
_BATCH = 1 << 13
_OCTETS = {b"%d" % number: number for number in range(256)}


class _Level(NamedTuple):
    """Networks of one length: `shift` bits shorter than an address."""

    shift: int
    networks: "array[int]"
    numbers: "array[int]"
    buckets: Buckets


class Ip4Set(Dataset):
    """Per level, sorted network numbers, and beside each the number of its value."""

    is_ip4 = True

    def __init__(self, reader: LineReader, size: int, levels: "tuple[_Level, ...]"):
        """Raises BadDataset where nothing could be read."""
        super().__init__(reader, size)
        self._levels = tuple(level for level in levels if level.networks)

    def number_of(self, prefix: bytes) -> int:
        """That of an address with one entry; what is none, nor a part of one, is not listed."""
        address = address4(prefix)
        if address < 0:
            return EXCLUDED if is_none4(prefix) else UNDECIDED
        for level_shift, networks, numbers, (shift, starts) in self._levels:
            network = address >> level_shift
            upper = network >> shift
            end = starts[upper + 1]
            at = bisect_left(networks, network, starts[upper], end)
            if at < end and networks[at] == network:
                return numbers[at] if at + 1 == end or networks[at + 1] != network else UNDECIDED
        return EXCLUDED

    def find(self, key: LookupKey) -> Listing | None:
        """The listing of an address."""
        if key.ip4 is None or not key.ip4.is_address:
            return None
        address = key.ip4.low
        for level in self._levels:
            network = address >> level.shift
            begin = bisect_left(level.networks, network)
            numbers = level.numbers[begin : bisect_right(level.networks, network, begin)]
            if numbers:
                return None if EXCLUDED in numbers else Listing(tuple(numbers), address)
        return None

    def is_above(self, key: LookupKey) -> bool:
        """Whether there are entries in the prefix."""
        return key.ip4 is not None and not key.ip4.is_address and self._has_any(key.ip4)

    def _has_any(self, key_range: AddressRange) -> bool:
        for level in self._levels:
            at = bisect_left(level.networks, key_range.low >> level.shift)
            if at < len(level.networks) and level.networks[at] <= key_range.high >> level.shift:
                return True
        return False


def parse_addresses(lines: Iterable[bytes], modified: int, now: float) -> Ip4Set:
    """The set that a file's lines are. Raises BadDataset."""
    reader = LineReader(modified, now)
    rows = [bytearray() for _ in _SHIFTS]
    singles = rows[0]
    size = 0
    for line in reader.entries(lines):
        parts = line.split(b".")
        if len(parts) == 4:
            try:
                # What nearly every line is: an address and nothing else.
                singles += bytes([_OCTETS[part] for part in parts])
                singles += reader.default.to_bytes(4)
                size += 1
                continue
            except KeyError:
                pass
        entry = _entry(reader, line)
        if entry is not None:
            low, high, number = entry
            for shift, network in _networks(low, high):
                rows[shift // 8] += network.to_bytes(4) + number.to_bytes(4)
            size += 1
    return Ip4Set(reader, size, tuple(_level(shift, each) for shift, each in zip(_SHIFTS, rows, strict=True)))


def _entry(reader: LineReader, line: bytes) -> tuple[int, int, int] | None:
    """First and last address and value of an entry; None, and a warning, for one that cannot be read."""
    excludes, line = excluded(line)
    token = IP4_TOKEN.match(line)
    try:
        if token is None:
            raise ValueError("invalid address")
        low, high = range4(token[0])
        most = reader.directives.max_range
        if high - low >= most:
            raise ValueError(f"range of {high - low + 1} addresses, {most} at most")
    except ValueError as error:
        reader.fault(str(error))
        return None
    number = EXCLUDED if excludes else reader.value(line[token.end() :])
    return None if number is None else (low, high, number)


def _networks(low: int, high: int) -> Iterator[tuple[int, int]]:
    """The /8, /16, /24 and /32 networks that make up a range, as shift and number."""
    while low <= high:
        shift = next(shift for shift in (24, 16, 8, 0) if not low & (1 << shift) - 1 and low + (1 << shift) - 1 <= high)
        yield shift, low >> shift
        low += 1 << shift


def _level(shift: int, rows: bytearray) -> _Level:
    networks, numbers = array("I", bytes(len(rows) // 2)), array("I", bytes(len(rows) // 2))
    filled = 0
    ordered = in_order(rows, _WIDTH)
    last = b""
    while batch := list(islice(ordered, _BATCH)):
        packed = array("I", b"".join(row for row, before in zip(batch, [last, *batch], strict=False) if row != before))
        if sys.byteorder == "little":
            packed.byteswap()
        following = filled + len(packed) // 2
        networks[filled:following], numbers[filled:following] = packed[::2], packed[1::2]
        filled = following
        last = batch[-1]
    del networks[filled:], numbers[filled:]
    return _Level(shift, networks, numbers, buckets(networks, 32 - shift))
