"""An evaluation run with the replies that are there: how far it comes, what it wants next, or what came of it."""

from collections.abc import Generator
from typing import NamedTuple

from resolverd.failures import Unknown, Why
from resolverd.mail.lookups import Absent, DnsLookup, DnsReply, Gathered, Records, Replies, Skipped
from resolverd.spf.evaluate import SpfOutcome, SpfSubject, check_host


class Progress(NamedTuple):
    """How far an evaluation has come: its `outcome`, or None while it waits for `wanted`, the first of them above all, or for
    good if that is skipped.

    `asked`: the questions whose replies it has read, in order.
    """

    outcome: SpfOutcome | None
    wanted: tuple[DnsLookup, ...]
    asked: tuple[DnsLookup, ...]


def follow(
    evaluation: Generator[tuple[DnsLookup, ...], DnsReply, SpfOutcome], replies: Replies, missing: DnsReply | None = None
) -> Progress:
    """Run an evaluation until it needs a reply that is not there; with `missing`, that stands for every such reply."""
    asked: dict[DnsLookup, None] = {}
    try:
        wanted = next(evaluation)
        while True:
            reply = replies.get(wanted[0], missing)
            if reply is None or isinstance(reply, Skipped):
                evaluation.close()
                return Progress(None, wanted, tuple(asked))
            asked[wanted[0]] = None
            wanted = evaluation.send(reply if isinstance(reply, Records | Absent | Unknown) else Unknown(Why.FAILED))
    except StopIteration as end:
        return Progress(end.value, (), tuple(asked))


def progress(subject: SpfSubject, replies: Replies, missing: DnsReply | None = None) -> Progress:
    """How far the evaluation of a subject comes with these replies: as `follow`, but `Gathered` replies are read once."""
    if not isinstance(replies, Gathered):
        return follow(check_host(subject), replies, missing)
    come = evaluation(subject, replies).go_on(replies)
    return follow(check_host(subject), replies, missing) if come.outcome is None and missing is not None else come


def evaluation(subject: SpfSubject, replies: Replies) -> "Evaluation":
    """The evaluation of a subject, as far as it has come: all who read the same `Gathered` replies share it."""
    if not isinstance(replies, Gathered):
        return Evaluation(subject)
    begun: Evaluation | None = replies.evaluations.get(subject)
    if begun is None:
        begun = replies.evaluations[subject] = Evaluation(subject)
    return begun


class Evaluation:
    """An evaluation that goes on as replies come."""

    __slots__ = ("_asked", "_evaluation", "_progress")

    def __init__(self, subject: SpfSubject) -> None:
        self._evaluation = check_host(subject)
        self._asked: dict[DnsLookup, None] = {}
        self._progress: Progress | None = None

    def go_on(self, replies: Replies) -> Progress:
        """Read what has come since."""
        come = self._progress
        try:
            if come is None:
                come = self._progress = Progress(None, next(self._evaluation), ())
            while come.outcome is None:
                first = come.wanted[0]
                reply = replies.get(first)
                if reply is None or isinstance(reply, Skipped):
                    break
                self._asked[first] = None
                wanted = self._evaluation.send(reply if isinstance(reply, Records | Absent | Unknown) else Unknown(Why.FAILED))
                come = self._progress = Progress(None, wanted, tuple(self._asked))
        except StopIteration as end:
            come = self._progress = Progress(end.value, (), tuple(self._asked))
        return come
