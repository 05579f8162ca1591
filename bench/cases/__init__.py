"""The cases, a module a subject; each module has them in `CASES`."""

from __future__ import annotations

from bench.cases import cached, http, policy, session
from bench.harness import Case

CASES: dict[str, Case] = {case.name: case for module in (cached, policy, http, session) for case in module.CASES}
"""Every case by its name, in the order in which they are run and shown."""
