"""The stack: a source's policies in one fixed order, outermost first, with the reason for each place.

To add a policy: write its file (`call.py` says how), make it in `Stack.__init__`, and give it a line in `order`.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from bff.runtime.clock import Clock
from bff.upstream.errors import SourceError
from bff.upstream.events import BreakerState, CallRefused, InstanceState, Listener, ObjectUnreadable
from bff.upstream.headers import HeaderRules
from bff.upstream.traffic.attempt import Attempt
from bff.upstream.traffic.balance import Balance, BalanceOptions, InstanceOptions
from bff.upstream.traffic.breaker import BreakerOptions, BreakerPolicy
from bff.upstream.traffic.budget import RetryBudget
from bff.upstream.traffic.bulkhead import Bulkhead, BulkheadOptions
from bff.upstream.traffic.cache import Cache, CacheOptions
from bff.upstream.traffic.cache_fill import CacheFill
from bff.upstream.traffic.cache_lookup import CacheLookup
from bff.upstream.traffic.call import Call, Handler, Holding, Policy, Reply
from bff.upstream.traffic.deadline import DeadlinePolicy
from bff.upstream.traffic.halving import HalvingPolicy
from bff.upstream.traffic.health import HealthChecks, HealthOptions
from bff.upstream.traffic.hedge import HedgeOptions, HedgePolicy
from bff.upstream.traffic.retry import RetryOptions, RetryPolicy
from bff.upstream.traffic.single_flight import SingleFlight
from bff.upstream.traffic.stream_attempt import StreamAttempt
from bff.upstream.traffic.streams import StreamCall, Streamed
from bff.upstream.wire import StreamingWire, Wire


@dataclass(frozen=True, slots=True)
class TrafficOptions:
    """The options of all policies of a source.

    Attributes:
        timeout_s: the time limit of one attempt, in seconds.
        max_response_bytes: a longer response is an error.
    """

    timeout_s: float = 2.0
    max_response_bytes: int = 10 * 1024 * 1024
    cache: CacheOptions = field(default_factory=CacheOptions)
    retry: RetryOptions = field(default_factory=RetryOptions)
    hedge: HedgeOptions = field(default_factory=HedgeOptions)
    bulkhead: BulkheadOptions = field(default_factory=BulkheadOptions)
    breaker: BreakerOptions = field(default_factory=BreakerOptions)
    balance: BalanceOptions = field(default_factory=BalanceOptions)
    health: HealthOptions = field(default_factory=HealthOptions)


_SHARING = (CacheLookup, CacheFill, SingleFlight, HalvingPolicy, HedgePolicy)
"""The policies that keep, share, divide or double calls. Streamed calls don't pass them."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """The state of an instance, without its address."""

    number: int
    healthy: bool
    weight: int
    state: InstanceState


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The state of a source. `forced` says whether an administrator forced the breaker's state."""

    name: str
    breaker: BreakerState
    forced: bool
    instances: tuple[InstanceStatus, ...]


class Stack:
    """The policies of one source, made at start-up. `await stack(call)` is the only way to call a service."""

    def __init__(
        self,
        source: str,
        instances: Sequence[InstanceOptions],
        options: TrafficOptions,
        wire: Wire,
        emit: Listener,
        clock: Clock = time.monotonic,
    ) -> None:
        self._source = source
        self._emit = emit
        attempt = Attempt(
            source,
            wire,
            emit,
            timeout_s=options.timeout_s,
            max_response_bytes=options.max_response_bytes,
            clock=clock,
        )
        self._attempt = attempt
        self._balance = Balance(source, instances, attempt, emit, options.balance, clock)
        self._health = HealthChecks(source, self._balance, wire, options.health)
        self._breaker = BreakerPolicy(source, options.breaker, emit, clock)
        self._single_flight = SingleFlight(source, emit, clock)
        self._cache = Cache(source, options.cache, emit, clock, timeout_s=options.timeout_s)
        budget = RetryBudget(options.retry.budget_ratio, clock)
        caching = options.cache.enabled
        order: tuple[Policy | None, ...] = (
            # Outermost: a call after the deadline must not wait anywhere. Nor may the cache reply to it, or the result would
            # depend on what happens to be cached.
            DeadlinePolicy(source),
            # Outside everything that may fail: an older entry stands in for any failure below, also for a refusal.
            self._cache.lookup if caching else None,
            # Below the lookup, so that only missing keys are shared. Above retry, so that followers share the retries.
            self._single_flight,
            # Above the store, so that each part is stored with its own lifetime. Above retry: a part may be retried too.
            HalvingPolicy(source, budget, emit, clock),
            # Below single flight: a shared reply is stored once, with the keys of all requests that share it.
            self._cache.fill if caching else None,
            # Outside the bulkhead, so that a delay between attempts takes no place. The breaker decides on each attempt.
            RetryPolicy(source, options.retry, budget, emit),
            # Inside retry: each attempt may be hedged, from the same budget.
            HedgePolicy(source, options.hedge, budget, emit, clock) if options.hedge.enabled else None,
            # Outside the breaker: a refusal here doesn't count against the service.
            Bulkhead(source, options.bulkhead),
            # Outside the balancer: the breaker is that of the source (or route). The balancer ejects single instances.
            self._breaker,
        )
        handler: Handler = self._balance  # innermost, so that a retry may choose another instance. It calls the attempt.
        self._order = [each for each in order if each is not None]
        for policy in reversed(self._order):
            # The bound method, since calling it is cheaper than calling the object.
            handler = partial(policy.__call__, next=handler)
        self._handler = handler
        self._wire = wire
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Stack {self._source}: {self._breaker!r}, {self._balance!r}, {self._cache!r}>"

    async def __call__(self, call: Call) -> Reply:
        """Make the call under all policies. Raises `SourceError`."""
        try:
            return await self._handler(call)
        except SourceError as error:
            if not error.asked:
                self._emit(CallRefused(self._source, call.route, error.outcome, call.caller.request_id))
            raise

    def streaming(self) -> Callable[[StreamCall], Awaitable[Streamed]]:
        """What makes streamed calls: the reply comes with the head of the answer, and its body is read piece by piece.

        It raises `SourceError`, and what the call's content raises. Raises `TypeError` if the wire can't stream.
        """
        if not isinstance(self._wire, StreamingWire):
            raise TypeError(f"Expected a wire that streams, got {self._wire!r}.")
        attempt = StreamAttempt(self._source, self._attempt, self._wire, self._emit, self._clock)
        handler: Handler = partial(self._balance.hold, attempt=attempt)
        for policy in reversed(self._order):
            if not isinstance(policy, _SHARING):
                # Those that limit what runs at the same time hold on until the stream has ended.
                handler = partial(policy.hold if isinstance(policy, Holding) else policy.__call__, next=handler)

        async def stream(call: StreamCall) -> Streamed:
            try:
                reply = await handler(call)
            except SourceError as error:
                if not error.asked:
                    self._emit(CallRefused(self._source, call.route, error.outcome, call.caller.request_id))
                raise
            streamed: Streamed = reply.value
            return streamed

        async def stream_dropping(call: StreamCall) -> Streamed:
            """As `stream`. What a write through a route changes is not known, so it drops all that is kept or shared."""
            if call.method in _SAFE:
                return await stream(call)
            self._forget_reads()
            try:
                streamed = await stream(call)
            except BaseException:
                self._forget_reads()
                raise
            self._forget_reads()
            streamed.on_end(lambda _: self._forget_reads())
            return streamed

        return stream_dropping

    def _forget_reads(self) -> None:
        self._cache.clear()
        self._single_flight.end_sharing()

    def urls(self) -> tuple[str, ...]:
        """The base URLs of the instances, to remove them from what clients get. Never shown."""
        return tuple(each.url for each in self._balance.instances)

    def status(self) -> SourceStatus:
        """The state of the source's breaker and instances, without addresses."""
        return SourceStatus(
            self._source,
            self._breaker.state,
            self._breaker.forced is not None,
            tuple(InstanceStatus(each.number, each.healthy, each.weight, each.state) for each in self._balance.instances),
        )

    def force_breaker(self, state: BreakerState | None) -> None:
        """Force the breaker open or closed; None releases it. Raises `ValueError` for half open."""
        self._breaker.force(state)

    def drop_cache(self) -> None:
        """Drop all cached replies."""
        self._cache.clear()

    def set_instances(self, instances: Sequence[InstanceOptions]) -> None:
        """Change the instances; one whose URL stays keeps its state. Raises `ValueError` if none has a weight."""
        self._balance.set_instances(instances)
        self._breaker.reconsider()  # the failures may be those of removed instances

    def note_unreadable(self, detail: str) -> None:
        """An object of a reply does not fit its record."""
        self._emit(ObjectUnreadable(self._source, detail))

    def set_headers(self, rules: HeaderRules) -> None:
        """Change the headers of further calls and health checks."""
        self._attempt.headers = rules
        self._health.headers = rules.static

    @property
    def checks(self) -> bool:
        """Whether health checks are on. Otherwise `run` has nothing to do."""
        return self._health.is_on

    async def run(self) -> None:
        """Run the health checks until cancelled. Returns at once if they are off."""
        await self._health.run()

    async def aclose(self) -> None:
        """Stop the background work that calls started."""
        await self._cache.aclose()
