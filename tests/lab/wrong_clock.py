"""resolverd on a machine whose wall clock is wrong: ``python -m tests.lab.wrong_clock SECONDS COMMAND…``.

No kernel gives a process another CLOCK_REALTIME, and libfaketime costs a daemon four times the CPU
time, and replies that take seconds: so Python's own reading is changed, before anything has taken it.
"""

import sys
import time

if __name__ == "__main__":
    right, ahead = time.time, float(sys.argv.pop(1))
    time.time = lambda: right() + ahead

    from resolverd.cli import main

    main()
