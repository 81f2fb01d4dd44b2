"""Prometheus metrics. Labels come from lists that the gateway itself bounds; nothing that a client sends is one."""

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from bff.observe import logs
from bff.observe.counters import Counter, Histogram, ReadCounter
from bff.upstream.events import (
    BreakerChanged,
    BreakerState,
    CallCached,
    CallEnded,
    CallRefused,
    CallRetried,
    CallShared,
    Event,
    InstanceChanged,
    InstanceState,
)

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


_HELD_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The process's metrics, in a registry of their own. A listener of the sources' events."""

    def __init__(self, sources: tuple[str, ...]) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "bff_requests", "Requests to a variant, by how they ended.", ["variant", "outcome"], registry=self.registry
        )
        self._detached = Counter(
            "bff_detached_mutations",
            "Requests whose client disconnected and whose mutations ran to their end, by how these ended.",
            ["variant", "outcome"],
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "bff_request_seconds", "From head to answer.", ["variant"], _BUCKETS, registry=self.registry
        )
        self._documents = Counter(
            "bff_documents", "Documents asked for, known or new.", ["variant", "result"], registry=self.registry
        )
        self._operations = Counter(
            "bff_operations",
            "Operations run, by what ran them: plan, or why there was none and graphql-core did.",
            ["variant", "by"],
            registry=self.registry,
        )
        self._answers = Counter("bff_answers", "Whole answers looked up.", ["variant", "result"], registry=self.registry)
        self._shared_state = Gauge(
            "bff_shared_state_up", "1 while Redis answers; 0 without one, or while it is away.", registry=self.registry
        )
        self._calls = Counter(
            "bff_upstream_calls", "Calls to a source, by how they ended.", ["source", "outcome"], registry=self.registry
        )
        self._call_seconds = Histogram(
            "bff_upstream_call_seconds", "Calls that went out.", ["source"], _BUCKETS, registry=self.registry
        )
        self._retries = Counter(
            "bff_upstream_retries",
            "Calls made again, by why; hedge: while the first was under way.",
            ["source", "outcome"],
            registry=self.registry,
        )
        self._cached = Counter(
            "bff_upstream_cache",
            "Reads that passed the cache, by what it had.",
            ["source", "result"],
            registry=self.registry,
        )
        self._shared = Counter(
            "bff_upstream_shared", "Reads that waited for another one's call.", ["source"], registry=self.registry
        )
        self._breaker = Gauge(
            "bff_breaker_state",
            "1 for the state that a breaker is in.",
            ["source", "state"],
            registry=self.registry,
        )
        self._route_breaker = Gauge(
            "bff_route_breaker_state",
            "1 for the state that a route's breaker is in, once it was in another one than the first.",
            ["source", "route", "state"],
            registry=self.registry,
        )
        self._instance = Gauge(
            "bff_instance_state",
            "1 for the state that an instance is in, once it was in another one than the first.",
            ["source", "instance", "state"],
            registry=self.registry,
        )
        ReadCounter(
            "bff_log_lines_dropped",
            "Log lines that were not written because their reader is slow or gone.",
            logs.dropped_lines,
            registry=self.registry,
        )
        self._background_deaths = Counter(
            "bff_background_deaths",
            "Background tasks that ended unexpectedly; each is restarted.",
            ["task"],
            registry=self.registry,
        )
        self._loop_held = Histogram(
            "bff_loop_held_seconds",
            "How late the event loop was, measured 20 times a second: how long it was blocked.",
            [],
            _HELD_BUCKETS,
            registry=self.registry,
        )
        for source in sources:
            self._show_breaker(source, None, BreakerState.CLOSED)
        # One look-up by the event's kind: each call has several events.
        self._on: dict[type[Any], Callable[[Any], None]] = {
            CallEnded: self._on_ended,
            CallRefused: lambda event: self._calls.count(event.source, event.outcome),
            CallRetried: lambda event: self._retries.count(event.source, event.outcome),
            CallCached: lambda event: self._cached.count(event.source, event.result.value),
            CallShared: lambda event: self._shared.count(event.source),
            BreakerChanged: lambda event: self._show_breaker(event.source, event.route, event.after),
            InstanceChanged: self._on_instance,
        }

    def request(self, variant: str, outcome: str, duration_s: float) -> None:
        """A request to a variant has been answered."""
        self._requests.count(variant, outcome)
        self._request_seconds.observe(duration_s, variant)

    def gone(self, variant: str, outcome: str | None) -> None:
        """A client disconnected before it was answered. `outcome` is that of its mutations; None if it had none."""
        self._requests.count(variant, "client_gone")
        if outcome is not None:
            self._detached.count(variant, outcome)

    def document(self, variant: str, *, known: bool) -> None:
        """A document was asked for."""
        self._documents.count(variant, "known" if known else "new")

    def answer(self, variant: str, *, kept: bool) -> None:
        """An answer that may be kept was asked for."""
        self._answers.count(variant, "hit" if kept else "miss")

    def shared_state(self, is_there: bool) -> None:
        """Redis has gone or come back."""
        self._shared_state.set(1 if is_there else 0)

    def operation(self, variant: str, by: str) -> None:
        """An operation was run."""
        self._operations.count(variant, by)

    def background_death(self, task: str) -> None:
        """A background task ended unexpectedly. `task` is a name of the gateway's own."""
        self._background_deaths.count(task)

    def loop_held(self, seconds: float) -> None:
        """The event loop was late by `seconds`."""
        self._loop_held.observe(seconds)

    def on_event(self, event: Event) -> None:
        """Something happened around a call."""
        self._on[type(event)](event)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)

    def _on_ended(self, event: CallEnded) -> None:
        self._calls.count(event.source, event.outcome)
        self._call_seconds.observe(event.duration_s, event.source)

    def _on_instance(self, event: InstanceChanged) -> None:
        for each in InstanceState:
            self._instance.labels(event.source, event.instance, each.value).set(1 if each is event.state else 0)

    def _show_breaker(self, source: str, route: str | None, state: BreakerState) -> None:
        metric, labels = (self._breaker, [source]) if route is None else (self._route_breaker, [source, route])
        for each in BreakerState:
            metric.labels(*labels, each.value).set(1 if each is state else 0)
