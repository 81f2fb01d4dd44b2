"""Retry budget: so many calls on top of the first tries, and no more.

A service that is sick gets a share on top at most, and not twice the load in its worst hour. One budget a source, for
retries and hedges together.
"""

from bff.runtime.clock import Clock
from bff.upstream.traffic.window import Window

_WINDOW_S = 10.0
_RESERVE = 5
"""So many in a window are free, so that a service that is seldom asked is asked again as well."""


class RetryBudget:
    """Extra calls are at most `ratio` of the first tries of the last ten seconds, and a small reserve. Not thread-safe."""

    def __init__(self, ratio: float, clock: Clock, *, window_s: float = _WINDOW_S, reserve: int = _RESERVE) -> None:
        self._ratio = ratio
        self._clock = clock
        self._reserve = reserve if ratio > 0 else 0
        self._window = Window(window_s)

    def __repr__(self) -> str:
        calls, extra, _ = self._window.totals(self._clock())
        return f"<RetryBudget {extra} of {self._allowed(calls)} extra>"

    def spend_call(self) -> None:
        """Note a first try, from which the budget grows."""
        self._window.add(self._clock())

    def take(self) -> bool:
        """Leave for one extra call, if there is any left; it is spent then."""
        now = self._clock()
        calls, extra, _ = self._window.totals(now)
        if extra >= self._allowed(calls):
            return False
        self._window.add(now, calls=0, first=1)
        return True

    def _allowed(self, calls: int) -> int:
        # The small addend: a tenth of 10 shall be 1, whatever binary fractions make of it.
        return int(calls * self._ratio + 1e-9) + self._reserve
