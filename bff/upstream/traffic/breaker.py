"""Breaker: a source that fails too often is left alone for a while, then tried with a few probes.

Asked before a call and told after it. `Breaker` is the rule, without I/O and with the time handed in; `BreakerPolicy`
puts it around calls.

The cases:
1. closed: calls pass. Once the window holds `minimum_calls` and the failures' share reaches `failure_ratio`, or that of
   the slow calls `slow_call_ratio`: open. Only a call that is a failure, or slow, can do that.
2. open: calls are refused until `open_s` have passed; the first call after that half opens it.
3. half open: `half_open_calls` probes are admitted at once, all others refused. One failure, or one that is slow, opens it
   again; when so many probes have succeeded, it closes with an empty window.
4. a call admitted before the last change of state says nothing about the present one: its result is dropped.
5. a call that ended without a verdict (cancelled, or cut off by its caller's deadline) gives its permit back.
6. asked to reconsider (the source has moved): open turns to half open at once.
7. forced by an administrator: open refuses all, with no probes; closed lets all pass, whatever comes of them. Let go of, it
   is closed with an empty window.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated

from annotated_types import Ge, Gt, Le

from bff.runtime.options import options
from bff.upstream.caller import Clock
from bff.upstream.errors import BreakerOpen, SourceError
from bff.upstream.events import BreakerChanged, BreakerState, Listener
from bff.upstream.traffic.call import Call, Handler, Reply
from bff.upstream.traffic.window import Window

_MOST_ROUTES = 100
_OTHER_ROUTES = "…"
_WORST_FIRST = (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED)


@options
class BreakerOptions:
    """When it opens, for how long, and how it is tried again. Durations in seconds.

    Attributes:
        window_s: how far back calls are counted.
        minimum_calls: so many in the window before it may open.
        failure_ratio: it opens at this share of failures.
        open_s: how long it stays open.
        half_open_calls: probes that are let through then.
        slow_call_s: a call that took longer is slow; None: none is.
        slow_call_ratio: it opens at this share of slow calls too.
        per_route: whether each of the source's routes has a breaker of its own.
    """

    window_s: Annotated[float, Gt(0), Le(3600)] = 10.0
    minimum_calls: Annotated[int, Ge(1), Le(1_000_000)] = 5
    failure_ratio: Annotated[float, Gt(0), Le(1)] = 0.5
    open_s: Annotated[float, Gt(0), Le(3600)] = 30.0
    half_open_calls: Annotated[int, Ge(1), Le(1000)] = 1
    slow_call_s: Annotated[float, Gt(0), Le(3600)] | None = None
    slow_call_ratio: Annotated[float, Gt(0), Le(1)] = 1.0
    per_route: bool = False


class Verdict(Enum):
    """What a finished call says of the service."""

    SUCCESS = "success"
    FAILURE = "failure"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call; good for the state (`epoch`) in which it was given."""

    epoch: int


class Breaker:
    """The state machine. Not thread-safe: it lives on one event loop, and never awaits.

    `on_change` is told the state before and after, and whether an administrator forced it.
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

    def __repr__(self) -> str:
        return f"<Breaker {self._state}{' (forced)' if self._forced else ''}, epoch {self._permit.epoch}>"

    @property
    def state(self) -> BreakerState:
        """The present state. Open turns to half open with the first call after `open_s`, not by time alone."""
        return self._state

    @property
    def forced(self) -> BreakerState | None:
        """The state in which an administrator holds it; None where it goes by its own rule."""
        return self._forced

    def admit(self, now: float) -> Permit | float:
        """A permit, or the seconds after which to ask again."""
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
        """Take in how a call that was admitted has ended, and how long it took."""
        if permit is not self._permit or self._forced is not None:
            return
        slow_call_s = self._options.slow_call_s
        slow = slow_call_s is not None and duration_s > slow_call_s and verdict is not Verdict.NONE
        if self._state is BreakerState.HALF_OPEN:
            self._settle_probe(Verdict.FAILURE if slow else verdict, now)
        elif verdict is not Verdict.NONE:
            failed = verdict is Verdict.FAILURE
            self._window.add(now, 1, failed, slow)
            # A success that merely completes the minimum is no reason to open.
            if (failed or slow) and self._is_too_much(now):
                self._open(now)

    def force(self, state: BreakerState | None) -> None:
        """Hold it open or closed; None lets it go, closed and with an empty window. Raises `ValueError` for half open."""
        if state is BreakerState.HALF_OPEN:
            raise ValueError("Expected open, closed or None: half open is a way and no place to stay.")
        if state is self._forced:
            return
        self._forced = state
        self._window.clear()
        self._turn(state or BreakerState.CLOSED, forced=True)

    def reconsider(self) -> None:
        """Let probes through at once where it is open: what it has seen may not hold any more."""
        if self._state is BreakerState.OPEN and self._forced is None:
            self._turn(BreakerState.HALF_OPEN)

    def _is_too_much(self, now: float) -> bool:
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
        self._probes_out = self._probes_passed = 0
        self._on_change(before, state, forced)


class BreakerPolicy:
    """Puts a breaker around a source's calls, or one around those of each route."""

    def __init__(self, source: str, options: BreakerOptions, emit: Listener, clock: Clock = time.monotonic) -> None:
        self._source = source
        self._options = options
        self._emit = emit
        self._clock = clock
        self.breaker = self._make(None)
        """The source's own. Where each route has one, none of its calls goes by it: it only holds what is forced."""
        self.routes: dict[str, Breaker] = {}

    def __repr__(self) -> str:
        return f"<BreakerPolicy {self.breaker!r}, {len(self.routes)} routes>"

    @property
    def state(self) -> BreakerState:
        """The source's state: of several routes' the worst."""
        states = {breaker.state for breaker in self.routes.values()} | {self.breaker.state}
        return next(state for state in _WORST_FIRST if state in states)

    @property
    def forced(self) -> BreakerState | None:
        """The state in which an administrator holds it."""
        return self.breaker.forced

    def force(self, state: BreakerState | None) -> None:
        """Hold all of the source open or closed; None lets it go. Raises `ValueError` for half open."""
        for breaker in (self.breaker, *self.routes.values()):
            breaker.force(state)

    def reconsider(self) -> None:
        """Let probes through at once where it is open, as when the source has moved."""
        for breaker in (self.breaker, *self.routes.values()):
            breaker.reconsider()

    async def __call__(self, call: Call, next: Handler) -> Reply:
        """Raises `BreakerOpen` instead of asking a source that is left alone."""
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
            verdict = _verdict_on(error)
            raise
        finally:
            now = self._clock()
            breaker.settle(permit, verdict, now, now - began)
        return reply

    def _of_route(self, call: Call) -> Breaker:
        """Routes are templates of our own code and few; should they be many, the later ones share a breaker."""
        route = f"{call.method} {call.route}"
        if route not in self.routes and len(self.routes) >= _MOST_ROUTES:
            route = _OTHER_ROUTES
        breaker = self.routes.get(route)
        if breaker is None:
            breaker = self.routes[route] = self._make(route)
            breaker.force(self.forced)
        return breaker

    def _make(self, route: str | None) -> Breaker:
        def tell(before: BreakerState, after: BreakerState, forced: bool) -> None:
            self._emit(BreakerChanged(self._source, before, after, route, forced))

        return Breaker(self._options, tell)


def _verdict_on(error: SourceError) -> Verdict:
    """An answer that doesn't count against the service shows that it is alive; a refusal before asking shows nothing."""
    if error.counts:
        return Verdict.FAILURE
    return Verdict.SUCCESS if error.answered else Verdict.NONE
