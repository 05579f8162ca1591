"""Questions and replies in words: what was asked, what came back, how old it is."""

from collections.abc import Iterable

from resolverd.failures import Unknown
from resolverd.mail.findings import Evidence
from resolverd.mail.lookups import Absent, Clear, DnsLookup, Listed, ListLookup, LookupReply, Question, Records, Replies, Skipped
from resolverd.mail.sanitize import sanitize
from resolverd.policy.asking import LATE
from resolverd.wire.codes import type_text
from resolverd.wire.names import to_text
from resolverd.wire.rdata import summary

MAX_SHOWN = 4
"""Records of one answer that are shown; the others are counted."""


def evidence(replies: Replies, questions: Iterable[Question], shown: str = "") -> tuple[Evidence, ...]:
    """A piece of evidence for each of these questions that has a reply, late ones aside.

    `shown` is how a list goes by in texts: never its zone, which may hold a key.
    """
    found = []
    for question in questions:
        reply = replies.get(question)
        if reply is not None and reply is not LATE:
            found.append(piece(question, reply, shown))
    return tuple(found)


def piece(question: Question, reply: LookupReply, shown: str = "") -> Evidence:
    """One question and its reply."""
    if isinstance(question, DnsLookup):
        asked = f"{to_text(question.name).removesuffix('.')} {type_text(question.rtype)}"
    else:
        asked = f"{question.subject} in {shown or question.list_id}"
    answered = sanitize(_words(question, reply), 200)
    if isinstance(reply, Unknown | Skipped):
        return Evidence(sanitize(asked), answered)
    return Evidence(sanitize(asked), answered, reply.age, reply.ms)


def why(reply: Unknown) -> str:
    """Why there is no answer, in words."""
    return f"{reply.why}: {reply.detail}" if reply.detail else str(reply.why)


def _words(question: Question, reply: LookupReply) -> str:
    if isinstance(reply, Unknown):
        return f"unknown ({why(reply)})"
    if isinstance(reply, Skipped):
        return f"not asked ({reply.detail})"
    if isinstance(reply, Absent):
        return "no such name" if reply.nxdomain else "no such record"
    if isinstance(reply, Clear):
        return "not listed"
    if isinstance(reply, Listed):
        return f"{reply.reason or 'listed'}, as {', '.join(reply.addresses)}"
    return _records(question, reply)


def _records(question: Question, reply: Records) -> str:
    if isinstance(question, ListLookup):
        return f"{len(reply.rdatas)} records"
    texts = [summary(question.rtype, rdata).removesuffix(".") for rdata in reply.rdatas[:MAX_SHOWN]]
    more = len(reply.rdatas) - len(texts)
    return ", ".join(texts) + (f" and {more} more" if more else "")
