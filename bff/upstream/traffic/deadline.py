"""Deadline: no call begins once its operation has had its time.

Each wait further down (for a place, for an answer) bounds itself by what is left, so that one budget holds for all of an
operation's calls without a timer of its own for each.
"""

from bff.upstream.errors import TimedOut
from bff.upstream.traffic.call import Call, Handler, Reply


class DeadlinePolicy:
    """Refuses what comes too late. The refusal doesn't count against the service: it wasn't asked."""

    def __init__(self, source: str) -> None:
        self._source = source

    async def __call__(self, call: Call, next: Handler) -> Reply:
        """Raises `TimedOut` when nothing is left of the caller's budget."""
        if call.caller.deadline.left() <= 0:
            raise TimedOut(self._source, counts=False, asked=False)
        return await next(call)
