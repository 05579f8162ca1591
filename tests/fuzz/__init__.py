"""Octets that nobody has thought of, for everything that reads what strangers, servers and disks hand us.

    make fuzz MINUTES=10 [TARGETS="message query"]      # coverage-guided, by atheris
    python -m tests.fuzz regress                        # each target over what is kept, as `make test` does it

- `target`: what a target is, and what is held against every one: no exception but its surface's own, bounded time
- `targets`: the surfaces           - `oracle`: our codec and dnspython's, side by side
- `corpus`, `regressions`: inputs that reach what others don't, and those that have been a fault
- `store`: how these are kept       - `guided`: atheris

`docs/fuzzing.md` tells what was found.
"""
