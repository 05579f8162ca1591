"""A second opinion on what mixed letters were told: some servers compare names letter by letter, and deny what exists.

What denies or refuses is asked once more in plain letters. If the server says the same, that is its word, and it has shown
that it takes mixed letters. If it says something else, plain letters over UDP are cheaper to forge, and not believed at
once: TCP or a cookie has to confirm it, and where neither can be had, the same again.
"""

from enum import Enum

from resolverd.resolver.iterator.response import Negative, Response, Unusable
from resolverd.wire.names import Name, label_count, lower, suffix

_REGISTERED = 2
"""Labels that most domains have that somebody runs."""


class Retry(Enum):
    """How a server is to be asked once more, in plain letters."""

    PLAIN = "over UDP"
    CONFIRM = "where nobody can forge the answer"


class CapsCheck:
    """What one server has said to one question so far."""

    __slots__ = ("_mixed", "_plain", "agrees")

    def __init__(self) -> None:
        self._mixed: Response | None = None
        self._plain: Response | None = None
        self.agrees: bool | None = None
        """Whether plain letters were told what mixed ones were; None before they were asked."""

    @property
    def is_pending(self) -> bool:
        """Whether mixed letters were told something that plain ones have to confirm."""
        return self._mixed is not None

    def check(self, response: Response, *, random_case: bool, proof: bool) -> Retry | None:
        """How to ask again after this outcome, None if it can be taken; `proof`: nobody can have forged it."""
        if self._mixed is None:
            if not random_case:
                return None
            self._mixed = response
            return Retry.PLAIN
        self.agrees = _is_same(response, self._mixed)
        if self.agrees or proof or (self._plain is not None and _is_same(response, self._plain)):
            return None
        self._plain = response
        return Retry.CONFIRM

    def final(self) -> Response | None:
        """What counts if nothing more is to be had: what mixed letters were told, unless plain ones contradict it."""
        return self._mixed if self._plain is None else Unusable("says this to mixed letters and that to plain ones")


def may_be_case(response: Response) -> bool:
    """Whether a server that compares letter by letter would say that; who knows the name's alias has found the name."""
    return isinstance(response, Unusable) or (isinstance(response, Negative) and not response.chain)


def answering_zone(response: Response, name: Name) -> Name:
    """The zone that the answer to `name` is from, as far as it tells; of forwarders that keep the SOA to themselves, roughly."""
    soa = response.soa if isinstance(response, Negative) else None
    return lower(soa.owner) if soa is not None else suffix(name, min(_REGISTERED, label_count(name)))


def _is_same(one: Response, other: Response) -> bool:
    # Addresses go round and TTLs run down; it is the kind of answer that counts.
    if isinstance(one, Negative) and isinstance(other, Negative):
        return one.nxdomain is other.nxdomain
    return type(one) is type(other)
