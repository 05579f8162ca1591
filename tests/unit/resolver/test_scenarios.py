"""Resolver scenarios (``.rpl``) played in process: those of ../shared/scenarios where that folder is, and our own.

Dialect D strictly: an unscripted query is a failure. Dialect U essentially: question, RCODE, flags, answers (TTLs where the
file asks for them), SOA and proofs of denials, Extended DNS Errors.
"""

import asyncio
import csv
from pathlib import Path

import pytest
from virtualtime import VirtualClock, VirtualLoop

from tests.replay import dialect_d, dialect_u, rpl

HERE = Path(__file__).parents[2]
SHARED = HERE.parent.parent / "shared" / "scenarios"
OWN = sorted((HERE / "scenarios").glob("*.rpl"))

EXCEPTIONS = {
    "iter_dname_insec minimised": "asks NS of a middle label that the file does not script; every answer is as expected",
    "fwd_minimal": "a question with RD=0 that is not in the cache is REFUSED here, not answered with a referral",
    "serve_expired": "a question with RD=0 gets the stale answer as expected, but starts no recursion behind it",
    "iter_scrub_rr_length": "malformed addresses are left out as expected, but no Extended DNS Error tells of it",
    "ttl_msg": "an SOA learnt with one denial does not prolong another: each denial lives by the message it came in",
}
"""Scenarios whose expectation we do not share, each with the reason. None of them is about what is believed of whom."""


def _index(collection: str) -> list[str]:
    if not SHARED.is_dir():
        return []
    with (SHARED / "index.tsv").open() as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["collection"] == collection]
    return [row["scenario"] for row in rows if row["needs_dnssec"] == "no" and row["class"] != "product-specific"]


def _variants() -> list[tuple[str, bool]]:
    return [
        (name, minimise)
        for name in _index("deckard")
        for minimise in dialect_d.Header(rpl.load(SHARED / "deckard" / f"{name}.rpl").header).minimisations
    ]


def _expect(name: str, faults: list[str]) -> None:
    if name in EXCEPTIONS:
        assert faults, f"{name} is as expected after all: it is no exception any more"
    else:
        assert not faults, "\n".join(faults)


def test_the_scenarios_are_there() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there: only our own scenarios are played")
    assert len(_index("deckard")) == 25
    assert len(_index("unbound")) == 34


@pytest.mark.parametrize(("name", "minimise"), _variants())
@pytest.mark.parametrize("seed", [1, 2])
def test_deckard(name: str, minimise: bool, seed: int, tmp_path: Path) -> None:
    scenario = rpl.load(SHARED / "deckard" / f"{name}.rpl")
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        faults, _ = runner.run(dialect_d.play(scenario, tmp_path, VirtualClock(), minimise, seed))
    _expect(f"{name} {'minimised' if minimise else 'in full'}", faults)


@pytest.mark.parametrize("name", _index("unbound"))
def test_unbound(name: str, tmp_path: Path) -> None:
    scenario = rpl.load(SHARED / "unbound" / f"{name}.rpl")
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        faults, _ = runner.run(dialect_u.play(scenario, tmp_path, VirtualClock()))
    _expect(name, faults)


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
@pytest.mark.parametrize("minimise", [True, False])
def test_own(path: Path, minimise: bool, tmp_path: Path) -> None:
    scenario = rpl.load(path)
    if minimise not in dialect_d.Header(scenario.header).minimisations:
        pytest.skip("not for this way of asking")
    for seed in range(3):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            faults, _ = runner.run(dialect_d.play(rpl.load(path), tmp_path, VirtualClock(), minimise, seed))
        assert not faults, "\n".join(faults)
