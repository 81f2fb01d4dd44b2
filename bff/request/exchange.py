"""An HTTP request on its way through the pipeline. It lives from the request's head to the end of its response.

Nothing here belongs to a single operation: a batch has several. See `requested_operation.py`.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from starlette.types import Receive, Scope

from bff.errors import Headers
from bff.gate.shared_state import SharedStateBudget
from bff.request.correlation import request_id_of, traceparent_of
from bff.request.http import MediaType, negotiate
from bff.upstream.caller import Deadline
from bff.upstream.headers import ReturnedHeaders

if TYPE_CHECKING:
    from bff.gate.auth import SignedIn
    from bff.gate.consumers import Consumer
    from bff.gate.rate import OverallRateOptions, RateOptions
    from bff.request.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Client:
    """Who sent a request. It may carry a user's token, a program's API key, both, or neither.

    Attributes:
        signed_in: the user of the token; None without a token.
        consumer: the program of the API key; None without a key.
    """

    signed_in: "SignedIn | None" = None
    consumer: "Consumer | None" = None

    @property
    def is_anonymous(self) -> bool:
        """Whether the request has neither a token nor a key."""
        return self.signed_in is None and self.consumer is None

    @property
    def consumer_name(self) -> str | None:
        """The name of the program; None without a key."""
        return None if self.consumer is None else self.consumer.name


ANONYMOUS = Client()


class Ledger(Protocol):
    """What a request is charged against rate limits and quotas. See `bff.gate.rate.Ledger`."""

    @property
    def counts_cost(self) -> bool:
        """Whether the cost of operations is charged too."""
        ...

    async def charge_requests(self, number: int = 1) -> None:
        """Charge requests. Raises `RateLimited`."""
        ...

    async def charge_cost(self, cost: int) -> None:
        """Charge an operation's estimated cost. Raises `RateLimited`."""
        ...

    async def correct_cost(self, difference: int) -> None:
        """Charge the difference between actual and estimated cost; a negative one is given back. Never raises."""
        ...

    def headers(self) -> Headers:
        """The response headers that report the limits."""
        ...


class Uncharged:
    """The ledger of a request that is charged nothing: rate limits are off, or it was refused before its charge."""

    counts_cost = False

    async def charge_requests(self, number: int = 1) -> None:
        """Nothing."""

    async def charge_cost(self, cost: int) -> None:
        """Nothing."""

    async def correct_cost(self, difference: int) -> None:
        """Nothing."""

    def headers(self) -> Headers:
        """None."""
        return ()


UNCHARGED = Uncharged()


class Guarded(Protocol):
    """What a request is for, as the gate sees it: a variant or a route."""

    @property
    def name(self) -> str:
        """Under which requests are counted."""
        ...

    @property
    def rate(self) -> "RateOptions":
        """The limits of each client."""
        ...

    @property
    def rate_of_address(self) -> "OverallRateOptions | None":
        """The limits of all users of an address together; None if there are none."""
        ...

    @property
    def rate_of_all(self) -> "OverallRateOptions | None":
        """The limits of all clients together; None if there are none."""
        ...

    def check(self, signed_in: "SignedIn | None", consumer: "Consumer | None") -> None:
        """Check that a request with this token and key may use it. Raises `GatewayError`."""
        ...


class Visit(Protocol):
    """A request, as the gate sees it. `Exchange` is one."""

    client: Client
    ledger: Ledger

    @property
    def endpoint(self) -> Guarded:
        """What the request is for."""
        ...

    @property
    def headers(self) -> Mapping[bytes, list[bytes]]:
        """The request's headers."""
        ...

    @property
    def address(self) -> str:
        """The client's address."""
        ...

    @property
    def wait_budget(self) -> SharedStateBudget:
        """How long the request may wait for Redis."""
        ...


@dataclass(slots=True)
class Exchange:
    """An HTTP request to a variant, and what the gate has found out about it.

    Attributes:
        endpoint: the variant that the request is for.
        scope, receive: ASGI's own.
        headers: by name in lower case, as ASGI has it, each with all its values.
        request_id: in the response, in logs, and sent to services.
        traceparent: sent to services.
        deadline: when the whole request must be answered.
        began: when it arrived, by the deadline's clock.
        address: the client's IP address, as far as the proxies in front are trusted to report it.
        accepted: the media type that the client prefers of those that the gateway offers; None if it accepts none.
        media: the response's media type.
        wait_budget: how long the request may wait for Redis. The operations of a batch share it.
        client: anonymous until a token or a key has been accepted.
        ledger: charges nothing until the request itself is charged.
        returned: headers of services' replies that the response gets; None if there can't be any.
        wish: the deadline that the client asks for, shorter or not; None if it doesn't.
        calls: upstream calls so far, by source, of all operations together: for the access log.
    """

    endpoint: "Endpoint"
    scope: Scope
    receive: Receive
    headers: Mapping[bytes, list[bytes]]
    request_id: str
    traceparent: str
    deadline: Deadline
    began: float
    address: str
    accepted: MediaType | None
    media: MediaType
    wait_budget: SharedStateBudget
    client: Client = ANONYMOUS
    ledger: Ledger = UNCHARGED
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    returned: ReturnedHeaders | None = None
    wish: Deadline | None = None

    def heed(self, wish: Deadline) -> None:
        """Take the client's own deadline into account, which can only shorten the time of the request."""
        self.wish = wish
        if wish.at < self.deadline.at:
            self.deadline = wish
            self.wait_budget = SharedStateBudget(wish)

    def header(self, name: bytes) -> bytes | None:
        """A header's value; several values are joined by commas (RFC 9110, section 5.3)."""
        values = self.headers.get(name)
        return b", ".join(values) if values else None


def open_exchange(
    endpoint: "Endpoint",
    scope: Scope,
    receive: Receive,
    headers: Mapping[bytes, list[bytes]],
    deadline: Deadline,
    address: str,
    began: float | None = None,
) -> Exchange:
    """The exchange of a request of which only the head has been read. It began now, if `began` doesn't say when."""
    accept = headers.get(b"accept")
    accepted = negotiate(b", ".join(accept) if accept else None)
    return Exchange(
        endpoint,
        scope,
        receive,
        headers,
        request_id_of(headers),
        traceparent_of(headers),
        deadline,
        deadline.clock() if began is None else began,
        address,
        accepted,
        accepted or MediaType.JSON,
        SharedStateBudget(deadline),
    )


def headers_of(scope: Scope) -> dict[bytes, list[bytes]]:
    """A request's headers by name."""
    headers: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name, []).append(value)
    return headers
