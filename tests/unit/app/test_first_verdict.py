"""The first verdict after a start keeps nobody waiting: what has to be read is read before."""

import statistics
from pathlib import Path

from resolverd.mail import domains
from tests.first_verdict import first_and_others


def test_the_first_verdict_costs_no_more_than_a_few_others(tmp_path: Path):
    first, others = first_and_others("steps", tmp_path)
    assert first <= 2 * statistics.median(others)


def test_the_public_suffix_list_is_read_as_its_library_reads_it():
    """All of its entries in A-labels, rules with an asterisk and exceptions among them."""
    cases = {
        "www.example.co.uk": "example.co.uk",
        "user.github.io": "user.github.io",
        "a.b.xn--p1ai": "b.xn--p1ai",
        "a.xn--55qx5d.cn": "a.xn--55qx5d.cn",
        "x.y.www.ck": "www.ck",
        "a.b.c.ck": "b.c.ck",
        "co.uk": None,
    }
    assert {name: domains.registrable(name) for name in cases} == cases
