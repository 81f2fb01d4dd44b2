"""A route: which requests are handed through to which service, for whom, and within which limits. Made at start-up."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bff.errors import RoleNeeded, VariantNotAllowed
from bff.gate.access import Entry
from bff.gate.rate import OverallRateOptions, RateOptions
from bff.routes.paths import prefix_of, public
from bff.upstream.traffic.streams import StreamCall, Streamed

if TYPE_CHECKING:
    from bff.gate.auth import SignedIn
    from bff.gate.consumers import Consumer


@dataclass(frozen=True, slots=True, eq=False)
class RouteTarget:
    """The service behind a route.

    Attributes:
        stream: makes a call under the service's policies.
        urls: its instances' base URLs at present.
    """

    name: str
    stream: Callable[[StreamCall], Awaitable[Streamed]]
    urls: Callable[[], Sequence[str]]


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A route. Durations in seconds; sizes in bytes.

    Attributes:
        path: the prefix of the paths that it serves: itself, and what is below it.
        methods: the methods that it serves.
        target: the service.
        rewrite: what the service gets in place of `path`; None: the path as it came.
        entry: what a request must prove.
        consumers: the consumers that may use it; None: all that `entry` lets in.
        rate: the limits of each client.
        rate_of_address, rate_of_all: the limits of all users of an address, and of all clients; None if there are none.
        timeout_s: until the head of the answer, from the end of the request's body on.
        idle_timeout_s: that a body may stall, either way.
        deadline_s: for the whole exchange.
        max_request_bytes, max_response_bytes: of bodies; None: no limit.
        forward_identity: whether the service gets `X-User-ID` and the checked `Authorization`.
        cookies: whether cookies are passed on, both ways.
    """

    path: str
    methods: frozenset[str]
    target: RouteTarget
    rewrite: str | None
    entry: Entry
    consumers: frozenset[str] | None
    rate: RateOptions
    rate_of_address: OverallRateOptions | None
    rate_of_all: OverallRateOptions | None
    timeout_s: float
    idle_timeout_s: float
    deadline_s: float
    max_request_bytes: int
    max_response_bytes: int | None
    forward_identity: bool
    cookies: bool
    prefix: tuple[bytes, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Split the path."""
        object.__setattr__(self, "prefix", prefix_of(self.path))

    def __repr__(self) -> str:
        return f"<Route {self.path} to {self.target.name}>"

    @property
    def name(self) -> str:
        """Under which requests are counted. No variant has a slash in its name."""
        return self.path

    def check(self, signed_in: "SignedIn | None", consumer: "Consumer | None") -> None:
        """Check that a request with this token and key may use it.

        A token that may only be used in certain variants may not be used here. Raises `GatewayError`.
        """
        if consumer is not None and self.consumers is not None and consumer.name not in self.consumers:
            raise VariantNotAllowed
        if signed_in is not None and signed_in.variants is not None:
            raise RoleNeeded
        if not self.entry.is_open:
            self.entry.check(signed_in, consumer)

    def public(self, path: str) -> str | None:
        """The gateway's path for a path of the service; None if it has none."""
        return public(path, self.path, self.rewrite)
