"""Prometheus metrics. Labels come from lists that the gateway itself bounds; nothing that a client sends is one."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from datasources.events import BreakerChanged, BreakerState, CallEnded, CallRefused, Event

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The process's metrics, in a registry of their own. A listener of the sources' events."""

    def __init__(self, sources: tuple[str, ...]) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "bff_requests", "Requests to a variant, by how they ended.", ["variant", "outcome"], registry=self.registry
        )
        self._request_seconds = Histogram(
            "bff_request_seconds",
            "From head to answer.",
            ["variant"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._documents = Counter(
            "bff_documents", "Documents asked for, known or new.", ["variant", "result"], registry=self.registry
        )
        self._calls = Counter(
            "bff_upstream_calls", "Calls to a source, by how they ended.", ["source", "outcome"], registry=self.registry
        )
        self._call_seconds = Histogram(
            "bff_upstream_call_seconds", "Calls that went out.", ["source"], buckets=_BUCKETS, registry=self.registry
        )
        self._breaker = Gauge(
            "bff_breaker_state",
            "1 for the state that a breaker is in.",
            ["source", "state"],
            registry=self.registry,
        )
        for source in sources:
            self._show_breaker(source, BreakerState.CLOSED)

    def request(self, variant: str, outcome: str, duration_s: float) -> None:
        """A request to a variant has been answered."""
        self._requests.labels(variant, outcome).inc()
        self._request_seconds.labels(variant).observe(duration_s)

    def document(self, variant: str, *, known: bool) -> None:
        """A document was asked for."""
        self._documents.labels(variant, "known" if known else "new").inc()

    def on_event(self, event: Event) -> None:
        """A source's call ended or was refused, or its breaker changed."""
        match event:
            case CallEnded(source=source, outcome=outcome, duration_s=duration_s):
                self._calls.labels(source, outcome).inc()
                self._call_seconds.labels(source).observe(duration_s)
            case CallRefused(source=source, outcome=outcome):
                self._calls.labels(source, outcome).inc()
            case BreakerChanged(source=source, after=after):
                self._show_breaker(source, after)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)

    def _show_breaker(self, source: str, state: BreakerState) -> None:
        for each in BreakerState:
            self._breaker.labels(source, each.value).set(1 if each is state else 0)
