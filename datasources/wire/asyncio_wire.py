"""The wire over asyncio's own sockets: HTTP/1.1 with keep-alive, parsed by httptools, and nothing that isn't needed.

A connection is used for one exchange at a time, and again only where the last one ended in good order and to the byte: bytes
that nobody asked for, or an answer that was left, end it. A request is written once.
"""

import asyncio
import re
from collections import deque
from functools import lru_cache
from ssl import SSLContext

import httptools

from datasources.wire.protocol import (
    AnswerTooLarge,
    BrokenAnswer,
    ConnectionBroken,
    NotConnected,
    Unsendable,
    WireError,
    WireOptions,
    WireReply,
    WireRequest,
)
from datasources.wire.tls import tls_context

_HEAD_MOST_BYTES = 64 * 1024
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_NO_BODY = frozenset({204, 304})
_URL = re.compile(r"(https?)://([^/?#@\s]+)([/?][!-~]*)?\Z")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


class Connection(asyncio.Protocol):
    """One connection. `exchange` is called once at a time; `is_usable` says whether it may be called again."""

    def __init__(self, origin: "tuple[str, str]") -> None:
        self.origin = origin
        self.idle_since = 0.0
        self.is_usable = True
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[WireReply] | None = None
        self._parser: httptools.HttpResponseParser | None = None

    def __repr__(self) -> str:
        return f"<Connection {'usable' if self.is_usable else 'of no more use'}>"

    async def exchange(self, request: bytes, limit: int) -> WireReply:
        """Send a request and read the whole answer. Raises `WireError`."""
        if self._transport is None:
            raise NotConnected
        self._waiter = asyncio.get_running_loop().create_future()
        self._limit = limit
        self._raw = 0
        self._begin()
        self._transport.write(request)
        try:
            return await self._waiter
        except BaseException:
            self.close()
            raise
        finally:
            self._waiter = None

    def close(self) -> None:
        """End it at once."""
        self.is_usable = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = transport  # type: ignore[assignment] # create_connection makes a duplex one

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._waiter is None or self._waiter.done() or self._parser is None:
            self.close()  # nobody asked for it
            return
        self._raw += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(BrokenAnswer())
            return
        if self._waiter.done():
            return
        if not self._in_body:
            if self._raw > _HEAD_MOST_BYTES:
                self._fail(BrokenAnswer())
        elif self._raw > _HEAD_MOST_BYTES + 2 * self._limit:
            self._fail(AnswerTooLarge())  # framing that outweighs what it frames

    def eof_received(self) -> None:
        """The other side has said its last."""
        self.is_usable = False
        if self._waiter is not None and not self._waiter.done() and self._in_body and self._ends_with_connection:
            self._answer()

    def connection_lost(self, _: Exception | None) -> None:
        """The end, by whichever side."""
        self.is_usable = False
        self._transport = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(BrokenAnswer() if self._in_body else ConnectionBroken())

    # the parser's side: its callbacks raise nothing, for it would wrap it

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._chunks: list[bytes] = []
        self._size = 0
        self._in_body = False
        self._is_complete = False
        self._ends_with_connection = False

    def on_message_begin(self) -> None:
        """An answer begins; the second one to one request is nobody's."""
        if self._is_complete:
            self.is_usable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; after the body, a trailer, which nobody reads."""
        if self._in_body:
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        """The head is whole. What is declared too long is not waited for."""
        parser = self._parser
        if parser is None or self._is_complete:
            return
        self._status = parser.get_status_code()
        if self._status < 200:
            return
        self._in_body = True
        length = self._headers.get("content-length")
        if length is not None:
            if int(length) > self._limit and self._status not in _NO_BODY:
                self._fail(AnswerTooLarge())
        elif "transfer-encoding" not in self._headers and self._status not in _NO_BODY:
            self._ends_with_connection = True

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._is_complete:
            return
        self._size += len(body)
        if self._size > self._limit:
            self._fail(AnswerTooLarge())
        else:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole; a hint before it (1xx) is none."""
        if self._is_complete:
            return
        if not self._in_body:
            self._headers = {}
            return
        self._answer()

    def _answer(self) -> None:
        self._is_complete = True
        waiter, parser = self._waiter, self._parser
        if waiter is None or waiter.done() or parser is None:
            return
        if self._ends_with_connection or not parser.should_keep_alive():
            self.is_usable = False
        # Nothing of an answer stays with its connection.
        chunks, headers = self._chunks, self._headers
        self._chunks, self._headers = [], {}
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        waiter.set_result(WireReply(self._status, headers, body))

    def _fail(self, error: WireError) -> None:
        self._is_complete = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        self.close()


class AsyncioWire:
    """A pool of connections, of which the last used is used first. Who finds none free waits, first come, first served."""

    def __init__(self, options: WireOptions) -> None:
        self._options = options
        self._tls: SSLContext = tls_context(options.tls)
        self._tls.set_alpn_protocols(["http/1.1"])
        self._idle: deque[Connection] = deque()
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._open = 0
        self._sweeping: asyncio.TimerHandle | None = None
        self._busy: set[Connection] = set()
        self._closed = False

    def __repr__(self) -> str:
        return "AsyncioWire()"

    async def send(self, request: WireRequest, *, max_response_bytes: int) -> WireReply:
        """Send one request and read the whole answer. Raises `WireError`."""
        origin, written = _written(request)
        connection = await self._take(origin)
        try:
            return await connection.exchange(written, max_response_bytes)
        finally:
            self._give_back(connection)

    async def aclose(self) -> None:
        """Close all connections; what is under way on them, or waits for one, fails."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._open -= len(self._idle)
        self._idle.clear()

    async def _take(self, origin: tuple[str, str]) -> Connection:
        if self._closed:
            raise NotConnected
        connection = self._pick(origin)
        if connection is None:
            if self._open < self._options.max_connections:
                self._open += 1
            elif self._idle:
                self._idle.popleft().close()  # to somewhere else: its place is taken over
            else:
                connection = await self._wait()
                if connection is not None and not (connection.is_usable and connection.origin == origin):
                    connection.close()
                    connection = None
            if connection is None:
                connection = await self._connect(origin)
        self._busy.add(connection)
        return connection

    def _pick(self, origin: tuple[str, str]) -> Connection | None:
        """The idle connection that was used last. Those that have ended, or are idle for too long, are cleared away."""
        idle = self._idle
        if not idle:
            return None
        self._clear_away()
        for position in range(len(idle) - 1, -1, -1):
            if idle[position].origin == origin:
                connection = idle[position]
                del idle[position]
                return connection
        return None

    async def _wait(self) -> Connection | None:
        """A connection that came free, or None for a free place."""
        place: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            return await place
        except BaseException:
            if place.done() and not place.cancelled():
                self._pass_on(place.result())  # it came free in the very moment of leaving
            elif place in self._waiting:
                self._waiting.remove(place)
            raise

    async def _connect(self, origin: tuple[str, str]) -> Connection:
        if self._closed:
            self._pass_on(None)
            raise NotConnected
        scheme, authority = origin
        host, port = _place(scheme, authority)
        tls = self._tls if scheme == "https" else None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._options.connect_timeout_s):
                _, connection = await loop.create_connection(lambda: Connection(origin), host, port, ssl=tls)
        except (OSError, UnicodeError) as error:  # of sockets, TLS, time and names that are none
            self._pass_on(None)
            raise NotConnected from error
        except BaseException:
            self._pass_on(None)
            raise
        return connection

    def _give_back(self, connection: Connection) -> None:
        self._busy.discard(connection)
        if not connection.is_usable:
            connection.close()
            self._pass_on(None)
            return
        connection.idle_since = asyncio.get_running_loop().time()
        self._pass_on(connection)

    def _pass_on(self, connection: Connection | None) -> None:
        """A connection, or None for the place of one that is gone, to whoever has waited longest."""
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

    def _clear_away(self) -> None:
        oldest = asyncio.get_running_loop().time() - self._options.keepalive_s
        gone = [each for each in self._idle if not each.is_usable or each.idle_since <= oldest]
        for connection in gone:
            self._idle.remove(connection)
            self._open -= 1
            connection.close()

    def _sweep_later(self) -> None:
        self._sweeping = asyncio.get_running_loop().call_later(self._options.keepalive_s, self._sweep)

    def _sweep(self) -> None:
        """What nobody uses is closed in time, even if nobody ever asks again."""
        self._sweeping = None
        self._clear_away()
        if self._idle:
            self._sweep_later()


def _written(request: WireRequest) -> tuple[tuple[str, str], bytes]:
    """Where a request goes, and its bytes (RFC 9112, section 3). Raises `Unsendable` for what fits no request."""
    match = _URL.match(request.url)
    if match is None or not _is_token(request.method):
        raise Unsendable
    scheme, authority, target = match.groups()
    if target is None or not target.startswith("/"):
        target = f"/{target or ''}"
    lines = [f"{request.method} {target} HTTP/1.1\r\nHost: {authority}"]
    for name, value in request.headers:
        # Printable ASCII: whoever would write a line's end, or half a character, is stopped here.
        if not (_is_token(name) and value.isascii() and value.isprintable()):
            raise Unsendable
        lines.append(f"{name}: {value}")
    body = request.body
    if body is not None or request.method in _WITH_BODY:
        lines.append(f"Content-Length: {len(body or b'')}")
    lines.append("\r\n")
    head = "\r\n".join(lines).encode("ascii")
    if len(head) > _HEAD_MOST_BYTES:
        raise Unsendable
    return (scheme, authority), head if body is None else head + body


@lru_cache(maxsize=256)
def _is_token(text: str) -> bool:
    return _TOKEN.match(text) is not None


@lru_cache(maxsize=256)
def _place(scheme: str, authority: str) -> tuple[str, int]:
    """Host and port; an IPv6 address stands in brackets (RFC 3986, section 3.2.2)."""
    host, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = authority, ""
    return host.strip("[]"), int(port) if port.isdigit() else {"http": 80, "https": 443}[scheme]
