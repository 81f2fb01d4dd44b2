"""For whom a call is made: one `Caller` a request, handed through to every call that the request causes."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

Clock = Callable[[], float]
"""Seconds that only ever grow, as `time.monotonic`."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment at which the whole operation has had its time."""

    at: float
    clock: Clock

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> "Deadline":
        """The deadline that many seconds from now."""
        return cls(clock() + seconds, clock)

    def left(self) -> float:
        """Seconds left; zero or less when it has passed."""
        return self.at - self.clock()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is signed in, as services are told: the token's `sub`, and the `Authorization` it came in."""

    user_id: str
    authorization: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's identity, correlation and budget. `calls` counts, by source, what went over the wire."""

    request_id: str
    traceparent: str
    deadline: Deadline
    identity: Identity | None = None
    calls: Counter[str] = field(default_factory=Counter)
