"""Breaker: a source that fails too often is left alone for a while, then tried with a few probes.

Asked before a call and told after it. `Breaker` is the rule, without I/O and with the time handed in; `BreakerPolicy`
puts it around calls.

The cases:
1. closed: calls pass. Once the window holds `minimum_calls` and the failures' share reaches `failure_ratio`: open.
2. open: calls are refused until `open_s` have passed; the first call after that half opens it.
3. half open: `half_open_calls` probes are admitted at once, all others refused. One failure opens it again; when so many
   probes have succeeded, it closes with an empty window.
4. a call admitted before the last change of state says nothing about the present one: its result is dropped.
5. a call that ended without a verdict (cancelled, or cut off by its caller's deadline) gives its permit back.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated

from annotated_types import Ge, Gt, Le

from datasources.caller import Clock
from datasources.errors import BreakerOpen, SourceError
from datasources.events import BreakerChanged, BreakerState, Listener
from datasources.traffic.call import Call, Handler, Reply

_BUCKETS = 10
"""The window slides in tenths of its length."""


@dataclass(frozen=True, slots=True)
class BreakerOptions:
    """When it opens, for how long, and how it is tried again. Durations in seconds."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - a word to whoever reads settings into it

    window_s: Annotated[float, Gt(0), Le(3600)] = 10.0
    minimum_calls: Annotated[int, Ge(1), Le(1_000_000)] = 5
    failure_ratio: Annotated[float, Gt(0), Le(1)] = 0.5
    open_s: Annotated[float, Gt(0), Le(3600)] = 30.0
    half_open_calls: Annotated[int, Ge(1), Le(1000)] = 1


class Verdict(Enum):
    """What a finished call says of the service."""

    SUCCESS = "success"
    FAILURE = "failure"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call; good for the state (`epoch`) in which it was given."""

    epoch: int


class Window:
    """Calls and failures of the last `length_s` seconds, counted in buckets: constant in memory, whatever the load."""

    def __init__(self, length_s: float) -> None:
        self._bucket_s = length_s / _BUCKETS
        self._buckets: deque[list[int]] = deque()  # [number of the bucket since time began, calls, failures]
        self._calls = 0
        self._failures = 0

    def add(self, now: float, *, failed: bool) -> None:
        """Count one call."""
        number = int(now / self._bucket_s)
        self._drop_before(number - _BUCKETS + 1)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append([number, 0, 0])
        last = self._buckets[-1]
        last[1] += 1
        last[2] += failed
        self._calls += 1
        self._failures += failed

    def totals(self, now: float) -> tuple[int, int]:
        """Calls and failures that are still inside the window."""
        self._drop_before(int(now / self._bucket_s) - _BUCKETS + 1)
        return self._calls, self._failures

    def clear(self) -> None:
        """Forget everything."""
        self._buckets.clear()
        self._calls = self._failures = 0

    def _drop_before(self, number: int) -> None:
        while self._buckets and self._buckets[0][0] < number:
            _, calls, failures = self._buckets.popleft()
            self._calls -= calls
            self._failures -= failures


class Breaker:
    """The state machine. Not thread-safe: it lives on one event loop, and never awaits."""

    def __init__(self, options: BreakerOptions, on_change: Callable[[BreakerState, BreakerState], None]) -> None:
        self._options = options
        self._on_change = on_change
        self._state = BreakerState.CLOSED
        self._epoch = 0
        self._window = Window(options.window_s)
        self._opened_at = 0.0
        self._probes_out = 0
        self._probes_passed = 0

    def __repr__(self) -> str:
        return f"<Breaker {self._state}, epoch {self._epoch}>"

    @property
    def state(self) -> BreakerState:
        """The present state. Open turns to half open with the first call after `open_s`, not by time alone."""
        return self._state

    def admit(self, now: float) -> Permit | float:
        """A permit, or the seconds after which to ask again."""
        if self._state is BreakerState.CLOSED:
            return Permit(self._epoch)
        if self._state is BreakerState.OPEN:
            left = self._opened_at + self._options.open_s - now
            if left > 0:
                return left
            self._turn(BreakerState.HALF_OPEN)
        if self._probes_out + self._probes_passed >= self._options.half_open_calls:
            return 1.0
        self._probes_out += 1
        return Permit(self._epoch)

    def settle(self, permit: Permit, verdict: Verdict, now: float) -> None:
        """Take in how a call that was admitted has ended."""
        if permit.epoch != self._epoch:
            return
        if self._state is BreakerState.HALF_OPEN:
            self._settle_probe(verdict, now)
        elif verdict is not Verdict.NONE:
            self._window.add(now, failed=verdict is Verdict.FAILURE)
            calls, failures = self._window.totals(now)
            enough = calls >= self._options.minimum_calls
            # Only a failure can open it: a success that merely completes the minimum is no reason to.
            if enough and verdict is Verdict.FAILURE and failures / calls >= self._options.failure_ratio:
                self._open(now)

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

    def _turn(self, state: BreakerState) -> None:
        before, self._state = self._state, state
        self._epoch += 1
        self._probes_out = self._probes_passed = 0
        self._on_change(before, state)


class BreakerPolicy:
    """Puts a breaker around a source's calls."""

    def __init__(self, source: str, options: BreakerOptions, emit: Listener, clock: Clock = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self.breaker = Breaker(options, lambda before, after: emit(BreakerChanged(source, before, after)))

    async def __call__(self, call: Call, next: Handler) -> Reply:
        """Raises `BreakerOpen` instead of asking a source that is left alone."""
        permit = self.breaker.admit(self._clock())
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
            self.breaker.settle(permit, verdict, self._clock())
        return reply


def _verdict_on(error: SourceError) -> Verdict:
    """An answer that doesn't count against the service shows that it is alive; a refusal before asking shows nothing."""
    if error.counts:
        return Verdict.FAILURE
    return Verdict.SUCCESS if error.answered else Verdict.NONE
