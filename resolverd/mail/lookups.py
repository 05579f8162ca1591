"""What checks ask and what comes back: the vocabulary between pure checks and the flow that does the asking."""

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

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
    `definite` no authority has said, or not lately: it may speak for a client, never against one (`rules.judged`).
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


_T = TypeVar("_T")


class Reading(Mapping[Question, LookupReply]):
    """Replies as one reader sees them: which `lists` it has looked for, which it has `missed`, and whether it went through the
    `whole` of them.

    `evaluations`: as `Gathered` has them.
    """

    __slots__ = ("_get", "_replies", "evaluations", "lists", "missed", "whole")

    def __init__(self, replies: "Gathered") -> None:
        self._replies = replies
        self._get = replies.get
        self.evaluations = replies.evaluations
        self.lists: set[Question] = set()
        self.missed: set[Question] = set()
        self.whole = False

    def get(self, question: Question, default: Any = None) -> Any:
        """The reply, or `default` if it is not there."""
        if question.__class__ is ListLookup:
            self.lists.add(question)
        reply = self._get(question)
        if reply is None:
            self.missed.add(question)
            return default
        return reply

    def __getitem__(self, question: Question) -> LookupReply:
        reply: LookupReply | None = self.get(question)
        if reply is None:
            raise KeyError(question)
        return reply

    def __contains__(self, question: object) -> bool:
        return self.get(question) is not None  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Question]:
        self.whole = True
        return iter(self._replies)

    def __len__(self) -> int:
        self.whole = True
        return len(self._replies)


class _Derived(NamedTuple):
    """What was made of replies: with `lists` as `Reading` has them, `missed`, too. `of` is what it was made of besides."""

    value: Any
    lists: set[Question]
    missed: set[Question]
    of: tuple[object, ...]


class Gathered(dict[Question, LookupReply]):
    """Replies to which others are added while none that is there changes, so that who reads them goes on where he was, and
    what was made of them stands until one comes that was looked for.

    `evaluations`: how far those have come that read replies of the DNS alone, by what they evaluate.
    """

    __slots__ = ("_before", "_changed", "_derived", "evaluations")

    def __init__(self, replies: Replies, evaluations: dict[Hashable, Any] | None = None):
        super().__init__(replies)
        self.evaluations = {} if evaluations is None else evaluations
        self._derived: dict[Hashable, _Derived] = {}
        self._before: Gathered | None = None
        self._changed: Collection[Question] = ()

    def derive(self, kind: Hashable, make: Callable[[Any, Any, Replies], _T], one: object, other: object) -> _T:
        """``make(one, other, replies)``, made again only when a reply is there that it has looked for in vain.

        It must depend on these alone, and what it gives be changed by nobody. `kind`: which function it is.
        """
        key = kind, id(one), id(other)  # the objects are held as long as the key is
        known = self._derived.get(key)
        if known is not None and (not known.missed or self.keys().isdisjoint(known.missed)):
            value: _T = known.value
            return value
        reading = Reading(self)
        value = make(one, other, reading)
        if not reading.whole:
            self._keep(key, _Derived(value, reading.lists, reading.missed, (one, other)))
        return value

    def settle(self) -> None:
        """Let go of what was derived: nobody goes on reading."""
        self._derived.clear()
        self._before = None

    def _keep(self, key: Hashable, derived: _Derived) -> None:
        self._derived[key] = derived
        if self._before is not None and derived.lists.isdisjoint(self._changed):
            self._before._derived[key] = derived

    @classmethod
    def with_lists(cls, replies: Replies, more: Mapping[ListLookup, ListReply]) -> "Gathered":
        """The same with other replies of lists beside or in place of them."""
        gathered = cls(replies, replies.evaluations if isinstance(replies, Gathered) else None)
        gathered.update(more.items())
        if isinstance(replies, Gathered):
            changed = frozenset(more)
            gathered._before, gathered._changed = replies, changed
            gathered._derived = {
                key: each for key, each in replies._derived.items() if not each.lists or changed.isdisjoint(each.lists)
            }
        return gathered
