"""How long replies take."""

import math

from resolverd.latencies import Latencies


def test_latencies() -> None:
    latencies = Latencies(1000)
    assert latencies.quantile(0.5) is None
    for number in range(100):
        latencies.note(number / 1000)
    assert (latencies.quantile(0.5), latencies.quantile(0.99)) == (50.0, 99.0)
    for _ in range(5000):
        latencies.note(math.pi)
    assert len(latencies._seconds) == 1000
