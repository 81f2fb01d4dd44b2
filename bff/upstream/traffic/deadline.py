"""Deadline: no call begins after its operation's deadline.

Each wait of the policies below (for a place in the bulkhead, for a reply) is limited by the time that is left. So one
deadline holds for all calls of an operation, without a timer for each.
"""

from bff.upstream.errors import TimedOut
from bff.upstream.traffic.call import Call, Handler, Reply


class DeadlinePolicy:
    """Refuses calls after the deadline. A refusal doesn't count against the service, which was not called."""

    def __init__(self, source: str) -> None:
        self._source = source

    async def __call__(self, call: Call, next: Handler) -> Reply:
        """Call `next`. Raises `TimedOut` if the caller's deadline has passed."""
        if call.caller.deadline.left() <= 0:
            raise TimedOut(self._source, counts=False, asked=False)
        return await next(call)
