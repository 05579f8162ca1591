"""Rates and budgets: what may be spent in which stretch of time, across restarts and clocks that jump."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd.dnsbl.quota import Allowance, Budget, Rate, parse_allowance

DAY = 86400.0


@pytest.mark.parametrize(
    ("text", "count", "seconds"),
    [("300000/1d", 300000, DAY), ("50/1s", 50, 1.0), ("5/s", 5, 1.0), ("100/2h", 100, 7200.0), ("10/30m", 10, 1800.0)],
)
def test_allowances(text, count, seconds):
    assert parse_allowance(text) == Allowance(count, seconds)


@pytest.mark.parametrize("text", ["", "50", "/1d", "50/", "50/1w", "x/1d", "-5/1d", "5/1d/2", "0/1d", "5/0s", "5.5/1s", "５/1s"])
def test_bad_allowances(text):
    with pytest.raises(ValueError, match="allow"):
        parse_allowance(text)


def test_a_rate_lets_a_burst_go_and_then_one_a_step():
    rate = Rate(Allowance(5, 1.0))
    assert [rate.take(100.0) for _ in range(5)] == [0.0] * 5
    assert rate.take(100.0) is None
    assert rate.take(100.0, patience=1.0) == pytest.approx(0.2)
    assert rate.take(100.0, patience=1.0) == pytest.approx(0.4)
    assert rate.take(110.0) == 0.0


def test_what_is_refused_is_not_taken():
    rate = Rate(Allowance(1, 1.0))
    assert rate.take(0.0) == 0.0
    assert [rate.take(0.5) for _ in range(100)] == [None] * 100
    assert rate.take(1.0) == 0.0


@given(st.integers(1, 20), st.lists(st.floats(0, 2), max_size=200))
def test_a_rate_never_lets_more_than_twice_its_count_through_in_one_stretch(count, gaps):
    rate = Rate(Allowance(count, 1.0))
    now = 0.0
    used = []
    for gap in gaps:
        now += gap
        wait = rate.take(now, patience=0.5)
        if wait is not None:
            used.append(now + wait)
    assert used == sorted(used)
    for start in used:
        assert sum(start <= at < start + 1.0 - 1e-6 for at in used) <= 2 * count


@given(st.integers(1, 10), st.lists(st.floats(0, DAY / 3), max_size=120))
def test_no_stretch_of_a_day_exceeds_the_budget(count, gaps):
    budget = Budget(Allowance(count, DAY))
    now = 1_800_000_000.0
    spent = []
    for gap in gaps:
        now += gap
        if budget.spend(now):
            spent.append(now)
    for start in spent:
        assert sum(start <= at < start + DAY for at in spent) <= count


def test_a_budget_comes_back_after_its_time():
    budget = Budget(Allowance(3, DAY))
    start = 1_800_000_000.0
    assert [budget.spend(start) for _ in range(4)] == [True, True, True, False]
    assert budget.left(start + DAY / 2) == 0
    assert budget.left(start + DAY * 1.1) == 3


def test_a_budget_survives_a_restart():
    budget = Budget(Allowance(10, DAY))
    for hour in range(6):
        budget.spend(1_800_000_000.0 + hour * 3600)
    again = Budget(Allowance(10, DAY))
    again.restore(budget.state(), 1_800_000_000.0 + 6 * 3600)
    assert again.left(1_800_000_000.0 + 6 * 3600) == 4
    assert again.state() == budget.state()


def test_a_clock_set_back_gives_nothing_back():
    start = 1_800_000_000.0
    budget = Budget(Allowance(2, DAY))
    budget.spend(start)
    budget.spend(start)
    assert budget.left(start - 30 * DAY) == 0
    again = Budget(Allowance(2, DAY))
    again.restore(budget.state(), start - 30 * DAY)
    assert again.left(start - 30 * DAY) == 0
    assert again.left(start - 28 * DAY) == 2
