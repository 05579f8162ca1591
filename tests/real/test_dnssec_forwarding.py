"""Behind resolverd others can validate: an Unbound that has all from it finds secure and bogus what Unbound finds directly.

What a validating client needs of a resolver is RFC 4035 §3.2: signatures and denials with DO, everything with CD.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.lab.signed.judge import Outcome, outcome
from tests.lab.signed.rounds import gathered

STRICTER = ("good-sha1-bad-sha256", "zsk-revoked")
"""Kinds of zone that are bogus to resolverd (`test_dnssec_agreement`), whose data it gives to who sets CD all the same."""

BY_CHANCE = ("labels-too-few", "chain-of-one", "chain-lies")
"""Kinds of zone whose signed records contradict each other."""


@pytest.fixture(scope="module")
def told(_inside: None, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return gathered("forwarding", tmp_path_factory.mktemp("dnssec") / "forwarding.json")


def test_whoever_validates_behind_us_validates(told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    different, kinds = [], Counter[str]()
    for asked, behind, direct in zip(told["asked"], told["said"]["behind"], told["said"]["theirs"], strict=True):
        mine, their = outcome(bytes.fromhex(behind)), outcome(bytes.fromhex(direct))
        kinds["bogus" if mine.failed else "secure" if mine.secure else "insecure"] += 1
        if not _same(mine, their) and asked[0] not in BY_CHANCE and "once-" not in asked[1]:
            different.append(f"{asked[1]} {asked[2]} ({asked[0]})\n    behind us {mine}\n    directly  {their}")
    with capsys.disabled():
        shares = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
        print(f"\n{sum(kinds.values())} names and types through resolverd: {shares}")
    assert min(kinds.values()) > 50
    assert not different, "\n".join([f"{len(different)} of {sum(kinds.values())}", *different])


def _same(mine: Outcome, their: Outcome) -> bool:
    if mine.failed or their.failed:
        return mine.failed and their.failed
    return (mine.rcode, mine.secure, mine.data) == (their.rcode, their.secure, their.data)
