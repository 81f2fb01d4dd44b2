"""Counters and histograms, as Prometheus reads them."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bff.observe.counters import Counter, Histogram


def samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[str, ...]], float]:
    """The samples of the text format, by name and label values."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, tuple(sample.labels[name] for name in sorted(sample.labels, reverse=True))): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_counter_counts_by_labels() -> None:
    """Each combination separately. A combination that never occurred is absent."""
    registry = CollectorRegistry()
    tally = Counter("things", "Things.", ["kind", "how"], registry)
    for labels in (("a", "x"), ("a", "x"), ("b", "x")):
        tally.count(*labels)
    assert samples(registry) == {("things_total", ("a", "x")): 2, ("things_total", ("b", "x")): 1}


def test_a_histogram_has_cumulative_buckets() -> None:
    """A value on a bucket's bound is in that bucket, and the last bucket has all values. Sum and count are right."""
    registry = CollectorRegistry()
    spread = Histogram("took_seconds", "How long.", ["what"], (0.1, 1.0), registry)
    for seconds in (0.05, 0.1, 0.5, 7.0):
        spread.observe(seconds, "a")
    assert samples(registry) == {
        ("took_seconds_bucket", ("a", "0.1")): 2,
        ("took_seconds_bucket", ("a", "1.0")): 3,
        ("took_seconds_bucket", ("a", "+Inf")): 4,
        ("took_seconds_count", ("a",)): 4,
        ("took_seconds_sum", ("a",)): 7.65,
    }
