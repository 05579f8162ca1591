"""ip4trie and ip6trie: networks, of which the smallest that holds an address answers for it, listing or exclusion."""

from collections.abc import Iterable

from resolverd.resolver.local.rbldnsd.addresses import IP4_TOKEN, IP6_TOKEN, cidr4, cidr6
from resolverd.resolver.local.rbldnsd.dataset import UNDECIDED, Dataset, Listing
from resolverd.resolver.local.rbldnsd.intervals import Intervals, Prefixes
from resolverd.resolver.local.rbldnsd.key import AddressRange, LookupKey, address4, address6, is_none4, is_none6
from resolverd.resolver.local.rbldnsd.reader import EXCLUDED, LineReader, excluded


class IpTrie(Dataset):
    """Networks of one family."""

    def __init__(self, reader: LineReader, size: int, intervals: Intervals, *, ip4: bool):
        """Raises BadDataset where nothing could be read."""
        super().__init__(reader, size)
        self._intervals = intervals
        self.is_ip4 = ip4

    def number_of(self, prefix: bytes) -> int:
        """That of an address; what is none, nor a part of one, is not listed."""
        address = address4(prefix) if self.is_ip4 else address6(prefix)
        if address >= 0:
            return self._intervals.at(address)
        return EXCLUDED if (is_none4 if self.is_ip4 else is_none6)(prefix) else UNDECIDED

    def find(self, key: LookupKey) -> Listing | None:
        """The listing of an address."""
        key_range = self._span(key)
        if key_range is None or not key_range.is_address:
            return None
        number = self._intervals.at(key_range.low)
        return None if number == EXCLUDED else Listing((number,), key_range.low)

    def is_above(self, key: LookupKey) -> bool:
        """Whether there are listings in the prefix."""
        key_range = self._span(key)
        return key_range is not None and not key_range.is_address and self._intervals.has_any(key_range)

    def _span(self, key: LookupKey) -> AddressRange | None:
        return key.ip4 if self.is_ip4 else key.ip6


def parse_ip4(lines: Iterable[bytes], modified: int, now: float) -> IpTrie:
    """The IPv4 networks that a file's lines are. Raises BadDataset."""
    return _parse(LineReader(modified, now), lines, ip4=True)


def parse_ip6(lines: Iterable[bytes], modified: int, now: float) -> IpTrie:
    """The IPv6 networks that a file's lines are. Raises BadDataset."""
    return _parse(LineReader(modified, now, ip6=True), lines, ip4=False)


def _parse(reader: LineReader, lines: Iterable[bytes], *, ip4: bool) -> IpTrie:
    pattern, cidr = (IP4_TOKEN, cidr4) if ip4 else (IP6_TOKEN, cidr6)
    prefixes = Prefixes(32 if ip4 else 128)
    seen = 0
    for entry in reader.entries(lines):
        excludes, line = excluded(entry)
        token = pattern.match(line)
        try:
            if token is None:
                raise ValueError("invalid address")
            network, length = cidr(token[0])
            if ip4 and 1 << 32 - length > reader.directives.max_range:
                raise ValueError(f"range of {1 << 32 - length} addresses, {reader.directives.max_range} at most")
        except ValueError as error:
            reader.fault(str(error))
            continue
        number = EXCLUDED if excludes else reader.value(line[token.end() :])
        if number is not None:
            prefixes.add(network, length, number)
            seen += 1
    intervals, doubled = prefixes.intervals()
    if doubled:
        reader.warn(f"{doubled} networks are there more than once; the first of each counts", here=False)
    return IpTrie(reader, seen - doubled, intervals, ip4=ip4)
