"""One streamed exchange on a connection of the asyncio wire: the body goes out and comes in piece by piece.

While it lasts it takes the connection's place as the transport's protocol, so that other calls don't pay for it. Memory is
bounded both ways: the sender waits while the service doesn't read, and the service's bytes are not read while more than
`_MOST_WAITING_BYTES` wait for the reader. The limits on a response's head and framing are those of `connection.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import httptools

from bff.runtime.loop import running_loop
from bff.upstream.wire.connection import HEAD_MOST_BYTES, MAX_HEADERS, MAX_INTERIM, ServiceConnection
from bff.upstream.wire.protocol import BrokenAnswer, ConnectionBroken, RawHeaders

_MOST_WAITING_BYTES = 256 * 1024
"""Bytes of a body that wait for the reader before the connection's reading is paused."""
_PIECE_BYTES = 64
"""What a waiting piece takes in memory besides its bytes. An estimate."""
_FRAMING_BYTES = 24
_SLICE_BYTES = 16 * 1024
"""Bytes that are parsed between two checks of the limits."""
_NO_BODY = frozenset({204, 304})


class StreamExchange(asyncio.Protocol):
    """One request and its response. `on_end` gets the connection back, once."""

    status = 0
    headers: RawHeaders = ()

    def __init__(self, connection: ServiceConnection, method: str, on_end: Callable[[ServiceConnection], None]) -> None:
        self._connection = connection
        self._on_end: Callable[[ServiceConnection], None] | None = on_end
        self._is_head_only = method == "HEAD"
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._head: asyncio.Future[None] = running_loop().create_future()
        self._more: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._sender: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        # The response that is being received
        self._fields: list[tuple[bytes, bytes]] = []
        self._field_count = 0
        self._interim = 0
        self._raw_bytes = 0
        self._body_bytes = 0
        self._piece_count = 0
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._in_body = False
        self._ends_with_connection = False
        self._is_complete = False
        self._is_paused = False

    def __repr__(self) -> str:
        return f"<StreamExchange {self.status or 'waiting'}>"

    async def begin(self, head: bytes, body: AsyncIterator[bytes] | None, *, is_chunked: bool) -> None:
        """Send the head, begin to send the body, and wait for the response's head.

        Raises `WireError`, and what the body raises.
        """
        try:
            self._transport = self._connection.lend(self)
            self._transport.write(head)
            if body is not None:
                self._sender = running_loop().create_task(self._send(body, is_chunked))
            await self._head
        except BaseException:
            if self._head.done() and not self._head.cancelled():
                self._head.exception()  # retrieved, in case the task was cancelled in the same turn
            await self.aclose()
            raise

    async def read(self) -> bytes:
        """The next piece of the body; empty at its end. Raises `WireError`, and what the request's body raises."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._is_complete:
                return b""
            self._more = running_loop().create_future()
            try:
                await self._more
            finally:
                self._more = None
        pieces, self._pieces = self._pieces, []
        self._waiting_bytes = 0
        if self._is_paused:
            self._is_paused = False
            if self._transport is not None:
                self._transport.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def aclose(self) -> None:
        """End the exchange. If it is not complete, its connection is closed. Waits until no more of the body is read."""
        if not self._is_complete:
            self._connection.close()
        self._end()
        sender, self._sender = self._sender, None
        if sender is not None and not sender.done():
            sender.cancel()
            await asyncio.wait((sender,))

    # The request's body

    async def _send(self, body: AsyncIterator[bytes], is_chunked: bool) -> None:
        try:
            async for piece in body:
                if not piece:
                    continue
                if self._writable is not None:
                    await self._writable
                if self._transport is None:
                    return  # the connection is lost: the response says why
                self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            if is_chunked and self._transport is not None:
                self._transport.write(b"0\r\n\r\n")
        except Exception as error:  # noqa: BLE001 - whatever the body raises is raised to who waits for the response
            self._fail(error)

    def pause_writing(self) -> None:
        """The service doesn't read as fast as we write."""
        self._writable = running_loop().create_future()

    def resume_writing(self) -> None:
        """The service has read on."""
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    # The response

    def data_received(self, data: bytes) -> None:
        """Parse the bytes."""
        view = memoryview(data)
        for start in range(0, len(data), _SLICE_BYTES):
            if self._is_complete:
                self._connection.is_usable = False  # bytes after the response
                break
            self._parse(view[start : start + _SLICE_BYTES])
            if self._error is not None:
                return
        if self._waiting_bytes > _MOST_WAITING_BYTES and not self._is_complete and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()
        if self._is_complete:
            self._end()

    def _parse(self, data: memoryview) -> None:
        self._raw_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._connection.is_usable = False
            self._fail(BrokenAnswer())  # nothing if the response is complete: then these are bytes after it
        if self._raw_bytes - self._body_bytes > HEAD_MOST_BYTES + _FRAMING_BYTES * self._piece_count:
            self._fail(BrokenAnswer())

    def eof_received(self) -> None:
        """The service sends no more."""
        self._connection.is_usable = False
        if self._in_body and self._ends_with_connection:
            self._is_complete = True
            self._wake()
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, by either side."""
        self._connection.connection_lost(exc)
        self._transport = None
        self.resume_writing()
        if not self._is_complete:
            self._fail(BrokenAnswer() if self._in_body else ConnectionBroken())

    def _fail(self, error: BaseException) -> None:
        if self._error is None and not self._is_complete:
            self._error = error
            if not self._head.done():
                self._head.set_exception(error)
            self._connection.close()
            self._wake()
            self._end()

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    def _end(self) -> None:
        """Give the connection back. It is used again only if the exchange ended as it should."""
        on_end, self._on_end = self._on_end, None
        if on_end is None:
            return
        if self._sender is not None and not self._sender.done():
            self._sender.cancel()  # the service has answered without reading the rest
            self._connection.is_usable = False
        if self._is_paused and self._transport is not None:
            self._transport.resume_reading()
        self._is_paused = False
        self._transport = None
        self.resume_writing()
        self._connection.take_back()
        if not self._head.done():
            self._head.cancel()
        on_end(self._connection)

    # Called by the parser, which would wrap an exception: so they raise none

    def on_message_begin(self) -> None:
        """A response begins. A second one to the same request makes the connection unusable."""
        if self._is_complete:
            self._connection.is_usable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is counted and dropped."""
        self._field_count += 1
        if self._field_count > MAX_HEADERS:
            self._fail(BrokenAnswer())
        elif not self._in_body:
            # The parser doesn't strip whitespace after a value, which is not part of it (RFC 9110, section 5.5).
            self._fields.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """The head is complete."""
        status = self._parser.get_status_code()
        if self._is_complete or self._error is not None:
            return
        if status < 200:
            self._interim += 1
            if self._interim > MAX_INTERIM or status == 101:  # no upgrade was offered
                self._fail(BrokenAnswer())
            return
        self._in_body = True
        lengths = {value for name, value in self._fields if name == b"content-length"}
        codings = [value.lower() for name, value in self._fields if name == b"transfer-encoding"]
        if len(lengths) > 1 or (lengths and codings) or codings not in ([], [b"chunked"]):
            self._fail(BrokenAnswer())
            return
        self.status, self.headers = status, tuple(self._fields)
        if status in _NO_BODY or self._is_head_only:
            if status in _NO_BODY and (codings or (status == 204 and lengths - {b"0"})):
                self._connection.is_usable = False  # the next bytes may be the body that it declares and must not have
            self._complete()
        elif not lengths and not codings:
            self._ends_with_connection = True
        if not self._head.done():
            self._head.set_result(None)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._is_complete:
            self._connection.is_usable = False
            return
        self._body_bytes += len(body)
        self._piece_count += 1
        self._waiting_bytes += len(body) + _PIECE_BYTES
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        """The response is complete. An interim response (1xx) is skipped."""
        if self._is_complete or self._error is not None:
            return
        if self._in_body:
            self._complete()
        else:
            self._fields = []

    def _complete(self) -> None:
        self._is_complete = True
        if self._ends_with_connection or not self._parser.should_keep_alive():
            self._connection.is_usable = False
