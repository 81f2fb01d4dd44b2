"""The stack: a source's policies in their one order, outermost first, with the reason for each place."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from bff.runtime.clock import Clock
from bff.upstream.errors import SourceError
from bff.upstream.events import BreakerState, CallRefused, InstanceState, Listener
from bff.upstream.traffic.attempt import Attempt
from bff.upstream.traffic.balance import Balance, BalanceOptions, InstanceOptions
from bff.upstream.traffic.breaker import BreakerOptions, BreakerPolicy
from bff.upstream.traffic.budget import RetryBudget
from bff.upstream.traffic.bulkhead import Bulkhead, BulkheadOptions
from bff.upstream.traffic.cache import Cache, CacheOptions
from bff.upstream.traffic.call import Call, Handler, Policy, Reply
from bff.upstream.traffic.deadline import DeadlinePolicy
from bff.upstream.traffic.health import HealthChecks, HealthOptions
from bff.upstream.traffic.hedge import HedgeOptions, HedgePolicy
from bff.upstream.traffic.retry import RetryOptions, RetryPolicy
from bff.upstream.traffic.single_flight import SingleFlight
from bff.upstream.wire import Wire


@dataclass(frozen=True, slots=True)
class TrafficOptions:
    """How a source's calls are bounded, guarded, shared and kept."""

    timeout_s: float = 2.0
    max_response_bytes: int = 10 * 1024 * 1024
    cache: CacheOptions = field(default_factory=CacheOptions)
    retry: RetryOptions = field(default_factory=RetryOptions)
    hedge: HedgeOptions = field(default_factory=HedgeOptions)
    bulkhead: BulkheadOptions = field(default_factory=BulkheadOptions)
    breaker: BreakerOptions = field(default_factory=BreakerOptions)
    balance: BalanceOptions = field(default_factory=BalanceOptions)
    health: HealthOptions = field(default_factory=HealthOptions)


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """An instance as the gateway sees it, without its address."""

    number: int
    healthy: bool
    weight: int
    state: InstanceState


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """A source as the gateway sees it. `forced` tells whether an administrator holds the breaker as it is."""

    name: str
    breaker: BreakerState
    forced: bool
    instances: tuple[InstanceStatus, ...]


class Stack:
    """Bound at start-up, one a source: `await stack(call)` is the only way to a service."""

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
        self._balance = Balance(source, instances, attempt, emit, options.balance, clock)
        self._health = HealthChecks(source, self._balance, wire, options.health)
        self._breaker = BreakerPolicy(source, options.breaker, emit, clock)
        self._cache = Cache(source, options.cache, emit, clock, timeout_s=options.timeout_s)
        budget = RetryBudget(options.retry.budget_ratio, clock)
        caching = options.cache.enabled
        order: tuple[Policy | None, ...] = (
            # What comes too late shall not even queue; nor be answered by chance, from the cache, where its sibling is not.
            DeadlinePolicy(source),
            # Outside all that guards the service: an old answer stands in whatever it was that failed below.
            self._cache.lookup if caching else None,
            # Below the lookup, so that only what is missing is shared; above retries, so that those who wait share them.
            SingleFlight(source, emit, clock),
            # Below the single flight: an answer is kept once, with all the keys that different requests put into it.
            self._cache.fill if caching else None,
            # Outside the bulkhead, so that a wait between tries holds no place; each try asks the breaker anew.
            RetryPolicy(source, options.retry, budget, emit),
            # Inside retry: each try may have its second, from the same budget.
            HedgePolicy(source, options.hedge, budget, emit, clock) if options.hedge.enabled else None,
            # Outside the breaker: a refusal here never counts against the service.
            Bulkhead(source, options.bulkhead),
            # Around the choice of an instance: one breaker a source (or route). What is one instance's affair, balance says.
            self._breaker,
        )
        handler: Handler = self._balance  # innermost, inside retry: a second try goes to another instance; then the attempt
        for policy in reversed([each for each in order if each is not None]):
            handler = partial(policy, next=handler)
        self._handler = handler

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

    def status(self) -> SourceStatus:
        """The source's breaker and instances, without addresses."""
        return SourceStatus(
            self._source,
            self._breaker.state,
            self._breaker.forced is not None,
            tuple(InstanceStatus(each.number, each.healthy, each.weight, each.state) for each in self._balance.instances),
        )

    def force_breaker(self, state: BreakerState | None) -> None:
        """Hold the breaker open or closed until it is let go with None. Raises `ValueError` for half open."""
        self._breaker.force(state)

    def drop_cache(self) -> None:
        """Forget what is kept of the service's answers."""
        self._cache.clear()

    def set_instances(self, instances: Sequence[InstanceOptions]) -> None:
        """Change where the source is; an instance that stays keeps its state. `ValueError` where none has a weight."""
        self._balance.set_instances(instances)
        self._breaker.reconsider()  # it was open for what is there no longer, perhaps

    @property
    def checks(self) -> bool:
        """Whether health checks are on. Otherwise `run` has nothing to do."""
        return self._health.is_on

    async def run(self) -> None:
        """What goes on beside the calls, until cancelled: health checks, where they are on."""
        await self._health.run()

    async def aclose(self) -> None:
        """Stop what calls have left running."""
        await self._cache.aclose()
