"""How a check asks: a generator that yields DNS look-ups, and returns what it was after.

    replies = yield questions        asked side by side; it goes on as soon as one of them has a reply

It yields only what has no reply yet as far as it knows, and is sent all replies that are there, of questions that others have
asked as well. What it no longer yields is no longer waited for. What lists say nobody waits for: a check that asks lists yields
those look-ups beside the others, and returns a `Fold`, which may be given any replies, supposed ones too.

`runs` goes on with checks as replies come; `follow` runs one over replies that are there.
"""

from collections.abc import Callable, Collection, Generator, Sequence
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from resolverd import bounds
from resolverd.failures import Unknown, Why
from resolverd.mail.findings import Finding
from resolverd.mail.lookups import DnsLookup, ListLookup, LookupReply, Question, Records, Replies

LATE: Final = Unknown(Why.TIMEOUT)
"""Stands for a reply that is not there, where a check has to say something all the same. It is no evidence of anything."""

_T = TypeVar("_T")
Asking: TypeAlias = Generator[tuple[Question, ...], Replies, _T]


class Endless(Exception):
    """A check that asks without end, by a fault of its own."""


class Fold(NamedTuple):
    """What a check of lists has come to: its `lookups`, and what it finds (`judge`) for any replies to these."""

    lookups: tuple[ListLookup, ...]
    judge: Callable[[Replies], list[Finding]]


Outcome: TypeAlias = list[Finding] | Fold


class Progress(NamedTuple, Generic[_T]):
    """How far something that asks has come: its `outcome`, or None while it waits for `wanted`; `asked` is all that it has wanted
    on the way."""

    outcome: _T | None
    wanted: tuple[Question, ...]
    asked: Collection[Question]


def follow(asking: Asking[_T], replies: Replies, missing: LookupReply | None = None) -> Progress[_T]:
    """Run it until it waits for replies that are not there; with `missing`, that stands for every such reply. Raises Endless."""
    if missing is not None:
        replies = dict(replies)  # others go on with those themselves
    asked: dict[Question, None] = {}
    try:
        wanted = next(asking)
        for _ in range(bounds.MAIL_QUESTIONS):
            asked.update(dict.fromkeys(wanted))
            if len(asked) > bounds.MAIL_QUESTIONS:
                break
            if not goes_on(wanted, replies):
                if missing is None:
                    asking.close()
                    return Progress(None, wanted, asked)
                replies = {**dict.fromkeys(wanted, missing), **replies}
            wanted = asking.send(replies)
    except StopIteration as end:
        return Progress(end.value, (), asked)
    raise Endless


def outcome_of(asking: Asking[_T], replies: Replies) -> _T:
    """What it comes to if nothing more is learnt than these replies. Raises Endless."""
    outcome = follow(asking, replies, LATE).outcome
    assert outcome is not None
    return outcome


def goes_on(wanted: Sequence[Question], replies: Replies) -> bool:
    """Whether what has yielded these questions has a reply to read; nothing yielded: it only wants to see what is there."""
    waits = False
    for question in wanted:
        if question.__class__ is DnsLookup:
            if question in replies:
                return True
            waits = True
    return not waits


def at_once(outcome: _T) -> Asking[_T]:
    """Asks nothing."""
    yield from ()
    return outcome


def reply_to(question: DnsLookup) -> Asking[LookupReply]:
    """The reply to one question."""
    replies = yield (question,)
    return replies[question]


def any_data(questions: Sequence[DnsLookup]) -> Asking[bool]:
    """Whether there is data for one of the questions, all asked side by side: for the others nobody waits then."""
    replies = yield ()
    while True:
        open_: list[DnsLookup] = []
        for question in questions:
            reply = replies.get(question)
            if reply is None:
                open_.append(question)
            elif isinstance(reply, Records):
                return True
        if not open_:
            return False
        replies = yield tuple(open_)
