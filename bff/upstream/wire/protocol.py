"""What an HTTP client must do to serve as the wire, and the ways in which it may fail.

A wire keeps no cookies, follows no redirects, reads no proxy settings, never sends a request twice, and takes no more
bytes than it was told. Bytes that nobody asked for end their connection. Time is not its affair, but for the time to
connect: the caller cancels it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from bff.runtime.options import options


class WireRequest(msgspec.Struct, frozen=True, gc=False):
    """One HTTP request, whole."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None = None


class WireReply(msgspec.Struct, frozen=True, gc=False):
    """One HTTP answer, whole. Header names are in lower case; of a repeated one the values are joined by commas.

    `close` closes its connection, for an answer that turns out to belong to another request.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    close: Callable[[], None] | None = None


@options
class TlsOptions:
    """How a service proves itself, and we ourselves to it: paths of PEM files.

    Attributes:
        ca_file: the authorities that are trusted, in place of the system's.
        cert_file: our certificate, with its chain.
        key_file: its key; None where it stands in `cert_file`.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


@dataclass(frozen=True, slots=True)
class WireOptions:
    """How connections to a service are made and kept. Durations in seconds.

    Attributes:
        max_connections: so many at once; a request beyond waits.
        connect_timeout_s: until a connection, with TLS, stands; then it is `NotConnected`.
        keepalive_s: servers commonly close what has been idle for 5 seconds: we do first, or a request meets a connection
            on its way out.
        http2: whether HTTP/2 is offered (by ALPN, so over TLS only).
    """

    max_connections: int = 100
    connect_timeout_s: float = 1.0
    keepalive_s: float = 4.0
    http2: bool = False
    tls: TlsOptions = field(default_factory=TlsOptions)


class WireError(Exception):
    """The root: no whole answer came."""


class Unsendable(WireError):
    """What was to be sent fits no HTTP request, so nothing was: the service has no part in it."""


class NotConnected(WireError):
    """No connection stood, so nothing was sent."""


class NotAttempted(NotConnected):
    """No connection was attempted, and the service is not the reason: too many look-ups of hosts hang."""


class ConnectionBroken(WireError):
    """The connection broke before an answer began: the service may or may not have acted."""


class BrokenAnswer(WireError):
    """An answer began, and broke off or was no HTTP."""


class AnswerTooLarge(WireError):
    """The answer is longer than allowed; the rest of it was not read."""


class Wire(Protocol):
    """An HTTP client as the data sources see it."""

    async def send(self, request: WireRequest, *, max_response_bytes: int) -> WireReply:
        """Send one request and read the whole answer. Raises `WireError`; may be cancelled at any moment."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
