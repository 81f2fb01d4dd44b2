"""What passes through the stack: a `Call` on its way down, a `Reply` or a `SourceError` on its way up.

A policy is an async function or object `policy(call, next)` that returns a `Reply` or raises a `SourceError`. `next` is the
rest of the stack: calling it sends the call on. A policy may

- refuse: raise without calling `next`. An error with `asked = False` says that nothing was sent.
- reply itself: return a `Reply` without calling `next`.
- change the call: pass `msgspec.structs.replace(call, ...)` to `next`. Calls and replies are immutable.
- repeat: call `next` several times, with the same `Call`.
- observe: call `next` once, and look at its reply or error. It must let `CancelledError` pass.

To add one: write a file in this folder, make it in `Stack.__init__`, and add a line with the reason for its place to the
list there (`stack.py`). A policy that limits each call to at most a second:

    class AtMostOneSecond:
        def __init__(self, source: str) -> None:
            self._source = source

        async def __call__(self, call: Call, next: Handler) -> Reply:
            try:
                async with asyncio.timeout(1.0):
                    return await next(call)
            except TimeoutError as error:
                raise TimedOut(self._source, counts=True) from error
"""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol, runtime_checkable
from urllib.parse import quote

import msgspec

from bff.upstream.caller import Caller
from bff.upstream.conventions import STANDARD, Conventions
from bff.upstream.headers import NO_RULES, HeaderRules
from bff.upstream.traffic.freshness import Lifetimes

_IDEMPOTENCY_HEADER = "Idempotency-Key"
_NOT_ENCODED = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")


class RequestedKeys(msgspec.Struct, frozen=True):
    """The keys that a read requests. The value of its reply is a mapping from key to object, without keys that don't exist.

    This is what lets policies split and merge calls: the cache requests missing keys only, single flight joins the keys of
    several requests. The value of a key may also be a `SourceError`, if only this object can't be read, or a `Stale` value.

    Attributes:
        family: the kind of the keys. The same key of the same family stands for the same object in all calls of the source.
        keys: the requested keys, each once.
        narrow: makes a call for other keys of the family, at most `most` of them, on behalf of the given caller.
        most: the largest number of keys in one call. 1 for a key that can't be in a call with others.
    """

    family: Hashable
    keys: tuple[Any, ...]
    narrow: Callable[[Caller, Sequence[Any]], "Call"]
    most: int


class Call(msgspec.Struct, frozen=True):
    """One call to a source, before an instance is chosen for it. Immutable, except for `tried`.

    Attributes:
        method: the HTTP method. `GET` is a read, any other a write.
        route: the path's template, for example `/users/{id}`. Metrics and logs contain it in place of the target.
        target: path and query, percent-encoded, as sent.
        caller: the request on whose behalf the call is made.
        decode: makes the reply's value from the body of a successful response. Raises `ValueError` if the body can't be
            read, `Mismatch` if it has other objects than those that were requested.
        identity: whether `X-User-ID` and `Authorization` are sent.
        body: JSON; for a write.
        idempotency_key: the `Idempotency-Key` of a write. With it, the write may be retried.
        missing_ok: whether a 404 is a reply (none of the keys exists) and not an error.
        keyed: the keys that a read requests; None for a page or a write.
        objects: for a page, a function of its value that gives its objects by their key of the family `ID`.
        touches: for a write, the key of the family `ID` of the object that it changes; None if it creates one.
        has_fallback: whether the cache has an older entry for all that is requested. Then the call is not retried.
        validator: the entity tag (RFC 9110, section 8.8.3) of the cached entry. With it, a 304 is a reply and not an error.
        conventions: what the service's statuses, errors and media types mean.
        is_posted_read: whether it is a POST that reads: it is treated as a `GET`.
        reads_headers: whether `decode` gets the reply's headers as well.
        has_no_body: whether a reply to a write needs no body. Then `decode` gets an empty one.
        forwarded: headers of the client's request that are sent on, with their values. The reply is for requests with the
            same values alone.
        is_part: whether it repeats a part of a call that failed: then its failure is no further one of the service.
        tried: the numbers of the instances to which the call was sent, in order. The balancer adds to it, so that a retry
            goes to another instance.
    """

    method: str
    route: str
    target: str
    caller: Caller
    decode: Callable[..., Any]
    identity: bool = False
    body: bytes | None = None
    idempotency_key: str | None = None
    missing_ok: bool = False
    keyed: RequestedKeys | None = None
    objects: Callable[[Any], Mapping[Hashable, Any]] | None = None
    touches: Hashable | None = None
    has_fallback: bool = False
    validator: str | None = None
    conventions: Conventions = STANDARD
    is_posted_read: bool = False
    reads_headers: bool = False
    has_no_body: bool = False
    forwarded: tuple[tuple[str, str], ...] = ()
    is_part: bool = False
    tried: list[int] = []

    def __repr__(self) -> str:
        return f"<Call {self.method} {self.route}>"

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing, so that it may be shared, cached and retried."""
        return self.method == "GET" or self.is_posted_read

    @property
    def subject(self) -> Hashable:
        """What is requested, as a key: the target, and the body of a read that has one."""
        return self.target if self.body is None else (self.target, self.body)

    @property
    def viewer(self) -> str | None:
        """The key of the identity and of the client's headers that are sent: the reply is for this viewer alone.

        None if neither is sent.
        """
        identity = self.caller.identity
        key = identity.key if self.identity and identity is not None else None
        return key if not self.forwarded else viewer_with(key, self.forwarded)


def viewer_with(key: str | None, forwarded: tuple[tuple[str, str], ...]) -> str:
    """The key of a viewer whose calls carry these headers."""
    text = "\0".join(f"{len(value)}:{name}:{value}" for name, value in forwarded)
    return f"{key or ''}+{blake2b(text.encode(), digest_size=16).hexdigest()}"


ID = "id"
"""The family of a resource's ids."""


class Mismatch(ValueError):
    """A response has objects that were not requested, or objects without a readable key.

    `usable` is the value of the part that may be used; None if there is none.
    """

    def __init__(self, usable: Any = None) -> None:
        super().__init__("the response has objects that were not requested")
        self.usable = usable


class Stale(msgspec.Struct, frozen=True):
    """A cached value that is no longer fresh, used because the call failed. `age_s` is its age in seconds."""

    value: Any
    age_s: float
    source: str


class Reply(msgspec.Struct, frozen=True):
    """A decoded response of a service, or one made from the cache.

    Attributes:
        status: 200, 201 or, for a call with `missing_ok`, 404. A 304 never leaves the cache policies.
        value: what `Call.decode` returned. With `Call.keyed` a mapping by key, of which single values may be `Stale` or a
            `SourceError`; for a page the page, or a `Stale` one.
        headers: the response's headers, by lower-case names.
        size: the body's length in bytes.
        is_kept: whether it is from the cache, which has updated the caller's `Freshness` already.
        lifetimes: how long it may be used; None if the headers were not judged yet.
    """

    status: int
    value: Any
    headers: Mapping[str, str] = {}
    size: int = 0
    is_kept: bool = False
    lifetimes: Lifetimes | None = None


Handler = Callable[[Call], Awaitable[Reply]]
"""The rest of the stack: sends the call on. Raises `SourceError`."""


class Policy(Protocol):
    """One concern of calls, as one layer of the stack. It may refuse, delay, repeat or observe what `next` does."""

    async def __call__(self, call: Call, next: Handler) -> Reply:
        """Reply to the call, with or without `next`. Raises `SourceError`."""
        ...


@runtime_checkable
class Holding(Protocol):
    """A policy with another way for streamed calls: what it holds, it holds until the stream has ended."""

    async def hold(self, call: Call, next: Handler) -> Reply:
        """Reply to the call with a `Streamed` as value. Raises `SourceError`."""
        ...


def request_headers(
    call: Call, timeout_s: float | None = None, rules: HeaderRules = NO_RULES, authorization: str | None = None
) -> tuple[tuple[str, str], ...]:
    """The request headers of a call. `X-User-ID` and `Authorization` only if the call carries an identity.

    `authorization` is the source's own, in place of the user's, as is a static one in `rules`.

    `timeout_s`, the attempt's time limit, is sent as `X-Request-Timeout-Ms`: a service may give up work that would be late.
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
    headers += identity_headers(call, rules, authorization)
    headers += call.forwarded
    headers += rules.static
    if call.body is not None:
        headers.append(("Content-Type", "application/json"))
    if call.idempotency_key is not None:
        headers.append((call.conventions.idempotency_header or _IDEMPOTENCY_HEADER, call.idempotency_key))
    if call.validator is not None:
        headers.append(("If-None-Match", call.validator))
    return tuple(headers)


def identity_headers(call: Call, rules: HeaderRules, authorization: str | None) -> list[tuple[str, str]]:
    """The headers that say for whom a call is made. See `request_headers`."""
    headers = []
    identity = call.caller.identity
    if call.identity and identity is not None:
        headers.append(("X-User-ID", _in_header(identity.user_id)))
        if authorization is None and not rules.has_own_identity:
            headers.append(("Authorization", identity.authorization))
    if authorization is not None:
        headers.append(("Authorization", authorization))
    return headers


def _in_header(user_id: str) -> str:
    """The `sub` claim may be any string. What a header can't contain is percent-encoded (RFC 9110, section 5.5)."""
    if user_id.isascii() and user_id.isalnum():
        return user_id
    return quote(user_id, safe=_NOT_ENCODED, errors="surrogatepass")
