"""The cases, a module a subject; each module has them in `CASES`."""

from __future__ import annotations

from bench.cases import cached, http, lists, policy, session, triplets
from bench.harness import Case

CASES: dict[str, Case] = {case.name: case for module in (cached, policy, triplets, http, session, lists) for case in module.CASES}
"""Every case by its name, in the order in which they are run and shown."""
