"""The stack: a source's policies in their one order, outermost first, with the reason for each place."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from datasources.caller import Clock
from datasources.errors import SourceError
from datasources.events import BreakerState, CallRefused, Listener
from datasources.traffic.attempt import Attempt
from datasources.traffic.balance import Balance, InstanceOptions
from datasources.traffic.breaker import BreakerOptions, BreakerPolicy
from datasources.traffic.bulkhead import Bulkhead, BulkheadOptions
from datasources.traffic.call import Call, Handler, Policy, Reply
from datasources.traffic.deadline import DeadlinePolicy
from datasources.wire import Wire


@dataclass(frozen=True, slots=True)
class TrafficOptions:
    """How a source's calls are bounded and guarded."""

    timeout_s: float = 2.0
    max_response_bytes: int = 10 * 1024 * 1024
    breaker: BreakerOptions = field(default_factory=BreakerOptions)
    bulkhead: BulkheadOptions = field(default_factory=BulkheadOptions)


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """An instance as the gateway sees it, without its address."""

    number: int
    healthy: bool


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """A source as the gateway sees it."""

    name: str
    breaker: BreakerState
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
        self._breaker = BreakerPolicy(source, options.breaker, emit, clock)
        attempt = Attempt(
            source,
            wire,
            emit,
            timeout_s=options.timeout_s,
            max_response_bytes=options.max_response_bytes,
            clock=clock,
        )
        self._balance = Balance(instances, attempt)
        policies: tuple[Policy, ...] = (
            DeadlinePolicy(source),  # first: what comes too late shall not even queue
            Bulkhead(source, options.bulkhead),  # outside the breaker: a refusal here never counts against the service
            self._breaker,  # around the choice of instance: one breaker a source
        )
        handler: Handler = self._balance  # innermost: then the attempt, bounded in time and size, mapped to errors
        for policy in reversed(policies):
            handler = partial(policy, next=handler)
        self._handler = handler

    def __repr__(self) -> str:
        return f"<Stack {self._source}: {self._breaker.breaker!r}>"

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
            self._breaker.breaker.state,
            tuple(InstanceStatus(instance.number, instance.healthy) for instance in self._balance.instances),
        )
