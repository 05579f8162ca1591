"""Every attack of the catalogue has a test that says so."""

import re
from pathlib import Path

from tests.attacks import ROWS

TESTS = Path(__file__).parents[1]


def test_every_attack_has_a_test() -> None:
    text = "".join(path.read_text() for folder in ("unit", "attack", "real") for path in (TESTS / folder).rglob("test_*.py"))
    marked = {row for mark in re.findall(r"mark\.attack\(([^)]*)\)", text) for row in re.findall(r'"(R-\d\d)"', mark)}
    assert marked == set(ROWS)
