"""ip4set: IPv4 addresses and ranges, kept as rbldnsd keeps them: in whole /32, /24, /16 and /8 networks.

A question is answered from the smallest of these that holds the address, by all its entries together; an exclusion among
them answers for all. So an entry for a /25 stands beside one for a /32 in it, but before one for the /24 around it.
"""

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import islice

from resolverd.resolver.local.rbldnsd.addresses import IP4_TOKEN, range4
from resolverd.resolver.local.rbldnsd.dataset import Dataset, Listing
from resolverd.resolver.local.rbldnsd.intervals import in_order
from resolverd.resolver.local.rbldnsd.key import AddressRange, LookupKey
from resolverd.resolver.local.rbldnsd.reader import EXCLUDED, LineReader, excluded

_SHIFTS = (0, 8, 16, 24)
_WIDTH = 8
_BATCH = 1 << 13
_OCTETS = {b"%d" % number: number for number in range(256)}


class Ip4Set(Dataset):
    """Per level, sorted rows of network number (upper half) and number of the value (lower half)."""

    is_ip4 = True

    def __init__(self, reader: LineReader, size: int, levels: tuple["array[int]", ...]):
        """Raises BadDataset where nothing could be read."""
        super().__init__(reader, size)
        self._levels = [(shift, rows) for shift, rows in zip(_SHIFTS, levels, strict=True) if rows]

    def find(self, key: LookupKey) -> Listing | None:
        """The listing of an address."""
        if key.ip4 is None or not key.ip4.is_address:
            return None
        address = key.ip4.low
        for shift, rows in self._levels:
            network = address >> shift
            at = bisect_left(rows, network << 32)
            numbers = []
            while at < len(rows) and rows[at] >> 32 == network:
                numbers.append(rows[at] & 0xFFFFFFFF)
                at += 1
            if numbers:
                return None if EXCLUDED in numbers else Listing(tuple(numbers), address)
        return None

    def is_above(self, key: LookupKey) -> bool:
        """Whether there are entries in the prefix."""
        return key.ip4 is not None and not key.ip4.is_address and self._has_any(key.ip4)

    def _has_any(self, key_range: AddressRange) -> bool:
        for shift, rows in self._levels:
            at = bisect_left(rows, key_range.low >> shift << 32)
            if at < len(rows) and rows[at] >> 32 <= key_range.high >> shift:
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
    return Ip4Set(reader, size, tuple(_packed(each) for each in rows))


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


def _packed(rows: bytearray) -> "array[int]":
    packed = array("Q")
    ordered = in_order(rows, _WIDTH)
    last = b""
    while batch := list(islice(ordered, _BATCH)):
        packed.frombytes(b"".join(row for row, before in zip(batch, [last, *batch], strict=False) if row != before))
        last = batch[-1]
    if sys.byteorder == "little":
        packed.byteswap()
    return packed
