"""State that several gateways share: what it may cost to ask for it, and the error where it can't be asked.

In a module of its own, so that code that only handles the error doesn't load the Redis client.
"""

from datasources.caller import Deadline


class Away(Exception):
    """The shared state can't be asked now: the caller goes on with the state of its own process."""


class Patience:
    """How long one request has waited for shared state, over all its questions. Questions that wait together count once.

    Attributes:
        waited: in ticks of `shared.TICK_S`, so that a process that is busy itself doesn't blame Redis for it.
        deadline: of the request; None where it has none.
    """

    __slots__ = ("deadline", "waited")

    def __init__(self, deadline: Deadline | None = None) -> None:
        self.deadline = deadline
        self.waited = 0
