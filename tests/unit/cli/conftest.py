from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Served, bound, serving


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Served]:
    """A daemon in a thread with a loop of its own, on the socket for commands."""
    with serving(tmp_path) as served:
        yield served


@pytest.fixture
def nobody(tmp_path: Path) -> str:
    """A configuration whose HTTP port nobody listens on."""
    with bound() as sock:
        config = tmp_path / "config.toml"
        config.write_text(f'[http]\nlisten = "127.0.0.1:{sock.getsockname()[1]}"\n')
    return str(config)
