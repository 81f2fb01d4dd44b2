"""What happened around a call, for whoever listens: frozen records, sent and forgotten.

A listener is never in the way: it returns at once, and what it raises is its own affair (the composition root wraps it).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class BreakerState(StrEnum):
    """The three states of a circuit breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class CallEnded:
    """One attempt went over the wire and ended; `outcome` is `ok` or that of the error."""

    source: str
    route: str
    method: str
    instance: int
    outcome: str
    duration_s: float
    request_id: str


@dataclass(frozen=True, slots=True)
class CallRefused:
    """A call ended here without going over the wire."""

    source: str
    route: str
    outcome: str
    request_id: str


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """A source's breaker went from one state to another."""

    source: str
    before: BreakerState
    after: BreakerState


Event = CallEnded | CallRefused | BreakerChanged
Listener = Callable[[Event], None]
