"""What is said at start."""

import pytest

from resolverd.app.banner import store_remarks


@pytest.mark.parametrize(
    ("version", "sound"),
    [
        ((3, 40, 1), False), ((3, 44, 5), False), ((3, 44, 6), True), ((3, 44, 7), True), ((3, 45, 9), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True), ((3, 51, 0), False), ((3, 51, 2), False), ((3, 51, 3), True), ((3, 52, 0), True), ((4, 0, 0), True),
    ],
)  # fmt: skip
def test_a_sqlite_that_can_damage_its_file_is_named(version: tuple[int, int, int], sound: bool):
    remarks = store_remarks(version)
    assert bool(remarks) is not sound
    assert all(".".join(map(str, version)) in remark and "3.51.3" in remark for remark in remarks)
