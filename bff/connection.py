"""A client's connection: uvicorn's, with bounds on what it may hold without there being a request.

A head has to come in time and within its size, and what was answered has to be read; the time and the size of a body are
the pipeline's affair. A refusal here is a GraphQL answer like any other.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

import uvicorn
from annotated_types import Ge, Gt, Le
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from bff import errors, http
from bff.errors import BadRequest, GatewayError, TooManyConnections
from bff.observe import access_log


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """What clients' connections may hold.

    Attributes:
        max_connections: of one process, at once.
        head_timeout_s: for a request's line and headers to come in whole; for a client to read some of its answer.
        head_bytes: of the request's line and its headers.
        headers: in one request.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - a word to whoever reads settings into it

    max_connections: Annotated[int, Ge(1), Le(1_000_000)] = 10_000
    head_timeout_s: Annotated[float, Gt(0), Le(300)] = 15.0
    head_bytes: Annotated[int, Ge(1024), Le(1024 * 1024)] = 32 * 1024
    headers: Annotated[int, Ge(10), Le(1000)] = 100


class ServerConfig(uvicorn.Config):
    """uvicorn's, for connections of ours."""

    def __init__(self, app: Any, connections: ConnectionOptions, **options: Any) -> None:
        super().__init__(app, http=Connection, **options)
        self.connections = connections


class _HeadTooLarge(Exception):
    """Stops the parser."""


class Connection(HttpToolsProtocol):
    """One client's connection."""

    def __init__(
        self,
        config: ServerConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._options = config.connections
        self._receiving_since: float | None = None
        self._is_in_head = True
        self._head_bytes = 0
        self._chunk_bytes = 0
        self._unread = 0
        self._status = 400
        self._looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        if len(self.connections) > self._options.max_connections:
            self._refuse(TooManyConnections())
            return
        self._receiving_since = self.loop.time()
        self._looking = self.loop.call_later(self._options.head_timeout_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some of a request, or of several."""
        if self.transport.is_closing():
            return
        if self._receiving_since is None:
            self._receiving_since = self.loop.time()
        self._chunk_bytes = len(data)
        super().data_received(data)
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self._options.head_bytes and not self.transport.is_closing():
                self._status = 431
                self.send_400_response("")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self._receiving_since is None:  # behind another one
            self._receiving_since = self.loop.time()
        self._is_in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is there. Raises what stops the parser where it is too large."""
        options = self._options
        too_large = len(self.headers) > options.headers
        if not too_large and self._head_bytes + self._chunk_bytes > options.head_bytes:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            too_large = size > options.head_bytes
        if too_large:
            self._status = 431
            raise _HeadTooLarge
        self._is_in_head = False
        self._head_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._receiving_since = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """What came is no request."""
        if self._status == 431:
            self._refuse(BadRequest("The head of the request is too large.", status=431))
        else:
            self._refuse(BadRequest("This is no HTTP request that can be read."))

    def _refuse(self, error: GatewayError) -> None:
        status = HTTPStatus(error.status or 400)
        access_log.of_none(status, error.code)
        if not self._is_answering:  # else the client would take it for the answer to what it asked before
            body = http.encode({"errors": [errors.of_gateway(error)]})
            headers = (*http.content_headers(http.MediaType.JSON, body), (b"connection", b"close"))
            lines = b"".join(b"%s: %s\r\n" % header for header in headers)
            self.transport.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() + lines + b"\r\n" + body)
        self.transport.close()

    @property
    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _look(self) -> None:
        """From time to time: whether the client still sends what it has begun, and reads what it was answered."""
        options, transport = self._options, self.transport
        self._looking = self.loop.call_later(options.head_timeout_s, self._look)
        unread = transport.get_write_buffer_size()
        if unread and unread >= self._unread > 0:
            transport.abort()
            return
        self._unread = unread
        since = self._receiving_since
        if (
            self._is_answering
            or since is None
            or self.loop.time() - since < options.head_timeout_s
            or transport.is_closing()
        ):
            return
        if self._head_bytes:
            self._refuse(BadRequest("The head of the request took too long.", status=408))
        else:  # nothing of a request has come, or the rest of one that was answered long ago
            transport.close()
