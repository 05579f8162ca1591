"""What an attack costs, measured: CPU by `process_time`, memory by RSS, stalls by a second client.

Each attack is run in a short form with the unit tests, and at length by ``make soak`` (``--soak``). Bounds are factors of what an
ordinary question costs in the same run, so that a slow machine fails none of them.
"""

import pytest
import uvloop


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, object]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def at_length(request: pytest.FixtureRequest) -> bool:
    """Whether an attack is run at length (`make soak`), or in its short form."""
    return bool(request.config.getoption("--soak"))
