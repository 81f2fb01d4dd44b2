"""The HTTP layer that the three services share.

A service maps paths to `Methods`, whose handlers are synchronous functions of a `Call`: a reader returns the JSON of the
response, a writer executes the write and returns the response. This module adds entity tags and 304, `Cache-Control`, limits
of bodies, idempotency, error responses and latency.
"""

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bff import DemoOptions
from datasources.demo.idempotency import IdempotencyKeys
from datasources.demo.pages import parse_id
from datasources.demo.problems import Problem

MAX_BODY_BYTES: Final = 64 * 1024
JSON: Final = "application/json"
PRIVATE: Final = "private, no-cache"

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_JSON_TYPE: Final = re.compile(r"application/(?:[\w.-]+\+)?json", re.ASCII | re.IGNORECASE)
_ENTITY_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')
# Numbers with a fraction are read as Decimal, so that 0.1 is exact.
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode


@dataclass(frozen=True, slots=True)
class Call:
    """A request to a handler: the id in the path as text, the query's parameters, the body's members."""

    path_id: str | None
    query: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def id(self) -> int:
        """The id in the path. Raises a 400 if it is not an integer."""
        return parse_id(self.path_id or "")


Reader = Callable[[Call], bytes]
"""Returns the JSON of a 200. Raises `Problem`."""

Writer = Callable[[Call], Response]
"""Executes a write and returns the response. Raises `Problem` before anything is changed."""


@dataclass(frozen=True, slots=True)
class Methods:
    """The handlers of one path. `body_optional` allows a POST without a body."""

    get: Reader | None = None
    post: Writer | None = None
    patch: Writer | None = None
    body_optional: bool = False


class Endpoint:
    """The ASGI application of one path."""

    def __init__(self, methods: Methods, cache_control: str, keys: IdempotencyKeys) -> None:
        self._reader = methods.get
        self._writers = {m: w for m, w in (("POST", methods.post), ("PATCH", methods.patch)) if w is not None}
        self._body_optional = methods.body_optional
        self._cache_control = cache_control
        self._keys = keys
        self._allow = ", ".join((("GET", "HEAD") if methods.get else ()) + tuple(self._writers))

    def __repr__(self) -> str:
        return f"<Endpoint {self._allow}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        method = scope["method"]
        try:
            if self._reader is not None and method in {"GET", "HEAD"}:
                response = self._read(self._reader, scope)
            elif method in self._writers:
                body = await _body(scope, receive)
                response = self._write(self._writers[method], scope, body)
            else:
                raise Problem(405, f"{method} is not allowed for this path.", headers={"Allow": self._allow})  # noqa: TRY301 -- all problems are handled in one place
        except Problem as problem:
            response = problem.response()
        await response(scope, receive, send)

    def _read(self, reader: Reader, scope: Scope) -> Response:
        body = reader(_call(scope))
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": self._cache_control}
        if _none_match(_header(scope, b"if-none-match"), tag):
            return Response(body, 200, headers, JSON)
        return Response(None, 304, headers)

    def _write(self, writer: Writer, scope: Scope, body: bytes) -> Response:
        call = _call(scope, self._members(scope, body))

        def work() -> Response:
            try:
                return writer(call)
            except Problem as problem:
                # Errors are stored under the key too.
                return problem.response()

        key = _header(scope, b"idempotency-key")
        if key is None:
            return work()
        if not key:
            raise Problem(400, "The Idempotency-Key is empty.")
        return self._keys.once(scope["path"], key, body, work)

    def _members(self, scope: Scope, body: bytes) -> Mapping[str, Any]:
        """The members of the body, which must be a JSON object."""
        if not body and self._body_optional:
            return _NOTHING
        media_type = (_header(scope, b"content-type") or "").partition(";")[0].strip()
        if not _JSON_TYPE.fullmatch(media_type):
            raise Problem(415, f"Content-Type: expected {JSON}, got {media_type or 'none'}.")
        try:
            members = _decode(body)
        # ValueError: invalid JSON or UTF-8. The others: nested too deeply, an exponent out of range.
        except (ValueError, RecursionError, ArithmeticError) as error:
            raise Problem(400, "The body is not valid JSON.") from error
        if not isinstance(members, dict):
            raise Problem(400, "The body is not a JSON object.")
        return members


def service(paths: Mapping[str, Methods], cache_control: str, options: DemoOptions) -> Starlette:
    """The app of one service: its paths and `/health`, with its own store of idempotency keys."""
    keys = IdempotencyKeys()
    said = "no-store" if options.no_store else cache_control
    health = Endpoint(Methods(get=lambda _: b'{"status":"ok"}'), "no-store", keys)
    app = Starlette(
        routes=[
            *(Route(path, Endpoint(methods, said, keys)) for path, methods in paths.items()),
            Route("/health", health),
        ],
        middleware=[Middleware(_Latency, latency_s=options.latency_s)] if options.latency_s else [],
        exception_handlers={Exception: _fault},
    )
    app.router.default = _unknown_path
    app.router.redirect_slashes = False
    return app


def answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The response of a successful write."""
    return Response(body, status, {"Cache-Control": "no-store", **(headers or {})}, JSON)


async def _unknown_path(scope: Scope, receive: Receive, send: Send) -> None:
    await Problem(404, f"There is nothing at {scope['path'][:200]}.").response()(scope, receive, send)


async def _fault(_: Request, __: Exception) -> Response:
    return Problem(500, "The service failed.").response()


class _Latency:
    """Delays every response after the work is done, like a slow network."""

    def __init__(self, app: ASGIApp, latency_s: float) -> None:
        self._app = app
        self._latency_s = latency_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_late(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(self._latency_s)
            await send(message)

        await self._app(scope, receive, send if scope.get("path") == "/health" else send_late)


def _call(scope: Scope, body: Mapping[str, Any] = _NOTHING) -> Call:
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    return Call(scope["path_params"].get("id"), query, body)


def _header(scope: Scope, name: bytes) -> str | None:
    for header, value in scope["headers"]:
        if header == name:
            return str(value, "latin-1")
    return None


def _none_match(condition: str | None, tag: str) -> bool:
    """Whether the condition If-None-Match is true: no tag matches by weak comparison (RFC 9110, section 13.1.2)."""
    if condition is None:
        return True
    return condition.strip() != "*" and tag not in _ENTITY_TAG.findall(condition)


async def _body(scope: Scope, receive: Receive) -> bytes:
    """The whole body. Raises a 413 as soon as it is known to be too large."""
    too_large = Problem(413, f"A body has at most {MAX_BODY_BYTES} bytes.")
    if int(_header(scope, b"content-length") or 0) > MAX_BODY_BYTES:
        raise too_large
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "The body was cut off.")
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise too_large
        if not message.get("more_body", False):
            return bytes(body)
