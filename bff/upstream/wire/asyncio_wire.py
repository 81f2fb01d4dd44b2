"""The wire that uses asyncio's sockets: HTTP/1.1 with keep-alive, and no other feature.

It writes requests as bytes, and has a pool of connections (see `connection.py`). No request is sent twice.
"""

import asyncio
import re
import time
from collections import deque
from functools import lru_cache
from ssl import SSLContext

from bff.runtime.loop import running_loop
from bff.upstream.wire.connection import HEAD_MOST_BYTES, ServiceConnection
from bff.upstream.wire.protocol import (
    NotAttempted,
    NotConnected,
    StreamRequest,
    Unsendable,
    WireOptions,
    WireReply,
    WireRequest,
)
from bff.upstream.wire.resolver import Resolver, ResolverFull
from bff.upstream.wire.streaming import StreamExchange
from bff.upstream.wire.tls import http1_context

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_URL = re.compile(r"(https?)://([^/?#@\s]+)([/?][!-~]*)?\Z")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_RAW_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_RAW_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")
"""Of a client's header: other bytes than ASCII are allowed (RFC 9110, section 5.5), line breaks are not."""


class AsyncioWire:
    """A pool of connections. The most recently used one is taken first. Requests wait for a free one in order of arrival."""

    def __init__(self, options: WireOptions, resolver: Resolver | None = None) -> None:
        self._options = options
        self._resolver = resolver or Resolver()
        self._tls: SSLContext = http1_context(options.tls)
        self._idle: deque[ServiceConnection] = deque()
        self._waiting: deque[asyncio.Future[ServiceConnection | None]] = deque()
        self._open = 0
        self._sweeping: asyncio.TimerHandle | None = None
        self._busy: set[ServiceConnection] = set()
        self._closed = False

    def __repr__(self) -> str:
        return "AsyncioWire()"

    async def send(self, request: WireRequest, *, max_response_bytes: int) -> WireReply:
        """Send one request and read the whole response. Raises `WireError`."""
        origin, data = _serialize(request)
        connection = await self._take(origin)
        try:
            return await connection.exchange(data, max_response_bytes)
        finally:
            self._give_back(connection)

    async def stream(self, request: StreamRequest) -> StreamExchange:
        """See `StreamingWire`. Raises `WireError`, and what the body raises."""
        origin, head = _serialize_head(request)
        connection = await self._take(origin)
        exchange = StreamExchange(connection, request.method, self._give_back)
        await exchange.begin(head, request.body, is_chunked=request.length is None)
        return exchange

    async def aclose(self) -> None:
        """Close all connections. Requests that use one or wait for one fail."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._open -= len(self._idle)
        self._idle.clear()

    async def _take(self, origin: tuple[str, str]) -> ServiceConnection:
        if self._closed:
            raise NotConnected
        connection = self._pick(origin)
        if connection is None:
            if self._open < self._options.max_connections:
                self._open += 1
            elif self._idle:
                self._idle.popleft().close()  # it goes to another origin: replace it
            else:
                connection = await self._wait()
                if connection is not None and not (connection.is_usable and connection.origin == origin):
                    connection.close()
                    connection = None
            if connection is None:
                connection = await self._connect(origin)
        self._busy.add(connection)
        return connection

    def _pick(self, origin: tuple[str, str]) -> ServiceConnection | None:
        """The most recently used idle connection to this origin. Closes those that are unusable, or idle for too long."""
        idle = self._idle
        if not idle:
            return None
        oldest = time.monotonic() - self._options.keepalive_s
        for position in range(len(idle) - 1, -1, -1):
            connection = idle[position]
            if not connection.is_usable or connection.idle_since <= oldest:
                del idle[position]
                self._open -= 1
                connection.close()
            elif connection.origin == origin:
                del idle[position]
                return connection
        return None

    async def _wait(self) -> ServiceConnection | None:
        """Wait for a free connection. None for permission to open one."""
        place: asyncio.Future[ServiceConnection | None] = running_loop().create_future()
        self._waiting.append(place)
        try:
            return await place
        except BaseException:
            if place.done() and not place.cancelled():
                self._pass_on(place.result())  # cancelled in the same turn in which it became free
            elif place in self._waiting:
                self._waiting.remove(place)
            raise

    async def _connect(self, origin: tuple[str, str]) -> ServiceConnection:
        if self._closed:
            self._pass_on(None)
            raise NotConnected
        try:
            async with asyncio.timeout(self._options.connect_timeout_s):
                return await self._open_connection(origin)
        except ResolverFull as error:
            self._pass_on(None)
            raise NotAttempted from error
        except (OSError, UnicodeError) as error:  # name resolution, sockets, TLS, timeout
            self._pass_on(None)
            raise NotConnected from error
        except BaseException:
            self._pass_on(None)
            raise

    async def _open_connection(self, origin: tuple[str, str]) -> ServiceConnection:
        scheme, authority = origin
        host, port = _host_and_port(scheme, authority)
        loop = running_loop()
        # The connection goes to an address, but the certificate must be for the name.
        tls, name = (self._tls, host) if scheme == "https" else (None, None)

        async def connect(address: str) -> ServiceConnection:
            made = await loop.create_connection(
                lambda: ServiceConnection(origin), address, port, ssl=tls, server_hostname=name
            )
            return made[1]

        return await self._resolver.connect(host, connect, ServiceConnection.close, self._options.connect_timeout_s / 2)

    def _give_back(self, connection: ServiceConnection) -> None:
        self._busy.discard(connection)
        if not connection.is_usable:
            connection.close()
            self._pass_on(None)
            return
        connection.idle_since = time.monotonic()
        self._pass_on(connection)

    def _pass_on(self, connection: ServiceConnection | None) -> None:
        """Give a connection to the longest waiting request. None: permission to open one in place of a closed one."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(connection)
                return
        if connection is None:
            self._open -= 1
            return
        self._idle.append(connection)
        if self._sweeping is None:
            self._sweep_later()

    def _close_idle(self) -> None:
        oldest = time.monotonic() - self._options.keepalive_s
        expired = [each for each in self._idle if not each.is_usable or each.idle_since <= oldest]
        for connection in expired:
            self._idle.remove(connection)
            self._open -= 1
            connection.close()

    def _sweep_later(self) -> None:
        self._sweeping = running_loop().call_later(self._options.keepalive_s, self._sweep)

    def _sweep(self) -> None:
        """Close idle connections in time, even if there are no more requests."""
        self._sweeping = None
        self._close_idle()
        if self._idle:
            self._sweep_later()


def _serialize(request: WireRequest) -> tuple[tuple[str, str], bytes]:
    """A request's origin and bytes (RFC 9112, section 3). Raises `Unsendable` if it can't be written as HTTP."""
    match = _URL.match(request.url)
    if match is None or not _is_token(request.method):
        raise Unsendable
    scheme, authority, target = match.groups()
    if target is None or not target.startswith("/"):
        target = f"/{target or ''}"
    lines = [f"{request.method} {target} HTTP/1.1\r\nHost: {authority}"]
    for name, value in request.headers:
        if not _is_token(name):
            raise Unsendable
        lines.append(f"{name}: {value}")
    # Printable ASCII only: a line break in a value would let it add headers.
    values = "".join([value for _, value in request.headers])
    if not (values.isascii() and values.isprintable()):
        raise Unsendable
    body = request.body
    if body is not None or request.method in _WITH_BODY:
        lines.append(f"Content-Length: {len(body or b'')}")
    lines.append("\r\n")
    head = "\r\n".join(lines).encode("ascii")
    if len(head) > HEAD_MOST_BYTES:
        raise Unsendable
    return (scheme, authority), head if body is None else head + body


def _serialize_head(request: StreamRequest) -> tuple[tuple[str, str], bytes]:
    """A streamed request's origin and head. Raises `Unsendable` if it can't be written as HTTP."""
    match = _URL.match(request.url)
    if match is None or not _is_token(request.method):
        raise Unsendable
    scheme, authority, target = match.groups()
    if target is None or not target.startswith("/"):
        target = f"/{target or ''}"
    lines = [f"{request.method} {target} HTTP/1.1\r\nHost: {authority}".encode("ascii")]
    for name, value in request.headers:
        if not _RAW_TOKEN.match(name) or not _RAW_VALUE.match(value):
            raise Unsendable
        lines.append(b"%s: %s" % (name, value))
    if request.body is None:
        if request.method in _WITH_BODY:
            lines.append(b"Content-Length: 0")
    elif request.length is None:
        lines.append(b"Transfer-Encoding: chunked")
    else:
        lines.append(b"Content-Length: %d" % request.length)
    lines.append(b"\r\n")
    head = b"\r\n".join(lines)
    if len(head) > HEAD_MOST_BYTES:
        raise Unsendable
    return (scheme, authority), head


@lru_cache(maxsize=256)
def _is_token(text: str) -> bool:
    return _TOKEN.match(text) is not None


@lru_cache(maxsize=256)
def _host_and_port(scheme: str, authority: str) -> tuple[str, int]:
    """Host and port. An IPv6 address is in brackets (RFC 3986, section 3.2.2)."""
    host, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = authority, ""
    return host.strip("[]"), int(port) if port.isdigit() else {"http": 80, "https": 443}[scheme]
