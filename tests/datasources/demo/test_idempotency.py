"""Idempotency keys: a write that is sent twice is executed once."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from bff.app import DemoOptions
from datasources.demo.data import DemoData
from datasources.demo.idempotency import IdempotencyKeys
from tests.support.demo import ANY_PORTS, running

ORDER = {"userId": 1, "items": [{"productId": 1, "quantity": 2}]}
over_http = pytest.mark.asyncio(loop_scope="module")


def _key(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


async def _total(orders: httpx.AsyncClient) -> int:
    return int((await orders.get("/orders?limit=1")).json()["total"])


@over_http
async def test_a_repeated_write_has_the_same_response(orders: httpx.AsyncClient) -> None:
    """With the same key and body: the same status, headers and body, and one order."""
    total = await _total(orders)
    first = await orders.post("/orders", json=ORDER, headers=_key("a"))
    again = await orders.post("/orders", json=ORDER, headers=_key("a"))
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert first.headers["Location"] == again.headers["Location"]
    assert await _total(orders) == total + 1


@over_http
async def test_the_stored_response_does_not_follow_later_changes(orders: httpx.AsyncClient) -> None:
    """It is the response of the first request, even if the object has changed."""
    first = await orders.patch("/orders/5", json={"status": "paid"}, headers=_key("b"))
    assert first.status_code == 200
    await orders.patch("/orders/5", json={"status": "delivered"})
    again = await orders.patch("/orders/5", json={"status": "paid"}, headers=_key("b"))
    assert (again.status_code, again.content) == (200, first.content)
    assert (await orders.get("/orders/5")).json()["status"] == "delivered"


@over_http
async def test_another_body_is_409(orders: httpx.AsyncClient) -> None:
    """With the same key: nothing is executed, and the first response stays stored."""
    total = await _total(orders)
    first = await orders.post("/orders", json=ORDER, headers=_key("c"))
    other = await orders.post("/orders", json={**ORDER, "userId": 2}, headers=_key("c"))
    assert other.status_code == 409
    assert other.headers["Content-Type"] == "application/problem+json"
    assert (await orders.post("/orders", json=ORDER, headers=_key("c"))).content == first.content
    assert await _total(orders) == total + 1


@over_http
async def test_a_key_belongs_to_its_path(orders: httpx.AsyncClient) -> None:
    """The same key for another path is another write."""
    for id_ in (10, 15):
        response = await orders.post(f"/orders/{id_}/cancel", headers=_key("d"))
        assert (response.status_code, response.json()["id"]) == (200, id_)
    assert (await orders.post("/orders/10/cancel", headers=_key("d"))).status_code == 200
    assert (await orders.post("/orders/10/cancel")).status_code == 409


@over_http
async def test_errors_are_stored_too(services: dict[str, httpx.AsyncClient]) -> None:
    """404, 409 and 422 are repeated, even if the write would succeed by now."""
    orders = services["orders"]
    refused = await orders.post("/orders/99999/cancel", headers=_key("e"))
    assert refused.status_code == 404
    assert (await orders.post("/orders/99999/cancel", headers=_key("e"))).content == refused.content
    refused = await orders.patch("/orders/3", json={"status": "paid"}, headers=_key("e"))
    assert refused.status_code == 409
    assert (await orders.patch("/orders/3", json={"status": "paid"}, headers=_key("e"))).content == refused.content
    refused = await orders.post("/orders", json={}, headers=_key("e"))
    again = await orders.post("/orders", json={}, headers=_key("e"))
    assert (again.status_code, again.content) == (422, refused.content)
    assert (await orders.post("/orders", json=ORDER, headers=_key("e"))).status_code == 409


@over_http
async def test_an_unreadable_body_does_not_use_the_key(users: httpx.AsyncClient) -> None:
    """After a body that is not JSON, the key can be used."""
    headers = {**_key("f"), "Content-Type": "application/json"}
    assert (await users.patch("/users/1", content=b"{", headers=headers)).status_code == 400
    assert (await users.patch("/users/1", json={"name": "F"}, headers=headers)).status_code == 200


@over_http
async def test_without_a_key_each_write_is_executed(orders: httpx.AsyncClient) -> None:
    """An empty key is an error."""
    total = await _total(orders)
    await orders.post("/orders", json=ORDER)
    await orders.post("/orders", json=ORDER)
    assert await _total(orders) == total + 2
    assert (await orders.post("/orders", json=ORDER, headers=_key(""))).status_code == 400


@over_http
async def test_services_don_t_share_keys(services: dict[str, httpx.AsyncClient]) -> None:
    """The same key for three services is three writes."""
    key = _key("g")
    assert (await services["users"].patch("/users/2", json={"name": "G"}, headers=key)).status_code == 200
    assert (await services["products"].patch("/products/2", json={"name": "G"}, headers=key)).status_code == 200
    assert (await services["orders"].patch("/orders/20", json={"status": "paid"}, headers=key)).status_code == 200


async def test_concurrent_duplicates_are_executed_once() -> None:
    """Twenty equal requests make one order and get the same response. Another body at the same time gets a 409."""
    data = DemoData()
    async with (
        running(DemoOptions(latency_s=0.5), ports=ANY_PORTS, data=data) as urls,
        httpx.AsyncClient(base_url=urls["orders"], trust_env=False) as orders,
    ):
        same = [asyncio.create_task(orders.post("/orders", json=ORDER, headers=_key("h"))) for _ in range(20)]
        while 10_001 not in data.orders:  # noqa: ASYNC110 -- the data have no event to wait for
            await asyncio.sleep(0.001)
        assert not any(task.done() for task in same)
        other = await orders.post("/orders", json={**ORDER, "userId": 2}, headers=_key("h"))
        answers = await asyncio.gather(*same)
    assert {(response.status_code, response.json()["id"]) for response in answers} == {(201, 10_001)}
    assert other.status_code == 409
    assert data.orders.ids[-1] == 10_001


class Work:
    """Counts its executions."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Response:
        self.times += 1
        return Response(str(self.times))


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_keys_are_kept_for_a_day() -> None:
    """A second before the end of the day the response is stored; after it the write is executed again."""
    clock, work = Clock(), Work()
    keys = IdempotencyKeys(clock=clock)
    assert keys.once("/p", "k", b"x", work).body == b"1"
    clock.now_s += 24 * 60 * 60 - 1
    assert keys.once("/p", "k", b"x", work).body == b"1"
    clock.now_s += 1
    assert keys.once("/p", "k", b"y", work).body == b"2"
    assert repr(keys) == "<IdempotencyKeys 1 of 10000>"


def test_the_store_is_bounded() -> None:
    """Above the bound only the oldest key is forgotten."""
    work = Work()
    keys = IdempotencyKeys(clock=Clock(), max_entries=2)
    for key in ("a", "b", "c"):
        keys.once("/p", key, b"", work)
    assert keys.once("/p", "b", b"", work).body == b"2"
    assert keys.once("/p", "c", b"", work).body == b"3"
    assert keys.once("/p", "a", b"", work).body == b"4"
    assert repr(keys) == "<IdempotencyKeys 2 of 2>"


def test_failed_work_does_not_use_the_key() -> None:
    """After an exception the next request with the key is executed."""
    keys = IdempotencyKeys(clock=Clock())

    def fail() -> Any:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        keys.once("/p", "k", b"x", fail)
    assert keys.once("/p", "k", b"y", Work()).body == b"1"


def test_path_and_key_are_separated() -> None:
    """`/a` with `bc` is not `/ab` with `c`."""
    keys, work = IdempotencyKeys(clock=Clock()), Work()
    keys.once("/a", "bc", b"", work)
    assert keys.once("/ab", "c", b"", work).body == b"2"
