"""One request's typed state: made when it comes in, filled step by step, gone when it is answered."""

import os
import re
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.types import Receive, Scope

from bff.upstream.caller import Deadline

if TYPE_CHECKING:
    from bff.engine.operation import Operation
    from bff.gate.auth import SignedIn
    from bff.gate.consumers import Consumer
    from bff.gate.rate import Ledger
    from bff.gate.shared_state import SharedStateBudget
    from bff.operations.calls import TrustedOperation
    from bff.request.endpoint import Endpoint
    from bff.request.http import GraphQLRequest, MediaType

_SANE_ID = re.compile(rb"[A-Za-z0-9._~-]{1,128}\Z")
# A later version than 00 may say more behind what is known, and is read as far as that (W3C Trace Context, section 3.2.4).
_TRACEPARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-[ -~]*)?\Z")


class _Random:
    """Random digits from the kernel, asked for many at a time: a question to it costs as much as a step of the pipeline."""

    AT_ONCE = 2048

    def __init__(self) -> None:
        self.forget()
        # A forked process must not give out what its parent has.
        os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Begin anew."""
        self._digits = ""
        self._used = 0

    def hex(self, number: int) -> str:
        """So many hexadecimal digits, never given out before."""
        begin = self._used
        self._used = end = begin + number
        if end > len(self._digits):
            self._digits = os.urandom(self.AT_ONCE).hex()
            begin, self._used = 0, number
            end = number
        return self._digits[begin:end]


_random = _Random()


@dataclass(slots=True)
class Exchange:
    """A request on its way through the pipeline.

    Attributes:
        endpoint: the variant that was asked.
        scope, receive: ASGI's own.
        headers: names in lower case, as ASGI gives them, each with all of its values.
        request_id: the client's where it is sane, else a new one; it is answered, logged and sent upstream.
        traceparent: as it goes upstream (W3C Trace Context): the client's trace, a span of our own.
        deadline: when the whole operation has had its time.
        called: the trusted operation that the path names, None where it names none.
        address: the client's, as far as the proxies in front are trusted to know it.
        consumer: the program that sent an API key.
        patience: how long it has waited for shared state; the requests of a batch share one.
        ledger: what the request is charged.
        batch: the requests that came as one, in place of `request`.
        is_part: whether this is one of those.
        cost: the operation's, as estimated.
        answer_key: by which its answer may be kept, None where it may not; of which generation of kept answers it is.
    """

    endpoint: "Endpoint"
    scope: Scope
    receive: Receive
    headers: Mapping[bytes, list[bytes]]
    request_id: str
    traceparent: str
    deadline: Deadline
    address: str = ""
    called: "TrustedOperation | None" = None
    media: "MediaType | None" = None
    signed_in: "SignedIn | None" = None
    consumer: "Consumer | None" = None
    wait_budget: "SharedStateBudget | None" = None
    ledger: "Ledger | None" = None
    request: "GraphQLRequest | None" = None
    batch: "Sequence[GraphQLRequest] | None" = None
    is_part: bool = False
    operation: "Operation | None" = None
    cost: int = 0
    response_key: Hashable = None
    response_generation: int = 0
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def header(self, name: bytes) -> bytes | None:
        """A header's value; of several, joined by commas (RFC 9110, section 5.3)."""
        values = self.headers.get(name)
        return b", ".join(values) if values else None


@dataclass(frozen=True, slots=True)
class Response:
    """What goes back, and what the log shall know of it."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    codes: tuple[str, ...] = ()
    outcome: str = "ok"


def headers_of(scope: Scope) -> dict[bytes, list[bytes]]:
    """A request's headers by name."""
    headers: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name, []).append(value)
    return headers


def request_id_of(headers: Mapping[bytes, list[Any]]) -> str:
    """The client's `X-Request-ID` where it is one and sane, else a new one."""
    given = headers.get(b"x-request-id")
    if given and len(given) == 1 and _SANE_ID.match(given[0]):
        return str(given[0], "ascii")
    return _random.hex(32)


def traceparent_of(headers: Mapping[bytes, list[Any]]) -> str:
    """The `traceparent` to send upstream: the client's trace where it has one, else a new one, and a new span."""
    given = headers.get(b"traceparent")
    match = _TRACEPARENT.match(given[0]) if given and len(given) == 1 else None
    if match is None or (match[1] == b"00" and match[4] is not None):
        return f"00-{_random.hex(32)}-{_random.hex(16)}-01"
    return f"00-{match[2].decode()}-{_random.hex(16)}-{match[3].decode()}"
