"""What values cost in memory, in octets, as CPython's allocator lays them out: what the caches' bounds are measured in.

Estimates on the safe side; `tests/attack/test_memory.py` holds them against the memory that a process really takes.
"""

from collections.abc import Iterable

from resolverd.wire.names import Address
from resolverd.wire.rrset import RRset

_BYTES = 33 + 15
"""An octet string beside its octets, rounded up to the allocator's steps."""
_TUPLE = 64
_SLOT = 8
_RRSET = 128
"""An RRset beside what it holds."""
NO_RRSETS = _TUPLE
"""What `rrsets` says of none."""
LEAST = _RRSET + 2 * _BYTES + _TUPLE + 2 * _SLOT
"""What the smallest RRset of several costs: enough of them need not be looked at one by one."""
_ADDRESS = 200
"""An address object with its integer and its dictionary entry."""


def octets(data: bytes) -> int:
    """An octet string."""
    return _BYTES + len(data)


def strings(datas: Iterable[bytes]) -> int:
    """A tuple of octet strings."""
    each = [len(data) for data in datas]
    return _TUPLE + (_SLOT + _BYTES) * len(each) + sum(each)


def rrset(value: RRset) -> int:
    """An RRset with its signatures."""
    rdatas = value.rdatas
    # Most hold one record.
    data = strings(rdatas) if len(rdatas) != 1 else _TUPLE + _SLOT + _BYTES + len(rdatas[0])
    return _RRSET + _BYTES + len(value.owner) + data + (strings(value.sigs) if value.sigs else 0)


def rrsets(values: Iterable[RRset]) -> int:
    """RRsets in a tuple."""
    return _TUPLE + sum(_SLOT + rrset(value) for value in values)


def glue(values: Iterable[tuple[bytes, tuple[Address, ...]]]) -> int:
    """Names with their addresses."""
    return _TUPLE + sum(_TUPLE + octets(name) + _TUPLE + len(addresses) * _ADDRESS for name, addresses in values)
