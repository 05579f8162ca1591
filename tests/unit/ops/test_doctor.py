"""The doctor's case table: each faulty machine has just these findings, each twin none, and Postfix itself reads them all."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resolverd.config import parse
from resolverd.ops.doctor import Machine, Severity, diagnose
from resolverd.ops.doctor.diagnosis import EXAMINATIONS
from tests.postfix_files import settle

from .doctor_cases import CASES, Case, machine


def codes(changes: Mapping[str, object]) -> set[str]:
    return {finding.code for finding in diagnose(machine(changes))}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_wrong_is_found(case: Case) -> None:
    assert codes(case.faulty) == set(case.expected.split())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_twin_is_in_order(case: Case) -> None:
    assert diagnose(machine(case.twin)) == []


def test_every_examination_has_a_case() -> None:
    silent = {each.__qualname__ for each in EXAMINATIONS if not any(list(each(machine(case.faulty))) for case in CASES)}
    assert not silent


def test_every_finding_says_what_to_type() -> None:
    for case in CASES:
        for finding in diagnose(machine(case.faulty)):
            assert finding.fix, finding.code
            assert all(line.isprintable() for line in (finding.text, *finding.fix))


def test_what_loses_mail_comes_first() -> None:
    found = [finding.severity for finding in diagnose(machine({"daemon": False, "main": {"smtpd_helo_required": "no"}}))]
    assert found == [Severity.ERROR, Severity.WARNING]


def test_a_machine_without_postfix_has_no_findings_about_it() -> None:
    assert diagnose(Machine(parse('[store]\nurl = "disk:/var/lib/resolverd"\n', Path("/")), daemon=True)) == []


@pytest.mark.skipif(shutil.which("postconf") is None, reason="needs Postfix")
def test_postfix_reads_the_cases(tmp_path: Path) -> None:
    """Whoever sets a server up so gets no word of Postfix, which is why the doctor is needed."""
    machines = [machine(changes) for case in CASES for changes in (case.faulty, case.twin)]
    mains, masters = ({getattr(each, name): each for each in machines}.values() for name in ("main", "master"))
    with ThreadPoolExecutor(8) as pool:
        read = [*pool.map(lambda each: _postconf(tmp_path, each, "-n"), mains)]
        read += pool.map(lambda each: _postconf(tmp_path, each, "-P"), masters)
    assert [said for said in read if said] == []


def _postconf(folder: Path, machine: Machine, option: str) -> str:
    """What postconf(1) has to complain of."""
    own = folder / f"{id(machine)}{option}"
    own.mkdir()
    (own / "main.cf").write_text(machine.main or "")
    (own / "master.cf").write_text(machine.master or "")
    settle(own / "main.cf", own / "master.cf")
    done = subprocess.run(["postconf", "-c", str(own), option], capture_output=True, text=True, check=False)
    return done.stderr or "x" * done.returncode
