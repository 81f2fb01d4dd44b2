"""Retry: repeats a call that failed for a temporary reason, if that is safe, useful, in time and within the budget.

- Safe: reads, and writes with an idempotency key, which the service executes once.
- Useful: connection failures, timeouts, 429, 502, 503, 504 and truncated replies (`SourceError.retriable`), unless an older
  cache entry can be shown instead.
- In time: the delay ends before the operation's deadline.
- Within the budget: retries are at most a share of the traffic, see `budget.py`.

Nothing else is repeated. If the service asks for a longer delay than `max_delay_s` (`Retry-After`), the error is raised.
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
    """Retries of one source. Durations in seconds.

    Attributes:
        attempts: attempts in all, the first included.
        budget_ratio: retries and hedges as a share of the source's first attempts.
        base_delay_s: the longest delay before the first retry. It doubles for each further retry.
        max_delay_s: the longest delay before any retry, even if the service asks for a longer one.
    """

    attempts: Annotated[int, Ge(1), Le(10)] = 2
    budget_ratio: Annotated[float, Ge(0), Le(1)] = 0.2
    base_delay_s: Annotated[float, Gt(0), Le(60)] = 0.05
    max_delay_s: Annotated[float, Gt(0), Le(300)] = 2.0


Sleep = Callable[[float], Awaitable[None]]


class RetryPolicy:
    """The policy of one source. Each attempt passes the same `Call` to `next`; the balancer notes its instance in it."""

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
        """Call `next` until it succeeds or no retry is allowed.

        Raises the last attempt's error. If the gateway itself refused that attempt, raises the error of the one before.
        """
        self._budget.add_call()
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
                if error.asked:  # otherwise refused by the breaker, for example: the service's own error says more
                    failure = error
                if not (error.asked and error.retriable):
                    break
        try:
            raise failure
        finally:
            del failure  # its traceback refers to this frame: the cycle would stay until the garbage collector runs

    def _delay_s(self, failure: SourceError, retry: int) -> float | None:
        """Seconds before this retry (1 for the first): back-off with full jitter. None if the service asks for too many."""
        options = self._options
        if isinstance(failure, NotReached) and not failure.sent and retry == 1:
            return 0.0  # nothing was sent, and the next attempt uses another connection or another instance
        jitter_s = self._random() * min(options.max_delay_s, options.base_delay_s * 2.0 ** (retry - 1))
        if failure.retry_after is None:
            return jitter_s
        if failure.retry_after > options.max_delay_s:
            return None
        # The jitter is added, so that calls that were refused at the same time are not repeated at the same time.
        return failure.retry_after + jitter_s
