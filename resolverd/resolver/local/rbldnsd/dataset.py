"""What a list says, whatever its format."""

from abc import ABC, abstractmethod
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import Final, NamedTuple

from resolverd.resolver.local.rbldnsd.directives import Head
from resolverd.resolver.local.rbldnsd.key import LookupKey
from resolverd.resolver.local.rbldnsd.reader import Faults, LineReader
from resolverd.resolver.local.rbldnsd.values import expand
from resolverd.wire import codes
from resolverd.wire.names import to_text

_RECORD = Struct("!HHIH")
UNDECIDED: Final = -1
"""Instead of a value's number: `find` and `is_above` have to say."""


class Listing(NamedTuple):
    """A listing: the numbers of its values, and what ``$`` stands for in their templates."""

    numbers: tuple[int, ...]
    subject: int | bytes


class Dataset(ABC):
    """One file's entries, read to the end. `size`: how many there are."""

    is_ip4 = False
    """Whether it holds IPv4 addresses."""

    def __init__(self, reader: LineReader, size: int):
        """Raises BadDataset where nothing could be read."""
        self.faults: Faults = reader.faults(size)
        self.head: Head = reader.directives.head()
        self.size = size
        self._values = reader.values
        self._a_record = _RECORD.pack(codes.A, codes.IN, self.head.ttl, 4)

    @abstractmethod
    def find(self, key: LookupKey) -> Listing | None:
        """The listing of exactly this name or address."""

    @abstractmethod
    def is_above(self, key: LookupKey) -> bool:
        """Whether there are listings below the name, so that it exists (RFC 8020 §2)."""

    @abstractmethod
    def number_of(self, prefix: bytes) -> int:
        """The number of the one value of a name, given as what stands in front of the origin (lower case, without an end).

        `EXCLUDED` for a name that is not listed and below which nothing is, `UNDECIDED` for all that takes longer to tell.
        The octets come as they were sent: if they are no labels, that is `UNDECIDED`.
        """

    def a_record(self, number: int) -> bytes:
        """The A record of a value, without its owner."""
        values = self._values
        at = values.starts[number]
        return self._a_record + values.blob[at : at + 4]

    def addresses(self, listing: Listing) -> list[bytes]:
        """The A records' octets."""
        return [self._values[number].address for number in listing.numbers]

    def texts(self, listing: Listing) -> list[bytes]:
        """The TXT records' strings; values without text have none."""
        subject = self.text_of(listing.subject)
        texts = [expand(self._values[number].template, subject, self.head) for number in listing.numbers]
        return [text for text in texts if text]

    def text_of(self, subject: int | bytes) -> bytes:
        """A subject as text."""
        if isinstance(subject, bytes):
            return to_text(subject + b"\x00")[:-1].encode()
        return str(IPv4Address(subject) if self.is_ip4 else IPv6Address(subject)).encode()
