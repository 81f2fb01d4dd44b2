"""Counters and histograms for one thread. They cost a dictionary look-up; those of `prometheus_client` take a lock.

They are collectors of `prometheus_client`, which formats them.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry


class Counter(Collector):
    """A counter with labels."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._counts: dict[tuple[str, ...], int] = {}
        registry.register(self)

    def count(self, *labels: str) -> None:
        """Add one to the counter with these labels. The last ones may be left out: the counter doesn't have them then."""
        self._counts[labels] = self._counts.get(labels, 0) + 1

    def collect(self) -> Iterable[Metric]:
        """The current values."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, number in self._counts.items():
            family.add_metric(labels, number)
        yield family

    def describe(self) -> Iterable[Metric]:
        """The metric without values, for the registry."""
        yield CounterMetricFamily(self._name, self._documentation, labels=self._labels)


class ReadCounter(Collector):
    """A counter without labels that reads its value from a function when it is collected."""

    def __init__(self, name: str, documentation: str, read: Callable[[], float], registry: CollectorRegistry) -> None:
        self._name = name
        self._documentation = documentation
        self._read = read
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """The current value."""
        yield CounterMetricFamily(self._name, self._documentation, value=self._read())

    def describe(self) -> Iterable[Metric]:
        """The metric without values, for the registry."""
        yield CounterMetricFamily(self._name, self._documentation)


class Histogram(Collector):
    """A histogram with labels, of seconds."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._bounds = tuple(buckets)
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}
        registry.register(self)

    def observe(self, seconds: float, *labels: str) -> None:
        """Record a duration."""
        counts = self._counts.get(labels)
        if counts is None:
            counts = self._counts[labels] = [0] * (len(self._bounds) + 1)
            self._sums[labels] = 0.0
        counts[bisect_left(self._bounds, seconds)] += 1
        self._sums[labels] += seconds

    def collect(self) -> Iterable[Metric]:
        """The current values."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, counts in self._counts.items():
            buckets, below = [], 0
            for bound, number in zip((*self._bounds, float("inf")), counts, strict=True):
                below += number
                buckets.append(("+Inf" if bound == float("inf") else str(bound), float(below)))
            family.add_metric(labels, buckets, self._sums[labels])
        yield family

    def describe(self) -> Iterable[Metric]:
        """The metric without values, for the registry."""
        yield HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
