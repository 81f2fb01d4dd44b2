"""The attempt of a streamed call: sends it to one instance, and returns when the head of the answer has arrived.

An answer of 429 or 500 and above is an error for the policies: it may count against the service, and be repeated. Up to
64 KiB of it are kept with the error, so that the client gets the service's own answer if no attempt gives a better one.
"""

import asyncio
from collections.abc import AsyncIterator

from bff.runtime.clock import Clock
from bff.runtime.loop import MovableLimit, TimeLimit
from bff.upstream.conventions import STANDARD
from bff.upstream.errors import SourceError, TimedOut
from bff.upstream.events import CallEnded, Listener
from bff.upstream.headers import HeaderRules
from bff.upstream.reasons import detail_of, reason_of
from bff.upstream.traffic.attempt import Attempt, error_of, error_on_wire
from bff.upstream.traffic.balance import Instance
from bff.upstream.traffic.call import Call, Reply
from bff.upstream.traffic.streams import Content, KeptAnswer, StreamCall, Streamed, streamed_headers
from bff.upstream.wire import (
    StreamingWire,
    StreamReply,
    StreamRequest,
    WireError,
    WireReply,
)

_MOST_KEPT_BYTES = 64 * 1024
_LARGEST_STATUS = 599
"""Of HTTP (RFC 9110, section 15). A client would not understand a larger one."""


class StreamAttempt:
    """Sends streamed calls of one source. `attempt` has the rules for its headers."""

    def __init__(self, source: str, attempt: Attempt, wire: StreamingWire, emit: Listener, clock: Clock) -> None:
        self._source = source
        self._attempt = attempt
        self._wire = wire
        self._emit = emit
        self._clock = clock

    async def __call__(self, call: Call, instance: Instance) -> Reply:
        """Send the call. The reply's value is a `Streamed`. Raises `SourceError`, and what the call's content raises."""
        if not isinstance(call, StreamCall):
            raise TypeError(f"Expected a streamed call, got {call!r}.")
        rules = self._attempt.headers
        authorization = None if rules.credentials is None else rules.credentials.authorization()
        began = self._clock()
        outcome, reason, detail, status = "cancelled", "", "", None
        call.caller.calls[self._source] += 1
        try:
            reply = await self._begin(call, instance, rules, authorization)
            status = reply.status
            if status == 401 and rules.has_own_identity:
                await reply.aclose()
                await self._attempt.refused(call, rules, authorization)
            if status >= 500 or status == 429:
                raise await self._failure(call, reply)
            outcome = "ok"
        except SourceError as error:
            outcome, reason, detail = error.outcome, reason_of(error), detail_of(error)
            raise
        finally:
            self._emit(
                CallEnded(
                    self._source,
                    call.route,
                    call.method,
                    instance.number,
                    outcome,
                    self._clock() - began,
                    call.caller.request_id,
                    status,
                    is_read=call.is_read,
                    reason=reason,
                    detail=detail,
                )
            )
        return Reply(status, Streamed(self._source, call, reply))

    async def _begin(
        self, call: StreamCall, instance: Instance, rules: HeaderRules, authorization: str | None
    ) -> StreamReply:
        left = call.caller.deadline.left() if call.content is None else call.timeout_s
        limit = MovableLimit(min(call.timeout_s, left))
        content = call.content
        request = StreamRequest(
            call.method,
            instance.url + call.target,
            streamed_headers(call, rules, authorization),
            None if content is None else _Watched(content, limit, call),
            None if content is None else content.length,
        )
        try:
            return await self._wire.stream(request)
        except asyncio.CancelledError as error:
            if not limit.has_cut_off():
                raise
            raise TimedOut(self._source, counts=left >= call.timeout_s / 2) from error
        except WireError as error:
            raise error_on_wire(self._source, error) from error
        finally:
            limit.lift()

    async def _failure(self, call: StreamCall, reply: StreamReply) -> SourceError:
        """The error for an answer that is a failure of the service."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reply.headers}
        error = error_of(self._source, reply.status, WireReply(reply.status, headers, b""), STANDARD)
        pieces: list[bytes] = []
        size = 0
        limit = TimeLimit(call.idle_timeout_s)
        try:
            while piece := await reply.read():
                size += len(piece)
                if size > _MOST_KEPT_BYTES:
                    return error
                pieces.append(piece)
            if reply.status <= _LARGEST_STATUS:
                error.answer = KeptAnswer(reply.status, reply.headers, b"".join(pieces))
        except asyncio.CancelledError:
            if not limit.has_cut_off():
                raise
        except WireError:
            pass
        finally:
            limit.lift()
            await reply.aclose()
        return error


class _Watched:
    """The pieces of a body. While the service takes one, `idle_timeout_s` holds; after the last one `timeout_s`.

    While the client is waited for, there is no limit here: that is the content's own.
    """

    def __init__(self, content: Content, limit: MovableLimit, call: StreamCall) -> None:
        self._pieces = aiter(content)
        self._limit = limit
        self._call = call

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self._limit.move(None)
        try:
            piece = await anext(self._pieces)
        except StopAsyncIteration:
            self._limit.move(self._call.timeout_s)
            raise
        self._limit.move(self._call.idle_timeout_s)
        return piece
