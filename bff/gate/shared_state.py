"""State that several gateways share: how long a request may wait for it, and the error if it is unavailable.

This is apart from `shared`, so that code that only handles the error doesn't load the Redis client.
"""

from bff.upstream.caller import Deadline


class SharedStateUnavailable(Exception):
    """The shared state is unavailable. The caller uses the state of its own process."""


class SharedStateBudget:
    """How long one request has waited for shared state in all. Concurrent waits count once.

    Attributes:
        waited: in ticks of `shared.TICK_S` seconds.
        deadline: of the request; None if it has none.
    """

    __slots__ = ("deadline", "waited")

    def __init__(self, deadline: Deadline | None = None) -> None:
        self.deadline = deadline
        self.waited = 0
