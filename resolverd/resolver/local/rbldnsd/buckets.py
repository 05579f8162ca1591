"""Sorted numbers in buckets of those with the same upper bits, so that a search looks at a few neighbours.

A binary search over a million numbers goes to some twenty places all over memory; one within a bucket to four or five.
"""

from array import array
from bisect import bisect_left
from typing import NamedTuple

_BUCKET_BITS = 4
"""A bucket has about two to the power of that many numbers, where they are spread evenly."""


class Buckets(NamedTuple):
    """A number `n` is, or belongs, between ``starts[n >> shift]`` and ``starts[(n >> shift) + 1]``."""

    shift: int
    starts: "array[int]"


def buckets(numbers: "array[int]", bits: int) -> Buckets:
    """Those of sorted numbers of so many bits each: one for every eight numbers or more."""
    upper = min(max(len(numbers).bit_length() - _BUCKET_BITS, 0), bits)
    shift = bits - upper
    starts = array("I", [bisect_left(numbers, number << shift) for number in range(1 << upper)])
    starts.append(len(numbers))
    return Buckets(shift, starts)
