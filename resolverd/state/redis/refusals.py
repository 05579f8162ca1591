"""What a server refuses: what that means for writes and for the connection, and in words."""

from typing import Final

from resolverd.failures import StoreError
from resolverd.state.redis.replies import Refusal

WAITS: Final = frozenset(("OOM", "MISCONF", "NOREPLICAS", "TRYAGAIN", "BUSY", "NOPERM"))
"""Refusals of writes that pass by themselves, or once an admin has acted: what is to be written waits."""
ELSEWHERE: Final = frozenset(("READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH", "WRONGPASS"))
"""Refusals that say that this server is of no use now."""
_ADMIN: Final = frozenset(("WRONGPASS", "NOAUTH", "NOPERM"))
_PASSWORD: Final = "it does not take the password of [store]"
_WORDS: Final = {
    "WRONGPASS": _PASSWORD,
    "NOAUTH": _PASSWORD,
    "NOPERM": "the user of [store] url may not do what is needed",
    "OOM": "its memory is full",
    "MISCONF": "it cannot save to its disk",
    "NOREPLICAS": "too few of its replicas follow it",
    "LOADING": "it is still reading its records from its disk",
    "READONLY": "it is a replica",
    "BUSY": "a script keeps it busy",
    "MOVED": "it is one server of a cluster, which [store] url names by redis+cluster://",
}
_LONGEST: Final = 120
"""Characters that are repeated of what a server says."""


def explained(error: StoreError | Refusal) -> str:
    """What an admin can act on, with the beginning of what the server itself says."""
    if not isinstance(error, Refusal):
        return str(error)
    said = str(error).partition(". ")[0].rstrip(".")[:_LONGEST]
    words = _WORDS.get(error.code)
    return said if words is None else f"{words} ({said})"


def needs_an_admin(error: StoreError | Refusal) -> bool:
    """Whether it stays so until somebody does something about it."""
    return isinstance(error, Refusal) and error.code in _ADMIN
