"""Pacing: long stretches of synchronous work are spread over turns of the event loop.

Parsing, validating and compiling take milliseconds each. Many clients that send new documents at the same moment, or one
client with a batch of them, would otherwise hold the loop for the sum of it, and no other request would be answered.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from datasources.loop import running_loop

SLICE_S = 0.005
"""Paced work begins in a turn of the loop only while less CPU time than this was spent in the turn, in seconds."""


class Pace:
    """Hands out the time of one event loop. What has to wait goes on in the order in which it asked, one in each turn."""

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._began: float | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return f"<Pace {len(self._waiting)} waiting>"

    async def turn(self) -> None:
        """Return when a stretch of work may begin: at once, unless this turn of the loop has had its share."""
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
        """A new turn of the loop: the first that waits goes on. Who was cancelled while it waited is passed over."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                self._began = self._clock()
                waiter.set_result(None)
                running_loop().call_soon(self._next)  # after the waiter has had its turn, and in the same one
                return
        self._began = None
