"""Retry budget: limits a source's extra calls, which are retries and hedges, to a share of its first attempts.

Without it, retries would double the load of a service that fails for every call.
"""

from bff.runtime.clock import Clock
from bff.upstream.traffic.window import Window

_WINDOW_S = 10.0
_RESERVE = 5
"""Extra calls in a window that need no budget, so that a service with few calls gets retries too."""


class RetryBudget:
    """Allows `ratio` times the first attempts of the last `window_s` seconds, plus `reserve` extra calls. Not thread-safe.

    With a ratio of 0 it allows none.
    """

    def __init__(self, ratio: float, clock: Clock, *, window_s: float = _WINDOW_S, reserve: int = _RESERVE) -> None:
        self._ratio = ratio
        self._clock = clock
        self._reserve = reserve if ratio > 0 else 0
        self._window = Window(window_s)

    def __repr__(self) -> str:
        calls, extra, _ = self._window.totals(self._clock())
        return f"<RetryBudget {extra} of {self._allowed(calls)} extra>"

    def add_call(self) -> None:
        """Count a first attempt, which adds to the budget."""
        self._window.add(self._clock())

    def take(self) -> bool:
        """Whether one more extra call is allowed. If so, it is counted."""
        now = self._clock()
        calls, extra, _ = self._window.totals(now)
        if extra >= self._allowed(calls):
            return False
        self._window.add(now, calls=0, first=1)
        return True

    def _allowed(self, calls: int) -> int:
        # The small addend makes up for floating-point error: 0.1 of 10 must be 1.
        return int(calls * self._ratio + 1e-9) + self._reserve
