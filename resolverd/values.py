"""Values that are made thousands of times a second: compared by what they hold, cheap to make and to copy.

The garbage collector doesn't look at them, so that none may be part of a circle of references: whatever can hold a generator
that may hold it says ``gc=True``.
"""

from msgspec import Struct
from msgspec.structs import replace

__all__ = ["MutableValue", "Value", "replace"]


class Value(Struct, frozen=True, gc=False):
    """What such values inherit from; each says ``frozen=True`` for itself. `replace` makes a copy with other fields."""


class MutableValue(Struct, gc=False):
    """The same where fields change; of what is kept by the hundred thousand, as looking through them takes a second."""
