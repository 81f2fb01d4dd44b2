"""Pacing: long pieces of synchronous work are spread over iterations of the event loop.

Parsing, validating and compiling take milliseconds each. Many clients that send new documents at the same moment, or one
client with a batch of them, would otherwise block the loop for the total time, and no other request would be answered.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from bff.runtime.loop import running_loop

SLICE_S = 0.005
"""Seconds of CPU time for paced work in one iteration of the loop. After them, no further piece begins in it."""


class Pace:
    """Shares the time of one event loop. Waiting pieces continue in order, one in each iteration."""

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._began: float | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return f"<Pace {len(self._waiting)} waiting>"

    async def turn(self) -> None:
        """Wait until a piece of work may begin: not at all, unless this iteration of the loop has used up `SLICE_S`."""
        if self._began is None:
            self._began = self._clock()
            running_loop().call_soon(self._next)
            return
        if not self._waiting and self._clock() - self._began < SLICE_S:
            return
        waiter = running_loop().create_future()
        self._waiting.append(waiter)
        await waiter

    def _next(self) -> None:
        """In a new iteration of the loop: resume the first waiter that was not cancelled."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                self._began = self._clock()
                waiter.set_result(None)
                running_loop().call_soon(self._next)  # runs in the next iteration, after the waiter
                return
        self._began = None
