"""Attempt: sends one request over the wire, limited in time and size, and turns the outcome into a `Reply` or `SourceError`.

Errors' messages never contain the service's own text. The details of a problem document are passed on only with `Rejected`,
the errors that the client can correct.
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from bff.runtime.clock import Clock
from bff.runtime.loop import TimeLimit
from bff.runtime.memo import memoized
from bff.upstream.conventions import Conventions
from bff.upstream.conventions.errors import problem_details
from bff.upstream.errors import (
    BadAnswer,
    Busy,
    CredentialsRefused,
    Forbidden,
    Mismatched,
    Misshapen,
    NotReached,
    NotSendable,
    Rejected,
    SourceError,
    TimedOut,
    Unauthenticated,
)
from bff.upstream.events import CallEnded, Listener
from bff.upstream.headers import NO_RULES, HeaderRules
from bff.upstream.reasons import detail_of, reason_of
from bff.upstream.traffic.balance import Instance
from bff.upstream.traffic.call import Call, Mismatch, Reply, request_headers
from bff.upstream.traffic.freshness import Lifetimes, judge
from bff.upstream.wire import (
    AnswerTooLarge,
    BrokenAnswer,
    ConnectionBroken,
    NotAttempted,
    NotConnected,
    Unsendable,
    Wire,
    WireError,
    WireReply,
    WireRequest,
)

_READ_STATUSES = frozenset({200})
_WRITE_STATUSES = frozenset({200, 201})
"""Statuses whose body is the complete object. Any other status is an error, whatever its body."""
_EMPTY_STATUSES = frozenset({202, 204})
"""Statuses of a write whose reply needs no object."""
_MAX_RETRY_AFTER_S = 86_400.0
_LONGEST_TITLE = 200
_LONGEST_TYPE = 256
_NOT_TO_BE_KEPT = {"cache-control": "no-store"}


class Attempt:
    """Sends calls of one source. `timeout_s` limits each, from the first byte sent to the last byte received."""

    def __init__(
        self,
        source: str,
        wire: Wire,
        emit: Listener,
        *,
        timeout_s: float,
        max_response_bytes: int,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
    ) -> None:
        self._source = source
        self._wire = wire
        self._emit = emit
        self._timeout_s = timeout_s
        self._max_response_bytes = max_response_bytes
        self._clock = clock
        self._wall = wall
        self.headers = NO_RULES

    async def __call__(self, call: Call, instance: Instance) -> Reply:
        """Send the call to the instance. Raises `SourceError` for anything but a reply that the call can use."""
        rules = self.headers
        authorization = None if rules.credentials is None else rules.credentials.authorization()
        began = self._clock()
        outcome, reason, detail, answer = "cancelled", "", "", None
        call.caller.calls[self._source] += 1
        try:
            answer = await self._exchange(call, instance, rules, authorization)
            if answer.status == 401 and rules.has_own_identity:
                await self.refused(call, rules, authorization)
            reply = self._read(call, answer, self._clock() - began)
            outcome = "ok"
        except Mismatch as mismatch:
            outcome, reason = Mismatched.outcome, "other_objects"
            reply = self._usable(mismatch, answer)
        except SourceError as error:
            outcome, reason, detail = error.outcome, reason_of(error), detail_of(error)
            if isinstance(error, BadAnswer) and answer is not None and answer.status < 300:
                _close(answer)  # an unreadable answer may belong to another request
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
                    None if answer is None else answer.status,
                    "" if answer is None or outcome == "ok" else _title(call, answer),
                    call.is_read,
                    reason,
                    detail,
                )
            )
        return reply

    async def refused(self, call: Call, rules: HeaderRules, authorization: str | None) -> None:
        """The service has refused the gateway's own credentials. Raises `CredentialsRefused`."""
        if rules.credentials is not None and authorization is not None:
            limit = TimeLimit(call.caller.deadline.left())
            try:
                await rules.credentials.renew(authorization)
            except asyncio.CancelledError:
                if not limit.has_cut_off():
                    raise
            finally:
                limit.lift()
        raise CredentialsRefused(self._source, retriable=rules.credentials is not None and call.is_read)

    async def _exchange(self, call: Call, instance: Instance, rules: HeaderRules, authorization: str | None) -> WireReply:
        deadline = call.caller.deadline
        left = deadline.left()
        timeout_s = min(self._timeout_s, left)
        headers = request_headers(call, timeout_s, rules, authorization)
        request = WireRequest(call.method, instance.url + call.target, headers, call.body)
        limit = TimeLimit(timeout_s)
        try:
            return await self._wire.send(request, max_response_bytes=self._max_response_bytes)
        except asyncio.CancelledError as error:
            if not limit.has_cut_off():
                raise
            # The deadline may leave an attempt too little time: then a timeout says nothing about the service. One that the
            # client chose never says anything: clients could open the breaker with it.
            enough_s = self._timeout_s if deadline.by_client else self._timeout_s / 2
            raise TimedOut(self._source, counts=left >= enough_s) from error
        except WireError as error:
            raise error_on_wire(self._source, error) from error
        finally:
            limit.lift()

    def _read(self, call: Call, reply: WireReply, delay_s: float) -> Reply:
        status, headers, conventions = reply.status, reply.headers, call.conventions
        if conventions.has_own_statuses and status != 304:
            status = conventions.meaning_of(status, reply.body)
        if status not in (_READ_STATUSES if call.is_read else _WRITE_STATUSES):
            if status == 304 and call.validator is not None:
                return Reply(304, None, headers)
            if status == 404 and call.missing_ok:
                return Reply(404, {}, headers, lifetimes=self._lifetimes(call, reply, delay_s))
            if not (call.has_no_body and status in _EMPTY_STATUSES):
                raise error_of(self._source, status, reply, conventions)
        if call.has_no_body:
            return Reply(status, call.decode(b""), headers)
        if not conventions.is_json(_media_type(headers.get("content-type", ""))) or "content-encoding" in headers:
            raise BadAnswer(self._source, counts=True)
        try:
            value = call.decode(reply.body, headers) if call.reads_headers else call.decode(reply.body)
        except Mismatch:
            raise
        except msgspec.ValidationError as error:
            raise Misshapen(self._source) from error
        except (ValueError, RecursionError) as error:
            raise BadAnswer(self._source, counts=True) from error
        lifetimes = self._lifetimes(call, reply, delay_s) if call.is_read else None
        return Reply(status, value, headers, len(reply.body), lifetimes=lifetimes)

    def _lifetimes(self, call: Call, reply: WireReply, delay_s: float) -> Lifetimes:
        with_identity = call.viewer is not None
        return judge(reply.status, reply.headers, with_identity=with_identity, wall_now=self._wall(), delay_s=delay_s)

    def _usable(self, mismatch: Mismatch, answer: WireReply | None) -> Reply:
        """The usable part of a reply with objects that were not requested. Raises `Mismatched` if there is none.

        The reply's headers may belong to another request too. The connection is closed, since its later replies may also be
        those of other requests.
        """
        if answer is not None:
            _close(answer)
        if answer is None or mismatch.usable is None:
            raise Mismatched(self._source) from mismatch
        return Reply(answer.status, mismatch.usable, _NOT_TO_BE_KEPT, len(answer.body))


def _close(answer: WireReply) -> None:
    if answer.close is not None:
        answer.close()


def error_on_wire(source: str, error: WireError) -> SourceError:
    """The error for a request that got no complete reply."""
    match error:
        case Unsendable():
            return NotSendable(source)
        case NotConnected():
            return NotReached(source, sent=False, counts=not isinstance(error, NotAttempted))
        case ConnectionBroken():
            return NotReached(source, sent=True)
        case AnswerTooLarge():
            return BadAnswer(source, counts=False)
        case _:
            return BadAnswer(source, counts=True, retriable=isinstance(error, BrokenAnswer))


def error_of(source: str, status: int, reply: WireReply, conventions: Conventions) -> SourceError:
    """The error for a reply whose status is no success for the call. `status` is what the reply's own status stands for."""
    match status:
        case 401:
            return Unauthenticated(source)
        case 403:
            return Forbidden(source)
        case 429 | 503:
            return Busy(source, status, retry_after(reply.headers))
        case 400 | 404 | 409 | 422:
            return Rejected(source, status, conventions.problem_in(reply.status, reply.body))
        case _:
            # A redirect is not followed: the settings say where a service is. Part of the object (206), an acceptance (202)
            # or a reply without a body (204, 205) is not the object.
            counts = not 400 <= status < 500
            return BadAnswer(source, counts=counts, retriable=status in {502, 504}, status=status)


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds from `Retry-After` (RFC 9110, section 10.2.3), between 0 and a day; None if it is absent or unreadable."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - (now or datetime.now(UTC))).total_seconds(), 0.0), _MAX_RETRY_AFTER_S)


def _title(call: Call, reply: WireReply) -> str:
    """The kind of error. By the standard convention only a problem document has one.

    Its title is the same for each problem type (RFC 9457, section 3.1.3), so not personal.
    """
    conventions = call.conventions
    if conventions.errors is problem_details and "problem" not in reply.headers.get("content-type", ""):
        return ""
    return conventions.problem_in(reply.status, reply.body).title[:_LONGEST_TITLE]


@memoized(max_entries=64, max_length=_LONGEST_TYPE, too_long=lambda _: "")
def _media_type(content_type: str) -> str:
    """A content type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()
