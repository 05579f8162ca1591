"""Subjects that a list must not list: its documented denial, a subject that cannot be, and clients that are known to be good.

They tell a list that has begun to list the world from a wave of spam, which no rate of listings can.
"""

from collections import OrderedDict
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Final

from resolverd import bounds
from resolverd.dnsbl.spec import IP4, Canary, ListSpec
from resolverd.wire.names import Address

ASKED: Final = 3
"""Known-good clients that a list is asked about at once."""
NEEDED: Final = 2
"""Of those, how many must be listed: one may have become a sender of spam since."""

_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz"
_TEST_NET: Final = 1 << 16
"""127.0.0.0/16 has test points; what is above it has never been anybody's."""


def random_canary(spec: ListSpec, number: int) -> Canary | None:
    """A subject that no list can know, made of a random `number`; None for a list that has no documented denial.

    An address of 127/8 that is no test point, or a name below ``invalid`` (RFC 6761 §6.4).
    """
    if spec.denied is None:
        return None
    if isinstance(spec.denied.subject, str):
        letters = "".join(_ALPHABET[number // 26**at % 26] for at in range(12))
        return Canary(f"{letters}.invalid", listed=False)
    if IP4 not in spec.kinds:
        return None
    return Canary(IPv4Address((127 << 24) + _TEST_NET + number % ((1 << 24) - _TEST_NET - 1)), listed=False)


class KnownGood:
    """Clients that are allow-listed or have passed greylisting, and the lists that did not list them when they were asked.

    A known-good client that is on a list rightly is thus never a canary for that list.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[Address, set[str]] = OrderedDict()

    def __contains__(self, client: Address | str) -> bool:
        return client in self._known

    def add(self, client: Address, cleared: Iterable[str]) -> None:
        """An allow list or the greylist knows the client as good, and these lists (by id) did not list it."""
        self._known.setdefault(client, set()).update(cleared)
        self._known.move_to_end(client)
        if len(self._known) > bounds.KNOWN_GOOD_CLIENTS:
            self._known.popitem(last=False)

    def is_unlisted_by(self, list_id: str, client: Address | str) -> bool:
        """Whether the list must not list this client."""
        return not isinstance(client, str) and list_id in self._known.get(client, ())

    def unlisted_by(self, list_id: str) -> list[Address]:
        """Clients that the list must not list, the latest first."""
        return [client for client in reversed(self._known) if list_id in self._known[client]]
