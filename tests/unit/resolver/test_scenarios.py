"""Resolver scenarios (``.rpl``) played in process: those of ../shared/scenarios where that folder is, and our own.

Dialect D strictly: an unscripted query is a failure. Dialect U essentially: question, RCODE, flags, answers (TTLs where the
file asks for them), SOA and proofs of denials, Extended DNS Errors.
"""

import asyncio
import csv
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from virtualtime import VirtualClock, VirtualLoop

from tests.replay import dialect_d, dialect_u, rpl

HERE = Path(__file__).parents[2]
SHARED = HERE.parent.parent / "shared" / "scenarios"
OWN = sorted((HERE / "scenarios").glob("*.rpl"))


class Argued(NamedTuple):
    """Why an expectation is not shared, and what every fault of the scenario looks like."""

    why: str
    faults: str


EXCEPTIONS = {
    "iter_dname_insec minimised": Argued(
        "asks NS of a middle label that the file does not script; every answer is as expected", "unscripted query: .* 2 1 udp$"
    ),
    "fwd_minimal": Argued(
        "a question with RD=0 that is not in the cache is REFUSED here, not answered with a referral", "rcode: .* got 5$"
    ),
    "serve_expired": Argued(
        "a question with RD=0 gets the stale answer as expected, but starts no recursion behind it",
        "answer: expected example.com. 200 .*, got example.com. 123 ",
    ),
    "iter_scrub_rr_length": Argued(
        "malformed addresses are left out as expected, but no Extended DNS Error tells of it; where none is left, that is no "
        "denial but a fault of the server",
        "step (50|70): rcode: expected 0, got 2$|step 110: ede=0: got",
    ),
    "ttl_msg": Argued(
        "an SOA learnt with one denial does not prolong another: each denial lives by the message it came in",
        "authority: expected .* SOA .* 17 .*, got .* SOA .* 15|step 56: rcode: expected 0, got 5$",
    ),
    "dname_unsigned_cname": Argued(
        "a validated DNAME redirects the names below it, so that the forged alias is not even asked for (RFC 6672 §3.4); the "
        "file scripts no more than the forged one",
        "pending: 1.2.3.4 b.tgt.example.test. 1 1 udp$",
    ),
    "val_cnametocnamewctoposwc": Argued(
        "all of the answer fits into what the client takes, and TC is not set", "flags: expected QR TC RD RA AD, got QR RD RA AD$"
    ),
    "val_cnametoinsecure": Argued(
        "the target's denial comes without any proof, and the proof beside the alias is for its target's DS: it is not kept, and "
        "the DS asked for, which the file does not script",
        "pending: .*unsafe.example.(com|org). 43 1 udp",
    ),
    "val_scrub_rr_length": Argued(
        "what is left of an RRset with malformed records is bogus, as expected, and the error says so (6) instead of Other (0)",
        "ede=0: got .6.$",
    ),
    "val_minimal_expiredsignature": Argued(
        "within a day of its end a signature of a month still counts, as with Unbound",
        "expected (2, got 0|nothing)|flags: expected QR RD RA, got QR RD RA AD",
    ),
    **dict.fromkeys(
        ("val_deleg_nons", "val_nsec3_entnodata_optout_badopt", "val_nsec3_nods_badsig", "val_nsec3_nods_soa", "val_secds_nosig"),
        Argued(
            "the only trust anchor is for DSA, so that nothing is validated (RFC 6840 §5.2)",
            "expected (2, got 0|nothing)|unscripted",
        ),
    ),
}
"""Scenarios whose expectation we do not share. None of them is about what is believed of whom."""


ATTACKS = {
    "iter_scrub": "R-11", "iter_escape": "R-11", "iter_cname_badauth": "R-11", "iter_pcnamechrec": "R-11", "trust_cname": "R-11",
    "dname_unsigned": "R-11", "iter_ghost": "R-13", "ghost_": "R-13", "iter_domain_sale": "R-13", "rrsig_agr_wild": "R-14",
    "serve_expired_wildcard": "R-14", "iter_nxns": "R-15", "iter_max_global": "R-17", "val_global": "R-17", "iter_cycle": "R-18",
}  # fmt: skip
"""What scenarios whose names begin so are about, in the catalogue of attacks."""


def _marked(name: str, *more: object) -> object:
    rows = sorted({row for begin, row in ATTACKS.items() if name.startswith(begin)})
    return pytest.param(name, *more, marks=[pytest.mark.attack(*rows)] if rows else [])


def _index(collection: str) -> list[str]:
    if not SHARED.is_dir():
        return []
    with (SHARED / "index.tsv").open() as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["collection"] == collection]
    return [row["scenario"] for row in rows if row["class"] != "product-specific"]


def _variants() -> list[tuple[str, bool]]:
    return [
        (name, minimise)
        for name in _index("deckard")
        for minimise in dialect_d.Header(rpl.load(SHARED / "deckard" / f"{name}.rpl").header).minimisations
    ]


def _expect(name: str, variant: str, faults: list[str]) -> None:
    exception = EXCEPTIONS.get(f"{name} {variant}") or EXCEPTIONS.get(name)
    if exception is not None:
        assert faults, f"{name} is as expected after all: it is no exception any more"
        faults = [fault for fault in faults if not re.search(exception.faults, fault)]
    assert not faults, "\n".join(faults)


def test_the_scenarios_are_there() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there: only our own scenarios are played")
    assert len(_index("deckard")) == 81
    assert len(_index("unbound")) == 46


@pytest.mark.parametrize(("name", "minimise"), [_marked(*each) for each in _variants()])
@pytest.mark.parametrize("seed", [1, 2])
def test_deckard(name: str, minimise: bool, seed: int, tmp_path: Path) -> None:
    scenario = rpl.load(SHARED / "deckard" / f"{name}.rpl")
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        faults, _ = runner.run(dialect_d.play(scenario, tmp_path, VirtualClock(), minimise, seed))
    _expect(name, "minimised" if minimise else "in full", faults)


@pytest.mark.parametrize("name", [_marked(each) for each in _index("unbound")])
def test_unbound(name: str, tmp_path: Path) -> None:
    scenario = rpl.load(SHARED / "unbound" / f"{name}.rpl")
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        faults, _ = runner.run(dialect_u.play(scenario, tmp_path, VirtualClock()))
    _expect(name, "", faults)


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
