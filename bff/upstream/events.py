"""Events of calls, for metrics and logs: frozen records. Structs, since each call makes several.

A listener must return at once. Its exceptions never reach the call: the composition root wraps it.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec


class BreakerState(StrEnum):
    """The three states of a circuit breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CacheResult(StrEnum):
    """How the cache replied."""

    HIT = "hit"
    PARTIAL = "partial"
    """Some of the keys were cached; the others were requested."""
    REVALIDATED = "revalidated"
    STALE = "stale"
    MISS = "miss"


class InstanceState(StrEnum):
    """Whether an instance gets calls."""

    IN = "in"
    EJECTED = "ejected"
    """For a limited time, after consecutive faults."""
    UNHEALTHY = "unhealthy"
    """Until a health check passes."""


class CallEnded(msgspec.Struct, frozen=True, gc=False):
    """One attempt was sent and ended.

    Attributes:
        instance: the instance's number, from 1.
        outcome: `ok`, `cancelled` or the error's outcome.
        duration_s: of this attempt.
        status: the response's status; None if there was no response.
        problem: the title of a problem document, for the log.
        is_read: whether it was a read.
        reason: why it failed (`reasons.py`); empty if it did not.
        detail: what does not fit in a reply of another shape.
    """

    source: str
    route: str
    method: str
    instance: int
    outcome: str
    duration_s: float
    request_id: str
    status: int | None = None
    problem: str = ""
    is_read: bool = False
    reason: str = ""
    detail: str = ""


class ObjectUnreadable(msgspec.Struct, frozen=True, gc=False):
    """An object in a list or a page does not fit its record. `detail` says what does not fit."""

    source: str
    detail: str


class CallRefused(msgspec.Struct, frozen=True, gc=False):
    """A call was refused by the gateway itself, and never sent."""

    source: str
    route: str
    outcome: str
    request_id: str


class CallRetried(msgspec.Struct, frozen=True, gc=False):
    """A call is repeated after `delay_s` seconds.

    `outcome` is that of the attempt before; `hedge` for a hedge, `halved` for a part of a batch that was refused, `alone`
    for keys that are requested apart from others'.
    """

    source: str
    route: str
    outcome: str
    delay_s: float
    request_id: str


class CallCached(msgspec.Struct, frozen=True, gc=False):
    """The cache was used for a read."""

    source: str
    route: str
    result: CacheResult


class CallShared(msgspec.Struct, frozen=True, gc=False):
    """A read waits for the call of another read."""

    source: str
    route: str


class BreakerChanged(msgspec.Struct, frozen=True, gc=False):
    """A breaker changed its state. `route` is None for the source's own breaker; `forced`: by an administrator."""

    source: str
    before: BreakerState
    after: BreakerState
    route: str | None = None
    forced: bool = False


class InstanceChanged(msgspec.Struct, frozen=True, gc=False):
    """An instance gets calls again, or gets none for `for_s` seconds (None: until its health check passes)."""

    source: str
    instance: int
    state: InstanceState
    for_s: float | None = None


Event = CallEnded | ObjectUnreadable | CallRefused | CallRetried | CallCached | CallShared | BreakerChanged | InstanceChanged
Listener = Callable[[Event], None]
