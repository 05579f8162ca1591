"""Killed processes and damaged files, as in `bench.kills`, some cycles of each: nothing older than a second is lost."""

from pathlib import Path

from bench.kills import damage_stores, kill_daemons, kill_writers


def test_the_daemon_is_killed_while_it_answers(tmp_path: Path) -> None:
    tolls = kill_daemons(tmp_path, 20)
    assert sum(toll.promised for toll in tolls) > 20
    assert max(toll.age for toll in tolls) <= 1


def test_a_writer_is_killed(tmp_path: Path) -> None:
    tolls = kill_writers(tmp_path / "var", 25)
    assert sum(toll.promised - toll.lost for toll in tolls) > 0
    assert max(toll.age for toll in tolls) <= 1


def test_damaged_stores_are_open_at_once(tmp_path: Path) -> None:
    results = damage_stores(tmp_path, 100)
    assert max(each.seconds for each in results) < 5
    assert any(each.left for each in results)
    assert sum(each.set_aside for each in results) > 50
    by_damage = {name: [each.saved for each in results if each.damage == name] for name in ("flip", "flip_head", "zero_pages")}
    assert all(sum(saved) > 1000 * len(saved) for saved in by_damage.values()), by_damage
