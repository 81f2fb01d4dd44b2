"""Why a call failed, in fixed words, from errors as they really come; and nothing personal in them."""

import asyncio
import socket
import ssl
from enum import Enum
from typing import Any

import httpx
import msgspec
import pytest

from bff.upstream.caller import Caller
from bff.upstream.conventions import Problem
from bff.upstream.errors import (
    BadAnswer,
    Busy,
    Mismatched,
    NotReached,
    Rejected,
    SourceError,
    TimedOut,
    is_outcome_unknown,
)
from bff.upstream.events import ObjectUnreadable
from bff.upstream.reasons import reason_of, shape_fault
from bff.upstream.traffic.attempt import Attempt
from bff.upstream.wire import AnswerTooLarge, BrokenAnswer, ConnectionBroken, NotAttempted, NotConnected, WireReply
from datasources.orders import Orders
from tests.support.fakes import Clock, Heard, Service, make_call, make_instance


def connect_error(cause: BaseException) -> NotConnected:
    """The wire's error with that cause."""
    error = NotConnected()
    error.__cause__ = cause
    return error


def certificate_error(code: int) -> ssl.SSLCertVerificationError:
    """OpenSSL's error with that code."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed: host.internal")
    error.verify_code = code
    return error


def several(cause: BaseException) -> OSError:
    """What is raised if no address of a host accepts a connection."""
    error = OSError("no address accepts a connection")
    error.__cause__ = cause
    return error


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        (connect_error(socket.gaierror(-2, "Name or service not known")), "unknown_host"),
        (connect_error(ConnectionRefusedError()), "refused"),
        (connect_error(several(ConnectionRefusedError())), "refused"),
        (connect_error(TimeoutError()), "connect_timeout"),
        (connect_error(OSError(113, "No route to host")), "unreachable"),
        (connect_error(certificate_error(10)), "tls_expired"),
        (connect_error(certificate_error(9)), "tls_not_yet_valid"),
        (connect_error(certificate_error(18)), "tls_unknown_authority"),
        (connect_error(certificate_error(62)), "tls_other_host"),
        (connect_error(certificate_error(99)), "tls_certificate"),
        (connect_error(ssl.SSLError()), "tls"),
        (NotAttempted(), "resolver_full"),
        (ConnectionBroken(), "connection_broken"),
        (AnswerTooLarge(), "too_large"),
        (BrokenAnswer(), "truncated"),
        (WireReply(500, {}, b""), "status"),
        (WireReply(404, {}, b""), "status"),
        (WireReply(200, {"content-type": "text/html"}, b"<html>"), "content_type"),
        (WireReply(200, JSON, b"{"), "not_json"),
        (WireReply(200, JSON, b'{"id": "x"}'), "shape"),
    ],
)
async def test_each_failure_has_a_reason(clock: Clock, heard: Heard, caller: Caller, instruction: Any, reason: str) -> None:
    """In the event, from which logs and metrics are made. The message for clients has none of it."""

    class Player:
        async def send(self, *_: Any, **__: Any) -> WireReply:
            if isinstance(instruction, Exception):
                raise instruction
            reply: WireReply = instruction
            return reply

        async def aclose(self) -> None:
            """Nothing to close."""

    class Row(msgspec.Struct):
        id: int

    attempt = Attempt("users", Player(), heard, timeout_s=1.0, max_response_bytes=1000, clock=clock)
    call = msgspec.structs.replace(make_call(caller), decode=msgspec.json.Decoder(Row).decode)
    with pytest.raises(SourceError) as failed:
        await attempt(call, make_instance())
    (event,) = heard.ended
    assert event.reason == reason
    assert "internal" not in failed.value.message


async def test_a_timeout_has_a_reason(clock: Clock, heard: Heard, caller: Caller) -> None:
    """The service was too slow."""

    class Hanging:
        async def send(self, *_: Any, **__: Any) -> WireReply:
            await asyncio.sleep(60)
            raise AssertionError

        async def aclose(self) -> None:
            """Nothing to close."""

    with pytest.raises(TimedOut):
        await Attempt("users", Hanging(), heard, timeout_s=0.01, max_response_bytes=1000, clock=clock)(
            make_call(caller), make_instance()
        )
    assert heard.ended[0].reason == "timeout"
    assert reason_of(TimedOut("users", counts=False)) == "deadline"


class Order(msgspec.Struct):
    price: float
    kind: Any = None


@pytest.mark.parametrize(
    ("type_", "body", "detail"),
    [
        (list[Order], b'[{"price": 1}, {"price": "of Ann"}]', "$[1].price: Expected float, got str"),
        (list[Order], b"[{}]", "$[0]: Object missing required field price"),
        (Order, b"[]", "$: Expected object, got array"),
        (dict[str, int], b'{"ann@example.com": "x"}', "$[...]: Expected int, got str"),
    ],
)
def test_a_shape_s_fault_names_place_and_types(type_: Any, body: bytes, detail: str) -> None:
    """Never a value, nor a key of a mapping."""
    with pytest.raises(msgspec.ValidationError) as invalid:
        msgspec.json.decode(body, type=type_)
    assert shape_fault(invalid.value) == detail


def test_a_value_of_an_enumeration_is_left_out() -> None:
    """Msgspec quotes it."""

    class Status(Enum):
        PAID = "paid"

    with pytest.raises(msgspec.ValidationError) as invalid:
        msgspec.json.decode(b'["ann@example.com"]', type=list[Status])
    assert shape_fault(invalid.value) == "$[0]: Expected another value"


async def test_unreadable_objects_are_noted(orders: Orders, service: Service, caller: Caller, heard: Heard) -> None:
    """Each with what does not fit."""
    service.every = lambda _: {"items": [{"id": 1}, {"id": 2, "userId": "x"}]}
    await orders.by_id.load(caller, [1, 2])
    details = [event.detail for event in heard if type(event) is ObjectUnreadable]
    assert details == ["$: Object missing required field userId", "$.userId: Expected int, got str"]


@pytest.mark.parametrize(
    ("error", "is_unknown"),
    [
        (TimedOut("orders", counts=True), True),
        (TimedOut("orders", counts=False, asked=False), False),
        (NotReached("orders", sent=True), True),
        (NotReached("orders", sent=False), False),
        (Busy("orders", 503, None), False),
        (Rejected("orders", 409, Problem()), False),
        (Mismatched("orders"), True),
        (BadAnswer("orders", counts=True), True),
        (BadAnswer("orders", counts=True, status=500), True),
        (BadAnswer("orders", counts=True, status=202), True),
        (BadAnswer("orders", counts=False, status=413), False),
    ],
)
def test_whether_a_failed_write_may_have_happened(error: SourceError, is_unknown: bool) -> None:
    """Not if it was refused, or never sent."""
    assert is_outcome_unknown(error) is is_unknown


@pytest.mark.parametrize(("status", "marked"), [(500, True), (202, True), (409, False), (503, False)])
async def test_a_failed_write_says_whether_it_may_have_happened(
    orders: Orders, service: Service, caller: Caller, status: int, marked: bool
) -> None:
    """A read never does."""
    service.every = lambda _: httpx.Response(status)
    with pytest.raises(SourceError) as failed:
        await orders.cancel(caller, 1, key="k")
    assert failed.value.may_have_happened is marked
    (error,) = (await orders.by_id.load(caller, [1])).values()
    assert isinstance(error, SourceError)
    assert not error.may_have_happened
