"""What checks ask and what comes back: the vocabulary between pure checks and the flow that does the asking."""

from collections.abc import Hashable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from resolverd.failures import Unknown
from resolverd.wire.names import Address, Name


class DnsLookup(NamedTuple):
    """A DNS question, answered from cache, local zones or recursion."""

    name: Name
    rtype: int


class ListLookup(NamedTuple):
    """What does this list say of this address or domain? `subject` is an address, or a domain in lower case without final dot."""

    list_id: str
    subject: Address | str


Question: TypeAlias = DnsLookup | ListLookup


class Records(NamedTuple):
    """Data: rdatas of the asked type at the end of the CNAME chain, `ttl` in seconds (the chain's smallest).

    `age`: seconds it has lain in a cache, None where that is not known; `ms`: how long the answer took. What is not
    `definite` no authority has said, or not lately: it may speak for a client, never against one (`check.judged`).
    """

    rdatas: tuple[bytes, ...]
    ttl: int
    age: int | None = None
    ms: int = 0
    definite: bool = True


class Absent(NamedTuple):
    """A denial that can be relied on: NXDOMAIN, or NODATA where `nxdomain` is false. `age` and `ms` as in Records."""

    nxdomain: bool
    ttl: int = 0
    age: int | None = None
    ms: int = 0


class Listed(NamedTuple):
    """A list's known listing codes for a subject; `codes` holds the names given to them by the catalogue (``pbl``).

    For allow lists the same: the subject is on it. `weight` is in points, as the catalogue's codes have it (negative for
    allow lists). `reason` is one printable line for people, `link` where to read on. `addresses` are the A records as text.
    `trust` is how far an allow list trusts it, on dnswl.org's scale: 0 none, 1 low, 2 medium, 3 high.
    """

    list_id: str
    codes: tuple[str, ...]
    addresses: tuple[str, ...]
    weight: float
    reason: str
    link: str
    ttl: int
    age: int = 0
    ms: int = 0
    trust: int = 0


class Clear(NamedTuple):
    """The list was asked and does not list the subject."""

    list_id: str
    ttl: int
    age: int = 0
    ms: int = 0


class Skipped(NamedTuple):
    """Not asked, or not waited for: whatever the reply had been, the verdict would be the same. No failure, and no answer."""

    detail: str = "decided without it"


SKIPPED: Final = Skipped()

DnsReply: TypeAlias = Records | Absent | Unknown
ListReply: TypeAlias = Listed | Clear | Unknown
LookupReply: TypeAlias = Records | Absent | Listed | Clear | Unknown | Skipped

Replies: TypeAlias = Mapping[Question, LookupReply]
"""What has come back so far; a question that is not in it is still open."""


class Gathered(dict[Question, LookupReply]):
    """Replies to which others are added while none that is there changes, so that who reads them goes on where he was.

    `evaluations`: how far those have come that read replies of the DNS alone, by what they evaluate.
    """

    __slots__ = ("evaluations",)

    def __init__(self, replies: Replies, evaluations: dict[Hashable, Any] | None = None):
        super().__init__(replies)
        self.evaluations = {} if evaluations is None else evaluations

    @classmethod
    def with_lists(cls, replies: Replies, more: Mapping[ListLookup, ListReply]) -> "Gathered":
        """The same with other replies of lists beside or in place of them."""
        gathered = cls(replies, replies.evaluations if isinstance(replies, Gathered) else None)
        gathered.update(more.items())
        return gathered
