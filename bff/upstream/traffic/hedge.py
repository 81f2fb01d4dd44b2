"""Hedge: a read that takes longer than most recent reads gets a second attempt in parallel. The first reply is used.

Off by default: it costs extra calls to shorten the slowest replies. Each hedge is taken from the retry budget, so a service
that is slow for all calls doesn't get each of them twice. Writes are never hedged. No task is left running.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

from bff.runtime.clock import Clock
from bff.runtime.options import options
from bff.upstream.events import CallRetried, Listener
from bff.upstream.traffic.budget import RetryBudget
from bff.upstream.traffic.call import Call, Handler, Reply

_SAMPLES = 100
_SORT_EVERY = 10


@options
class HedgeOptions:
    """Hedging of one source. Durations in seconds.

    Attributes:
        enabled: whether slow reads get a second attempt.
        quantile_ratio: a read is slow if it takes longer than this share of the last hundred calls.
        minimum_calls: number of measured calls before any read counts as slow.
        min_delay_s: no read counts as slow before this.
    """

    enabled: bool = False
    quantile_ratio: Annotated[float, Gt(0), Lt(1)] = 0.95
    minimum_calls: Annotated[int, Ge(1), Le(_SAMPLES)] = 20
    min_delay_s: Annotated[float, Gt(0), Le(60)] = 0.001


class Durations:
    """The durations of the last hundred calls, and a quantile of them, which is computed once for every ten calls."""

    def __init__(self, quantile_ratio: float) -> None:
        self._ratio = quantile_ratio
        self._samples: deque[float] = deque(maxlen=_SAMPLES)
        self._since = 0
        self._quantile_s = 0.0

    def __len__(self) -> int:
        return len(self._samples)

    def __repr__(self) -> str:
        return f"<Durations {len(self)} samples, {self._quantile_s * 1000:.1f} ms>"

    def add(self, duration_s: float) -> None:
        """Add one."""
        self._samples.append(duration_s)
        self._since += 1

    def quantile_s(self) -> float:
        """The duration that `quantile_ratio` of the calls did not exceed, in seconds; 0 if there are none."""
        if self._samples and (self._since >= _SORT_EVERY or not self._quantile_s):
            self._since = 0
            ranked = sorted(self._samples)
            self._quantile_s = ranked[min(int(len(ranked) * self._ratio), len(ranked) - 1)]
        return self._quantile_s


class HedgePolicy:
    """The policy of one source. It is in the stack only if it is enabled."""

    def __init__(
        self,
        source: str,
        options: HedgeOptions,
        budget: RetryBudget,
        emit: Listener,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._source = source
        self._options = options
        self._budget = budget
        self._emit = emit
        self._clock = clock
        self._sleep = sleep
        self._durations = Durations(options.quantile_ratio)

    def __repr__(self) -> str:
        return f"<HedgePolicy {self._source}: {self._durations!r}>"

    async def __call__(self, call: Call, next: Handler) -> Reply:
        """Call `next`, and once more if it is slow. Raises the first attempt's error if both fail."""
        if not call.is_read:
            return await next(call)
        if len(self._durations) < self._options.minimum_calls:
            return await self._timed(call, next)
        delay_s = max(self._durations.quantile_s(), self._options.min_delay_s)
        loop = asyncio.get_running_loop()
        first = loop.create_task(self._timed(call, next))
        tries = {first}
        timer = loop.create_task(self._pause(delay_s))
        try:
            await asyncio.wait({first, timer}, return_when=asyncio.FIRST_COMPLETED)
            if not first.done() and call.caller.deadline.left() > 0 and self._budget.take():
                self._emit(CallRetried(self._source, call.route, "hedge", delay_s, call.caller.request_id))
                tries.add(loop.create_task(self._timed(call, next)))
            return await self._first_answer(first, tries)
        finally:
            timer.cancel()
            for task in tries:
                task.cancel()
            await asyncio.gather(timer, *tries, return_exceptions=True)
            del first, tries  # an error's traceback refers to this frame, whose tasks refer to the error: break the cycle

    async def _pause(self, delay_s: float) -> None:
        await self._sleep(delay_s)

    @staticmethod
    async def _first_answer(first: "asyncio.Task[Reply]", tries: "set[asyncio.Task[Reply]]") -> Reply:
        running = set(tries)
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled() and task.exception() is None:
                    return task.result()
        return first.result()

    async def _timed(self, call: Call, next: Handler) -> Reply:
        began = self._clock()
        try:
            reply = await next(call)
        except asyncio.CancelledError:
            # The slower of two attempts is cancelled. It is counted with the time that it took until then, since without it
            # slow calls would seem rarer than they are. A call that was cancelled early says nothing about the service. Nor
            # does any while too few calls are known to tell what is early.
            known = len(self._durations) >= self._options.minimum_calls
            if known and (taken_s := self._clock() - began) > self._durations.quantile_s():
                self._durations.add(taken_s)
            raise
        self._durations.add(self._clock() - began)
        return reply
