"""What was made of the very same object is made once, and no more is held than is wanted."""

from resolverd.memo import Memo


def test_one_object_is_looked_at_once_and_an_equal_one_again():
    seen: list[list[int]] = []
    memo = Memo[list[int], int](lambda given: seen.append(given) or sum(given), 10)
    first, like_it = [1, 2], [1, 2]
    assert [memo.of(first), memo.of(first), memo.of(like_it)] == [3, 3, 3]
    assert [each is first for each in seen] == [True, False]


def test_it_is_bounded_and_an_object_that_is_gone_is_not_taken_for_another():
    memo = Memo[list[int], int](sum, 3)
    for number in range(1000):
        assert memo.of([number]) == number  # the list before is gone once it is let go, and its id free
    assert len(memo) == 3
