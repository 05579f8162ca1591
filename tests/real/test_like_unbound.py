"""resolverd answers as Unbound does: every question that the fake internet suggests, asked of both, cold and warm."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from tests.lab.lab import Lab
from tests.lab.questions import NOBODY_ANSWERS, Answer, Question, ask_all, questions
from tests.lab.resolverd import CONFIG, resolverd
from tests.lab.unbound import unbound
from tests.lab.world import WORLD

OURS, THEIRS = "127.0.0.1", "127.0.0.2"

BETTER_THAN_UNBOUND = {
    "one server refers to itself": dns.rcode.NOERROR,
    "one server refers to itself, NODATA": dns.rcode.NOERROR,
    "one server refers to itself, NXDOMAIN": dns.rcode.NXDOMAIN,
}
"""Where Unbound 1.17 takes a referral from a zone to itself for an empty answer (NOERROR without SOA), which nobody may
cache; a server that is lame in this way is passed over instead (RFC 1034 §5.3.3 4d), unless all of them are. Not compared,
but held to this."""

RESOLVER_ONLY = CONFIG + "\n[zone]\nguard = false\n"
"""Questions to lists are resolved as all others: what the list engine makes of them is no resolver's answer."""

TTL_SLACK = 30
"""Seconds that may lie between the two resolvers' fetching the same RRset."""


class Compared(NamedTuple):
    """One question and what both said."""

    question: Question
    ours: Answer
    theirs: Answer


@pytest.fixture(scope="module")
def rounds(lab: Lab) -> dict[str, list[Compared]]:
    """Every question asked twice of both: with empty caches, then again."""
    cold = questions(WORLD)
    warm = [question for question in cold if question.kind not in NOBODY_ANSWERS]

    async def compare(asked: list[Question]) -> list[Compared]:
        both = await asyncio.gather(ask_all(WORLD, OURS, asked), ask_all(WORLD, THEIRS, asked))
        return [Compared(*each) for each in zip(asked, *both, strict=True)]

    with lab.running(resolverd(lab.mail, RESOLVER_ONLY), unbound(THEIRS, lab.mail)):
        return {"cold": asyncio.run(compare(cold)), "warm": asyncio.run(compare(warm))}


def test_the_mix_of_questions(rounds: dict[str, list[Compared]], show: Callable[[str], None]) -> None:
    asked = [each.question for each in rounds["cold"]]
    kinds = Counter(question.kind for question in asked)
    show(f"{len(asked)} questions: " + ", ".join(f"{number} {kind}" for kind, number in kinds.most_common()))
    assert len(asked) >= 300
    assert {"A", "AAAA", "MX", "TXT", "reverse", "CNAME", "NXDOMAIN", "NODATA", "truncated", "glue in the zone", "no glue",
            "one server lame", "all servers lame", "one server silent", "all servers silent"} <= kinds.keys()
    truncated = [each for each in rounds["cold"] if each.question.kind == "truncated" and each.theirs.truncated]
    assert len(truncated) >= 5


@pytest.mark.parametrize("temperature", ["cold", "warm"])
def test_same_answers(rounds: dict[str, list[Compared]], temperature: str) -> None:
    reports = [
        report for each in rounds[temperature]
        if each.question.kind not in BETTER_THAN_UNBOUND and (report := disagreement(each))
    ]
    assert not reports, f"{len(reports)} of {len(rounds[temperature])} differ\n\n" + "\n\n".join(reports)


@pytest.mark.parametrize("temperature", ["cold", "warm"])
def test_a_server_that_refers_to_itself_is_passed_over(rounds: dict[str, list[Compared]], temperature: str) -> None:
    held = [each for each in rounds[temperature] if each.question.kind in BETTER_THAN_UNBOUND]
    assert held
    for question, ours, _ in held:
        assert ours.message is not None, question
        assert ours.message.rcode() == BETTER_THAN_UNBOUND[question.kind], f"{question}\n{ours.message}"


def test_every_answer_comes_in_time(rounds: dict[str, list[Compared]]) -> None:
    """`query_deadline` is 4 s: by then the client has its answer, whatever is dead."""
    slow = [f"{each.question}: {each.ours.seconds:.1f} s" for each in rounds["cold"] if each.ours.seconds > 4.5]
    assert not slow


def disagreement(each: Compared) -> str:
    """Say in full where the two differ, or nothing."""
    question, ours, theirs = each
    faults = _faults(ours.message, theirs.message) if ours.message and theirs.message else ["no answer"]
    if not faults:
        return ""
    return f"{question}: {', '.join(faults)}\n--- resolverd\n{ours.message}\n--- Unbound\n{theirs.message}"


def _faults(ours: dns.message.Message, theirs: dns.message.Message) -> list[str]:
    if ours.rcode() != theirs.rcode():
        return [f"{dns.rcode.to_text(ours.rcode())} for {dns.rcode.to_text(theirs.rcode())}"]
    faults = []
    if (ours.flags ^ theirs.flags) & (dns.flags.RA | dns.flags.AA | dns.flags.AD):
        faults.append("flags differ")
    if ours.rcode() == dns.rcode.SERVFAIL:
        return faults                      # what came before the failure is nobody's answer
    mine, yours = _answer(ours), _answer(theirs)
    if mine.keys() != yours.keys():
        faults.append("answers differ")
    faults += [f"TTL {mine[record]} for {yours[record]}" for record in mine.keys() & yours.keys()
               if abs(mine[record] - yours[record]) > TTL_SLACK]
    if _soa(ours) != _soa(theirs):
        faults.append(f"SOA of {_soa(ours)} for {_soa(theirs)}")
    return faults


def _answer(message: dns.message.Message) -> dict[tuple[str, str, str], int]:
    """Give the answer section as a set of records, with their TTLs."""
    return {
        (rrset.name.to_text().lower(), dns.rdatatype.to_text(rrset.rdtype), rdata.to_text().lower()): rrset.ttl
        for rrset in message.answer for rdata in rrset
    }


def _soa(message: dns.message.Message) -> str | None:
    """Give the owner of the SOA record that a negative answer carries (RFC 2308 §3)."""
    owners = [rrset.name.to_text().lower() for rrset in message.authority if rrset.rdtype == dns.rdatatype.SOA]
    return owners[0] if owners else None
