"""Retry: a call that failed for a while's reason is made again, where that is safe, useful, in time and in budget.

Safe: reads, and writes with an idempotency key, whose work is done once however often they come. Useful: faults of
connection, timeouts, 429, 502, 503, 504, and answers that broke off (`SourceError.retriable`), where nothing older can be
shown instead. In time: the wait ends before the operation's deadline. In budget: a share of the traffic at most, see
`budget.py`.

It never repeats anything else, and never waits longer than `max_delay_s`: who would have to is told so.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Annotated

from annotated_types import Ge, Gt, Le

from bff.runtime.options import options
from bff.upstream.errors import NotReached, SourceError
from bff.upstream.events import CallRetried, Listener
from bff.upstream.traffic.budget import RetryBudget
from bff.upstream.traffic.call import Call, Handler, Reply


@options
class RetryOptions:
    """How often, how many on top, and how long between. Durations in seconds.

    Attributes:
        attempts: tries in all.
        budget_ratio: the share of a source's first tries that may be made again.
        base_delay_s: the most that is waited before the first retry; doubled before each further one.
        max_delay_s: and never more than this, even if the service asks for it.
    """

    attempts: Annotated[int, Ge(1), Le(10)] = 2
    budget_ratio: Annotated[float, Ge(0), Le(1)] = 0.2
    base_delay_s: Annotated[float, Gt(0), Le(60)] = 0.05
    max_delay_s: Annotated[float, Gt(0), Le(300)] = 2.0


Sleep = Callable[[float], Awaitable[None]]


class RetryPolicy:
    """Makes a call again. Each try is a call of `next` with the same `Call`, in which the balance notes who was asked."""

    def __init__(
        self,
        source: str,
        options: RetryOptions,
        budget: RetryBudget,
        emit: Listener,
        sleep: Sleep = asyncio.sleep,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._source = source
        self._options = options
        self._budget = budget
        self._emit = emit
        self._sleep = sleep
        self._random = random

    def __repr__(self) -> str:
        return f"<RetryPolicy {self._source}: {self._options.attempts} attempts, {self._budget!r}>"

    async def __call__(self, call: Call, next: Handler) -> Reply:
        """Raises what the last try raised; what a try before it raised, where the last one was refused without asking."""
        self._budget.spend_call()
        try:
            return await next(call)
        except SourceError as error:
            if not error.retriable or call.has_fallback or not (call.is_read or call.idempotency_key is not None):
                raise
            failure: SourceError = error
        for retry in range(1, self._options.attempts):
            delay_s = self._delay_s(failure, retry)
            if delay_s is None or delay_s >= call.caller.deadline.left() or not self._budget.take():
                break
            self._emit(CallRetried(self._source, call.route, failure.outcome, delay_s, call.caller.request_id))
            if delay_s > 0:
                await self._sleep(delay_s)
            try:
                return await next(call)
            except SourceError as error:
                if error.asked:  # else refused here, by the breaker say: what the service itself did is the better answer
                    failure = error
                if not (error.asked and error.retriable):
                    break
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame: both would wait for the garbage collector

    def _delay_s(self, failure: SourceError, retry: int) -> float | None:
        """How long to wait before the retry of that number: back-off with full jitter. None where it would be too long."""
        options = self._options
        if isinstance(failure, NotReached) and not failure.sent and retry == 1:
            return 0.0  # nobody was bothered yet, and the next try takes another connection, or another instance
        jitter_s = self._random() * min(options.max_delay_s, options.base_delay_s * 2.0 ** (retry - 1))
        if failure.retry_after is None:
            return jitter_s
        if failure.retry_after > options.max_delay_s:
            return None
        # On top: those who were sent away together shall not come back together.
        return failure.retry_after + jitter_s
