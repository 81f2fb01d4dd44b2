"""One HTTP/1.1 connection over asyncio: sends a request, and reads its response with httptools (llhttp, strict).

It is used for one exchange at a time. It is reused only if the last response ended exactly at its last byte: any further
byte, or a response that wasn't read to its end, closes the connection.

Limits apply to everything that costs time or memory, not only to the bytes of a body: the number of headers, of interim
responses and of a body's pieces, and the bytes around a body (chunk sizes and their extensions, trailers). Large amounts are
parsed in slices, and reading pauses after each large amount, so that a response never blocks the event loop for long.
"""

import asyncio

import httptools

from bff.runtime.loop import running_loop
from bff.upstream.headers import separator_of
from bff.upstream.wire.protocol import (
    AnswerTooLarge,
    BrokenAnswer,
    ConnectionBroken,
    NotConnected,
    WireError,
    WireReply,
)

HEAD_MOST_BYTES = 64 * 1024
"""Bytes of a request's head. Also of a response without its body: head, framing and trailers."""
MAX_HEADERS = 100
"""Headers and trailers of a response, with the headers of its interim responses."""
MAX_INTERIM = 16
"""Interim responses (1xx) before a response."""
FREE_PIECES = 4096
LEAST_PIECE_BYTES = 16
"""Average bytes of each piece that a body with more than `FREE_PIECES` pieces must have: each piece costs a call."""
_FRAMING_BYTES = 24
"""Bytes that frame a chunk: its size in at most 16 digits, and two line ends."""
_SLICE_BYTES = 16 * 1024
"""Bytes that are parsed between two checks of the limits."""
_TURN_BYTES = 64 * 1024
"""After this many bytes at once, the event loop does other work first."""
_PIECES_AT_ONCE = 256
"""Pieces of a body that are joined into one block: a `bytes` object takes more memory than a small piece."""
_NO_BODY = frozenset({204, 304})


class ServiceConnection(asyncio.Protocol):
    """One connection. `exchange` is called once at a time; `is_usable` says whether it may be called again."""

    def __init__(self, origin: "tuple[str, str]") -> None:
        self.origin = origin
        self.idle_since = 0.0
        self.is_usable = True
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[WireReply] | None = None
        self._parser: httptools.HttpResponseParser | None = None

    def __repr__(self) -> str:
        return f"<Connection {'usable' if self.is_usable else 'unusable'}>"

    async def exchange(self, request: bytes, limit: int) -> WireReply:
        """Send a request and read the whole response, of a body of at most `limit` bytes. Raises `WireError`."""
        if self._transport is None:
            raise NotConnected
        self._waiter = running_loop().create_future()
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
        """Close the connection at once."""
        self.is_usable = False
        if self._transport is not None:
            self._transport.abort()

    def lend(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        """Let another protocol use the transport. It passes `connection_lost` on. Raises `NotConnected`."""
        if self._transport is None:
            raise NotConnected
        self._transport.set_protocol(protocol)
        return self._transport

    def take_back(self) -> None:
        """Use the transport again, if it is still connected."""
        if self._transport is not None:
            self._transport.set_protocol(self)

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment] # create_connection makes a duplex one

    def data_received(self, data: bytes) -> None:
        """Parse the bytes."""
        if self._waiter is None or self._waiter.done() or self._parser is None:
            self.close()  # bytes without a request
            return
        if len(data) <= _SLICE_BYTES:
            self._parse(self._parser, self._waiter, data)
        else:
            self._parse_in_slices(self._parser, self._waiter, data)

    def _parse_in_slices(
        self, parser: httptools.HttpResponseParser, waiter: "asyncio.Future[WireReply]", data: bytes
    ) -> None:
        view = memoryview(data)
        for start in range(0, len(data), _SLICE_BYTES):
            if waiter.done():
                self.close()  # bytes after the response
                return
            self._parse(parser, waiter, view[start : start + _SLICE_BYTES])
        if len(data) >= _TURN_BYTES and self._transport is not None and not waiter.done():
            # uvloop reads again while its buffer is full, up to 32 times in a row.
            self._transport.pause_reading()
            running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _parse(
        self, parser: httptools.HttpResponseParser, waiter: "asyncio.Future[WireReply]", data: bytes | memoryview
    ) -> None:
        self._raw += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(BrokenAnswer())
            return
        if waiter.done():
            return
        if self._raw - self._size > HEAD_MOST_BYTES + _FRAMING_BYTES * self._pieces:
            self._fail(AnswerTooLarge() if self._in_body else BrokenAnswer())

    def eof_received(self) -> None:
        """The service sends no more."""
        self.is_usable = False
        if self._waiter is not None and not self._waiter.done() and self._in_body and self._ends_with_connection:
            self._answer()

    def connection_lost(self, _: Exception | None) -> None:
        """The connection is closed, by either side."""
        self.is_usable = False
        self._transport = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(BrokenAnswer() if self._in_body else ConnectionBroken())

    # Called by the parser, which would wrap an exception: so they raise none

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._header_count = 0
        self._interim = 0
        self._blocks: list[bytes] = []
        self._chunks: list[bytes] = []
        self._pieces = 0
        self._size = 0
        self._in_body = False
        self._is_complete = False
        self._ends_with_connection = False

    def on_message_begin(self) -> None:
        """A response begins. A second one to the same request makes the connection unusable."""
        if self._is_complete:
            self.is_usable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is counted and dropped."""
        self._header_count += 1
        if self._header_count > MAX_HEADERS and not self._is_complete:
            self._fail(AnswerTooLarge() if self._in_body else BrokenAnswer())
        if self._in_body or self._is_complete:
            return
        # The parser doesn't strip whitespace after a value, which is not part of it (RFC 9110, section 5.5).
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").rstrip(" \t")
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known}{separator_of(key)}{text}"

    def on_headers_complete(self) -> None:
        """The head is complete. A body that is declared too long is not read."""
        parser = self._parser
        if parser is None or self._is_complete:
            return
        self._status = parser.get_status_code()
        if self._status < 200:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                self._fail(BrokenAnswer())
            return
        self._in_body = True
        length = self._headers.get("content-length")
        if self._status in _NO_BODY:
            # It declares a body that it must not have: the next bytes may be that body.
            if "transfer-encoding" in self._headers or (self._status == 204 and length not in {None, "0"}):
                self.is_usable = False
        elif length is not None:
            if int(length) > self._limit:
                self._fail(AnswerTooLarge())
        elif (coding := self._headers.get("transfer-encoding")) is None:
            self._ends_with_connection = True
        elif coding.lower() != "chunked":
            self._fail(BrokenAnswer())  # another coding, or chunked twice: no request asks for it
        elif parser.get_http_version() != "1.1":
            self.is_usable = False  # such framing counts as faulty (RFC 9112, section 6.1)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._is_complete:
            return
        self._size += len(body)
        self._pieces += 1
        if self._size > self._limit or self._pieces > FREE_PIECES + self._size // LEAST_PIECE_BYTES:
            self._fail(AnswerTooLarge())
            return
        self._chunks.append(body)
        if len(self._chunks) >= _PIECES_AT_ONCE:
            self._blocks.append(b"".join(self._chunks))
            self._chunks = []

    def on_message_complete(self) -> None:
        """The response is complete. An interim response (1xx) is skipped."""
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
        # The connection must not keep a response in memory.
        chunks, headers = self._chunks, self._headers
        if self._blocks:
            chunks = [*self._blocks, *chunks]
            self._blocks = []
        self._chunks, self._headers = [], {}
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        waiter.set_result(WireReply(self._status, headers, body, self.close))

    def _fail(self, error: WireError) -> None:
        self._is_complete = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        self.close()
