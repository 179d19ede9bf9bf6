"""Shows the counters of `fastsmtp.stats` to Prometheus: nothing is computed before somebody asks."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from fastsmtp.stats import Family, Stats

__all__ = ["StatsCollector", "build_registry"]

_NS_PER_S: Final = 1_000_000_000


class StatsCollector(Collector):
    """Every family of the stats as a metric. Families in seconds are counted in nanoseconds inside."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        """All metrics at this moment."""
        for family in self._stats.families():
            yield _metric(family, self._stats.cells)


def _metric(family: Family, cells: Sequence[int]) -> Metric:
    in_seconds = family.name.removesuffix("_total").endswith("_seconds")
    divisor = _NS_PER_S if in_seconds else 1
    if family.kind == "histogram":
        return _histogram(family, cells, divisor)
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for values, index in family.children.items():
        metric.add_metric(values, cells[index] / divisor if in_seconds else cells[index])
    return metric


def _histogram(family: Family, cells: Sequence[int], divisor: int) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    bounds = [*(repr(bound / divisor) for bound in family.bounds), "+Inf"]
    for values, index in family.children.items():
        counts = cells[index : index + len(bounds)]
        total = cells[index + len(bounds)]
        metric.add_metric(values, list(zip(bounds, accumulate(counts), strict=True)), total / divisor)
    return metric


def build_registry(stats: Stats) -> CollectorRegistry:
    """A registry of its own with the stats, the process (memory, CPU, descriptors) and the Python version."""
    registry = CollectorRegistry()
    registry.register(StatsCollector(stats))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry
