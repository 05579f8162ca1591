"""Every call of the interface against its own description, by schemathesis: what is sent as described, and what is not, has an
answer whose status, media type and members are described; nothing is a fault of ours."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from served import TOKEN, serving

from resolverd.servers.http import routes

ENDLESS = {"/v1/events"}
OTHER_FORMS = {"/v1/verdicts"}
"""Newline-delimited JSON, which schemathesis does not make."""
EXAMPLES = 3


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_every_answer_is_described(tmp_path: Path, mode: str) -> None:
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi import checks

    # What is wrong beyond types, as a name that is none, is told by 400; more is taken as a query than types say.
    besides = [checks.positive_data_acceptance, checks.negative_data_rejection]
    with serving(tmp_path) as served:
        base = f"http://127.0.0.1:{served.port}"
        schema = schemathesis.openapi.from_url(f"{base}/openapi.json")
        called = set()
        for found in schema.get_all_operations():
            operation = found.ok()
            method = operation.method.upper()
            if operation.path in ENDLESS or (method == "POST" and operation.path in OTHER_FORMS):
                continue
            strategy = operation.as_strategy(generation_mode=GenerationMode(mode))

            @settings(
                max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
            )
            @given(case=strategy)
            def hold(case: schemathesis.Case) -> None:
                response = case.call(base_url=base, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=15)
                called.add((case.method, case.path))
                case.validate_response(response, excluded_checks=besides)

            with suppress(Unsatisfiable):  # nothing can be wrong with a call that takes nothing
                hold()
    assert served.counters.snapshot()
    assert not [labels for name, labels, _ in served.counters.snapshot() if name == "bugs"]
    assert len(called) > (len(routes.find()) * 3 // 4 if mode == "positive" else 5)
