"""Every secure answer and denial, spoilt in every way that one record can be: bogus here exactly where it is bogus to Unbound.

Whatever is not SERVFAIL is judged twice: it must be what Unbound says, and what carries AD must be what the zone really says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.lab.signed.judge import Outcome, explained, outcome, ttls
from tests.lab.signed.rounds import gathered

LONGEST = 3600
"""The longest TTL that anything in these zones is signed with."""


class Difference(NamedTuple):
    """Where the two may differ: templates and words of a mutation, what each says, and why ours does."""

    templates: tuple[str, ...]
    words: str
    ours: str
    theirs: str
    why: str


DIFFERENCES = (
    Difference(("data", "set", "wildcard"), " NS dropped", "secure", "bogus",
               """A signature whose RRset is missing says nothing, of the answer least of all, whose own signature is good:
        it is left out. Unbound takes it for an unsigned RRset."""),
    Difference(("nxdomain", "nodata", "empty", "wildcard-nodata"), " SOA dropped", "secure", "bogus",
               "As above: the NSEC records prove the denial, and the SOA record none of it."),
    Difference(("data", "set", "wildcard", "nodata", "empty", "ds"), "NXDOMAIN", "secure", "bogus",
               """No signature covers the RCODE: what the signed records prove is the answer. (Without validation,
        too, an answer's records that come with NXDOMAIN are given as NOERROR.)"""),
    Difference(("referral",), " NS dropped", "bogus", "insecure", """What is left of a referral without its NS records proves no
        more than that there is no DS record; Unbound takes it for NODATA."""),
    Difference(("referral",), "NXDOMAIN", "bogus", "insecure",
               "What denies a name and proves it to be a delegation is no answer."),
)  # fmt: skip
"""Known differences; a template's name stands for those that begin with it."""


class Case(NamedTuple):
    """One spoilt answer, and what became of it."""

    template: str
    name: str
    words: str
    ours: Outcome
    theirs: Outcome
    truth: Outcome
    disabled: tuple[Outcome, Outcome]
    error: str
    ttls: list[int]

    def __str__(self) -> str:
        return f"{self.template}: {self.name}: {self.words}\n    ours   {self.ours} {self.error}\n    theirs {self.theirs}"


def kind(said: Outcome) -> str:
    return "bogus" if said.failed else "secure" if said.secure else "insecure"


@pytest.fixture(scope="module")
def cases(_inside: None, tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    file = tmp_path_factory.mktemp("dnssec") / "mutations.json"
    told = gathered("mutations", file)
    octets = bytes.fromhex
    return [
        Case(asked[0].split()[0], asked[1], words,
             *(outcome(octets(told["said"][who][number])) for who in ("ours", "theirs")),
             outcome(octets(told["truth"][number])),
             (outcome(octets(told["disabled"]["ours"][number])), outcome(octets(told["disabled"]["theirs"][number]))),
             explained(octets(told["said"]["ours"][number])), ttls(octets(told["said"]["ours"][number])))
        for number, (asked, words) in enumerate(zip(told["asked"], told["labels"], strict=True))
    ]  # fmt: skip


def test_the_mix(cases: list[Case], show: Callable[[str], None]) -> None:
    kinds = Counter((kind(case.ours), kind(case.theirs)) for case in cases)
    show(f"{len(cases)} spoilt answers (ours, Unbound): "
         + ", ".join(f"{number} {mine}/{their}" for (mine, their), number in kinds.most_common()))
    for template in {case.template for case in cases}:
        untouched = [case for case in cases if case.template == template and case.words == "nothing"]
        assert untouched, template
        assert not any(case.theirs.failed for case in untouched), "the lab itself: Unbound fails where nothing is spoilt"
    assert kinds["bogus", "bogus"] > len(cases) / 3
    assert kinds["secure", "secure"] > len(cases) / 4


def test_bogus_exactly_where_unbound_says_so(cases: list[Case]) -> None:
    unexplained = [str(case) for case in cases if not _same(case.ours, case.theirs) and not _explained(case)]
    assert not unexplained, "\n".join([f"{len(unexplained)} of {len(cases)}", *unexplained])


def test_what_carries_ad_is_what_the_zone_says(cases: list[Case]) -> None:
    """No way of spoiling an answer makes anybody believe other records; referrals lead to a zone of one address."""
    for case in cases:
        if case.ours.secure:
            expected = case.truth.data or frozenset({f"{case.name} a 45.20.0.9"} if case.name.startswith("www.child.") else ())
            assert case.ours.data == expected, str(case)
            assert case.ours.rcode == ("NOERROR" if expected else case.truth.rcode), str(case)


def test_no_ttl_is_longer_than_what_was_signed(cases: list[Case]) -> None:
    """RFC 4035 §5.3.3."""
    for case in cases:
        if case.ours.secure:
            assert all(ttl <= LONGEST for ttl in case.ttls), str(case)


def test_checking_disabled_gives_what_came(cases: list[Case]) -> None:
    """RFC 4035 §3.2.2: who sets CD gets the data, bogus or not, where Unbound gives it."""
    other = []
    for case in cases:
        mine, their = case.disabled
        if their.failed or _explained(case):
            continue
        if case.words == "NXDOMAIN" and mine.data == their.data:
            continue                             # the RCODE, as above
        if (mine.rcode, mine.data) != (their.rcode, their.data):
            other.append(f"{case}\n    CD: {mine}\n        {their}")
    assert not other, "\n".join(other)


def _same(mine: Outcome, their: Outcome) -> bool:
    return (mine.failed and their.failed) or mine == their


def _explained(case: Case) -> bool:
    return any(
        case.template.startswith(each.templates) and case.words.endswith(each.words)
        and (kind(case.ours), kind(case.theirs)) == (each.ours, each.theirs) for each in DIFFERENCES
    )
