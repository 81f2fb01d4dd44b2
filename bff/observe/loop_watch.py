"""Measures how long the event loop was blocked. Meanwhile nothing is served, not even `/health`."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from bff.runtime.clock import Clock
from bff.runtime.log import Log

EVERY_S: Final = 0.05
"""Seconds between two checks. A block is measured from the time of the next check, so up to this much of it is missed."""
_LONG_S = 1.0
_LOG_AGAIN_S = 10.0
_log = Log("bff.loop")


class LoopWatch:
    """A timer that measures how late it is. Each check calls `observe` with the lateness in seconds."""

    def __init__(self, observe: Callable[[float], None], clock: Clock = time.monotonic) -> None:
        # Not the loop's own clock, which doesn't advance while a callback runs.
        self._observe = observe
        self._clock = clock
        self._due = clock() + EVERY_S
        self._logged_at = -_LOG_AGAIN_S
        self._not_logged = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """While the context is open, watch the running event loop."""
        loop = asyncio.get_running_loop()
        self._due = self._clock() + EVERY_S
        self._timer = loop.call_later(EVERY_S, self._on_timer, loop)
        try:
            yield
        finally:
            self._timer.cancel()

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self.check()
        self._timer = loop.call_later(EVERY_S, self._on_timer, loop)

    def check(self) -> None:
        """Report how late this check is, and set the time of the next one."""
        now = self._clock()
        late_s = max(now - self._due, 0.0)
        self._due = now + EVERY_S
        self._observe(late_s)
        if late_s >= _LONG_S:
            self._log_block(now, late_s)

    def _log_block(self, now: float, late_s: float) -> None:
        """Log a line, at most once in ten seconds."""
        if now - self._logged_at < _LOG_AGAIN_S:
            self._not_logged += 1
            return
        self._logged_at = now
        not_logged, self._not_logged = self._not_logged, 0
        _log.warning("the event loop was blocked", seconds=round(late_s, 3), not_logged_before=not_logged)
