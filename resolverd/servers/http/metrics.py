"""/metrics: the counters and gauges in Prometheus's text form."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from resolverd.metrics import Counters
from resolverd.servers.ports import Gauge

MEDIA_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Renders what is counted and measured at the moment; keeps nothing itself."""

    def __init__(self, counters: Counters, gauges: Callable[[], Sequence[Gauge]]):
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(counters, gauges))

    def render(self) -> bytes:
        """The page as of now."""
        return generate_latest(self._registry)


class _Collector(Collector):
    def __init__(self, counters: Counters, gauges: Callable[[], Sequence[Gauge]]):
        self._counters = counters
        self._gauges = gauges

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead of time: what is counted is known when it is."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One family a name; a label that a sample of it lacks is empty there."""
        counted = [(name, labels, float(value)) for name, labels, value in self._counters.snapshot()]
        for name, samples in _families(counted):
            counter = CounterMetricFamily(f"resolverd_{name}", _words(name), labels=_label_names(samples))
            for labels, value in samples:
                counter.add_metric([labels.get(label, "") for label in _label_names(samples)], value)
            yield counter
        measured = [(gauge.name, dict(gauge.labels), gauge.value) for gauge in self._gauges()]
        for name, samples in _families(measured):
            family = GaugeMetricFamily(f"resolverd_{name}", _words(name), labels=_label_names(samples))
            for labels, value in samples:
                family.add_metric([labels.get(label, "") for label in _label_names(samples)], value)
            yield family


_Sample = tuple[dict[str, str], float]


def _families(samples: Iterable[tuple[str, dict[str, str], float]]) -> Iterable[tuple[str, list[_Sample]]]:
    families: dict[str, list[_Sample]] = {}
    for name, labels, value in samples:
        families.setdefault(name, []).append((labels, value))
    return sorted(families.items())


def _label_names(samples: Iterable[_Sample]) -> list[str]:
    return sorted({label for labels, _ in samples for label in labels})


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize() + "."
