"""What all suites share."""

import gc
import os
import sys

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.attacks", "tests.redis_server"]

# How long inputs take to be made, and an example, is the machine's affair: the first text of a fresh clone waits for Unicode's
# tables. What work costs is counted by tests that say so.
settings.register_profile("resolverd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("resolverd"), max_examples=10_000)
settings.load_profile("resolverd")

# Where a machine is told to keep no bytecode, each of the daemons that tests start would compile everything anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """``-n auto``: three processes for two processors, as part of the time goes by with waiting for daemons and servers."""
    return 3 * (os.cpu_count() or 1) // 2


def pytest_collection_finish(session: pytest.Session) -> None:
    """What was collected lives to the end: looking through all of it for garbage, again and again, is a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
