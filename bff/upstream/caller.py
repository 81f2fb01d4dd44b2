"""For whom a call is made: one `Caller` a request, handed through to every call that the request causes."""

from collections import defaultdict
from dataclasses import dataclass, field
from hashlib import blake2b
from math import inf

from bff.runtime.clock import Clock


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
    """Who is signed in, as services are told: the token's `sub`, and the `Authorization` it came in.

    `key` is a digest of both: what belongs to one viewer is known by it, and no token is kept. Another token of the same
    person is another viewer: it may see other things.
    """

    user_id: str
    authorization: str = field(repr=False)
    key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out the key."""
        text = f"{len(self.user_id)}:{self.user_id}{self.authorization}"
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        object.__setattr__(self, "key", digest)


class Freshness:
    """How long what went into an answer may be used: the strictest of all that was read for it.

    Attributes:
        left_s: seconds from now on; infinite while nothing was read.
        is_shared: whether others than the viewer may have it.
        may_keep: whether it may be kept at all.
    """

    __slots__ = ("is_shared", "left_s", "may_keep")

    def __init__(self) -> None:
        self.left_s = inf
        self.is_shared = True
        self.may_keep = True

    def note(self, left_s: float, *, is_shared: bool, may_keep: bool) -> None:
        """Something that was read goes into the answer."""
        self.left_s = min(self.left_s, left_s)
        self.is_shared = self.is_shared and is_shared
        self.may_keep = self.may_keep and may_keep

    def forbid(self) -> None:
        """The answer holds what must not be kept."""
        self.may_keep = False


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's identity, correlation and budget. `calls` counts, by source, what went over the wire."""

    request_id: str
    traceparent: str
    deadline: Deadline
    identity: Identity | None = None
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    freshness: Freshness = field(default_factory=Freshness)
