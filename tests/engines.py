"""The programs of the store that hosts share: Valkey's, or those of Redis."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from enum import Enum


class Engine(Enum):
    """Whose programs; the value is what their names begin with."""

    VALKEY = "valkey"
    REDIS = "redis"

    def program(self, name: str) -> str | None:
        """Where its ``server``, ``sentinel`` or ``cli`` is, if anywhere."""
        return shutil.which(f"{self.value}-{name}")

    def required(self, name: str) -> str:
        """The same of one that has to be there. Raises FileNotFoundError."""
        found = self.program(name)
        if found is None:
            raise FileNotFoundError(f"{self.value}-{name} is not installed: tests/install-peers")
        return found

    def version(self) -> str:
        """Name and version of its server, as status and log are to tell them: ``Valkey 8.0.1``."""
        words = [self.required("server"), "--version"]
        said = subprocess.run(words, capture_output=True, text=True, timeout=20, check=True).stdout
        return f"{self.value.capitalize()} {re.findall(r'v=([0-9.]+)', said)[0]}"


def chosen() -> Engine:
    """What is run where one is enough: Valkey if it is installed, else Redis; or what STORE_ENGINE names, `valkey` or `redis`."""
    if named := os.environ.get("STORE_ENGINE"):
        return Engine(named)
    return next((each for each in Engine if each.program("server")), Engine.VALKEY)
