"""Prometheus metrics. The gateway bounds the values of every label, and no value comes from a client."""

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
    ObjectUnreadable,
)

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


_HELD_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


_MOST_CONSUMERS = 1000
_OTHER_CONSUMERS = "(others)"


class Metrics:
    """The metrics of this process, in a registry of their own. `on_event` is a listener of the sources' events."""

    def __init__(self, sources: tuple[str, ...]) -> None:
        self.registry = CollectorRegistry()
        self._consumers: set[str] = set()
        self._requests = Counter(
            "bff_requests",
            "Requests to a variant, by how they ended and, with an API key, by its consumer.",
            ["variant", "outcome", "consumer"],
            registry=self.registry,
        )
        self._rate_refused = Counter(
            "bff_rate_refused",
            "Requests beyond a rate limit or quota, by the kind of client that has it, and its name.",
            ["variant", "kind", "limit"],
            registry=self.registry,
        )
        self._detached = Counter(
            "bff_detached_mutations",
            "Requests whose client disconnected and whose mutations ran to their end, by how these ended.",
            ["variant", "outcome"],
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "bff_request_seconds",
            "Seconds from a request's head to its answer.",
            ["variant"],
            _BUCKETS,
            registry=self.registry,
        )
        self._route_requests = Counter(
            "bff_route_requests",
            "Requests to a route, by the class of the service's status or how they ended, and by the key's consumer.",
            ["route", "outcome", "consumer"],
            registry=self.registry,
        )
        self._route_seconds = Histogram(
            "bff_route_seconds",
            "Seconds from a request's head to the end of its answer.",
            ["route"],
            _BUCKETS,
            registry=self.registry,
        )
        self._documents = Counter(
            "bff_documents",
            "Documents of requests, by whether they were known or new.",
            ["variant", "result"],
            registry=self.registry,
        )
        self._operations = Counter(
            "bff_operations",
            "Operations, by what executed them: plan, or the reason why graphql-core did.",
            ["variant", "by"],
            registry=self.registry,
        )
        self._answers = Counter(
            "bff_answers", "Look-ups in the response cache.", ["variant", "result"], registry=self.registry
        )
        self._shared_state = Gauge(
            "bff_shared_state_up", "1 while Redis is available; 0 while it is not, or without one.", registry=self.registry
        )
        self._calls = Counter(
            "bff_upstream_calls", "Calls to a source, by how they ended.", ["source", "outcome"], registry=self.registry
        )
        self._failures = Counter(
            "bff_upstream_failures",
            "Calls that were sent and failed, by reason.",
            ["source", "reason"],
            registry=self.registry,
        )
        self._unreadable = Counter(
            "bff_upstream_unreadable_objects",
            "Objects in lists and pages that do not fit their record.",
            ["source"],
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            "bff_upstream_call_seconds", "Seconds of calls that were sent.", ["source"], _BUCKETS, registry=self.registry
        )
        self._retries = Counter(
            "bff_upstream_retries",
            "Calls that were repeated, by reason; hedge: while the first was in progress.",
            ["source", "outcome"],
            registry=self.registry,
        )
        self._cached = Counter(
            "bff_upstream_cache",
            "Reads that used the cache, by result.",
            ["source", "result"],
            registry=self.registry,
        )
        self._shared = Counter(
            "bff_upstream_shared",
            "Reads that waited for the same call of another request.",
            ["source"],
            registry=self.registry,
        )
        self._breaker = Gauge(
            "bff_breaker_state",
            "1 for the current state of a source's breaker.",
            ["source", "state"],
            registry=self.registry,
        )
        self._route_breaker = Gauge(
            "bff_route_breaker_state",
            "1 for the current state of a route's breaker, from its first change on.",
            ["source", "route", "state"],
            registry=self.registry,
        )
        self._instance = Gauge(
            "bff_instance_state",
            "1 for the current state of an instance, from its first change on.",
            ["source", "instance", "state"],
            registry=self.registry,
        )
        ReadCounter(
            "bff_log_lines_dropped",
            "Log lines that were dropped because their reader is slow or has ended.",
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
            "Seconds for which the event loop was blocked, measured 20 times a second.",
            [],
            _HELD_BUCKETS,
            registry=self.registry,
        )
        for source in sources:
            self._show_breaker(source, None, BreakerState.CLOSED)
        # A dictionary, so that an event costs one look-up: each call has several events.
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            CallEnded: self._on_ended,
            ObjectUnreadable: lambda event: self._unreadable.count(event.source),
            CallRefused: lambda event: self._calls.count(event.source, event.outcome),
            CallRetried: lambda event: self._retries.count(event.source, event.outcome),
            CallCached: lambda event: self._cached.count(event.source, event.result.value),
            CallShared: lambda event: self._shared.count(event.source),
            BreakerChanged: lambda event: self._show_breaker(event.source, event.route, event.after),
            InstanceChanged: self._on_instance,
        }

    def request(self, variant: str, outcome: str, duration_s: float, consumer: str | None = None) -> None:
        """Count a request to a variant that was answered. `consumer` is that of its API key."""
        self._requests.count(variant, outcome, *self._consumer(consumer))
        self._request_seconds.observe(duration_s, variant)

    def route(self, route: str, outcome: str, duration_s: float, consumer: str | None = None) -> None:
        """Count a request to a route. `route` is its path in the settings."""
        self._route_requests.count(route, outcome, *self._consumer(consumer))
        self._route_seconds.observe(duration_s, route)

    def _consumer(self, name: str | None) -> tuple[str, ...]:
        """The label of a consumer. Reloaded settings may bring ever new ones: beyond the limit they are one."""
        if name is None:
            return ()
        if name not in self._consumers:
            if len(self._consumers) >= _MOST_CONSUMERS:
                return (_OTHER_CONSUMERS,)
            self._consumers.add(name)
        return (name,)

    def rate_refused(self, variant: str, kind: str, limit: str) -> None:
        """Count a request beyond a rate limit. `variant` may also be a route or a source."""
        self._rate_refused.count(variant, kind, limit)

    def gone(self, variant: str, outcome: str | None, consumer: str | None = None) -> None:
        """Count a request whose client disconnected. `outcome` is that of its mutations; None if it had none."""
        self._requests.count(variant, "client_gone", *self._consumer(consumer))
        if outcome is not None:
            self._detached.count(variant, outcome)

    def document(self, variant: str, *, known: bool) -> None:
        """Count a request's document. `known`: it was prepared before."""
        self._documents.count(variant, "known" if known else "new")

    def answer(self, variant: str, *, kept: bool) -> None:
        """Count a look-up in the response cache. `kept`: it was a hit."""
        self._answers.count(variant, "hit" if kept else "miss")

    def shared_state(self, is_there: bool) -> None:
        """Set whether Redis is available."""
        self._shared_state.set(1 if is_there else 0)

    def operation(self, variant: str, by: str) -> None:
        """Count an operation that was executed: by a plan, or by graphql-core for the given reason."""
        self._operations.count(variant, by)

    def background_death(self, task: str) -> None:
        """Count a background task that ended unexpectedly. `task` is a name in the gateway's code."""
        self._background_deaths.count(task)

    def loop_held(self, seconds: float) -> None:
        """Record that the event loop was blocked for `seconds`."""
        self._loop_held.observe(seconds)

    def on_event(self, event: Event) -> None:
        """Count an event of a source."""
        self._handlers[type(event)](event)

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self.registry)

    def _on_ended(self, event: CallEnded) -> None:
        self._calls.count(event.source, event.outcome)
        if event.reason:
            self._failures.count(event.source, event.reason)
        self._call_seconds.observe(event.duration_s, event.source)

    def _on_instance(self, event: InstanceChanged) -> None:
        for each in InstanceState:
            self._instance.labels(event.source, event.instance, each.value).set(1 if each is event.state else 0)

    def _show_breaker(self, source: str, route: str | None, state: BreakerState) -> None:
        metric, labels = (self._breaker, [source]) if route is None else (self._route_breaker, [source, route])
        for each in BreakerState:
            metric.labels(*labels, each.value).set(1 if each is state else 0)
