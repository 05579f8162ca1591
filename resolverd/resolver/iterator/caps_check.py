"""Random letter case (0x20), confirmed: some servers compare names letter by letter, and deny what exists.

What denies or refuses is asked once more in lower case. If the server says the same, that is its answer, and it has shown
that it supports 0x20. If it says something else, an answer to lower case over UDP is cheaper to forge, and not believed at
once: TCP or a cookie has to confirm it, and where neither can be had, the same again.
"""

from enum import Enum

from resolverd.resolver.iterator.response import Negative, Response, Unusable
from resolverd.wire.names import Name, label_count, suffix

_REGISTERED = 2
"""Labels that most domains have that somebody runs."""


class Retry(Enum):
    """How a server is to be asked once more, in lower case."""

    LOWER = "over UDP"
    CONFIRM = "where nobody can forge the answer"


class CapsCheck:
    """What one server has said to one question so far."""

    __slots__ = ("_lower", "_random", "agrees", "is_pending")

    def __init__(self) -> None:
        self._random: Response | None = None
        self._lower: Response | None = None
        self.is_pending = False
        """Whether random case was answered with something that lower case has to confirm."""
        self.agrees: bool | None = None
        """Whether lower case was answered as random case was; None before it was asked."""

    def check(self, response: Response, *, random_case: bool, proof: bool) -> Retry | None:
        """How to ask again after this response, None if it can be accepted; `proof`: nobody can have forged it."""
        if self._random is None:
            if not random_case:
                return None
            self._random, self.is_pending = response, True
            return Retry.LOWER
        self.agrees = _is_same(response, self._random)
        if self.agrees or proof or (self._lower is not None and _is_same(response, self._lower)):
            return None
        self._lower = response
        return Retry.CONFIRM

    def final(self) -> Response | None:
        """What counts if nothing more is to be had: the answer to random case, unless that to lower case contradicts it."""
        return self._random if self._lower is None else Unusable("answers differ between random and lower case")


def may_be_case(response: Response) -> bool:
    """Whether a server that compares letter by letter would say that; one that knows the name's CNAME has found the name."""
    return isinstance(response, Unusable) or (isinstance(response, Negative) and not response.chain)


def answering_zone(response: Response, name: Name) -> Name:
    """The zone that the answer to `name` is from, as far as it tells; of forwarders that keep the SOA to themselves, roughly."""
    soa = response.soa if isinstance(response, Negative) else None
    return soa.owner if soa is not None else suffix(name, min(_REGISTERED, label_count(name)))


def _is_same(one: Response, other: Response) -> bool:
    # Addresses go round and TTLs run down; it is the kind of answer that counts.
    if isinstance(one, Negative) and isinstance(other, Negative):
        return one.nxdomain is other.nxdomain
    return type(one) is type(other)
