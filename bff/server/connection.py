"""A client's HTTP/1.1 connection: uvicorn's protocol with limits on what a client can occupy, without upgrades and trailers.

What it guarantees:
1. A connection is closed if a head takes too long or is too large, or if the client reads its answer too slowly. The request
   pipeline limits the time and the size of a body.
2. An offer to upgrade is ignored (RFC 9110, section 7.8).
3. Trailer fields are dropped (RFC 9110, section 6.5.1). A body's framing (chunk sizes, extensions, trailers) is limited.
4. While a request waits for the answer to the one before it (pipelining), nothing after it is parsed.
5. A refusal is a GraphQL answer. It is not written if the client would read it as the answer to another request.
6. The request that is being answered is notified of a disconnect, also if others wait behind it.
"""

import asyncio
from http import HTTPStatus
from typing import Annotated, Any

import httptools
import uvicorn
from annotated_types import Ge, Gt, Le
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from bff import errors
from bff.errors import BadRequest, GatewayError, TooManyConnections
from bff.request import access_log
from bff.request.encoding import content_headers, encode_json
from bff.request.http import MediaType
from bff.runtime.options import options
from bff.server.head import refusal_of, without_upgrade
from bff.server.sockets import acknowledged_bytes, reset, unacknowledged_bytes

_SLICE_BYTES = 4096
"""Bytes that are parsed between two checks whether a request has to wait for another: at most a few hundred requests."""
_FRAMING_PER_BYTE = 8
"""Framing bytes that are allowed for each byte of a body. A chunk of a single byte needs five."""
_SMALL_PIECES = 4096
"""Pieces of a body, and trailer fields, that may have any size."""
_PIECE_BYTES = 64
"""Minimum average size of a body's further pieces, in bytes."""


@options
class ConnectionOptions:
    """Limits on clients' connections.

    Attributes:
        max_connections: connections of one process at a time.
        head_timeout_s: seconds for a request's line and headers to arrive; also the interval at which
            `read_bytes_per_s` is checked.
        head_bytes: the size of the request line and the headers.
        headers: the number of headers of one request.
        read_bytes_per_s: the lowest rate at which a client may read an answer.
    """

    max_connections: Annotated[int, Ge(1), Le(1_000_000)] = 10_000
    head_timeout_s: Annotated[float, Gt(0), Le(300)] = 15.0
    head_bytes: Annotated[int, Ge(1024), Le(1024 * 1024)] = 32 * 1024
    headers: Annotated[int, Ge(10), Le(1000)] = 100
    read_bytes_per_s: Annotated[int, Ge(1), Le(1024 * 1024)] = 2048


class ServerConfig(uvicorn.Config):
    """uvicorn's configuration with `ClientConnection` as the protocol.

    `is_closing` is True while the process stops: each connection is closed after its next answer.
    """

    def __init__(self, app: Any, connections: ConnectionOptions, **options: Any) -> None:
        super().__init__(app, http=ClientConnection, **options)
        self.connections = connections
        self.is_closing = False


class _Stop(Exception):
    """Raised in the parser's callbacks to stop it. The reason is in `ClientConnection._refusal`."""


class _Flow(FlowControl):
    """Flow control that keeps reading paused while bytes are held back."""

    is_held = False

    def resume_reading(self) -> None:
        """Resume, unless bytes are held back."""
        if not self.is_held:
            super().resume_reading()


class ClientConnection(HttpToolsProtocol):
    """One client's connection."""

    config: ServerConfig
    flow: _Flow

    def __init__(
        self,
        config: ServerConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._options = config.connections
        self._refusal: GatewayError | None = None
        # The request that is being answered. uvicorn's `cycle` is the newest, which may wait behind it.
        self._first: RequestResponseCycle | None = None
        self._timer: asyncio.TimerHandle | None = None
        # The request that is being received
        self._receiving_since: float | None = None
        self._is_in_head = True
        self._head_bytes = 0
        self._segment_bytes = 0
        self._is_upgrading = False
        self._framed_bytes = 0
        self._body_bytes = 0
        self._pieces = 0
        self._held = b""
        # The answers that the client is reading
        self._unread_bytes = 0
        self._acknowledged_bytes = 0
        self._answers = 0
        self._answers_before = 0

    # asyncio's side

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, or refuse it if there are too many."""
        super().connection_made(transport)
        self.flow = _Flow(transport)
        if len(self.connections) > self._options.max_connections:
            self._refuse(TooManyConnections())
            return
        self._receiving_since = self.loop.time()
        self._timer = self.loop.call_later(self._options.head_timeout_s, self._check_progress)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything."""
        if self._timer is not None:
            self._timer.cancel()
        self._held = b""
        self._disconnect_first()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse bytes of one or several requests, or hold them back while a request waits for another."""
        if self.transport.is_closing():
            return
        if self._receiving_since is None:
            self._receiving_since = self.loop.time()
        if self._held:
            self._held += data
        elif len(data) <= _SLICE_BYTES and not self.pipeline:
            self._feed(data)
        else:
            self._held = data
            self._feed_held()

    def on_response_complete(self) -> None:
        """After an answer was written: start the next request, and parse the bytes behind it."""
        self._answers += 1
        if self.pipeline:
            self._first = self.pipeline[-1][0]
        super().on_response_complete()
        if self._held:
            self.loop.call_soon(self._feed_held)

    # Parsing

    def _feed_held(self) -> None:
        """Parse the held bytes slice by slice, until a request has to wait for another."""
        held, self._held = self._held, b""
        position = 0
        while position < len(held) and not self.pipeline and not self.transport.is_closing():
            self._feed(held[position : position + _SLICE_BYTES])
            position += _SLICE_BYTES
        if self.transport.is_closing():
            return
        self._held = held[position:]
        if self._held:
            self.flow.is_held = True
            self.flow.pause_reading()
        elif self.flow.is_held:
            self.flow.is_held = False
            self.flow.resume_reading()

    def _feed(self, data: bytes) -> None:
        """Parse some bytes."""
        self._unset_keepalive_if_required()
        was_in_head = self._is_in_head
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._refuse(self._refusal or BadRequest("Expected an HTTP/1.1 request, got bytes that can't be parsed as one."))
            return
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self._options.head_bytes:
                self._refuse(_head_too_large(self._options))
        elif not was_in_head:
            self._framed_bytes += len(data)
            if self._framed_bytes > self._options.head_bytes + (1 + _FRAMING_PER_BYTE) * self._body_bytes:
                self._refuse(_framing_too_large())

    def _parse(self, data: bytes) -> None:
        while True:
            self._segment_bytes = len(data)
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # The parser treats the bytes after the head as another protocol. They are the body and further requests, so
                # the head is parsed again without its offer.
                head = without_upgrade(self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers)
                data = head + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
                self._is_upgrading = False
                self._head_bytes = 0
            else:
                return

    # The parser's side

    def on_message_begin(self) -> None:
        """At the first byte of a request."""
        if self._receiving_since is None:  # its first bytes came together with another request
            self._receiving_since = self.loop.time()
        self._is_in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head. A field of the trailer is dropped. Raises `_Stop` if there are too many."""
        if self._is_in_head:
            # The parser keeps whitespace after a value, which is no part of it (RFC 9110, section 5.5).
            super().on_header(name, value.rstrip(b" \t"))
            if len(self.headers) > self._options.headers:
                self._stop(_head_too_large(self._options))
        else:
            self._pieces += 1
            if self._pieces > _SMALL_PIECES:
                self._stop(_framing_too_large())

    def on_headers_complete(self) -> None:
        """Start the request. Raises `_Stop` if its head is too large or is refused."""
        if self._head_bytes + self._segment_bytes > self._options.head_bytes:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self._options.head_bytes:
                self._stop(_head_too_large(self._options))
        version = self.parser.get_http_version()
        refusal = refusal_of(self.parser.get_method(), version, self.headers)
        if refusal is not None:
            self._stop(refusal)
        if version == "1.0":
            self.expect_100_continue = False  # HTTP/1.0 has no interim answers: the client would take one for the answer
        if self.parser.should_upgrade():
            self._is_upgrading = True
            return
        self._is_in_head = False
        self._head_bytes = self._framed_bytes = self._body_bytes = self._pieces = 0
        before: RequestResponseCycle | None = self.cycle
        super().on_headers_complete()
        if before is None or before.response_complete:
            self._first = self.cycle
        if self.config.is_closing:
            self._end_with_newest(before)

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body. Raises `_Stop` if there are too many small pieces."""
        self._body_bytes += len(body)
        self._pieces += 1
        if self._pieces > _SMALL_PIECES + self._body_bytes // _PIECE_BYTES:
            self._stop(_framing_too_large())
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request."""
        if self._is_upgrading:
            return
        self._receiving_since = None
        super().on_message_complete()

    def _stop(self, refusal: GatewayError) -> None:
        self._refusal = refusal
        raise _Stop

    # Refusing and closing

    def _refuse(self, error: GatewayError) -> None:
        if self.transport.is_closing():
            return
        status = HTTPStatus(error.status or 400)
        access_log.log_refused(status, error.code)
        if self._may_answer:  # else the client would take it for the answer to what it asked before
            body = encode_json({"errors": [errors.of_gateway(error)]})
            headers = (*content_headers(MediaType.JSON, body), *error.headers, (b"connection", b"close"))
            lines = b"".join(b"%s: %s\r\n" % header for header in headers)
            self.transport.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() + lines + b"\r\n" + body)
        if self._is_answering:
            self.cycle.disconnected = True  # its answer must not be written after the refusal
        self._disconnect_first()
        self.transport.close()

    def _disconnect_first(self) -> None:
        """Notify the request that is being answered of the disconnect. uvicorn notifies only the newest."""
        first = self._first
        if first is not None and not first.response_complete:
            first.disconnected = True
            first.message_event.set()

    @property
    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    @property
    def _may_answer(self) -> bool:
        """Whether the client would read bytes written now as the answer to the request that is being received."""
        if not self._is_answering:
            return True
        # True while the body of the only request in progress is being received.
        return not self._is_in_head and self.cycle.more_body and not self.cycle.response_started and not self.pipeline

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being received, answered or held back."""
        return not self._is_answering and not self._held and not (self._is_in_head and self._head_bytes)

    def end_after_answer(self) -> None:
        """Close the connection after the current answer, which has `Connection: close` (RFC 9112, section 9.6)."""
        if self._is_answering:
            self.cycle.keep_alive = False

    def _end_with_newest(self, before: RequestResponseCycle | None) -> None:
        """Close after the newest request, and not after the one before it, which is not answered yet."""
        if before is not None and not before.response_started and before.scope["http_version"] == "1.1":
            before.keep_alive = True
        self.cycle.keep_alive = False

    def _check_progress(self) -> None:
        """Every `head_timeout_s`: close the connection if a head takes too long or an answer is read too slowly."""
        options, transport = self._options, self.transport
        self._timer = self.loop.call_later(options.head_timeout_s, self._check_progress)
        connection = transport.get_extra_info("socket")
        unread_bytes = transport.get_write_buffer_size() + unacknowledged_bytes(connection)
        acknowledged = acknowledged_bytes(connection)
        # A streamed answer is written on while it is read, so what is unread may stay the same.
        read_bytes = max(self._unread_bytes - unread_bytes, acknowledged - self._acknowledged_bytes)
        self._acknowledged_bytes = acknowledged
        least = min(self._unread_bytes, int(options.read_bytes_per_s * options.head_timeout_s) or 1)
        if unread_bytes and self._unread_bytes and self._answers == self._answers_before and read_bytes < least:
            reset(transport)
            return
        self._unread_bytes, self._answers_before = unread_bytes, self._answers
        since = self._receiving_since
        if (
            self._is_answering
            or since is None
            or self.loop.time() - since < options.head_timeout_s
            or transport.is_closing()
        ):
            return
        if self._head_bytes:
            self._refuse(
                BadRequest(f"The head of the request did not arrive within {options.head_timeout_s:g} seconds.", status=408)
            )
        else:  # no byte of a request has arrived, or only the rest of one that was answered
            transport.close()


def _head_too_large(options: ConnectionOptions) -> BadRequest:
    message = (
        f"The head of the request is too large: expected at most {options.head_bytes} bytes and {options.headers} headers."
    )
    return BadRequest(message, status=431)


def _framing_too_large() -> BadRequest:
    message = "The body has too much framing: expected fewer and larger chunks, and fewer trailer fields."
    return BadRequest(message, status=431)
