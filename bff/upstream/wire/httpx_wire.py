"""The wire that uses httpx. The only module that imports it.

It uses httpx's transport and not its client: `httpx.AsyncClient` has a cookie jar, which all users would share, reads proxy
settings from the environment, and takes more CPU time.
"""

import asyncio
import os
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import httpcore
import httpx

from bff.upstream.headers import COOKIE_SEPARATOR
from bff.upstream.wire.connection import FREE_PIECES, LEAST_PIECE_BYTES, MAX_HEADERS
from bff.upstream.wire.protocol import (
    AnswerTooLarge,
    BrokenAnswer,
    ConnectionBroken,
    NotAttempted,
    NotConnected,
    RawHeaders,
    StreamRequest,
    Unsendable,
    WireOptions,
    WireReply,
    WireRequest,
)
from bff.upstream.wire.resolver import Resolver, ResolverFull
from bff.upstream.wire.tls import tls_context

_PIECES_A_TURN = 256
"""Pieces of a body that are read before the event loop does other work."""


class HttpxWire:
    """HTTP/1.1 with keep-alive, or HTTP/2, over `httpx.AsyncHTTPTransport`."""

    def __init__(self, options: WireOptions, resolver: Resolver | None = None) -> None:
        # The caller limits all other time: see `traffic/attempt.py`.
        timeouts = {"connect": options.connect_timeout_s, "read": None, "write": None, "pool": None}
        self._extensions = {"timeout": timeouts}
        self._transport = httpx.AsyncHTTPTransport(
            verify=tls_context(options.tls),
            trust_env=False,
            retries=0,
            http2=options.http2,
            limits=httpx.Limits(
                max_connections=options.max_connections,
                max_keepalive_connections=options.max_connections,
                keepalive_expiry=options.keepalive_s,
            ),
        )
        network = _Network(resolver or Resolver(), options.connect_timeout_s)
        self._transport._pool._network_backend = network  # noqa: SLF001 - httpx has no parameter for httpcore's

    def __repr__(self) -> str:
        return "HttpxWire()"

    async def send(self, request: WireRequest, *, max_response_bytes: int) -> WireReply:
        """Send one request and read the whole response. Raises `WireError`."""
        response = await self._begin(request.method, request.url, list(request.headers), request.body)
        try:
            if len(response.headers) > MAX_HEADERS:
                raise BrokenAnswer
            body = await self._read(response, max_response_bytes)
            close = partial(_close, response.extensions.get("network_stream"))
            headers: Mapping[str, str] = response.headers
            if "set-cookie" in headers:
                headers = {**headers, "set-cookie": COOKIE_SEPARATOR.join(response.headers.get_list("set-cookie"))}
            return WireReply(response.status_code, headers, body, close)
        except httpx.TransportError as error:
            raise BrokenAnswer from error
        finally:
            await response.aclose()

    async def stream(self, request: StreamRequest) -> "_StreamedResponse":
        """Send one request, and return when the response's head has arrived. Raises `WireError`, and what the body raises.

        Over HTTP/1.1 the response is read after the whole body was sent.
        """
        headers: list[tuple[bytes, bytes]] = list(request.headers)
        if request.length is not None:
            headers.append((b"content-length", b"%d" % request.length))
        response = await self._begin(request.method, request.url, headers, request.body)
        if len(response.headers) > MAX_HEADERS:
            await response.aclose()
            raise BrokenAnswer
        return _StreamedResponse(response)

    async def _begin(self, method: str, url: str, headers: Any, body: Any) -> httpx.Response:
        """Send a request, and read the response's head."""
        try:
            outgoing = httpx.Request(method, url, headers=headers, content=body, extensions=self._extensions)
            return await self._transport.handle_async_request(outgoing)
        except ResolverFull as error:
            raise NotAttempted from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            raise NotConnected from error
        except (httpx.InvalidURL, UnicodeEncodeError, httpx.LocalProtocolError) as error:
            raise Unsendable from error
        except httpx.RemoteProtocolError as error:
            # h11's message for a connection that was closed before the first byte. For other messages, a response had begun.
            if "without sending a response" in str(error):
                raise ConnectionBroken from error
            raise BrokenAnswer from error
        except httpx.TransportError as error:
            raise ConnectionBroken from error

    @staticmethod
    async def _read(response: httpx.Response, limit: int) -> bytes:
        """The body as received, without content decoding. Raises `AnswerTooLarge` beyond `limit` bytes."""
        declared = response.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared) > limit:
            raise AnswerTooLarge
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_raw():
            size += len(chunk)
            chunks.append(chunk)
            if size > limit or len(chunks) > FREE_PIECES + size // LEAST_PIECE_BYTES:
                raise AnswerTooLarge
            if len(chunks) % _PIECES_A_TURN == 0:
                await asyncio.sleep(0)  # otherwise buffered chunks are read without a pause
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()


class _StreamedResponse:
    """A response whose body is read piece by piece. See `StreamReply`."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers: RawHeaders = tuple((name.lower(), value) for name, value in response.headers.raw)
        self._response = response
        self._pieces = response.aiter_raw()

    async def read(self) -> bytes:
        """The next piece; empty at the end. Raises `BrokenAnswer`."""
        try:
            async for piece in self._pieces:
                if piece:
                    return piece
        except httpx.TransportError as error:
            raise BrokenAnswer from error
        return b""

    async def aclose(self) -> None:
        """End the exchange."""
        await self._response.aclose()


class _Network(httpcore.AsyncNetworkBackend):
    """httpcore's sockets, with host names resolved by `Resolver`. TLS is set up later, and checks the name."""

    def __init__(self, resolver: Resolver, connect_timeout_s: float) -> None:
        self._sockets = httpcore.AnyIOBackend()
        self._resolver = resolver
        self._connect_timeout_s = connect_timeout_s

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve the host, and connect to the first of its addresses that accepts."""

        async def connect(address: str) -> httpcore.AsyncNetworkStream:
            return await self._sockets.connect_tcp(address, port, timeout, local_address, socket_options)

        closing: set[asyncio.Task[None]] = set()

        def discard(stream: httpcore.AsyncNetworkStream) -> None:
            closing.add(asyncio.ensure_future(stream.aclose()))

        try:
            async with asyncio.timeout(self._connect_timeout_s):
                return await self._resolver.connect(host, connect, discard, self._connect_timeout_s / 2)
        except ResolverFull:
            raise
        except OSError as error:
            raise httpcore.ConnectError from error
        finally:
            await asyncio.gather(*closing)


def _close(stream: Any) -> None:
    """Shut down a connection that is back in the pool: httpcore sees that its socket is closed, and doesn't reuse it."""
    known = None if stream is None else stream.get_extra_info("socket")
    if known is None or known.fileno() < 0:
        return
    # A duplicate of the socket, since the one of uvloop's transport can't be shut down.
    with socket.socket(fileno=os.dup(known.fileno())) as own, suppress(OSError):
        own.shutdown(socket.SHUT_RDWR)
