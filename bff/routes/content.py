"""The body of a client's request, taken piece by piece as the service takes it."""

import asyncio
from typing import Self

from starlette.types import Message, Receive

from bff.errors import BadRequest
from bff.request.http import ClientDisconnected
from bff.runtime.loop import TimeLimit


class ClientContent:
    """The body, at most `max_bytes` long. `length` is what the client declares; None if it doesn't (chunked)."""

    def __init__(self, receive: Receive, length: int | None, max_bytes: int, idle_timeout_s: float) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._idle_timeout_s = idle_timeout_s
        self._ended = asyncio.Event()
        self.length = length
        self.taken_bytes = 0

    def __repr__(self) -> str:
        return f"<ClientContent {self.taken_bytes} of {self.length} bytes>"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next piece. Raises `BadRequest` (408, 413), `ClientDisconnected`."""
        if self._ended.is_set():
            raise StopAsyncIteration
        limit = TimeLimit(self._idle_timeout_s)
        try:
            message = await self._receive()
        except asyncio.CancelledError:
            if not limit.has_cut_off():
                raise
            message_ = f"The body stalled: expected more of it within {self._idle_timeout_s:g} seconds."
            raise BadRequest(message_, status=408, headers=((b"connection", b"close"),)) from None
        finally:
            limit.lift()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        piece: bytes = message.get("body", b"")
        self.taken_bytes += len(piece)
        if self.taken_bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        if not message.get("more_body", False):
            self._ended.set()
        return piece

    async def receive_behind(self) -> Message:
        """What ASGI reports after the body: that the client has disconnected."""
        await self._ended.wait()
        return await self._receive()


def too_large(max_bytes: int) -> BadRequest:
    """The refusal of a longer body."""
    message = f"The body is too large: expected at most {max_bytes} bytes."
    return BadRequest(message, status=413, headers=((b"connection", b"close"),))
