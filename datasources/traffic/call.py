"""What runs through the stack: a call on its way down, a reply on its way up."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from datasources.caller import Caller


@dataclass(frozen=True, slots=True)
class Call:
    """One call to a service, before it is known to which instance it goes.

    Attributes:
        method: the HTTP method.
        route: the path's template, as `/users/{id}`: what metrics and logs may say.
        target: path and query, percent-encoded, as it is sent.
        caller: for whom the call is made.
        decode: makes the reply's value of a 2xx body; raises `ValueError` where the body as a whole can't be read.
        identity: whether `X-User-ID` and `Authorization` go along.
        body: JSON, for a write.
        idempotency_key: for a write.
        missing_ok: whether a 404 is an answer like any other, with the value None.
    """

    method: str
    route: str
    target: str
    caller: Caller
    decode: Callable[[bytes], Any]
    identity: bool = False
    body: bytes | None = None
    idempotency_key: str | None = None
    missing_ok: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What a service answered, decoded."""

    status: int
    value: Any
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Awaitable[Reply]]


class Policy(Protocol):
    """One concern around a call: it may refuse, delay, repeat or watch what `next` does."""

    async def __call__(self, call: Call, next: Handler) -> Reply:
        """Answer the call, by asking `next` or without."""
        ...
