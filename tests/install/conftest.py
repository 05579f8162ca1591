"""The fresh Debian and the package for it, each made once for all that install it, whichever process comes first."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from debian import CACHE, Debian, fresh_root, what_is_missing

ROOT = Path(__file__).parents[2]


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Wait until no other process is in here with this file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def fresh() -> Path:
    """The root of a fresh Debian. Leaves out what needs it where there can be none; a build server must have one."""
    reason = what_is_missing()
    if not reason:
        try:
            with _alone(CACHE / "lock"):
                return fresh_root()
        except subprocess.CalledProcessError as error:
            reason = f"no Debian could be made: {error.stderr}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def package(fresh: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The Debian package of this source."""
    # pytest-xdist's processes have directories of their own below one of the session.
    above = tmp_path_factory.getbasetemp()
    above = above.parent if hasattr(request.config, "workerinput") else above
    with _alone(above / "package.lock"):
        if not list(above.glob("*.deb")):
            # As fast as can be: what it is compressed with is dpkg's business.
            environment = {**os.environ, "DPKG_DEB_COMPRESSOR_TYPE": "gzip", "DPKG_DEB_COMPRESSOR_LEVEL": "1"}
            words = ["make", "deb", f"DIST={above}"]
            done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
            assert done.returncode == 0, done.stdout + done.stderr
    (built,) = above.glob("*.deb")
    return built


@pytest.fixture
def debian(fresh: Path, tmp_path: Path) -> Iterator[Debian]:
    """A machine with that root, running."""
    scratch = tmp_path / "debian"
    scratch.mkdir()
    with Debian(fresh, scratch) as running:
        yield running
