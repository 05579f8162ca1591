"""What was made of an object, for the next time that the very same one comes."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


class Memo(Generic[_Given, _Made]):
    """Calls `make` once for each object, which must not change; remembers the last `size` of them."""

    def __init__(self, make: Callable[[_Given], _Made], size: int):
        self._make = make
        self._size = size
        # Each holds its object, so that no other gets the same id.
        self._held: OrderedDict[int, tuple[_Given, _Made]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def of(self, given: _Given) -> _Made:
        """What `make` has made of this object. Raises what `make` does."""
        held = self._held.get(id(given))
        if held is None:
            held = self._held[id(given)] = given, self._make(given)
            if len(self._held) > self._size:
                self._held.popitem(last=False)
        return held[1]
