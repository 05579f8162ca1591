"""Domains that this server is final for, or relays: public DNS need not know them, and mail from them is no stranger's.

smtpd's ``reject_unknown_sender_domain`` looks them up no more than this does. They come from names, and from Postfix's own map
files (``virtual_mailbox_domains``, ``relay_domains``), whose keys they are. ``example.com`` is that domain alone,
``.example.com`` everything below it.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from resolverd.mail.domains import canonical
from resolverd.mail.patterns import LineFault
from resolverd.mail.sanitize import sanitize
from resolverd.overrides.map_text import logical_lines


class LocalDomains(NamedTuple):
    """Domains, and those of which only what lies below is meant; A-labels in lower case."""

    exact: frozenset[str] = frozenset()
    below: frozenset[str] = frozenset()

    def __or__(self, other: "LocalDomains") -> "LocalDomains":
        """Those of both."""
        return LocalDomains(self.exact | other.exact, self.below | other.below)

    def holds(self, domain: str) -> bool:
        """Whether a domain, as a sender has it, is one of them."""
        if not (self.exact or self.below) or (name := canonical(domain)) is None:
            return False
        return name in self.exact or (bool(self.below) and any(above in self.below for above in _above(name)))


NONE: Final = LocalDomains()
"""No domain."""


def of_names(names: Iterable[str]) -> LocalDomains:
    """The domains of these names; what is no domain is left out."""
    exact: set[str] = set()
    below: set[str] = set()
    for text in names:
        if (name := canonical(text.removeprefix("."))) is not None:
            (below if text.startswith(".") else exact).add(name)
    return LocalDomains(frozenset(exact), frozenset(below))


def read(text: str) -> tuple[LocalDomains, list[LineFault]]:
    """The domains that are the keys of a map's source file, whatever stands behind them; and the lines that have none.

    Keys with an ``@`` are addresses, as the maps of virtual aliases have them beside domains: passed over.
    """
    names: list[str] = []
    faults: list[LineFault] = []
    for number, line in logical_lines(text):
        key = line.split(None, 1)[0].strip('"')
        if "@" in key:
            continue
        if canonical(key.removeprefix(".")) is None:
            faults.append(LineFault(number, f"{sanitize(key, 80)!r} is no domain"))
        else:
            names.append(key)
    return of_names(names), faults


def _above(name: str) -> Iterator[str]:
    while name := name.partition(".")[2]:
        yield name
