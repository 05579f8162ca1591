"""The first process inside: furnishes the namespaces, runs one command, takes in orphans, passes signals and status on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.lab.namespace import LabError, exit_status, furnish


def main() -> int:
    """Run the command of our arguments as our child until it ends; the kernel ends whatever it leaves."""
    try:
        furnish()
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    command = subprocess.Popen(sys.argv[1:])
    # The first process of a PID namespace gets only the signals that it handles.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: command.terminate())
    while True:
        pid, status = os.wait()
        if pid == command.pid:
            return exit_status(status)


if __name__ == "__main__":
    sys.exit(main())
