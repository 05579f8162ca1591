"""``python -m tests.fuzz run --minutes N [TARGET …]``, ``… regress [TARGET …]``, ``… list``."""

import argparse
import sys
import time

from tests.fuzz import guided, store


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("what", choices=("run", "regress", "list"))
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--minutes", type=float, default=10.0, help="in all, shared by the targets")
    parser.add_argument("--findings", default="/tmp/resolverd-fuzz", help="where inputs that are a fault are written")
    parser.add_argument("--dry", action="store_true", help="leave the corpus as it is")
    given = parser.parse_intermixed_args()
    if given.what == "run":
        return guided.run(given.targets, given.minutes * 60, given.findings, keep=not given.dry)
    from tests.fuzz.every import TARGETS
    from tests.fuzz.target import check

    names = given.targets or list(TARGETS)
    if given.what == "list":
        print(*names, sep="\n")
        return 0
    for name in names:
        target, begun = TARGETS[name], time.process_time()
        inputs = [*target.seeds(), *store.corpus(name), *(data for _, data in store.regressions(name))]
        for data in inputs:
            check(target, data)
        print(f"{name}: {len(inputs)} inputs, {time.process_time() - begun:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
