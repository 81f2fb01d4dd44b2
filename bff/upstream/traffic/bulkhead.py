"""Bulkhead: limits a source's concurrent calls and the calls that wait. Calls beyond both limits are refused at once.

A service that hangs uses up its own places, not those of other sources.
"""

import asyncio
from collections import deque
from typing import Annotated

from annotated_types import Ge, Le

from bff.runtime.loop import running_loop
from bff.runtime.options import options
from bff.upstream.errors import QueueFull, TimedOut
from bff.upstream.traffic.call import Call, Handler, Reply


@options
class BulkheadOptions:
    """The limits of one source.

    Attributes:
        max_concurrent: calls that run at once.
        max_waiting: calls that wait for a place.
    """

    max_concurrent: Annotated[int, Ge(1), Le(100_000)] = 100
    max_waiting: Annotated[int, Ge(0), Le(1_000_000)] = 200


class Bulkhead:
    """The policy of one source. A free place goes to the call that has waited longest."""

    def __init__(self, source: str, options: BulkheadOptions) -> None:
        self._source = source
        self._options = options
        self._free = options.max_concurrent
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        running = self._options.max_concurrent - self._free
        return f"<Bulkhead {self._source}: {running} running, {len(self._waiting)} waiting>"

    async def __call__(self, call: Call, next: Handler) -> Reply:
        """Call `next` once there is a place. Raises `QueueFull` if too many calls wait, `TimedOut` at the deadline."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(call.caller.deadline.left())
        try:
            return await next(call)
        finally:
            self._release()

    async def hold(self, call: Call, next: Handler) -> Reply:
        """As calling it, for a streamed call: it has its place until the stream has ended."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(call.caller.deadline.left())
        try:
            reply = await next(call)
        except BaseException:
            self._release()
            raise
        reply.value.on_end(lambda _: self._release())
        return reply

    async def _wait(self, timeout_s: float) -> None:
        if len(self._waiting) >= self._options.max_waiting:
            raise QueueFull(self._source)
        place: asyncio.Future[None] = running_loop().create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout(timeout_s):
                await place
        except BaseException as error:
            # Cancelled, or the deadline passed. If a place was assigned in the same turn, the next call gets it.
            if place.done() and not place.cancelled():
                self._release()
            elif place in self._waiting:
                self._waiting.remove(place)
            if isinstance(error, TimeoutError):
                raise TimedOut(self._source, counts=False, asked=False) from error
            raise

    def _release(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
