"""Gaps on a circle, against a model that tries every point of a small one."""

from hypothesis import given
from hypothesis import strategies as st

from resolverd.resolver.validator.gaps import Gaps

POINTS = range(12)
RECORDS = st.lists(st.tuples(st.sampled_from(POINTS), st.sampled_from(POINTS), st.integers(1, 9)), max_size=12)


def inside(start: int, end: int) -> set[int]:
    """The points between two neighbours, all others for a sole one."""
    count = (end - start - 1) % len(POINTS)
    return {(start + 1 + step) % len(POINTS) for step in range(count)}


@given(RECORDS, st.integers(0, 10))
def test_what_is_learnt_later_is_how_it_is(records: list[tuple[int, int, int]], now: int) -> None:
    gaps: Gaps[bytes, int] = Gaps()
    model: dict[int, tuple[int, int, int]] = {}
    for number, (start, end, expires) in enumerate(records):
        gaps.put(bytes([start]), bytes([end]), number, 0.0, float(expires), 10)
        # Whoever is in the new gap does not exist, and whose gap the new one begins in has another neighbour.
        model = {
            each: old for each, old in model.items()
            if each != start and each not in inside(start, end) and start not in inside(each, old[0])
        }  # fmt: skip
        model[start] = end, number, expires
        assert gaps.size == 10 * len(gaps) == 10 * len(model)
    for point in POINTS:
        wanted = [
            number for start, (end, number, expires) in model.items()
            if expires > now and (point == start or point in inside(start, end))
        ]  # fmt: skip
        assert len(wanted) <= 1
        assert gaps.find(bytes([point]), float(now)) == (wanted[0] if wanted else None)


def test_the_oldest_goes_first() -> None:
    gaps: Gaps[bytes, int] = Gaps()
    for number, start in enumerate(b"cab"):
        gaps.put(bytes([start]), bytes([start + 1]), number, 0.0, 9.0, 1)
    gaps.put(b"c", b"d", 3, 1.0, 9.0, 1)
    gaps.drop_oldest()
    assert [gaps.find(each, 2.0) for each in (b"a", b"b", b"c")] == [None, 2, 3]
    assert gaps.life(b"c") == (1.0, 9.0)
