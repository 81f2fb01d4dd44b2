"""What happened around a call, for whoever listens: frozen records, sent and forgotten. Structs: each call makes several.

A listener is never in the way: it returns at once, and what it raises is its own affair (the composition root wraps it).
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
    """How the cache came to an answer."""

    HIT = "hit"
    PARTIAL = "partial"
    """A part of the keys was at hand; the rest was asked for."""
    REVALIDATED = "revalidated"
    STALE = "stale"
    MISS = "miss"


class InstanceState(StrEnum):
    """Whether an instance gets calls."""

    IN = "in"
    EJECTED = "ejected"
    """For a while, after faults in a row."""
    UNHEALTHY = "unhealthy"
    """Until its health check says otherwise."""


class CallEnded(msgspec.Struct, frozen=True, gc=False):
    """One attempt went over the wire and ended; `outcome` is `ok` or that of the error.

    `status` is the answer's, None where none came; `problem` what a problem document named itself (its title), for the log.
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


class CallRefused(msgspec.Struct, frozen=True, gc=False):
    """A call ended here without going over the wire."""

    source: str
    route: str
    outcome: str
    request_id: str


class CallRetried(msgspec.Struct, frozen=True, gc=False):
    """A call is made again after `delay_s`; `outcome` is what came of the try before. A hedge has the outcome `hedge`."""

    source: str
    route: str
    outcome: str
    delay_s: float
    request_id: str


class CallCached(msgspec.Struct, frozen=True, gc=False):
    """A read passed the cache."""

    source: str
    route: str
    result: CacheResult


class CallShared(msgspec.Struct, frozen=True, gc=False):
    """A read waits for what another one is asking already."""

    source: str
    route: str


class BreakerChanged(msgspec.Struct, frozen=True, gc=False):
    """A breaker went from one state to another. `route` is None for the source's own; `forced` by an administrator."""

    source: str
    before: BreakerState
    after: BreakerState
    route: str | None = None
    forced: bool = False


class InstanceChanged(msgspec.Struct, frozen=True, gc=False):
    """An instance is given calls again, or none for `for_s` seconds (None: until its health check passes)."""

    source: str
    instance: int
    state: InstanceState
    for_s: float | None = None


Event = CallEnded | CallRefused | CallRetried | CallCached | CallShared | BreakerChanged | InstanceChanged
Listener = Callable[[Event], None]
