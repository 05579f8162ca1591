"""dnset: domain names, and wildcards for everything below one."""

from array import array
from collections.abc import Iterable

from resolverd.resolver.local.rbldnsd.dataset import UNDECIDED, Dataset, Listing
from resolverd.resolver.local.rbldnsd.key import LookupKey
from resolverd.resolver.local.rbldnsd.nametable import NameTable
from resolverd.resolver.local.rbldnsd.reader import EXCLUDED, LineReader, excluded
from resolverd.wire.names import MAX_LABEL, MAX_NAME, BadName, from_text

_EXACT = 1
_BELOW = 2
_ABOVE = 4
"""What is known of a name: it is listed itself; everything below it is; names below it are."""
_FLAGS = 3
"""Bits that they take; the number of a value stands above them."""

_LENGTHS = [bytes((length,)) for length in range(MAX_LABEL + 1)]


class DnSet(Dataset):
    """Names with the packed value and flags of each; names that have several entries keep the further ones apart."""

    def __init__(self, reader: LineReader, size: int, names: NameTable, packed: "array[int]", more: dict[int, list[int]]):
        """Raises BadDataset where nothing could be read."""
        super().__init__(reader, size)
        self._names = names
        self._packed = packed
        self._more = more

    def number_of(self, prefix: bytes) -> int:
        """That of a name with one entry, or below one wildcard; the same order as that of `find`."""
        find, packed, more = self._names.find, self._packed, self._more
        at = find(prefix)
        if at >= 0:
            entry = packed[at]
            if at in more or (entry & _ABOVE and not (entry & _EXACT and entry >> _FLAGS)):
                return UNDECIDED
            if entry & _EXACT:
                return entry >> _FLAGS
        name = prefix
        while (following := 1 + name[0]) < len(name) and 1 < following <= 1 + MAX_LABEL:
            name = name[following:]
            at = find(name)
            if at >= 0 and (packed[at] & _BELOW or at in more):
                return packed[at] >> _FLAGS if at not in more else UNDECIDED
        return EXCLUDED if 1 < following == len(name) <= 1 + MAX_LABEL else UNDECIDED

    def find(self, key: LookupKey) -> Listing | None:
        """The entries of the name; without any, those of the closest wildcard above it. An exclusion among them wins."""
        name, wanted = key.name, _EXACT
        while name:
            at = self._names.find(name)
            if at >= 0:
                entries = (self._packed[at], *self._more.get(at, ()))
                numbers = tuple(each >> _FLAGS for each in entries if each & wanted)
                if numbers:
                    return None if EXCLUDED in numbers else Listing(numbers, name)
            name, wanted = name[1 + name[0] :], _BELOW
        return None

    def is_above(self, key: LookupKey) -> bool:
        """Whether names below it are listed."""
        at = self._names.find(key.name)
        return at >= 0 and bool(self._packed[at] & _ABOVE)


def parse_names(lines: Iterable[bytes], modified: int, now: float) -> DnSet:
    """The set that a file's lines are. Raises BadDataset."""
    reader = LineReader(modified, now)
    names = NameTable()
    packed = array("I")
    more: dict[int, list[int]] = {}
    size = 0
    for entry in reader.entries(lines):
        excludes, line = excluded(entry)
        token, *rest = line.split(None, 1) or [b""]
        kinds = _EXACT
        if token.startswith(b"*."):
            kinds, token = _BELOW, token[2:]
        elif token.startswith(b"."):
            kinds, token = _EXACT | _BELOW, token[1:]
        try:
            name = _name(token)
        except BadName:
            reader.fault("invalid domain name")
            continue
        number = EXCLUDED if excludes else reader.value(rest[0]) if rest else reader.default
        if number is None:
            continue
        size += 1
        at = names.add(name)
        value = number << _FLAGS | kinds
        if at == len(packed):
            packed.append(value)
        elif packed[at] & (_EXACT | _BELOW):
            more.setdefault(at, []).append(value)
        else:
            packed[at] |= value
        if not excludes:
            _mark_ancestors(names, packed, at, name, kinds)
    return DnSet(reader, size, names, packed, more)


def _mark_ancestors(names: NameTable, packed: "array[int]", at: int, name: bytes, kinds: int) -> None:
    if kinds & _BELOW:
        # RFC 4592 §2.2.2: the name that a wildcard stands below exists.
        packed[at] |= _ABOVE
    while name := name[1 + name[0] :]:
        at = names.add(name)
        if at == len(packed):
            packed.append(_ABOVE)
        elif packed[at] & _ABOVE:
            # So do all above it: somebody has been here.
            return
        else:
            packed[at] |= _ABOVE


def _name(token: bytes) -> bytes:
    """A name as keys are written: lower case, wire form, without an end. Dots at the end or in a row count as one."""
    token = token.lower()
    if b"\\" in token:
        return from_text(token.decode("latin-1"))[:-1]
    parts = [part for part in token.split(b".") if part]
    try:
        name = b"".join([_LENGTHS[len(part)] + part for part in parts])
    except IndexError:
        raise BadName("long label") from None
    if not 0 < len(name) < MAX_NAME:
        raise BadName("no name, or a long one")
    return name
