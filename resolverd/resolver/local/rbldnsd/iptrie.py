"""ip4trie and ip6trie: networks, of which the smallest that holds an address answers for it, listing or exclusion."""

from collections.abc import Iterable

from resolverd.resolver.local.rbldnsd.addresses import IP4_TOKEN, IP6_TOKEN, cidr4, cidr6
from resolverd.resolver.local.rbldnsd.dataset import Dataset, Match
from resolverd.resolver.local.rbldnsd.intervals import Intervals, Prefixes
from resolverd.resolver.local.rbldnsd.question import Question, Span
from resolverd.resolver.local.rbldnsd.reader import EXCLUDED, Reader, excluded


class IpTrie(Dataset):
    """Networks of one family."""

    def __init__(self, reader: Reader, size: int, intervals: Intervals, *, ip4: bool):
        """Raises BadDataset where nothing could be read."""
        super().__init__(reader, size)
        self._intervals = intervals
        self.is_ip4 = ip4

    def find(self, question: Question) -> Match | None:
        """The listing of an address."""
        span = self._span(question)
        if span is None or not span.is_address:
            return None
        number = self._intervals.at(span.low)
        return None if number == EXCLUDED else Match((number,), span.low)

    def is_above(self, question: Question) -> bool:
        """Whether there are listings in the prefix."""
        span = self._span(question)
        return span is not None and not span.is_address and self._intervals.has_any(span)

    def _span(self, question: Question) -> Span | None:
        return question.ip4 if self.is_ip4 else question.ip6


def parse_ip4(lines: Iterable[bytes], modified: int, now: float) -> IpTrie:
    """The IPv4 networks that a file's lines are. Raises BadDataset."""
    return _parse(Reader(modified, now), lines, ip4=True)


def parse_ip6(lines: Iterable[bytes], modified: int, now: float) -> IpTrie:
    """The IPv6 networks that a file's lines are. Raises BadDataset."""
    return _parse(Reader(modified, now, ip6=True), lines, ip4=False)


def _parse(reader: Reader, lines: Iterable[bytes], *, ip4: bool) -> IpTrie:
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
        reader.remark(f"{doubled} networks are there more than once; the first of each counts", here=False)
    return IpTrie(reader, seen - doubled, intervals, ip4=ip4)
