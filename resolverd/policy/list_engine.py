"""The lists engine as policy knows it."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from resolverd.dnsbl.spec import ListSpec
from resolverd.mail.lookups import ListLookup, ListReply
from resolverd.wire.names import Address


class ListEngine(Protocol):
    """The lists engine, as far as it is needed here (`dnsbl.engine`)."""

    @property
    def specs(self) -> tuple[ListSpec, ...]:
        """The lists that are asked at the moment; an admin may switch them while we run."""
        ...

    @property
    def frugal(self) -> bool:
        """Whether questions are to be saved at the cost of round trips."""
        ...

    def cached(self, lookup: ListLookup) -> ListReply | None:
        """What the list has said, where it is still known."""
        ...

    async def ask(self, question: ListLookup, *, deadline: float) -> ListReply:
        """What the list says, by `deadline` (monotonic seconds) at the latest."""
        ...

    def stage(self, lookup: ListLookup) -> int:
        """When a question is to be asked: lower ones first, later ones only while the decision is open."""
        ...

    async def refresh(self, lookups: Iterable[ListLookup], *, deadline: float) -> Mapping[ListLookup, ListReply]:
        """What lists say now, past what is remembered; without those that could not be asked."""
        ...

    async def reverify(
        self, lookups: Iterable[ListLookup], *, client: Address | None = None, deadline: float
    ) -> Mapping[ListLookup, ListReply]:
        """Re-verify listings that are about to refuse this client, where need be; those that have changed."""
        ...

    def must_reverify(self, lookups: Iterable[ListLookup]) -> bool:
        """Whether `reverify` might ask about any of these listings."""
        ...

    def is_hearsay(self, lookup: ListLookup) -> bool:
        """Whether a listing is known of one host only, another one than this, which has not verified it: it refuses nobody."""
        ...

    def saves_reverifications(self, lookups: Iterable[ListLookup]) -> bool:
        """Whether re-verifications are so few by now that they are for clients whom nothing but these listings speaks against."""
        ...

    def add_known_good(self, client: Address, cleared: Iterable[str]) -> None:
        """A client is known as good, and these lists (by id) do not list it."""
        ...
