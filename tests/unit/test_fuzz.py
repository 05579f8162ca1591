"""Each surface over what fuzzing keeps: its seeds, its corpus, and all that has been a fault of it (`tests.fuzz`)."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import store
from tests.fuzz.every import TARGETS, serving
from tests.fuzz.target import check

_ALLOWANCE = 4.0
"""Of the limits: others use this machine as well. The limits themselves are held to by `make fuzz`."""
_FOLDER = Path(store.__file__).parent


@pytest.fixture(scope="module", autouse=True)
def daemon() -> Iterator[None]:
    """What the targets of `serving` speak to lives as long as this module's tests."""
    serving.world()
    yield
    serving.world().close()
    serving.world.cache_clear()


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_kept_is_no_fault(name: str) -> None:
    target = TARGETS[name]
    for data in (*target.seeds(), *store.corpus(name)):
        try:
            check(target, data, _ALLOWANCE)
        except Exception as error:
            error.add_note(f"input: {data.hex()}")
            raise


@pytest.mark.parametrize(("name", "what"), [(name, what) for name in TARGETS for what, _ in store.regressions(name)])
def test_what_was_a_fault_is_none(name: str, what: str) -> None:
    check(TARGETS[name], dict(store.regressions(name))[what], _ALLOWANCE)


def test_what_is_kept_belongs_to_a_target() -> None:
    kept = {re.sub(r"\.txt$", "", each.name) for folder in ("corpus", "regressions") for each in (_FOLDER / folder).iterdir()}
    assert kept <= TARGETS.keys()
