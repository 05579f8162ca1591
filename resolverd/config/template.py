"""The commented config.toml to begin with, which is the manual as well: every key with its default."""

import grp
import os
from importlib.resources import files
from pathlib import Path
from typing import Final

_HERE: Final = 'listen = ["127.0.0.1:5335", "[::1]:5335"]\n'
_PRODUCTION: Final = 'listen = ["127.0.0.1:53", "[::1]:53"]\n'
_GROUP: Final = "resolverd"
"""Of the user that ``make install`` makes; who is in it may read the file."""


def text(*, production: bool = False) -> str:
    """The file. `production`: on port 53, the only one that resolv.conf knows."""
    found = files("resolverd.data").joinpath("config.toml").read_text("utf-8")
    return found.replace(_HERE, _PRODUCTION, 1) if production else found


def write(path: Path, *, production: bool = False) -> None:
    """Write it where nothing stands yet, in a directory that is made if only that is missing. Raises OSError.

    In production only root and the daemon's group read it: it may name customers.
    """
    if not path.parent.exists():
        path.parent.mkdir(mode=0o755)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640 if production else 0o644)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text(production=production))
        if production and os.geteuid() == 0 and (group := _group()) is not None:
            os.fchown(descriptor, 0, group)


def _group() -> int | None:
    try:
        return grp.getgrnam(_GROUP).gr_gid
    except KeyError:
        return None
