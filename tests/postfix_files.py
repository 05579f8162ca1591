"""Files for Postfix's programs to read."""

from __future__ import annotations

import os
import time
from pathlib import Path


def settle(*files: Path) -> None:
    """Make files that were just written a minute old: Postfix's programs wait a second for one that may still be written."""
    minute_ago = time.time() - 60
    for file in files:
        os.utime(file, (minute_ago, minute_ago))
