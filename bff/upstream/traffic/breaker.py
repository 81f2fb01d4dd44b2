"""Circuit breaker: a source that fails too often gets no calls for a while, then a few probes.

`Breaker` is the state machine, without I/O; the caller passes in the time. `BreakerPolicy` applies it to calls.

The cases:
1. closed: calls pass. It opens when the window has at least `minimum_calls`, and the share of failures reaches
   `failure_ratio` or that of slow calls `slow_call_ratio`, or after `failures_in_row`. Only a failed or slow call
   opens it.
2. open: calls are refused for `open_s`. The first call after that makes it half open.
3. half open: up to `half_open_calls` probes are admitted, all other calls refused. One failed or slow probe opens it again.
   When `half_open_calls` probes have succeeded, it closes with an empty window.
4. a call that was admitted before the last change of state says nothing about the current state: its result is ignored.
5. a call that ended without a verdict (cancelled, or its caller's deadline passed) returns its permit.
6. the source's instances have changed (`reconsider`): open becomes half open at once.
7. forced by an administrator: forced open refuses all calls and sends no probes; forced closed lets all calls pass,
   whatever their results. When released, it is closed with an empty window.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated

from annotated_types import Ge, Gt, Le

from bff.runtime.clock import Clock
from bff.runtime.options import options
from bff.upstream.errors import BreakerOpen, SourceError
from bff.upstream.events import BreakerChanged, BreakerState, Listener
from bff.upstream.traffic.call import Call, Handler, Reply
from bff.upstream.traffic.window import Window

_MAX_ROUTES = 100
"""Routes with a breaker of their own. The others share one."""
_OTHER_ROUTES = "…"
_WORST_FIRST = (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED)


@options
class BreakerOptions:
    """The breaker of one source. Durations in seconds.

    Attributes:
        window_s: the length of the sliding window in which calls are counted.
        minimum_calls: calls in the window before it may open.
        failure_ratio: the share of failed calls at which it opens.
        open_s: how long it stays open.
        half_open_calls: probes that are admitted while it is half open.
        slow_call_s: a call that takes longer is slow; None if no call is.
        slow_call_ratio: the share of slow calls at which it opens.
        failures_in_row: failures in a row after which it opens, whatever the window says; None: only the window counts.
        per_route: whether each route of the source has a breaker of its own.
    """

    window_s: Annotated[float, Gt(0), Le(3600)] = 10.0
    minimum_calls: Annotated[int, Ge(1), Le(1_000_000)] = 5
    failure_ratio: Annotated[float, Gt(0), Le(1)] = 0.5
    open_s: Annotated[float, Gt(0), Le(3600)] = 30.0
    half_open_calls: Annotated[int, Ge(1), Le(1000)] = 1
    slow_call_s: Annotated[float, Gt(0), Le(3600)] | None = None
    slow_call_ratio: Annotated[float, Gt(0), Le(1)] = 1.0
    failures_in_row: Annotated[int, Ge(1), Le(1000)] | None = None
    per_route: bool = False


class Verdict(Enum):
    """What a finished call says about the service."""

    SUCCESS = "success"
    FAILURE = "failure"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission for one call. `epoch` counts changes of state: the call's result is ignored after a change."""

    epoch: int


class Breaker:
    """The state machine. Not thread-safe: it belongs to one event loop, and never awaits.

    `on_change` is called with the state before, the state after, and whether an administrator forced it.
    """

    def __init__(self, options: BreakerOptions, on_change: Callable[[BreakerState, BreakerState, bool], None]) -> None:
        self._options = options
        self._on_change = on_change
        self._state = BreakerState.CLOSED
        self._forced: BreakerState | None = None
        self._permit = Permit(0)
        self._window = Window(options.window_s)
        self._opened_at = 0.0
        self._probes_out = 0
        self._probes_passed = 0
        self._failures_in_row = 0

    def __repr__(self) -> str:
        return f"<Breaker {self._state}{' (forced)' if self._forced else ''}, epoch {self._permit.epoch}>"

    @property
    def state(self) -> BreakerState:
        """The current state. Open becomes half open with the first call after `open_s`, not by time alone."""
        return self._state

    @property
    def forced(self) -> BreakerState | None:
        """The state that an administrator forced; None if the breaker decides itself."""
        return self._forced

    def admit(self, now: float) -> Permit | float:
        """A permit. If the call is refused: the seconds after which to try again."""
        if self._state is BreakerState.CLOSED:
            return self._permit
        if self._forced is not None:
            return float(self._options.open_s)
        if self._state is BreakerState.OPEN:
            left = self._opened_at + self._options.open_s - now
            if left > 0:
                return left
            self._turn(BreakerState.HALF_OPEN)
        if self._probes_out + self._probes_passed >= self._options.half_open_calls:
            return 1.0
        self._probes_out += 1
        return self._permit

    def settle(self, permit: Permit, verdict: Verdict, now: float, duration_s: float = 0.0) -> None:
        """Count the result of an admitted call, and how long it took."""
        if permit is not self._permit or self._forced is not None:
            return
        slow_call_s = self._options.slow_call_s
        slow = slow_call_s is not None and duration_s > slow_call_s and verdict is not Verdict.NONE
        if self._state is BreakerState.HALF_OPEN:
            self._settle_probe(Verdict.FAILURE if slow else verdict, now)
        elif verdict is not Verdict.NONE:
            failed = verdict is Verdict.FAILURE
            self._window.add(now, 1, failed, slow)
            self._failures_in_row = self._failures_in_row + 1 if failed else 0
            # A success must not open it, even if it is the call that completes the minimum.
            if (failed or slow) and self._has_too_many_failures(now):
                self._open(now)

    def force(self, state: BreakerState | None) -> None:
        """Force it open or closed; None releases it, closed and with an empty window. Raises `ValueError` for half open."""
        if state is BreakerState.HALF_OPEN:
            raise ValueError("Expected open, closed or None, got half open.")
        if state is self._forced:
            return
        self._forced = state
        self._window.clear()
        self._turn(state or BreakerState.CLOSED, forced=True)

    def reconsider(self) -> None:
        """Make it half open if it is open: its counts may no longer hold."""
        if self._state is BreakerState.OPEN and self._forced is None:
            self._turn(BreakerState.HALF_OPEN)

    def _has_too_many_failures(self, now: float) -> bool:
        in_row = self._options.failures_in_row
        if in_row is not None and self._failures_in_row >= in_row:
            return True
        calls, failures, slow = self._window.totals(now)
        if calls < self._options.minimum_calls:
            return False
        return failures / calls >= self._options.failure_ratio or (
            self._options.slow_call_s is not None and slow / calls >= self._options.slow_call_ratio
        )

    def _settle_probe(self, verdict: Verdict, now: float) -> None:
        self._probes_out -= 1
        if verdict is Verdict.FAILURE:
            self._open(now)
        elif verdict is Verdict.SUCCESS:
            self._probes_passed += 1
            if self._probes_passed >= self._options.half_open_calls:
                self._window.clear()
                self._turn(BreakerState.CLOSED)

    def _open(self, now: float) -> None:
        self._opened_at = now
        self._turn(BreakerState.OPEN)

    def _turn(self, state: BreakerState, *, forced: bool = False) -> None:
        before, self._state = self._state, state
        self._permit = Permit(self._permit.epoch + 1)
        self._probes_out = self._probes_passed = self._failures_in_row = 0
        self._on_change(before, state, forced)


class BreakerPolicy:
    """The policy of one source: one breaker for all its calls, or one for each route."""

    def __init__(self, source: str, options: BreakerOptions, emit: Listener, clock: Clock = time.monotonic) -> None:
        self._source = source
        self._options = options
        self._emit = emit
        self._clock = clock
        self.breaker = self._make(None)
        """The source's own. If each route has one, this one only holds the forced state."""
        self.routes: dict[str, Breaker] = {}

    def __repr__(self) -> str:
        return f"<BreakerPolicy {self.breaker!r}, {len(self.routes)} routes>"

    @property
    def state(self) -> BreakerState:
        """The source's state; with a breaker for each route, the worst of them."""
        states = {breaker.state for breaker in self.routes.values()} | {self.breaker.state}
        return next(state for state in _WORST_FIRST if state in states)

    @property
    def forced(self) -> BreakerState | None:
        """The state that an administrator forced; None if none did."""
        return self.breaker.forced

    def force(self, state: BreakerState | None) -> None:
        """Force all breakers of the source open or closed; None releases them. Raises `ValueError` for half open."""
        for breaker in (self.breaker, *self.routes.values()):
            breaker.force(state)

    def reconsider(self) -> None:
        """Make open breakers half open, as when the source's instances have changed."""
        for breaker in (self.breaker, *self.routes.values()):
            breaker.reconsider()

    async def __call__(self, call: Call, next: Handler) -> Reply:
        """Call `next` if the breaker admits the call. Otherwise raises `BreakerOpen`."""
        breaker = self._of_route(call) if self._options.per_route else self.breaker
        began = self._clock()
        permit = breaker.admit(began)
        if not isinstance(permit, Permit):
            raise BreakerOpen(self._source, retry_after=permit)
        verdict = Verdict.NONE
        try:
            reply = await next(call)
            verdict = Verdict.SUCCESS
        except SourceError as error:
            verdict = Verdict.NONE if call.is_part and error.counts else _verdict_on(error)
            raise
        finally:
            now = self._clock()
            breaker.settle(permit, verdict, now, now - began)
        return reply

    async def hold(self, call: Call, next: Handler) -> Reply:
        """As calling it, for a streamed call: its result is the head of the answer. A break later is a further failure."""
        reply = await self(call, next)

        def count(error: SourceError | None) -> None:
            breaker = self._of_route(call) if self._options.per_route else self.breaker
            if error is None or not error.counts or breaker.state is not BreakerState.CLOSED:
                return  # a probe has had its verdict
            now = self._clock()
            permit = breaker.admit(now)
            if isinstance(permit, Permit):
                breaker.settle(permit, Verdict.FAILURE, now)

        reply.value.on_end(count)
        return reply

    def _of_route(self, call: Call) -> Breaker:
        """The breaker of the call's route. Beyond 100 routes, the others share one; they are templates, so few."""
        route = f"{call.method} {call.route}"
        if route not in self.routes and len(self.routes) >= _MAX_ROUTES:
            route = _OTHER_ROUTES
        breaker = self.routes.get(route)
        if breaker is None:
            breaker = self.routes[route] = self._make(route)
            breaker.force(self.forced)
        return breaker

    def _make(self, route: str | None) -> Breaker:
        def emit_change(before: BreakerState, after: BreakerState, forced: bool) -> None:
            self._emit(BreakerChanged(self._source, before, after, route, forced))

        return Breaker(self._options, emit_change)


def _verdict_on(error: SourceError) -> Verdict:
    """A reply that doesn't count against the service shows that it works. A call that was never sent shows nothing."""
    if error.counts:
        return Verdict.FAILURE
    return Verdict.SUCCESS if error.answered else Verdict.NONE
