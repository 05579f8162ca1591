"""Text files of the admin's that a configuration names: read whole, within bounds, whatever they are."""

import os
import stat
from pathlib import Path
from typing import Final

MAX_OCTETS: Final = 16 * 2**20
"""Of one file; what is beyond is not read."""


def read_text(path: Path) -> tuple[str, str]:
    """The file's text, octets that are not UTF-8 replaced, and a remark where it is too large for all of it to count.

    Raises OSError. What has no end is no file here: opening a pipe would wait for somebody to write into it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) and path != Path(os.devnull):
            raise OSError(0, "is a directory" if stat.S_ISDIR(mode) else "is no regular file")
        octets = file.read(MAX_OCTETS + 1)
    if len(octets) <= MAX_OCTETS:
        return octets.decode("utf-8", "replace"), ""
    whole = octets[: octets.rfind(b"\n", 0, MAX_OCTETS) + 1]
    return whole.decode("utf-8", "replace"), f"only its first {MAX_OCTETS} octets count"
