"""Evidence of questions and their replies: what was asked, what came back, how old it is."""

from collections.abc import Iterable
from itertools import accumulate

from resolverd import bounds
from resolverd.failures import Unknown
from resolverd.mail.findings import Data, Evidence
from resolverd.mail.lookups import Absent, Clear, DnsLookup, LookupReply, Question, Records, Replies, Skipped
from resolverd.policy.asking import LATE
from resolverd.wire.codes import TXT

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
    asked = question if isinstance(question, DnsLookup) else f"{question.subject} in {shown or question.list_id}"
    if isinstance(reply, Unknown):
        return Evidence(asked, f"unknown ({why(reply)})")
    if isinstance(reply, Skipped):
        return Evidence(asked, f"not asked ({reply.detail})")
    if isinstance(reply, Records):
        rdatas = _shown(question, reply.rdatas)
        found = Evidence(asked, Data(rdatas, len(reply.rdatas) - len(rdatas)), reply.age, reply.ms)
        if rdatas or not reply.rdatas:
            return found
        return found._replace(reply=found._replace(reply=Data(reply.rdatas[:1], len(reply.rdatas) - 1)).answered)
    if isinstance(reply, Absent):
        said = "no such name" if reply.nxdomain else "no such record"
    elif isinstance(reply, Clear):
        said = "not listed"
    else:
        said = f"{reply.reason or 'listed'}, as {', '.join(reply.addresses)}"
    return Evidence(asked, said, reply.age, reply.ms)


def _shown(question: Question, rdatas: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """The first records, as many as there is room for; of TXT records those first of which SPF has read one."""
    if len(rdatas) > 1 and isinstance(question, DnsLookup) and question.rtype == TXT:
        rdatas = tuple(sorted(rdatas, key=_is_no_spf))
    octets = list(accumulate(map(len, rdatas[:MAX_SHOWN])))
    return rdatas[: sum(each <= bounds.EVIDENCE_OCTETS for each in octets)]


def _is_no_spf(rdata: bytes) -> bool:
    """RFC 7208 §4.5: the version is the beginning of the first string."""
    return rdata[1:7].lower() != b"v=spf1"


def why(reply: Unknown) -> str:
    """Why there is no answer, in words."""
    return f"{reply.why}: {reply.detail}" if reply.detail else str(reply.why)
