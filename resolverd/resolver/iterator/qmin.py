"""QNAME minimisation (RFC 9156): a zone's servers see no more labels than they need to point deeper.

Relaxed: whatever a server says to a minimised name but a referral, data or NODATA, the full name is asked next, since old
servers deny empty non-terminals that exist, and some say nothing. Never below a DNS list: rbldnsd denies those too, and a
whole-name denial there would read "not listed" (RFC 5782 names are full by nature, and every step would cost quota).
"""

from enum import Enum

from resolverd import bounds
from resolverd.wire import codes
from resolverd.wire.dnssec import has_type, nsec
from resolverd.wire.names import Name, label_count, suffix
from resolverd.wire.rrset import RRset


class Exposure(Enum):
    """How much of a name a question shows: the whole, a part, or a part whatever comes of it."""

    FULL = "whole"
    MINIMISED = "part"
    STRICT = "part ever"


_REGISTRY = 1
"""Labels of a zone that is a registry's: the root and the top level domains."""


class Minimiser:
    """What to ask next for one name, as the delegations get deeper."""

    __slots__ = ("_full", "_hidden", "_labels", "_name", "_qtype", "_shown", "_steps", "_substitute", "is_full")

    def __init__(self, name: Name, qtype: int, substitute: int, enabled: bool, private: bool = False):
        """`substitute`: the type asked of minimised names. `private`: whatever else, registries never see the full name."""
        self._name = name
        self._qtype = qtype
        self._substitute = substitute
        self._labels = label_count(name)
        self._shown = 0
        self._steps = 0
        self._full = self.is_full = not enabled
        """`is_full`: whether the last question was the real one."""
        self._hidden = _REGISTRY if private else -1

    def question(self, zone: Name) -> tuple[Name, int]:
        """The name and type to ask of `zone`'s servers."""
        start = max(self._shown, label_count(zone))
        if start <= self._hidden < self._labels - 1:
            self._shown = start + 1
            self.is_full = False
            return suffix(self._name, self._shown), self._substitute
        left = self._labels - start
        if self._full or left <= 1 or self._steps >= bounds.MAX_MINIMISE:
            self._full = self.is_full = True
            return self._name, self._qtype
        step = 1 if self._steps < bounds.MINIMISE_ONE_LABEL else -(-left // (bounds.MAX_MINIMISE - self._steps))
        if step >= left:
            self._full = self.is_full = True
            return self._name, self._qtype
        self._steps += 1
        self._shown = start + step
        return suffix(self._name, self._shown), self._substitute

    def disable(self) -> None:
        """Ask the full name from now on."""
        self._full = True


def is_redirected(name: Name, proofs: tuple[RRset, ...]) -> bool:
    """Whether a denial of a type at `name` (lower case) shows a DNAME there: whatever is below, its servers say no more of it."""
    for proof in proofs:
        if proof.rtype == codes.NSEC and proof.owner == name:
            try:
                return any(has_type(nsec(data).types, codes.DNAME) for data in proof.rdatas)
            except ValueError:
                return False
    return False
