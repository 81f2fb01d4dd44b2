"""A streamed call and its reply: bodies of any size, passed on piece by piece, of which neither side is kept in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from bff.runtime.loop import TimeLimit
from bff.upstream.errors import BadAnswer, SourceError, TimedOut
from bff.upstream.headers import HeaderRules
from bff.upstream.traffic.call import Call, identity_headers
from bff.upstream.wire import RawHeaders, StreamReply, WireError

_READS = frozenset({"GET", "HEAD"})


class Content(Protocol):
    """The body of a streamed call."""

    @property
    def length(self) -> int | None:
        """Bytes; None if it is not known beforehand."""
        ...

    @property
    def taken_bytes(self) -> int:
        """Bytes that were taken so far: how far the call has come."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces. Whatever it raises ends the call, and is raised by it."""
        ...


class StreamCall(Call, frozen=True, kw_only=True):
    """A call whose body and reply are streams. `decode` is not used. The caller's deadline is that of the answer's head.

    Attributes:
        sent: the headers to send besides those of the source and of the identity. Names are in lower case.
        content: the body; None if there is none.
        timeout_s: seconds until the head of the answer arrives, from the end of the body on.
        idle_timeout_s: seconds that the service may take nothing of the body, or send nothing of its answer.
    """

    sent: RawHeaders
    content: Content | None = None
    timeout_s: float
    idle_timeout_s: float

    @property
    def is_read(self) -> bool:
        """Whether it may be repeated: a safe method (RFC 9110, section 9.2.1), and no body that is gone once it was sent."""
        return self.method in _READS and self.content is None


def streamed_headers(call: StreamCall, rules: HeaderRules, authorization: str | None) -> RawHeaders:
    """The headers of a streamed call. The source's own and the identity's take the place of others of the same name."""
    caller = call.caller
    own = [("X-Request-ID", caller.request_id), ("traceparent", caller.traceparent)]
    own += identity_headers(call, rules, authorization)
    own += rules.static
    raw = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in own]
    taken = {name for name, _ in raw}
    return (*(each for each in call.sent if each[0] not in taken), *raw)


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """A service's short answer that was read to its end, since another attempt might give a better one."""

    status: int
    headers: RawHeaders
    body: bytes


class Streamed:
    """An answer whose head has arrived. It must be read to its end or closed: till then it holds its place."""

    __slots__ = ("_call", "_on_end", "_reply", "_source")

    def __init__(self, source: str, call: StreamCall, reply: StreamReply) -> None:
        self._source = source
        self._call = call
        self._reply = reply
        self._on_end: list[Callable[[SourceError | None], None]] | None = []

    def __repr__(self) -> str:
        return f"<Streamed {self.status} of {self._source}>"

    @property
    def status(self) -> int:
        """The service's status."""
        return self._reply.status

    @property
    def headers(self) -> RawHeaders:
        """The service's headers, in lower case."""
        return self._reply.headers

    def on_end(self, callback: Callable[[SourceError | None], None]) -> None:
        """Call this once the stream has ended: with the error if the service broke it off, else with None."""
        if self._on_end is not None:
            self._on_end.append(callback)

    async def read(self) -> bytes:
        """The next piece of the body; empty at its end. Raises `SourceError` if the service breaks it off or stalls.

        Also raises what the call's content raises.
        """
        try:
            piece = await self._read_in_time()
        except WireError as error:
            raise await self._broken(BadAnswer(self._source, counts=True)) from error
        if not piece:
            await self.aclose()
        return piece

    async def _read_in_time(self) -> bytes:
        content = self._call.content
        while True:
            before = 0 if content is None else content.taken_bytes
            limit = TimeLimit(self._call.idle_timeout_s)
            try:
                return await self._reply.read()
            except asyncio.CancelledError:
                if not limit.has_cut_off():
                    raise
                if content is None or content.taken_bytes == before:
                    raise await self._broken(TimedOut(self._source, counts=True)) from None
                # The service still reads, and will answer when it has read all.
            finally:
                limit.lift()

    async def _broken(self, error: SourceError) -> SourceError:
        await self.aclose(error)
        return error

    async def aclose(self, error: SourceError | None = None) -> None:
        """End the stream. If it is not complete, its connection is closed. `error` if the service is the reason."""
        callbacks, self._on_end = self._on_end, None
        try:
            await self._reply.aclose()
        finally:
            for callback in callbacks or ():
                callback(error)
