"""Domain names in wire form.

A ``Name`` is the uncompressed wire form of an absolute domain name: length-prefixed labels and the root's zero octet
(RFC 1035 §3.1), at most 255 octets. As plain ``bytes`` it is hashable, needs no parsing to be sent, and is the form
that DNSSEC hashes. Letter case is kept as it came; caches key on ``lower(name)`` (RFC 4343).
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

from resolverd.wire.alabels import a_labels

Name: TypeAlias = bytes
Address: TypeAlias = IPv4Address | IPv6Address

ROOT: Name = b"\x00"
WILDCARD = b"\x01*"
"""The asterisk label, in front of the name whose wildcard it is (RFC 4592 §2.1.1)."""
MAX_NAME = 255
MAX_LABEL = 63

_SPECIAL = frozenset(b'.\\"();@$')


class BadName(ValueError):
    """Text or octets that are no domain name; the message says why."""


def lower(name: Name) -> Name:
    """ASCII letters in lower case. Length octets are < 64, so they are never taken for letters."""
    return name.lower()


def from_text(text: str) -> Name:
    """Presentation form to wire form, ``\\.`` and ``\\DDD`` escapes included (RFC 1035 §5.1); a missing final dot is implied.

    Non-ASCII labels are encoded as A-labels (IDNA 2008). Raises BadName.
    """
    if text in (".", ""):
        return ROOT
    if "\\" in text:
        return from_labels(_split_escaped(text))
    return from_labels(_a_labels(text).removesuffix(".").encode().split(b"."))


def from_labels(labels: list[bytes] | tuple[bytes, ...]) -> Name:
    """Labels, leftmost first and without the root, to a name. Raises BadName for empty or long ones."""
    parts = bytearray()
    for label in labels:
        if not label:
            raise BadName("empty label")
        if len(label) > MAX_LABEL:
            raise BadName(f"label of {len(label)} octets, {MAX_LABEL} at most")
        parts.append(len(label))
        parts += label
    parts.append(0)
    if len(parts) > MAX_NAME:
        raise BadName(f"name of {len(parts)} octets, {MAX_NAME} at most")
    return bytes(parts)


def _split_escaped(text: str) -> list[bytes]:
    labels: list[bytes] = []
    label = bytearray()
    before = text.removesuffix(".")
    # A final dot with an odd number of backslashes in front is a letter of the last label.
    escaped = (len(before) - len(before.rstrip("\\"))) % 2
    chars = iter(text if escaped else before)
    is_escaped = is_wide = False
    for char in chars:
        if char == "\\":
            label += _unescaped(chars)
            is_escaped = True
        elif char == ".":
            labels.append(_a_label(label) if is_wide else bytes(label))
            label, is_escaped, is_wide = bytearray(), False, False
        else:
            label += char.encode()
            is_wide = is_wide or not char.isascii()
        if is_escaped and is_wide:
            # What is escaped is an octet, and an A-label has none of those that were written.
            raise BadName("a label that has both an escape and letters beyond ASCII")
    labels.append(_a_label(label) if is_wide else bytes(label))
    return labels


def _unescaped(chars: Iterator[str]) -> bytes:
    """The octet that is escaped by what stands behind a backslash (RFC 1035 §5.1)."""
    first = next(chars, "")
    if not first:
        raise BadName("backslash at the end")
    if not first.isascii():
        raise BadName(f"bad escape \\{first}")
    if not first.isdigit():
        return first.encode()
    digits = first + next(chars, "") + next(chars, "")
    if len(digits) != 3 or not digits.isascii() or not digits.isdigit() or int(digits) > 255:
        raise BadName(f"bad escape \\{digits}")
    return bytes((int(digits),))


def _a_label(label: bytearray) -> bytes:
    return _a_labels(label.decode()).encode()


def _a_labels(text: str) -> str:
    try:
        return a_labels(text)
    except UnicodeError as error:
        raise BadName(f"no A-label for {text[:80]!r}: {error}") from None


def to_text(name: Name) -> str:
    """Wire form to presentation form with the final dot; octets outside printable ASCII become ``\\DDD``."""
    if name == ROOT:
        return "."
    out: list[str] = []
    for label in labels(name):
        for octet in label:
            if octet in _SPECIAL:
                out.append("\\" + chr(octet))
            elif 33 <= octet <= 126:
                out.append(chr(octet))
            else:
                out.append(f"\\{octet:03d}")
        out.append(".")
    return "".join(out)


def labels(name: Name) -> list[bytes]:
    """The labels, leftmost first, without the root."""
    out: list[bytes] = []
    at = 0
    while length := name[at]:
        out.append(name[at + 1 : at + 1 + length])
        at += 1 + length
    return out


def label_count(name: Name) -> int:
    """Labels without the root: 0 for the root itself."""
    count = at = 0
    while length := name[at]:
        count += 1
        at += 1 + length
    return count


def parent(name: Name) -> Name:
    """The name without its first label; the root is its own parent."""
    return name[1 + name[0] :] if name[0] else name


def ancestors(name: Name) -> list[Name]:
    """The name itself, its parent, …, the root: the order in which a closest match is looked for."""
    out = [name]
    while name[0]:
        name = name[1 + name[0] :]
        out.append(name)
    return out


def is_subdomain(name: Name, of: Name) -> bool:
    """Whether `name` is at or below `of`; both in the same letter case. Compares whole labels, never a bare suffix."""
    if not name.endswith(of):
        return False
    cut = len(name) - len(of)
    at = 0
    while at < cut:
        at += 1 + name[at]
    return at == cut


def is_within(name: Name, zones: AbstractSet[Name]) -> bool:
    """Whether `name` is at or below one of `zones`; all in the same letter case."""
    if not zones:
        return False
    while name not in zones:
        if not name[0]:
            return False
        name = name[1 + name[0] :]
    return True


def suffix(name: Name, count: int) -> Name:
    """The last `count` labels of the name (all of it if it has no more)."""
    drop = label_count(name) - count
    at = 0
    for _ in range(drop):
        at += 1 + name[at]
    return name[at:]


def prepend(prefix: Name, base: Name) -> Name:
    """`prefix`'s labels in front of `base`. Raises BadName if that is too long."""
    joined = prefix[:-1] + base
    if len(joined) > MAX_NAME:
        raise BadName(f"name of {len(joined)} octets, {MAX_NAME} at most")
    return joined


def reversed_address(address: Address) -> Name:
    """The address's labels as reverse zones and DNSBLs want them, relative: reversed octets or nibbles (RFC 5782 §2.1, §2.4)."""
    if address.version == 4:
        return from_labels([str(octet).encode() for octet in reversed(address.packed)])
    return from_labels([digit.encode() for digit in reversed(address.packed.hex())])


def reverse_name(address: Address) -> Name:
    """The PTR name of an address: below in-addr.arpa or ip6.arpa (RFC 1035 §3.5, RFC 3596 §2.5)."""
    return prepend(reversed_address(address), _IN_ADDR_ARPA if address.version == 4 else _IP6_ARPA)


class _Address4(IPv4Address):
    """One that remembers its hash: that of the standard library goes through text, and a server's is taken dozens of times."""

    __slots__ = ("_hash",)

    def __init__(self, data: bytes):
        super().__init__(data)
        self._hash = super().__hash__()

    def __hash__(self) -> int:
        return self._hash


class _Address6(IPv6Address):
    __slots__ = ("_hash",)

    def __init__(self, data: bytes):
        super().__init__(data)
        self._hash = super().__hash__()

    def __hash__(self) -> int:
        return self._hash


@lru_cache(maxsize=8192)
def address(data: bytes) -> Address:
    """The address in the rdata of an A or AAAA record. Raises ValueError for another length.

    The same few thousand servers come up all the time, and an object that is the same one is found faster.
    """
    return _Address4(data) if len(data) == 4 else _Address6(data)


def address_of_reversed(prefix: Name) -> Address | None:
    """The inverse of `reversed_address`: the address whose reversed labels these are, or None."""
    parts = labels(prefix)
    if len(parts) == 4:
        # No leading zeros: 01 and 1 would be two names for one address.
        octets = [int(part) if part.isdigit() and len(part) <= 3 and str(int(part)).encode() == part else 256 for part in parts]
        return IPv4Address(bytes(reversed(octets))) if max(octets) < 256 else None
    if len(parts) == 32 and all(len(part) == 1 and part.lower() in b"0123456789abcdef" for part in parts):
        return IPv6Address(int(b"".join(reversed(parts)), 16))
    return None


_IN_ADDR_ARPA = from_text("in-addr.arpa")
_IP6_ARPA = from_text("ip6.arpa")
