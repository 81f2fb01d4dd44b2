"""Attempt: what is sent, which error each outcome becomes, and which events there are."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.upstream.caller import Caller, Deadline, Identity
from bff.upstream.conventions import FieldProblem, Problem
from bff.upstream.errors import (
    BadAnswer,
    Busy,
    Forbidden,
    NotReached,
    NotSendable,
    Rejected,
    SourceError,
    TimedOut,
    Unauthenticated,
)
from bff.upstream.events import CallEnded
from bff.upstream.traffic.attempt import retry_after
from bff.upstream.traffic.call import Reply, request_headers
from bff.upstream.wire import (
    AnswerTooLarge,
    BrokenAnswer,
    ConnectionBroken,
    NotConnected,
    Unsendable,
    WireError,
    WireReply,
    WireRequest,
)
from tests.support.fakes import (
    AUTHORIZATION,
    HOST,
    SUB,
    TRACEPARENT,
    Clock,
    Heard,
    ScriptedWire,
    answer,
    ended,
    hang,
    make_attempt,
    make_call,
    make_caller,
    make_instance,
    settle,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANONYMOUS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "X-Request-ID": "request-1",
    "traceparent": TRACEPARENT,
    "User-Agent": "bff",
}
SIGNED_IN = ANONYMOUS | {"X-User-ID": SUB, "Authorization": AUTHORIZATION}


async def attempt(instruction: Any, clock: Clock, heard: Heard, caller: Caller, **changes: Any) -> Reply:
    """One attempt over a network with these instructions."""
    return await make_attempt(ScriptedWire(instruction), clock, heard)(make_call(caller, **changes), make_instance())


# what goes out


async def test_the_request_goes_to_the_instance(clock: Clock, heard: Heard, caller: Caller) -> None:
    """Method, the instance's URL followed by the target, the body, and the size limit of the response."""
    wire = ScriptedWire()
    call = make_call(caller, method="PATCH", target="/users/1?a=%2F", body=b"{}", idempotency_key="key-1")
    await make_attempt(wire, clock, heard, most_bytes=77)(call, make_instance(f"{HOST}/base/"))
    (sent,) = wire.sent
    assert (sent.method, sent.url, sent.body) == ("PATCH", f"{HOST}/base/users/1?a=%2F", b"{}")
    assert wire.limits == [77]


@pytest.mark.parametrize(
    ("sub", "changes", "headers"),
    [
        (None, {}, ANONYMOUS),
        (SUB, {}, ANONYMOUS),
        (None, {"identity": True}, ANONYMOUS),
        (SUB, {"identity": True}, SIGNED_IN),
        (None, {"body": b"{}"}, ANONYMOUS | {"Content-Type": "application/json"}),
        (
            SUB,
            {"identity": True, "body": b"{}", "idempotency_key": "key-1"},
            SIGNED_IN | {"Content-Type": "application/json", "Idempotency-Key": "key-1"},
        ),
    ],
)
def test_exactly_these_headers_are_sent(clock: Clock, sub: str | None, changes: Any, headers: dict[str, str]) -> None:
    """Each once: those of every call, the identity's if the call carries it, and those of a write."""
    sent = request_headers(make_call(make_caller(clock, sub=sub), **changes))
    assert len(sent) == len(headers)
    assert dict(sent) == headers


def user_id_sent(sub: str) -> str:
    """The value of `X-User-ID` for a token's `sub`."""
    caller = replace(make_caller(Clock()), identity=Identity(sub, AUTHORIZATION))
    return dict(request_headers(make_call(caller, identity=True)))["X-User-ID"]


@pytest.mark.parametrize(
    ("sub", "sent"),
    [
        ("42", "42"),
        ("auth0|a@b.c;d=e,f/g?h&i", "auth0|a@b.c;d=e,f/g?h&i"),
        ("1\r\nX-Admin: 1", "1%0D%0AX-Admin:%201"),
        ("1%0D%0AX-Admin", "1%250D%250AX-Admin"),
        ("100%", "100%25"),
        (" 1 ", "%201%20"),
        ("1\x00\t\x7f", "1%00%09%7F"),
        ("Jürgen", "J%C3%BCrgen"),
        ("用户", "%E7%94%A8%E6%88%B7"),
        ("\u2028", "%E2%80%A8"),
        ("\ud800", "%ED%A0%80"),  # half a character, as JSON may hold one: it raised UnicodeEncodeError once
        ("", ""),
    ],
)
def test_a_sub_cannot_inject_a_header(sub: str, sent: str) -> None:
    """Letters and digits are sent unchanged. What a header can't contain is percent-encoded, and so is the percent sign."""
    assert user_id_sent(sub) == sent


@settings(derandomize=True, deadline=None)
@given(st.text(st.characters()) | st.text("%0123456789ADad\r\n"))
def test_different_subs_are_sent_differently(sub: str) -> None:
    """As visible ASCII, whatever the `sub`."""
    sent = user_id_sent(sub)
    assert all("!" <= character <= "~" for character in sent)
    assert unquote(sent, errors="surrogatepass") == sub


# what comes back


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", "application/hal+json"])
@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("POST", 200), ("PATCH", 201)])
async def test_a_successful_response_is_decoded(
    clock: Clock, heard: Heard, caller: Caller, method: str, status: int, content_type: str
) -> None:
    """A 200 with JSON is the call's value, for a write a 201 too. Status and headers are in the reply."""
    said = answer(status, b'{"id":1}', content_type=content_type, etag='"1"')
    reply = await attempt(said, clock, heard, caller, method=method)
    assert (reply.status, reply.value, reply.headers["etag"]) == (status, {"id": 1}, '"1"')


@pytest.mark.parametrize(
    ("method", "status"),
    [("GET", status) for status in (201, 202, 203, 204, 205, 206, 207, 208, 226, 299)]
    + [("POST", status) for status in (202, 203, 204, 205, 206, 207, 226, 299)],
)
async def test_another_success_status_is_an_error(
    clock: Clock, heard: Heard, caller: Caller, method: str, status: int
) -> None:
    """A 206, a 202 or a 203 is not the object, although its body can be read as one."""
    said = answer(status, b'{"id":1}', cache_control="max-age=60")
    with pytest.raises(BadAnswer) as caught:
        await attempt(said, clock, heard, caller, method=method)
    assert (caught.value.counts, caught.value.retriable, caught.value.status) == (True, False, status)


async def test_the_lifetimes_are_computed_at_arrival(clock: Clock, heard: Heard, caller: Caller) -> None:
    """Once, with the time the response took. A write's response has none."""

    async def slow(_: object) -> WireReply:
        clock.now += 1.5
        return answer(200, b"{}", cache_control="max-age=60", age="10")

    reply = await attempt(slow, clock, heard, caller)
    assert reply.lifetimes is not None
    assert reply.lifetimes.fresh_s == pytest.approx(48.5)
    assert (
        await attempt(answer(200, b"{}", cache_control="max-age=60"), clock, heard, caller, method="PATCH")
    ).lifetimes is None


SECRET = b'{"type":"about:blank","title":"secret-title","status":0,"detail":"secret-detail"}'
STATUSES = [
    # status, the error, whether it counts
    (301, BadAnswer, True),
    (302, BadAnswer, True),
    (304, BadAnswer, True),
    (400, Rejected, False),
    (401, Unauthenticated, False),
    (402, BadAnswer, False),
    (403, Forbidden, False),
    (404, Rejected, False),
    (405, BadAnswer, False),
    (409, Rejected, False),
    (413, BadAnswer, False),
    (422, Rejected, False),
    (429, Busy, False),
    (431, BadAnswer, False),
    (500, BadAnswer, True),
    (501, BadAnswer, True),
    (502, BadAnswer, True),
    (503, Busy, True),
    (504, BadAnswer, True),
    (599, BadAnswer, True),
]
WIRE_ERRORS = [
    # what the wire raises, the error, whether it counts, whether there was an answer
    (NotConnected(f"no route to {HOST} secret"), NotReached, True, False),
    (ConnectionBroken(f"{HOST} secret"), NotReached, True, False),
    (BrokenAnswer(f"{HOST} secret"), BadAnswer, True, True),
    (AnswerTooLarge(f"{HOST} secret"), BadAnswer, False, True),
    (Unsendable(f"{HOST} secret"), NotSendable, False, False),
]


def check_fit_for_a_client(error: SourceError) -> None:
    """A message names the source, and neither its address nor its text nor the request."""
    assert "The users service" in error.message
    for leak in ("secret", "http", "10.11", "8001", "/users", "{", "<"):
        assert leak not in str(error)


@pytest.mark.parametrize(("status", "kind", "counts"), STATUSES)
async def test_each_status_has_its_error(
    clock: Clock, heard: Heard, caller: Caller, status: int, kind: type[SourceError], counts: bool
) -> None:
    """Which error, whether it counts against the service, and that there was a response."""
    with pytest.raises(SourceError) as caught:
        await attempt(answer(status, SECRET, location=f"{HOST}/secret"), clock, heard, caller)
    error = caught.value
    assert (type(error), error.counts, error.answered, error.asked) == (kind, counts, True, True)
    assert [event.outcome for event in heard.ended] == [error.outcome]
    check_fit_for_a_client(error)


@pytest.mark.parametrize(("raised", "kind", "counts", "answered"), WIRE_ERRORS, ids=repr)
async def test_each_wire_error_has_its_error(
    clock: Clock, heard: Heard, caller: Caller, raised: WireError, kind: type[SourceError], counts: bool, answered: bool
) -> None:
    """Connection failures count against the service; a too long response and an invalid request don't."""
    with pytest.raises(SourceError) as caught:
        await attempt(raised, clock, heard, caller)
    error = caught.value
    assert (type(error), error.counts, error.answered, error.asked) == (kind, counts, answered, True)
    assert error.__cause__ is raised
    assert [event.outcome for event in heard.ended] == [error.outcome]
    check_fit_for_a_client(error)


@pytest.mark.parametrize(("raised", "sent"), [(NotConnected(), False), (ConnectionBroken(), True)])
async def test_whether_the_service_may_have_acted_is_known(
    clock: Clock, heard: Heard, caller: Caller, raised: WireError, sent: bool
) -> None:
    """Without a connection it can't have got the request; after a broken connection it may."""
    with pytest.raises(NotReached) as caught:
        await attempt(raised, clock, heard, caller)
    assert caught.value.sent is sent


class Named(msgspec.Struct):
    name: str


DECODE = msgspec.json.Decoder(Named).decode
DEEP = b'{"name":"a","x":' + b"[" * 100_000


@pytest.mark.parametrize(
    ("reply", "counts"),
    [
        (answer(200, b""), True),
        (answer(204, b""), True),
        (answer(200, b"<html>secret</html>"), True),
        (answer(200, b'{"name":"sec'), True),
        (answer(200, b'{"name":"\xff"}'), True),
        (answer(200, b'{"name":"a"}]'), True),
        (answer(200, DEEP), True),
        (answer(200, b'{"name":"a"}', content_type="text/html"), True),
        (answer(200, b'{"name":"a"}', content_type="application/jsonp"), True),
        (answer(200, b'{"name":"a"}', content_type=""), True),
        (WireReply(200, {}, b'{"name":"a"}'), True),
        (answer(200, b'{"name":"a"}', content_encoding="gzip"), True),
        (answer(200, b'{"name":1}'), False),
        (answer(200, b'{"title":"secret"}'), False),
        (answer(200, b"null"), False),
        (answer(200, b'["secret"]'), False),
    ],
    ids=lambda value: repr(value)[:70],
)
async def test_an_unusable_response(clock: Clock, heard: Heard, caller: Caller, reply: WireReply, counts: bool) -> None:
    """Invalid JSON counts against the service; valid JSON of another shape doesn't."""
    with pytest.raises(BadAnswer) as caught:
        await attempt(reply, clock, heard, caller, decode=DECODE)
    assert caught.value.counts is counts
    check_fit_for_a_client(caught.value)
    assert heard.ended[0].outcome == "bad_answer"


async def test_a_compressed_response_is_an_error(clock: Clock, heard: Heard, caller: Caller) -> None:
    """None is requested. It is refused unread, so that a small response can't decompress to a huge one."""
    unread: list[bytes] = []
    with pytest.raises(BadAnswer):
        await attempt(answer(200, b"\x1f\x8b", content_encoding="gzip"), clock, heard, caller, decode=unread.append)
    assert not unread


async def test_with_missing_ok_a_404_is_a_reply(clock: Clock, heard: Heard, caller: Caller) -> None:
    """It says that none of the keys exists, and counts as success, whatever its body."""
    reply = await attempt(answer(404, b"<html>", content_type="text/html"), clock, heard, caller, missing_ok=True)
    assert (reply.status, reply.value) == (404, {})
    assert heard.ended[0].outcome == "ok"


@pytest.mark.parametrize("status", [400, 410, 500])
async def test_only_404_means_missing(clock: Clock, heard: Heard, caller: Caller, status: int) -> None:
    """`missing_ok` allows no other status."""
    with pytest.raises(SourceError):
        await attempt(answer(status), clock, heard, caller, missing_ok=True)


@pytest.mark.parametrize("status", [400, 404, 409, 422])
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (
            b'{"type":"about:blank","title":"Invalid","status":422,"detail":"2 faults","errors":'
            b'[{"field":"items[0].productId","message":"no such product","more":1},{"message":"too many"}]}',
            Problem(
                "Invalid", "2 faults", (FieldProblem("items[0].productId", "no such product"), FieldProblem("", "too many"))
            ),
        ),
        (b'{"title":"Not found"}', Problem("Not found")),
        (b"{}", Problem()),
        (b"", Problem()),
        (b"<html>", Problem()),
        (b"null", Problem()),
        (b'{"title":7}', Problem()),
        (b'{"errors":{"field":"a"}}', Problem()),
        (DEEP, Problem()),
    ],
    ids=lambda value: repr(value)[:50],
)
async def test_a_rejection_keeps_the_problem_document(
    clock: Clock, heard: Heard, caller: Caller, status: int, body: bytes, problem: Problem
) -> None:
    """Title, detail and field errors. An unreadable one counts as empty."""
    with pytest.raises(Rejected) as caught:
        await attempt(answer(status, body, content_type="application/problem+json"), clock, heard, caller)
    assert caught.value.status == status
    found = caught.value.problem
    assert (found.title, found.detail, tuple(found.errors)) == (problem.title, problem.detail, problem.errors)


# Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("00000000000120", 120.0),
        ("86400", 86400.0),
        ("86401", 86400.0),
        ("9" * 5000, 86400.0),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0),
        ("Thursday, 01-Jan-26 00:00:30 GMT", 30.0),
        ("Thu Jan  1 00:00:30 2026", 30.0),
        ("Thu, 01 Jan 2026 02:00:30 +0200", 30.0),
        ("Wed, 31 Dec 2025 23:59:59 GMT", 0.0),
        ("Fri, 01 Jan 2027 00:00:00 GMT", 86400.0),
        ("Fri, 01 Jan 99999999999 00:00:00 GMT", None),  # it raised OverflowError once
        ("Thu, 01 Jan 2026 00:00:30 +99999999999999999", None),
        ("-5", None),
        ("1.5", None),
        ("5, 5", None),
        ("soon", None),
        ("²", None),
        ("٣", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_parsed(value: str | None, seconds: float | None) -> None:
    """Seconds or a date, between 0 and a day. None if it is absent or anything else."""
    headers = {} if value is None else {"retry-after": value}
    assert retry_after(headers, NOW) == seconds


@settings(derandomize=True, deadline=None)
@given(
    st.text()
    | st.from_regex(r"(Thu, )?[0-9]{1,30} (Jan|Feb) [0-9]{1,30} [0-9]{1,3}:[0-9]{1,30}(:[0-9]+)? ([+-][0-9]+|GMT|)")
)
def test_no_retry_after_raises(value: str) -> None:
    """Whatever a service sends: a number within the limits, or None."""
    seconds = retry_after({"retry-after": value}, NOW)
    assert seconds is None or 0 <= seconds <= 86400


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("headers", "seconds"), [({"retry_after": "7"}, 7.0), ({}, None), ({"retry_after": "soon"}, None)])
async def test_busy_has_the_retry_after(
    clock: Clock, heard: Heard, caller: Caller, status: int, headers: dict[str, str], seconds: float | None
) -> None:
    """Of a 429 and a 503, if it can be read."""
    with pytest.raises(Busy) as caught:
        await attempt(answer(status, SECRET, **headers), clock, heard, caller)
    assert caught.value.retry_after == seconds


# time


@pytest.mark.parametrize(
    ("left_s", "after_s", "counts"),
    [
        (10.0, 2.0, True),  # the service had all its time
        (2.0, 2.0, True),
        (1.0, 1.0, True),  # half of it
        (0.9, 0.9, False),  # less: the caller was late, not the service
        (0.01, 0.01, False),
    ],
)
async def test_an_attempt_ends_at_its_timeout_or_the_deadline(
    loop_clock: Clock, heard: Heard, left_s: float, after_s: float, counts: bool
) -> None:
    """Whichever is first. A timeout counts only if the service had at least half of its time limit."""
    caller = make_caller(loop_clock, left_s=left_s)
    task = asyncio.create_task(attempt(hang, loop_clock, heard, caller))
    await loop_clock.advance(after_s - 0.001)
    assert not task.done()
    await loop_clock.advance(0.002)
    with pytest.raises(TimedOut) as caught:
        await ended(task)
    assert (caught.value.counts, caught.value.asked, caught.value.answered) == (counts, True, False)
    assert [event.outcome for event in heard.ended] == ["timeout"]
    assert heard.ended[0].duration_s == pytest.approx(after_s + 0.001)
    check_fit_for_a_client(caught.value)


@pytest.mark.parametrize(("left_s", "counts"), [(1.9, False), (2.0, True), (60.0, True)])
async def test_a_deadline_that_the_client_chose_counts_for_nothing(
    loop_clock: Clock, heard: Heard, caller: Caller, left_s: float, counts: bool
) -> None:
    """So clients can't open a breaker with it. A timeout counts only if the service had all its time."""
    deadline = Deadline(loop_clock() + left_s, loop_clock, by_client=True)
    task = asyncio.create_task(attempt(hang, loop_clock, heard, replace(caller, deadline=deadline)))
    await loop_clock.advance(2.001)
    with pytest.raises(TimedOut) as caught:
        await ended(task)
    assert caught.value.counts is counts


async def test_a_response_just_in_time_is_a_reply(loop_clock: Clock, heard: Heard, caller: Caller) -> None:
    """No timer is left that could cancel the task later."""
    come = asyncio.get_running_loop().create_future()

    async def slow(_: WireRequest) -> WireReply:
        await come
        return answer()

    task = asyncio.create_task(attempt(slow, loop_clock, heard, caller))
    await loop_clock.advance(1.999)
    come.set_result(None)
    assert (await ended(task)).value == {}
    await loop_clock.advance(10)


# events


async def test_each_attempt_makes_one_event(clock: Clock, heard: Heard, caller: Caller) -> None:
    """With the route's template, never the target, and with the duration."""

    async def slow(_: WireRequest) -> WireReply:
        clock.now += 0.25
        return answer()

    await make_attempt(ScriptedWire(slow), clock, heard)(make_call(caller), make_instance())
    assert heard == [CallEnded("users", "/users/{id}", "GET", 1, "ok", 0.25, "request-1", 200, is_read=True)]


@pytest.mark.parametrize("instruction", [answer(), answer(500), NotConnected(), BrokenAnswer(), Unsendable()], ids=repr)
async def test_each_attempt_is_counted(clock: Clock, heard: Heard, caller: Caller, instruction: Any) -> None:
    """In the caller's counts, however it ended."""
    for _ in range(3):
        await asyncio.gather(attempt(instruction, clock, heard, caller), return_exceptions=True)
    assert caller.calls == {"users": 3}
    assert len(heard) == 3


async def test_cancellation_makes_an_event_and_goes_on(clock: Clock, heard: Heard, caller: Caller) -> None:
    """The request is cancelled, listeners get an event, and the `CancelledError` is raised."""
    task = asyncio.create_task(attempt(hang, clock, heard, caller))
    await settle()
    assert caller.calls == {"users": 1}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ended(task)
    assert [event.outcome for event in heard.ended] == ["cancelled"]


def busy(body: bytes, content_type: str = "application/problem+json") -> WireReply:
    """A 503 with a problem document."""
    return answer(503, body, content_type=content_type)


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (busy(b'{"title":"Too many people","detail":"bob@example.com"}'), "Too many people"),
        (busy(b'{"title":"' + b"x" * 300 + b'"}'), "x" * 200),
        (busy(b'{"title":"Too many people"}', "application/json"), ""),
        (busy(b"<html>"), ""),
    ],
)
async def test_an_event_has_the_problems_title_only(
    clock: Clock, heard: Heard, caller: Caller, reply: WireReply, problem: str
) -> None:
    """The title is the same for each problem type. The detail may be personal."""
    with pytest.raises(Busy):
        await make_attempt(ScriptedWire(reply), clock, heard)(make_call(caller), make_instance())
    (event,) = heard.ended
    assert (event.status, event.problem) == (503, problem)


async def test_a_304_is_a_reply_only_to_a_validator(clock: Clock, heard: Heard, caller: Caller) -> None:
    """RFC 9110, section 15.4.5: without a validator in the request it is an error."""
    attempt = make_attempt(ScriptedWire(answer(304, b"")), clock, heard)
    assert (await attempt(make_call(caller, validator='"v1"'), make_instance())).status == 304
    with pytest.raises(BadAnswer):
        await attempt(make_call(caller), make_instance())


@pytest.mark.parametrize(("left_s", "sent"), [(10.0, "2000"), (0.5, "500"), (0.0001, "1")])
async def test_the_time_limit_is_sent(clock: Clock, heard: Heard, left_s: float, sent: str) -> None:
    """In milliseconds: the attempt's timeout, or the operation's time left if that is less."""
    wire = ScriptedWire()
    caller = make_caller(clock, left_s=left_s)
    await make_attempt(wire, clock, heard)(make_call(caller), make_instance())
    assert dict(wire.sent[0].headers)["X-Request-Timeout-Ms"] == sent


@pytest.mark.parametrize(
    ("instruction", "retriable"),
    [
        (NotConnected(), True),
        (ConnectionBroken(), True),
        (BrokenAnswer(), True),
        (AnswerTooLarge(), False),
        (Unsendable(), False),
        (answer(500), False),
        (answer(501), False),
        (answer(502), True),
        (answer(503), True),
        (answer(504), True),
        (answer(429), True),
        (answer(400), False),
        (answer(401), False),
        (answer(403), False),
        (answer(409), False),
        (answer(302), False),
        (answer(200, b"{"), False),
    ],
    ids=repr,
)
async def test_which_errors_are_retriable(
    clock: Clock, heard: Heard, caller: Caller, instruction: Any, retriable: bool
) -> None:
    """Connection failures, and statuses that are temporary."""
    with pytest.raises(SourceError) as caught:
        await make_attempt(ScriptedWire(instruction), clock, heard)(make_call(caller), make_instance())
    assert caught.value.retriable is retriable


async def test_a_timeout_leaves_no_cancellation_behind(loop_clock: Clock, heard: Heard) -> None:
    """The task doesn't count as cancelled afterwards, so that an outer timeout works."""
    attempt = make_attempt(ScriptedWire(hang), loop_clock, heard)

    async def work() -> int:
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(TimedOut):
            await attempt(make_call(make_caller(loop_clock)), make_instance())
        return task.cancelling()

    running = asyncio.create_task(work())
    await loop_clock.advance(2.1)
    assert await ended(running) == 0


async def test_cancelled_at_its_timeout_it_is_cancelled(loop_clock: Clock, heard: Heard) -> None:
    """Both in the same turn: the `CancelledError` must not become a timeout."""
    attempt = make_attempt(ScriptedWire(hang), loop_clock, heard)
    running = asyncio.create_task(attempt(make_call(make_caller(loop_clock)), make_instance()))
    await settle()
    loop_clock.now += 2.1
    asyncio.get_running_loop().call_soon(running.cancel)  # before the timer, and before the task can see either
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [event.outcome for event in heard.ended] == ["cancelled"]
