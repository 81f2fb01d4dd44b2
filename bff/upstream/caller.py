"""On whose behalf a call is made: one `Caller` for each request, passed to every call that the request causes."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from math import inf

from bff.runtime.clock import Clock
from bff.upstream.headers import ReturnedHeaders


@dataclass(frozen=True, slots=True)
class Deadline:
    """When the whole operation must have ended. `at` is in seconds of `clock`.

    `by_client`: whether the client chose it. Then a call that it ends says nothing about the service.
    """

    at: float
    clock: Clock
    by_client: bool = False

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> "Deadline":
        """The deadline in this many seconds."""
        return cls(clock() + seconds, clock)

    def left(self) -> float:
        """Seconds left; zero or less when it has passed."""
        return self.at - self.clock()


class CallBudget:
    """How many calls an operation may still make, of the `most` that it may make in all. Retries are not counted."""

    __slots__ = ("left", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.left = most

    def __repr__(self) -> str:
        return f"<CallBudget {self.left} of {self.most}>"

    def take(self) -> bool:
        """Count a call. Returns False if none is left."""
        if self.left <= 0:
            return False
        self.left -= 1
        return True


@dataclass(frozen=True, slots=True)
class Identity:
    """The signed-in user, as services get it: the token's `sub` claim and the `Authorization` header.

    `key` is a digest of both. It identifies the viewer in caches, which so don't store tokens. Another token of the same
    user is another viewer, since its claims may permit other things.
    """

    user_id: str
    authorization: str = field(repr=False)
    key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compute the key."""
        text = f"{len(self.user_id)}:{self.user_id}{self.authorization}"
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        object.__setattr__(self, "key", digest)


class Freshness:
    """How long a response may be cached: the strictest limit of all upstream replies in it.

    Attributes:
        left_s: seconds; infinite if no reply was read.
        is_shared: whether shared caches may store it, for other users too.
        may_keep: whether it may be stored at all.
    """

    __slots__ = ("is_shared", "left_s", "may_keep")

    def __init__(self) -> None:
        self.left_s = inf
        self.is_shared = True
        self.may_keep = True

    def note(self, left_s: float, *, is_shared: bool, may_keep: bool) -> None:
        """Take an upstream reply into account. It may be used for `left_s` seconds more."""
        self.left_s = min(self.left_s, left_s)
        self.is_shared = self.is_shared and is_shared
        self.may_keep = self.may_keep and may_keep

    def forbid(self) -> None:
        """The response contains something that must not be stored."""
        self.may_keep = False


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's ids, deadline and identity.

    Attributes:
        calls: by source, the attempts that were sent for it.
        freshness: how long the response may be cached.
        forwarded: the headers of the client's request that some source may get, by lower-case names; None: none.
        admit: checks whether the client may use a source, by its name; raises `SourceError`. None if there is no limit.
        returned: collects the headers of replies that the client gets; None if no source returns any.
        budget: limits the operation's calls; None: they are not limited.
    """

    request_id: str
    traceparent: str
    deadline: Deadline
    identity: Identity | None = None
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    freshness: Freshness = field(default_factory=Freshness)
    forwarded: Mapping[str, str] | None = None
    returned: ReturnedHeaders | None = None
    admit: Callable[[str], Awaitable[None]] | None = None
    budget: CallBudget | None = None
