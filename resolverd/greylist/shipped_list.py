"""The senders that are never greylisted as shipped: those that retry badly, by their verified domains, never by what they say.

The list is ``data/greylist_allowed.toml``, dated, each entry with the reason and its source.
"""

import tomllib
from datetime import date
from typing import Any, Final, NamedTuple

from resolverd.greylist.organisation import VerifiedDomains
from resolverd.mail.domains import canonical, is_suffix

REASONS: Final = frozenset({"pool", "slow", "once", "sender"})
"""Why a sender is on the list: retries from other hosts, late, not at all, with another sender's address."""


class ShippedList(NamedTuple):
    """Names of hosts and domains of senders, with everything below them. The empty one holds nobody."""

    hosts: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    dated: date = date.min

    def __bool__(self) -> bool:
        """Whether it holds anybody."""
        return bool(self.hosts or self.domains)

    def holds(self, verified: VerifiedDomains) -> bool:
        """Whether a client is shown to be one of them: by a name that leads back to it, or by SPF of its sender's domain."""
        return _is_below(verified.hostname, self.hosts) or _is_below(verified.spf_domain, self.domains)


def read(text: str) -> ShippedList:
    """The list of a TOML document. Raises ValueError for one that is not as described in it."""
    document = tomllib.loads(text)
    senders: list[dict[str, Any]] = document.get("sender", [])
    for sender in senders:
        if sender.keys() - {"hosts", "domains"} != {"why", "source"}:
            raise ValueError(f"a sender has why, source, hosts and domains, not {', '.join(sender)}")
        if sender["why"] not in REASONS:
            raise ValueError(f"{sender['why']!r} is no reason")
    if "dated" not in document:
        raise ValueError("the list has no date")
    return ShippedList(_names(senders, "hosts"), _names(senders, "domains"), document["dated"])


def _names(senders: list[dict[str, Any]], key: str) -> frozenset[str]:
    names = [name for sender in senders for name in sender.get(key, ())]
    for name in names:
        if canonical(name) != name or is_suffix(name) or "." not in name:
            raise ValueError(f"{name!r} is no domain of one owner")
    return frozenset(names)


def _is_below(text: str, names: frozenset[str]) -> bool:
    """Whether it is one of the names, or below one."""
    name = canonical(text) if text and names else None
    while name:
        if name in names:
            return True
        name = name.partition(".")[2]
    return False
