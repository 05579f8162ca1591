"""resolverd validates as Unbound does: thousands of questions over secure, insecure and broken zones, with DO and without.

What is compared is the RCODE, AD, the records of the answer, what of it is signed, and the types in the authority section.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.lab.signed.judge import Outcome, explained, outcome, security
from tests.lab.signed.rounds import gathered

ROUNDS = ("DO", "plain")

STRICTER = {
    "good-sha1-bad-sha256": """RFC 4509 §3: where there is a SHA-256 DS record, SHA-1 ones are ignored, so that who can make SHA-1
        collisions gains nothing. Unbound 1.17 takes any of them unless it is told to harden-algo-downgrade.""",
    "zsk-revoked": """RFC 5011 §2.1: what is revoked may sign its own revocation and nothing else. Unbound looks at the flag of
        trust anchors only.""",
}
"""Kinds of zone that are bogus here and secure to Unbound."""

BY_CHANCE = {
    "labels-too-few": "What www's signature proves of a wildcard that never was depends on what was asked before.",
    "chain-of-one": "An NSEC record denies names that are there: synthesised denials depend on what was asked before.",
    "chain-lies": "As above.",
}
"""Kinds of zone whose signed records contradict each other."""

ONE_OF_TWO = "on one of two servers"
"""Where one server is sound everything must be secure: Unbound too asks the other, but not always to the end."""


class Compared(NamedTuple):
    """A question, and what both said."""

    kind: str
    name: str
    rdtype: str
    disabled: bool
    ours: Outcome
    theirs: Outcome
    error: str

    def __str__(self) -> str:
        return (f"{self.name} {self.rdtype}{' CD' * self.disabled} ({self.kind})\n    ours   {self.ours} {self.error}\n"
                f"    theirs {self.theirs}")

    @property
    def same(self) -> bool:
        """Whether both said the same: every failure is like the next, and AD says nothing to who sets CD (RFC 4035 §3.2.2)."""
        if self.disabled:
            # Unbound's answers with CD fail where it has given up on the servers; data is what is wanted.
            mine, their = self.ours, self.theirs
            return their.failed or (mine.rcode, mine.data, mine.signed) == (their.rcode, their.data, their.signed)
        return (self.ours.failed and self.theirs.failed) or self.ours == self.theirs

    @property
    def explained(self) -> bool:
        """Whether it is one of the known differences."""
        if self.kind in STRICTER:
            return self.ours.failed
        if self.kind in BY_CHANCE:
            return True
        if self.name.startswith("to-nobody.") and self.theirs.failed:
            # NSD puts the denial of an alias's target beside it where it has both zones; Unbound takes it for the alias's own
            # now and then, and looks for the wrong zone's keys.
            rcode = "NOERROR" if self.rdtype == "CNAME" else "NXDOMAIN"
            return self.ours.rcode == rcode and any(" cname nobody." in each for each in self.ours.data)
        if ".tree." in self.name:
            # Unbound's answers through a DNAME may keep denials of messages that went before.
            return self.ours == self.theirs._replace(authority=frozenset())
        if self.rdtype == "CNAME" and not self.ours.failed:
            # Unbound, having minimised the name with type A, may follow the alias that it was asked for (RFC 1034 §3.6.2).
            return self.ours.rcode == "NOERROR" and any(f"{self.name} cname " in each for each in self.ours.data)
        return False


@pytest.fixture(scope="module")
def told(_inside: None, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return gathered("agreement", tmp_path_factory.mktemp("dnssec") / "agreement.json")


@pytest.fixture(scope="module")
def rounds(told: Any) -> dict[str, list[Compared]]:
    return {
        which: [
            Compared(*asked, outcome(mine), outcome(their), explained(mine))
            for asked, mine, their in zip(told["asked"], *(map(bytes.fromhex, told[which][who]) for who in ("ours", "theirs")),
                                          strict=True)
        ]
        for which in ROUNDS
    }  # fmt: skip


def test_the_lab_is_what_it_is_meant_to_be(told: Any) -> None:
    """Unbound finds every zone secure, insecure or bogus as the lab's data says, and so does resolverd."""
    wrong = []
    for number, (asked, truth) in enumerate(told["truth"]):
        for who in ("ours", "theirs"):
            found = security(bytes.fromhex(told["foretold"][who][number]))
            if found != truth and not (who == "theirs" and (asked[0] in STRICTER or asked[0].endswith(ONE_OF_TWO))):
                wrong.append(f"{asked[1]} {asked[2]}: {found} to {who}, meant to be {truth} "
                             f"{explained(bytes.fromhex(told['foretold'][who][number]))}")
    assert not wrong, "\n".join(wrong)


def test_the_mix_of_questions(rounds: dict[str, list[Compared]], show: Callable[[str], None]) -> None:
    asked = rounds["DO"]
    kinds = Counter("bogus" if each.theirs.failed else "secure" if each.theirs.secure else "insecure"
                    for each in asked if not each.disabled)
    show(f"{len(asked)} names and types, {sum(each.disabled for each in asked)} with CD; to Unbound "
         + ", ".join(f"{number} {kind}" for kind, number in kinds.most_common()))
    assert len({(each.name, each.rdtype) for each in asked}) >= 3000
    assert min(kinds.values()) >= 300


@pytest.mark.parametrize("which", ROUNDS)
def test_agreement(rounds: dict[str, list[Compared]], which: str) -> None:
    different = [each for each in rounds[which] if not _one_of_two(each) and not each.same and not each.explained]
    assert not different, "\n".join([f"{len(different)} of {len(rounds[which])}", *map(str, different)])


@pytest.mark.parametrize("which", ROUNDS)
def test_a_sound_server_beside_a_broken_one_is_enough(rounds: dict[str, list[Compared]], which: str) -> None:
    judged = [each for each in rounds[which] if _one_of_two(each) and not each.disabled]
    assert judged
    failed = [each for each in judged if each.ours.failed or not each.ours.secure]
    assert not failed, "\n".join(map(str, failed))


def test_whoever_validates_behind_us_validates(
    told: Any, rounds: dict[str, list[Compared]], show: Callable[[str], None]
) -> None:
    """An Unbound that has all from resolverd finds what Unbound finds directly: RFC 4035 §3.2, what a validating client needs."""
    different, kinds = [], Counter[str]()
    for number, said in told["behind"].items():
        asked, mine = rounds["DO"][int(number)], outcome(bytes.fromhex(said))
        kinds["bogus" if mine.failed else "secure" if mine.secure else "insecure"] += 1
        known = asked.kind in BY_CHANCE or _one_of_two(asked)
        if not known and not _alike(mine, asked.theirs) and not (asked.explained and _alike(mine, asked.ours)):
            different.append(f"{asked}\n    behind {mine}")
    show(f"{kinds.total()} of them through resolverd: {', '.join(f'{many} {kind}' for kind, many in kinds.most_common())}")
    assert min(kinds.values()) > 50
    assert not different, "\n".join([f"{len(different)} of {kinds.total()}", *different])


def _alike(mine: Outcome, their: Outcome) -> bool:
    return (mine.failed and their.failed) or (mine.rcode, mine.secure, mine.data) == (their.rcode, their.secure, their.data)


def _one_of_two(each: Compared) -> bool:
    return each.kind.endswith(ONE_OF_TWO) or each.name.startswith("once-")
