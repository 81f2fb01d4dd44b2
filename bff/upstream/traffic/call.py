"""What runs through the stack: a call on its way down, a reply on its way up."""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from bff.upstream.caller import Caller
from bff.upstream.traffic.freshness import Lifetimes

_VISIBLE = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")


class RequestedKeys(msgspec.Struct, frozen=True):
    """What a call asks for by key. The value of its reply is a mapping of those keys that exist.

    Attributes:
        family: what kind of keys these are: two calls for the same key of one family get the same object.
        keys: what is asked for, each key once.
        narrow: makes the same call for other keys of the family, at most `most` of them.
        most: so many keys fit one call.
    """

    family: Hashable
    keys: tuple[Any, ...]
    narrow: Callable[[Caller, Sequence[Any]], "Call"]
    most: int


class Call(msgspec.Struct, frozen=True):
    """One call to a service, before it is known to which instance it goes.

    Attributes:
        method: the HTTP method.
        route: the path's template, as `/users/{id}`: what metrics and logs may say.
        target: path and query, percent-encoded, as it is sent.
        caller: for whom the call is made.
        decode: makes the reply's value from a successful body; raises `ValueError` if the body as a whole can't be read,
            `Mismatch` if it is the answer to another question.
        identity: whether `X-User-ID` and `Authorization` go along.
        body: JSON, for a write.
        idempotency_key: for a write.
        missing_ok: whether a 404 is an answer like any other: that none of the keys is there.
        keyed: what is asked for by key; None for a page, whose value stands for itself.
        objects: of a page's value, the objects by their key of the family `ID`.
        touches: for a write, the key of the family `ID` that it changes; None where it has none yet.
        has_fallback: whether an older answer to all of it can be shown. Then the call is not retried.
        validator: an entity tag (RFC 9110, section 8.8.3) of what is at hand: a 304 then is an answer like any other.
        tried: the numbers of the instances that were asked, in order. The balance notes them, so that a second try goes
            elsewhere.
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
    keyed: RequestedKeys | None = None
    objects: Callable[[Any], Mapping[Hashable, Any]] | None = None
    touches: Hashable | None = None
    has_fallback: bool = False
    validator: str | None = None
    tried: list[int] = []

    def __repr__(self) -> str:
        return f"<Call {self.method} {self.route}>"

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing, so that it may be shared, kept and made again."""
        return self.method == "GET"

    @property
    def viewer(self) -> str | None:
        """Whose answer this is, and nobody else's, by the identity's key; None where nothing personal goes upstream."""
        identity = self.caller.identity
        return identity.key if self.identity and identity is not None else None


ID = "id"
"""The family of keys by which a resource's objects are known."""


class Mismatch(ValueError):
    """An answer has objects that were not requested, or objects without a readable key.

    `usable` is the part that may be used; None if there is none.
    """

    def __init__(self, usable: Any = None) -> None:
        super().__init__("the answer holds what was not asked for")
        self.usable = usable


class Stale(msgspec.Struct, frozen=True):
    """A value that is past its time and was taken because nothing better could be had. `age_s` since it was made."""

    value: Any
    age_s: float
    source: str


class Reply(msgspec.Struct, frozen=True):
    """What a service answered, decoded. In place of a keyed value, or of a page's, there may be a `Stale` one.

    `size` is the body's length in bytes. `is_kept`: it comes from the cache, which has told how fresh it is. `lifetimes`:
    how long it may be used; None if that was not decided yet, so that the headers decide.
    """

    status: int
    value: Any
    headers: Mapping[str, str] = {}
    size: int = 0
    is_kept: bool = False
    lifetimes: Lifetimes | None = None


Handler = Callable[[Call], Awaitable[Reply]]


class Policy(Protocol):
    """One concern around a call: it may refuse, delay, repeat or watch what `next` does."""

    async def __call__(self, call: Call, next: Handler) -> Reply:
        """Answer the call, by asking `next` or without."""
        ...


def request_headers(call: Call, timeout_s: float | None = None) -> tuple[tuple[str, str], ...]:
    """The headers that rest.md wants; identity only where the call carries it. Never one that the client sent as it is.

    `timeout_s`, what the attempt has, goes along in milliseconds: a service may spare itself what would come too late.
    """
    caller = call.caller
    headers = [
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", "bff"),
        ("X-Request-ID", caller.request_id),
        ("traceparent", caller.traceparent),
    ]
    if timeout_s is not None:
        headers.append(("X-Request-Timeout-Ms", str(max(int(timeout_s * 1000), 1))))
    if call.identity and caller.identity is not None:
        headers.append(("X-User-ID", _in_header(caller.identity.user_id)))
        headers.append(("Authorization", caller.identity.authorization))
    if call.body is not None:
        headers.append(("Content-Type", "application/json"))
    if call.idempotency_key is not None:
        headers.append(("Idempotency-Key", call.idempotency_key))
    if call.validator is not None:
        headers.append(("If-None-Match", call.validator))
    return tuple(headers)


def _in_header(user_id: str) -> str:
    """A `sub` may be any string; what can't stand in a header is percent-encoded (RFC 9110, section 5.5)."""
    if user_id.isascii() and user_id.isalnum():
        return user_id
    return quote(user_id, safe=_VISIBLE, errors="surrogatepass")
