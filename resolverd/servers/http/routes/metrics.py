"""/metrics: counters, gauges and histograms in Prometheus's text form."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple, TypeVar

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from resolverd.fleet.hosts import Hosts
from resolverd.metric_help import COUNTERS, GAUGES, HISTOGRAMS
from resolverd.metrics import BUCKETS
from resolverd.servers.http.auth import LOOPBACK
from resolverd.servers.http.daemon import Daemon
from resolverd.servers.http.route import Call, Route
from resolverd.servers.http.routes.cache import figures
from resolverd.state.base import Condition


class _Gauge(NamedTuple):
    """A measured value; `name` without the ``resolverd_`` prefix, labels from closed sets only."""

    name: str
    value: float
    labels: dict[str, str]


async def get_metrics(call: Call) -> web.Response:
    """Counters, gauges and histograms for Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    shared = await call.daemon.store.condition() if call.daemon.hosts is not None else None
    registry.register(_Collector(call.daemon, shared))
    return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _gauges(daemon: Daemon, shared: Condition | None) -> Iterator[_Gauge]:
    if daemon.hosts is not None and shared is not None:
        yield from _fleet_gauges(daemon.hosts, shared)
    for name, value in msgspec.structs.asdict(figures(daemon)).items():
        yield _Gauge(f"cache_{name}", value, {})
    yield _Gauge("ready", daemon.priming.readiness.ready, {})
    if daemon.resolver.trust is not None:
        yield _Gauge("clock_right", daemon.resolver.clock_fault is None, {})
    for kind, there in daemon.alerts().items():
        yield _Gauge("alert", there, {"kind": kind})
    for name, value in daemon.local_zones.gauges().items():
        yield _Gauge(name, value, {})
    for status in daemon.lists.statuses():
        labels = {"list": status.id}
        yield _Gauge("list_usable", status.enabled and status.state == "ok", labels)
        if status.quota_left is not None:
            yield _Gauge("list_quota_left", status.quota_left, labels)
        if status.forecast is not None:
            yield _Gauge("list_quota_lasts_seconds", status.forecast, labels)
        if status.enabled and daemon.own_addresses:
            yield _Gauge("watch_listed", len(status.watched), labels)


def _fleet_gauges(hosts: Hosts, shared: Condition) -> Iterator[_Gauge]:
    views = hosts.views()
    yield _Gauge("fleet_hosts", sum(view.alive for view in views), {})
    yield _Gauge("fleet_hosts_silent", sum(not view.alive for view in views), {})
    yield _Gauge("fleet_versions", len({view.host.version for view in views if view.alive}), {})
    yield _Gauge("shared_store_up", not shared.fault, {})
    yield _Gauge("shared_store_waiting", shared.waiting, {})
    for quantile, milliseconds in (("0.5", shared.typical), ("0.99", shared.slow)):
        if milliseconds is not None:
            yield _Gauge("shared_store_read_seconds", milliseconds / 1000, {"quantile": quantile})


class _Collector(Collector):
    """What is counted and measured at the moment; `shared`: how the store fares that others share."""

    def __init__(self, daemon: Daemon, shared: Condition | None):
        self._daemon = daemon
        self._shared = shared

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead of time: what is counted is known when it is."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One family a name; a label that a sample of it lacks is empty there."""
        counters = self._daemon.counters
        counted = [(name, labels, float(value)) for name, labels, value in counters.snapshot()]
        for name, samples in _families(counted):
            counter = CounterMetricFamily(f"resolverd_{name}", COUNTERS.get(name, name), labels=_label_names(samples))
            for labels, value in samples:
                counter.add_metric([labels.get(label, "") for label in _label_names(samples)], value)
            yield counter
        for name, taken in _families(counters.histograms()):
            histogram = HistogramMetricFamily(f"resolverd_{name}", HISTOGRAMS.get(name, name), labels=_label_names(taken))
            for labels, held in taken:
                buckets = zip((*map(str, BUCKETS), "+Inf"), accumulate(held.counts), strict=True)
                histogram.add_metric(list(labels.values()), list(buckets), held.seconds)
            yield histogram
        measured = [(gauge.name, gauge.labels, float(gauge.value)) for gauge in _gauges(self._daemon, self._shared)]
        for name, samples in _families(measured):
            family = GaugeMetricFamily(f"resolverd_{name}", GAUGES.get(name, name), labels=_label_names(samples))
            for labels, value in samples:
                family.add_metric([labels.get(label, "") for label in _label_names(samples)], value)
            yield family


_Value = TypeVar("_Value")


def _families(samples: Iterable[tuple[str, dict[str, str], _Value]]) -> Iterable[tuple[str, list[tuple[dict[str, str], _Value]]]]:
    families: dict[str, list[tuple[dict[str, str], _Value]]] = {}
    for name, labels, value in samples:
        families.setdefault(name, []).append((labels, value))
    return sorted(families.items())


def _label_names(samples: Iterable[tuple[dict[str, str], object]]) -> list[str]:
    return sorted({label for labels, _ in samples for label in labels})


ROUTES = (Route("GET", "/metrics", get_metrics, LOOPBACK, media="text/plain"),)
