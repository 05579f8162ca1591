"""QNAME minimisation (RFC 9156): a zone's servers see no more labels than they need to point deeper.

Relaxed: whatever a server says to a minimised name but a referral, data or NODATA, the full name is asked next, since old
servers deny empty non-terminals that exist. Never below a DNS list: rbldnsd denies those too, and a whole-name denial
there would read "not listed" (RFC 5782 names are full by nature, and every step would cost quota).
"""

from resolverd import bounds
from resolverd.wire.names import Name, label_count, suffix


class Minimiser:
    """What to ask next for one name, as the cuts get deeper."""

    __slots__ = ("_full", "_labels", "_name", "_qtype", "_shown", "_steps", "_substitute")

    def __init__(self, name: Name, qtype: int, substitute: int, enabled: bool):
        """`substitute`: the type asked of minimised names."""
        self._name = name
        self._qtype = qtype
        self._substitute = substitute
        self._labels = label_count(name)
        self._shown = 0
        self._steps = 0
        self._full = not enabled

    def question(self, zone: Name) -> tuple[Name, int]:
        """The name and type to ask of `zone`'s servers."""
        start = max(self._shown, label_count(zone))
        left = self._labels - start
        if self._full or left <= 1 or self._steps >= bounds.MAX_MINIMISE:
            self._full = True
            return self._name, self._qtype
        step = 1 if self._steps < bounds.MINIMISE_ONE_LABEL else -(-left // (bounds.MAX_MINIMISE - self._steps))
        if step >= left:
            self._full = True
            return self._name, self._qtype
        self._steps += 1
        self._shown = start + step
        return suffix(self._name, self._shown), self._substitute

    @property
    def is_full(self) -> bool:
        """Whether the last question was the real one."""
        return self._full

    def give_up(self) -> None:
        """Ask the full name from now on."""
        self._full = True
