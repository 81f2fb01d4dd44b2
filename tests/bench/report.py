"""The table: medians over the rounds, one row a scenario, as Markdown."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

BASELINE = "gateway"


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one scenario against one subject. `busy_ratio` is the other core's share of work in that time."""

    requests: int
    failures: int
    cpu_s: float
    seconds: float
    p50_s: float
    p99_s: float
    upstream_calls: Mapping[str, int]
    rss_mib: float
    busy_ratio: float

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds per request."""
        return self.cpu_s * 1000 / self.requests

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def calls(self) -> float:
        """Upstream calls per request."""
        return sum(self.upstream_calls.values()) / self.requests


Samples = Mapping[str, Sequence[Sample]]  # by subject


def median(samples: Sequence[Sample], figure: Callable[[Sample], float]) -> float:
    """The median of a figure over the rounds."""
    return statistics.median(map(figure, samples))


def spread_ratio(samples: Sequence[Sample]) -> float:
    """How far the rounds' CPU figures lie apart, as a share of their median."""
    figures = [sample.cpu_ms for sample in samples]
    return (max(figures) - min(figures)) / statistics.median(figures)


def table(rows: Mapping[str, Samples], subjects: Sequence[str]) -> str:
    """The Markdown table: `rows` by scenario's title; figures of several subjects stand in the order of `subjects`."""
    others = [name for name in subjects if name != BASELINE] if BASELINE in subjects else []
    both = " / ".join(subjects)
    head = ["scenario", f"upstream calls/request: {both}"]
    head += [f"CPU ms/request: {name}" for name in subjects]
    head += [f"{name} ÷ {BASELINE}" for name in others]
    head += [f"{title}: {both}" for title in ("requests/s", "p50 ms", "p99 ms", "RSS MiB")]
    lines = [head, ["---"] + ["--:"] * (len(head) - 1)]
    lines += [_row(title, samples, subjects, others) for title, samples in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(title: str, samples: Samples, subjects: Sequence[str], others: Sequence[str]) -> list[str]:
    def each(figure: Callable[[Sample], float], form: str) -> list[str]:
        return [format(median(samples[name], figure), form) for name in subjects]

    cpu = {name: median(samples[name], lambda sample: sample.cpu_ms) for name in subjects}
    return [
        title,
        " / ".join(each(lambda sample: sample.calls, ".2f")),
        *(f"{cpu[name]:.3f}" for name in subjects),
        *(f"**{cpu[name] / cpu[BASELINE]:.1f}**" for name in others),
        " / ".join(each(lambda sample: sample.per_second, ".0f")),
        " / ".join(each(lambda sample: sample.p50_s * 1000, ".1f")),
        " / ".join(each(lambda sample: sample.p99_s * 1000, ".1f")),
        " / ".join(each(lambda sample: sample.rss_mib, ".0f")),
    ]


def remarks(rows: Mapping[str, Samples]) -> list[str]:
    """What to know before the figures are believed: failures, rounds that disagree, a second core that was full."""
    found = []
    for title, samples in rows.items():
        for name, rounds in samples.items():
            if failures := sum(sample.failures for sample in rounds):
                found.append(f"{title}, {name}: {failures} requests FAILED.")
            if (spread := spread_ratio(rounds)) > 0.15:
                found.append(f"{title}, {name}: the rounds' CPU figures lie {spread:.0%} apart.")
            if (busy := median(rounds, lambda sample: sample.busy_ratio)) > 0.9:
                found.append(f"{title}, {name}: load and services used {busy:.0%} of a core; requests/s may be theirs.")
    return found
