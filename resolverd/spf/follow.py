"""Driving an evaluation with the replies so far, as checks are driven: no state is kept between calls."""

from collections.abc import Generator
from typing import NamedTuple

from resolverd.failures import Unknown, Why
from resolverd.mail.lookups import Absent, DnsReply, Lookup, Records, Replies, Skipped
from resolverd.spf.result import Outcome


class Progress(NamedTuple):
    """How far an evaluation has come: its `outcome`, or None while it waits for `wanted`, the first of them above all, or for
    good if that is skipped.

    `asked`: the questions whose replies it has read, in order.
    """

    outcome: Outcome | None
    wanted: tuple[Lookup, ...]
    asked: tuple[Lookup, ...]


def follow(
    evaluation: Generator[tuple[Lookup, ...], DnsReply, Outcome], replies: Replies, missing: DnsReply | None = None
) -> Progress:
    """Run an evaluation until it needs a reply that is not there; with `missing`, that stands for every such reply."""
    asked: dict[Lookup, None] = {}
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
