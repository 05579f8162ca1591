"""The cases, a module a subject; each module has them in `CASES`."""

from __future__ import annotations

from bench.cases import cached, cold, combined, growth, http, lists, policy, session, triplets, validated, zones
from bench.harness import Case

_MODULES = (cached, cold, validated, combined, zones, growth, policy, triplets, http, session, lists)

CASES: dict[str, Case] = {case.name: case for module in _MODULES for case in module.CASES}
"""Every case by its name, in the order in which they are run and shown."""
