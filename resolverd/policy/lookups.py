"""Putting the checks' questions, all side by side, until they have what they want or time is up.

A check that wants one answer before it knows the next question gets it as soon as it is there, whatever the others wait
for: a new client's verdict takes as long as the longest chain of questions (PTR, the address of its name, a list's word on
that name), not as long as their sum. What a check has stopped asking for is no longer waited for; nor is anything that
cannot change the decision. Questions of a later turn are put only when those before are answered and it is still open.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, NamedTuple

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.failures import Unknown, Why
from resolverd.mail.lookups import (
    SKIPPED,
    Absent,
    DnsReply,
    Listed,
    ListLookup,
    LookupReply,
    Question,
    Records,
    Replies,
    Skipped,
)
from resolverd.policy.check import NO_AUTHORITY, SUPPRESSED
from resolverd.policy.runs import NOT_SUPPRESSED, CheckRuns, Suppression
from resolverd.wire import codes
from resolverd.wire.answer import Answer

log = logging.getLogger(__name__)


_OVERDUE: Final = Unknown(Why.TIMEOUT, "no answer before the verdict was due")


class LookupResults(NamedTuple):
    """What came back; as Unknown also what was not there in time, as Skipped what the decision did not need.

    `failed`: names of the checks that failed while asking, or whose questions failed by a fault of ours. `waited`: not
    everything was known already.
    """

    replies: Replies
    failed: frozenset[str]
    waited: bool = False

    @property
    def partial(self) -> bool:
        """Whether something that was asked stayed unknown."""
        return Unknown in map(type, self.replies.values())

    @property
    def skipped(self) -> bool:
        """Whether something was not asked, as the decision did not need it."""
        return Skipped in map(type, self.replies.values())

    @property
    def answered(self) -> dict[Question, LookupReply]:
        """The replies without those that nobody needed."""
        return {question: reply for question, reply in self.replies.items() if not isinstance(reply, Skipped)}


def _at_once(question: Question) -> int:
    return 0


def _nothing_cached(question: Question) -> LookupReply | None:
    return None


def _open_ended(runs: CheckRuns, open_: Collection[Question]) -> bool:
    return False


async def run_lookups(
    runs: CheckRuns,
    ask: Callable[[Question, bool], Awaitable[LookupReply]],
    clock: Clock,
    deadline: float,
    *,
    cached: Callable[[Question], LookupReply | None] = _nothing_cached,
    turn: Callable[[Question], int] = _at_once,
    is_decided: Callable[[CheckRuns, Collection[Question]], bool] = _open_ended,
    suppressing: bool = True,
) -> LookupResults:
    """Ask until no check wants more, until `is_decided`, or until `deadline` (monotonic seconds).

    `cached` gives the replies that can be had without asking anybody. `turn`: the questions of the lowest number go first, and
    have half of the time to be answered. `is_decided` is given the questions that are open, whenever a list has answered, or is
    about to be asked. `suppressing`: what overrides suppress is not asked; so while it is not known who the client is, and that
    matters to him, lists have a later turn. `ask` is given whether a question is about the sender's domain.

    Questions in flight when time is up are cancelled; who asks the network may go on with its own work for those who come
    later. If `ask` raises, that is a bug: it is logged, and the checks that wanted to know are broken.
    """
    replies = runs.replies
    in_flight: dict[Question, asyncio.Task[LookupReply]] = {}
    failed: set[Question] = set()
    began = clock.monotonic()
    halfway = began + (deadline - began) / 2
    answered: Mapping[Question, LookupReply] = {}
    skipped = waited = False
    last = -1
    suppressed, settled = NOT_SUPPRESSED, not suppressing
    try:
        while True:
            if not settled:
                suppressed = _suppression(runs)
                settled = not suppressed.pending
            wanted = runs.wanted(suppressed.topics)
            open_ = [question for question in wanted if question not in replies]
            waits = not suppressed.pending.isdisjoint(open_)
            turns = {question: turn(question) + (waits and question.__class__ is ListLookup) for question in open_}
            first = min(turns.values(), default=0)
            if (first > last or _is_news(answered, replies, open_)) and not runs.failed and is_decided(runs, open_):
                skipped = True
                break
            last = first
            now = clock.monotonic()
            final = max(turns.values(), default=0)
            upto = first if now < halfway else final
            come: dict[Question, LookupReply] = {}
            senders: Collection[Question] | None = None
            for question in open_:
                room = len(in_flight) + len(replies) + len(come) < bounds.MAIL_QUESTIONS
                if question in in_flight or not room or turns[question] > upto:
                    continue
                if (reply := _from_cache(question, cached)) is not None:
                    come[question] = reply
                else:
                    waited = True
                    senders = _senders(runs) if senders is None else senders
                    in_flight[question] = asyncio.ensure_future(ask(question, question in senders))
            if answered := come:
                runs.add(come)
                continue
            waiting = {in_flight[question] for question in wanted if question in in_flight}
            left = (deadline if upto == final else halfway) - now
            if not waiting or now >= deadline:
                break
            await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            done = [question for question, task in in_flight.items() if task.done()]
            answered = {question: _outcome(question, in_flight.pop(question), failed) for question in done}
            runs.add(answered)
    finally:
        for task in in_flight.values():
            task.cancel()
    _let_go(runs, wanted, SKIPPED if skipped else _OVERDUE)
    if suppressed.topics:
        _let_go(runs, runs.wanted(), SUPPRESSED)
    if failed:
        runs.fail(failed)
    return LookupResults(replies, frozenset(runs.failed), waited)


def _let_go(runs: CheckRuns, wanted: Collection[Question], reply: LookupReply) -> None:
    """Give this reply to what is still open of the questions."""
    runs.add({question: reply for question in wanted if question not in runs.replies})


def reply_of(answer: Answer, rtype: int, ms: int = 0) -> DnsReply:
    """A DNS answer as checks see it: data, a denial, or not known."""
    if answer.rcode in (codes.NOERROR, codes.NXDOMAIN):
        final = answer.final(rtype)
        chain_ttl = min((rrset.ttl for rrset in answer.answer), default=0)
        if final is not None and answer.rcode == codes.NOERROR:
            return Records(final.rdatas, chain_ttl, answer.age, ms, answer.definite)
        if not answer.definite:
            return NO_AUTHORITY
        ttl = min((rrset.ttl for rrset in (*answer.answer, *answer.authority)), default=0)
        return Absent(answer.rcode == codes.NXDOMAIN, ttl, answer.age, ms)
    if answer.rcode == codes.REFUSED:
        return Unknown(Why.REFUSED)
    if answer.rcode == codes.SERVFAIL and any(error.code == codes.EDE_NETWORK_ERROR for error in answer.errors):
        return Unknown(Why.TIMEOUT, "the internet is out of reach")
    if answer.rcode == codes.SERVFAIL and any(error.code == codes.EDE_NO_REACHABLE_AUTHORITY for error in answer.errors):
        return Unknown(Why.TIMEOUT, "no name server answered")
    return Unknown(Why.FAILED, codes.rcode_text(answer.rcode))


def _is_news(answered: Collection[Question], replies: Replies, open_: Collection[Question]) -> bool:
    """Whether looking ahead is worth its while: what names are like decides little before a list has listed somebody.

    Once one has, every list's word counts: the one that is clear may be the allow list that everything waited for.
    """
    if all(isinstance(question, ListLookup) for question in open_):
        return True
    return Listed in map(type, replies.values()) and any(isinstance(question, ListLookup) for question in answered)


def _from_cache(question: Question, cached: Callable[[Question], LookupReply | None]) -> LookupReply | None:
    try:
        return cached(question)
    except Exception:  # asking in earnest shows what it is
        log.exception("a reply could not be had from a cache: %s", question)
        return None


def _outcome(question: Question, task: asyncio.Task[LookupReply], failed_questions: set[Question]) -> LookupReply:
    """What a finished task has brought; a question that failed by a fault of ours joins `failed_questions`."""
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    if error is None:
        return task.result()
    log.error("a question failed: %s", question, exc_info=error)
    failed_questions.add(question)
    return Unknown(Why.FAILED, "internal error")


def _senders(runs: CheckRuns) -> Collection[Question]:
    try:
        return runs.of_sender()
    except Exception:  # a check that fails is logged when it is asked or judges
        return ()


def _suppression(runs: CheckRuns) -> Suppression:
    try:
        return runs.suppression()
    except Exception:  # a check that fails is logged when it is asked or judges
        return NOT_SUPPRESSED
