"""For state that several gateways share: how long a request may wait for it, and the error if it is unavailable.

A module of its own, so that code that only handles the error doesn't load the Redis client.
"""

from bff.upstream.caller import Deadline


class SharedStateUnavailable(Exception):
    """The shared state is unavailable: the caller goes on with the state of its own process."""


class SharedStateBudget:
    """How long one request has waited for shared state in all. Commands that wait at the same time count once.

    Attributes:
        waited: in ticks of `shared.TICK_S`, so that a busy process doesn't take its own delay for one of Redis.
        deadline: of the request; None if it has none.
    """

    __slots__ = ("deadline", "waited")

    def __init__(self, deadline: Deadline | None = None) -> None:
        self.deadline = deadline
        self.waited = 0
