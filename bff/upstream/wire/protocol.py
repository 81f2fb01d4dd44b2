"""The interface of a wire, which is an HTTP client for services, and its errors.

A wire keeps no cookies, follows no redirects, reads no proxy settings, never sends a request twice, and reads at most the
bytes that the caller allows. Bytes outside a response end their connection. Its only timeout is that of connecting: the
caller cancels a request that takes too long.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import msgspec

from bff.runtime.options import FilePath, options


class WireRequest(msgspec.Struct, frozen=True, gc=False):
    """One HTTP request."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None = None


class WireReply(msgspec.Struct, frozen=True, gc=False):
    """One complete HTTP response. Header names are in lower case; the values of a repeated header are joined by commas.

    `close` closes its connection, for a response that turns out to belong to another request.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    close: Callable[[], None] | None = None


RawHeaders = tuple[tuple[bytes, bytes], ...]
"""Headers as they are sent or were received, in order. A name may be there several times."""


class StreamRequest(msgspec.Struct, frozen=True):
    """One HTTP request whose body is sent piece by piece.

    Attributes:
        headers: without those that frame the body and without `Host`, which the wire adds.
        body: the pieces; None: there is no body. What it raises ends the exchange, and is raised by it.
        length: the body's length in bytes; None if it is not known beforehand.
    """

    method: str
    url: str
    headers: RawHeaders
    body: AsyncIterator[bytes] | None = None
    length: int | None = None


class StreamReply(Protocol):
    """A response whose head has arrived. Its body is read piece by piece, and the service waits for the reader."""

    @property
    def status(self) -> int:
        """The status, 200 or more."""
        ...

    @property
    def headers(self) -> RawHeaders:
        """Names in lower case."""
        ...

    async def read(self) -> bytes:
        """The next piece of the body as it was received; empty at its end. Raises `WireError` if it is truncated."""
        ...

    async def aclose(self) -> None:
        """End the exchange. If it is not complete, its connection is closed. May be called again."""
        ...


@options
class TlsOptions:
    """TLS with a service: paths of PEM files.

    Attributes:
        ca_file: the certificate authorities that are trusted, in place of the system's.
        cert_file: the gateway's client certificate, with its chain.
        key_file: the client certificate's key; None if `cert_file` contains it.
    """

    ca_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None


@dataclass(frozen=True, slots=True)
class WireOptions:
    """The connections to a service. Durations in seconds.

    Attributes:
        max_connections: concurrent connections. Further requests wait.
        connect_timeout_s: for a connection, with its TLS handshake. After that: `NotConnected`.
        keepalive_s: idle connections are closed after this. Servers commonly close theirs after 5 seconds; closing first
            avoids sending a request on a connection that the server is closing.
        http2: whether HTTP/2 is offered (by ALPN, so over TLS only).
    """

    max_connections: int = 100
    connect_timeout_s: float = 1.0
    keepalive_s: float = 4.0
    http2: bool = False
    tls: TlsOptions = field(default_factory=TlsOptions)


class WireError(Exception):
    """The root: there was no complete response."""


class Unsendable(WireError):
    """The request can't be written as HTTP, so nothing was sent. The service is not the reason."""


class NotConnected(WireError):
    """No connection could be made, so nothing was sent."""


class NotAttempted(NotConnected):
    """No connection was attempted, and the service is not the reason: too many host look-ups are running."""


class ConnectionBroken(WireError):
    """The connection broke before a response began: the service may or may not have processed the request."""


class BrokenAnswer(WireError):
    """A response began, and was truncated or no valid HTTP."""


class AnswerTooLarge(WireError):
    """The response is longer than allowed; the rest of it was not read."""


class Wire(Protocol):
    """An HTTP client for services."""

    async def send(self, request: WireRequest, *, max_response_bytes: int) -> WireReply:
        """Send one request and read the whole response. Raises `WireError`. It may be cancelled at any time."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


@runtime_checkable
class StreamingWire(Wire, Protocol):
    """A wire that can also stream."""

    async def stream(self, request: StreamRequest) -> StreamReply:
        """Send one request, and return when the response's head has arrived. The rest of the body is sent meanwhile.

        Interim responses (1xx) and trailers are dropped. Raises `WireError`, and what the request's body raises. It may be
        cancelled at any time.
        """
        ...
