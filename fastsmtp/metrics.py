"""Shows the counters of `fastsmtp.stats` to Prometheus: nothing is computed before somebody asks."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from fastsmtp.stats import Children, Family, Source

__all__ = ["TotalsCollector", "build_registry"]

_NS_PER_S: Final = 1_000_000_000


class TotalsCollector(Collector):
    """Every family of the source as a metric. Families in seconds are counted in nanoseconds inside."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        """All metrics at this moment."""
        for family, children in self._source.totals():
            yield _metric(family, children)


def _metric(family: Family, children: Children) -> Metric:
    in_seconds = family.name.removesuffix("_total").endswith("_seconds")
    divisor = _NS_PER_S if in_seconds else 1
    if family.kind == "histogram":
        return _histogram(family, children, divisor)
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for values, (value,) in children.items():
        metric.add_metric(values, value / divisor if in_seconds else value)
    return metric


def _histogram(family: Family, children: Children, divisor: int) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    bounds = [*(repr(bound / divisor) for bound in family.bounds), "+Inf"]
    for values, (*counts, total) in children.items():
        metric.add_metric(values, list(zip(bounds, accumulate(counts), strict=True)), total / divisor)
    return metric


def build_registry(source: Source) -> CollectorRegistry:
    """A registry of its own: what the source counts, the process (memory, CPU, descriptors), the Python version."""
    registry = CollectorRegistry()
    registry.register(TotalsCollector(source))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry
