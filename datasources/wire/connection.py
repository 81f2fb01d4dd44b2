"""One HTTP/1.1 connection over asyncio: a request out, an answer in, parsed by httptools (llhttp, strict).

It is used for one exchange at a time, and again only where the last one ended in good order and to the byte: bytes that
nobody asked for, or an answer that was left, end it.
"""

import asyncio

import httptools

from datasources.loop import running_loop
from datasources.wire.protocol import (
    AnswerTooLarge,
    BrokenAnswer,
    ConnectionBroken,
    NotConnected,
    WireError,
    WireReply,
)

HEAD_MOST_BYTES = 64 * 1024
"""Of a request's head, and of an answer's."""
_NO_BODY = frozenset({204, 304})


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
            if self._raw > HEAD_MOST_BYTES:
                self._fail(BrokenAnswer())
        elif self._raw > HEAD_MOST_BYTES + 2 * self._limit:
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
