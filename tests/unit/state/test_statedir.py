"""The state directory: what keeps a user from working in it is named, with what to type."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from resolverd.state.statedir import unusable

AS_NOBODY = """
import os, sys
from pathlib import Path
from resolverd.state.statedir import unusable
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(unusable(Path(sys.argv[1]), "store"))
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


def test_what_is_missing_is_made_and_private(tmp_path: Path) -> None:
    assert unusable(tmp_path / "a" / "b", "store") == ""
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_file_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    assert unusable(tmp_path / "var", "store") == f"{tmp_path}/var is no directory; remove it, or name another directory"


def make_nothing(state: Path) -> None:
    state.parent.chmod(0o755)


def make_roots(state: Path) -> None:
    state.mkdir()
    state.chmod(0o755)


def make_with_roots_lock(state: Path) -> None:
    state.mkdir()
    (state / "lock").touch(0o600)
    os.chown(state, 65534, 65534)


def make_with_roots_store(state: Path) -> None:
    (state / "store").mkdir(parents=True)
    (state / "store" / "cache.db").touch(0o600)
    for each in (state, state / "store"):
        os.chown(each, 65534, 65534)


def make_in_the_dark(state: Path) -> None:
    state.parent.chmod(0o700)


def make_own(state: Path) -> None:
    state.mkdir()
    os.chown(state, 65534, 65534)


CASES = [
    (make_nothing, "{state} cannot be made by user nobody (Permission denied)", "install -d -m 700 -o nobody {state}"),
    (make_roots, "{state} cannot be read and written by user nobody", "chown -R nobody {state}"),
    (make_with_roots_lock, "{state}/lock cannot be read and written by user nobody", "chown -R nobody {state}"),
    (make_with_roots_store, "{state}/store/cache.db cannot be read and written by user nobody", "chown -R nobody {state}"),
    (make_in_the_dark, "{state} cannot be made by user nobody (Permission denied)", "install -d"),
    (make_own, "", ""),
]


@as_root
@pytest.mark.parametrize(("make", "fault", "command"), CASES, ids=[case[0].__name__ for case in CASES])
def test_what_belongs_to_somebody_else(tmp_path: Path, make: object, fault: str, command: str) -> None:
    for each in (tmp_path, *tmp_path.parents):
        if each.stat().st_mode & 0o1000:  # everybody's
            break
        each.chmod(0o755)
    state = tmp_path / "below" / "state"
    state.parent.mkdir()
    state.parent.chmod(0o755)
    make(state)  # type: ignore[operator]
    done = subprocess.run([sys.executable, "-c", AS_NOBODY, str(state)], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.startswith(fault.format(state=state))
    assert command.format(state=state) in done.stdout
    assert bool(done.stdout.strip()) == bool(fault)
