"""Measures how long the event loop was blocked. Nothing is served meanwhile, not even `/health`."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from bff.runtime.clock import Clock

EVERY_S: Final = 0.05
"""Seconds between two looks. A block is measured from when the next look is due, so up to this much of it is missed."""
_LONG_S = 1.0
_TELL_AGAIN_S = 10.0
_log = logging.getLogger("bff.loop")


class LoopWatch:
    """A timer that measures its own lateness. `observe` is called with it at each look, in seconds."""

    def __init__(self, observe: Callable[[float], None], clock: Clock = time.monotonic) -> None:
        # Not the loop's own time: it stands still while a callback runs.
        self._observe = observe
        self._clock = clock
        self._due = clock() + EVERY_S
        self._told_at = -_TELL_AGAIN_S
        self._untold = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """While the context is open, the running loop is watched."""
        loop = asyncio.get_running_loop()
        self._due = self._clock() + EVERY_S
        self._timer = loop.call_later(EVERY_S, self._again, loop)
        try:
            yield
        finally:
            self._timer.cancel()

    def _again(self, loop: asyncio.AbstractEventLoop) -> None:
        self.look()
        self._timer = loop.call_later(EVERY_S, self._again, loop)

    def look(self) -> None:
        """One look: report how late it is, and set when the next one is due."""
        now = self._clock()
        late_s = max(now - self._due, 0.0)
        self._due = now + EVERY_S
        self._observe(late_s)
        if late_s >= _LONG_S:
            self._tell(now, late_s)

    def _tell(self, now: float, late_s: float) -> None:
        """Log a line, at most one in ten seconds."""
        if now - self._told_at < _TELL_AGAIN_S:
            self._untold += 1
            return
        self._told_at = now
        untold, self._untold = self._untold, 0
        fields = {"seconds": round(late_s, 3), "not_logged_before": untold}
        _log.warning("the event loop was held", extra={"fields": fields})
