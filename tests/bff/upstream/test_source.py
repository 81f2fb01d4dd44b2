"""Sources: the headers of their calls, their writes, and their state."""

import json
from typing import Any

import httpx
import pytest

from bff.upstream.caller import Caller
from bff.upstream.errors import BadAnswer, Rejected
from datasources.orders import Orders
from datasources.products import Products
from datasources.users import Users
from tests.bff.upstream.examples import every_source
from tests.support.fakes import AUTHORIZATION, SUB, TRACEPARENT, Clock, Service, a_user, get, make_caller, problem
from tests.support.source_fixtures import MakeSource

# Headers and identity


def headers_of(request: httpx.Request) -> dict[str, str]:
    """The sent headers. Asserts that each is sent once."""
    names = [name.lower() for name, _ in request.headers.raw]
    assert len(names) == len(set(names))
    return dict(request.headers)


EVERY_CALL = {
    "host": "10.11.12.13:8001",
    "accept": "application/json",
    "accept-encoding": "identity",
    "user-agent": "bff",
    "x-request-timeout-ms": "2000",
    "x-request-id": "request-1",
    "traceparent": TRACEPARENT,
}
WHO = {"x-user-id": SUB, "authorization": AUTHORIZATION}


@pytest.mark.parametrize("forward_identity", [True, False])
@pytest.mark.parametrize("sub", [SUB, None])
@every_source
async def test_reads_have_the_identity_if_it_is_forwarded(
    make_source: MakeSource,
    service: Service,
    clock: Clock,
    kind: Any,
    record: Any,
    example: Any,
    sub: str | None,
    forward_identity: bool,
) -> None:
    """All reads have `X-User-ID` and `Authorization` if the source forwards them and the viewer is signed in, else not."""
    source = make_source(kind, forward_identity=forward_identity)
    caller = make_caller(clock, sub=sub)
    await get(source, caller, 1)
    await source.by_id.load(caller, [1, 2])
    with pytest.raises(Rejected):
        await source.page.load(caller, limit=20, cursor=None)
    if isinstance(source, Orders):
        await source.of_user.load(caller, [1], limit=3)
    for request in service.requests:
        assert headers_of(request) == EVERY_CALL | (WHO if forward_identity and sub else {})


@pytest.mark.parametrize("forward_identity", [True, False])
@pytest.mark.parametrize("sub", [SUB, None])
@pytest.mark.parametrize("kind", [Users, Products])
async def test_writes_always_have_the_identity(
    make_source: MakeSource, service: Service, clock: Clock, kind: Any, sub: str | None, forward_identity: bool
) -> None:
    """Whatever is set for reads. They also have their key and the type of their body."""
    source = make_source(kind, forward_identity=forward_identity)
    with pytest.raises(Rejected):
        await source.update(make_caller(clock, sub=sub), 1, {"name": "x"}, key="key-1")
    assert headers_of(service.last) == EVERY_CALL | (WHO if sub else {}) | {
        "content-type": "application/json",
        "content-length": "12",
        "idempotency-key": "key-1",
    }


async def test_a_sub_is_percent_encoded(users: Users, service: Service, clock: Clock) -> None:
    """With the real client, a `sub` of any characters is the value of one header."""
    await get(users, make_caller(clock, sub="ü\r\nX-Admin: 1%"), 1)
    assert headers_of(service.last) == EVERY_CALL | WHO | {"x-user-id": "%C3%BC%0D%0AX-Admin:%201%25"}


# Writes


@pytest.mark.parametrize("status", [404, 409, 422])
async def test_a_refused_write_has_reasons(users: Users, service: Service, caller: Caller, status: int) -> None:
    """404, 409 and 422 to a write are `Rejected`, with the errors of the problem's fields."""
    errors = [{"field": "email", "message": "has no @"}, {"field": "items[0].productId", "message": "unknown"}]
    service.every = lambda _: problem(status, "secret-detail", errors=errors)
    with pytest.raises(Rejected) as caught:
        await users.update(caller, 1, {"email": "x"}, key="key-1")
    assert caught.value.status == status
    assert [(error.field, error.message) for error in caught.value.problem.errors] == [
        ("email", "has no @"),
        ("items[0].productId", "unknown"),
    ]
    assert caught.value.problem.detail == "secret-detail"
    assert "secret" not in caught.value.message


async def test_an_unreadable_written_object_is_a_bad_reply(users: Users, service: Service, caller: Caller) -> None:
    """Even though the write was executed."""
    service.every = lambda _: a_user(1, email=None)
    with pytest.raises(BadAnswer) as caught:
        await users.update(caller, 1, {"email": "x@y"}, key="key-1")
    assert caught.value.counts is False


async def test_a_body_is_utf_8_json(users: Users, service: Service, caller: Caller) -> None:
    """Any characters are sent unchanged."""
    service.every = lambda _: a_user(1)
    await users.update(caller, 1, {"name": 'Jürgen "用户" 😀\n'}, key="key-1")
    assert json.loads(service.last.content.decode("utf-8")) == {"name": 'Jürgen "用户" 😀\n'}


# State


@every_source
def test_the_state_of_a_source(make_source: MakeSource, kind: Any, record: Any, example: Any) -> None:
    """It has the name and the breaker, and never the address."""
    source = make_source(kind)
    assert source.status().name == kind.name
    assert kind.name in repr(source)
    assert "10.11" not in repr(source)
