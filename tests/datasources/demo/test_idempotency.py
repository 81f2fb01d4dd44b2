"""Idempotency keys: what is sent twice is done once."""

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
async def test_the_same_write_again_answers_the_same(orders: httpx.AsyncClient) -> None:
    """Same key, same body: the first answer, its status and headers with it, and one order."""
    total = await _total(orders)
    first = await orders.post("/orders", json=ORDER, headers=_key("a"))
    again = await orders.post("/orders", json=ORDER, headers=_key("a"))
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert first.headers["Location"] == again.headers["Location"]
    assert await _total(orders) == total + 1


@over_http
async def test_the_first_answer_is_kept_though_the_world_moves_on(orders: httpx.AsyncClient) -> None:
    """What is answered again is what was answered, not what is so now."""
    first = await orders.patch("/orders/5", json={"status": "paid"}, headers=_key("b"))
    assert first.status_code == 200
    await orders.patch("/orders/5", json={"status": "delivered"})
    again = await orders.patch("/orders/5", json={"status": "paid"}, headers=_key("b"))
    assert (again.status_code, again.content) == (200, first.content)
    assert (await orders.get("/orders/5")).json()["status"] == "delivered"


@over_http
async def test_another_body_is_409(orders: httpx.AsyncClient) -> None:
    """Same key, another body: refused, nothing done, and the first answer still stands."""
    total = await _total(orders)
    first = await orders.post("/orders", json=ORDER, headers=_key("c"))
    other = await orders.post("/orders", json={**ORDER, "userId": 2}, headers=_key("c"))
    assert other.status_code == 409
    assert other.headers["Content-Type"] == "application/problem+json"
    assert (await orders.post("/orders", json=ORDER, headers=_key("c"))).content == first.content
    assert await _total(orders) == total + 1


@over_http
async def test_a_key_holds_for_its_path(orders: httpx.AsyncClient) -> None:
    """The same key at another path is another write."""
    for id_ in (10, 15):
        response = await orders.post(f"/orders/{id_}/cancel", headers=_key("d"))
        assert (response.status_code, response.json()["id"]) == (200, id_)
    assert (await orders.post("/orders/10/cancel", headers=_key("d"))).status_code == 200
    assert (await orders.post("/orders/10/cancel")).status_code == 409


@over_http
async def test_refusals_are_kept_too(services: dict[str, httpx.AsyncClient]) -> None:
    """404, 409 and 422 are answers as any other: the same again, even where the work would go through by now."""
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
async def test_what_could_not_be_read_uses_no_key(users: httpx.AsyncClient) -> None:
    """A body that is no JSON was never looked at: the key is still free."""
    headers = {**_key("f"), "Content-Type": "application/json"}
    assert (await users.patch("/users/1", content=b"{", headers=headers)).status_code == 400
    assert (await users.patch("/users/1", json={"name": "F"}, headers=headers)).status_code == 200


@over_http
async def test_without_a_key_a_write_is_done_each_time(orders: httpx.AsyncClient) -> None:
    """No key, no memory; an empty key is a mistake."""
    total = await _total(orders)
    await orders.post("/orders", json=ORDER)
    await orders.post("/orders", json=ORDER)
    assert await _total(orders) == total + 2
    assert (await orders.post("/orders", json=ORDER, headers=_key(""))).status_code == 400


@over_http
async def test_services_have_keys_of_their_own(services: dict[str, httpx.AsyncClient]) -> None:
    """One key with three services is three writes."""
    key = _key("g")
    assert (await services["users"].patch("/users/2", json={"name": "G"}, headers=key)).status_code == 200
    assert (await services["products"].patch("/products/2", json={"name": "G"}, headers=key)).status_code == 200
    assert (await services["orders"].patch("/orders/20", json={"status": "paid"}, headers=key)).status_code == 200


async def test_duplicates_in_flight_do_the_work_once() -> None:
    """Twenty of the same at once, none answered yet: one order, one answer. Another body meanwhile: 409."""
    data = DemoData()
    async with (
        running(DemoOptions(latency_s=0.5), ports=ANY_PORTS, data=data) as urls,
        httpx.AsyncClient(base_url=urls["orders"], trust_env=False) as orders,
    ):
        same = [asyncio.create_task(orders.post("/orders", json=ORDER, headers=_key("h"))) for _ in range(20)]
        while 10_001 not in data.orders:  # noqa: ASYNC110 -- the data tell nobody
            await asyncio.sleep(0.001)
        assert not any(task.done() for task in same)
        other = await orders.post("/orders", json={**ORDER, "userId": 2}, headers=_key("h"))
        answers = await asyncio.gather(*same)
    assert {(response.status_code, response.json()["id"]) for response in answers} == {(201, 10_001)}
    assert other.status_code == 409
    assert data.orders.ids[-1] == 10_001


class Work:
    """Counts how often it is done."""

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
    """A second before the day is over the answer is known; after it the work is done anew."""
    clock, work = Clock(), Work()
    keys = IdempotencyKeys(clock=clock)
    assert keys.once("/p", "k", b"x", work).body == b"1"
    clock.now_s += 24 * 60 * 60 - 1
    assert keys.once("/p", "k", b"x", work).body == b"1"
    clock.now_s += 1
    assert keys.once("/p", "k", b"y", work).body == b"2"
    assert repr(keys) == "<IdempotencyKeys 1 of 10000>"


def test_the_store_is_bounded() -> None:
    """Past the bound the oldest key is forgotten, and no other."""
    work = Work()
    keys = IdempotencyKeys(clock=Clock(), max_entries=2)
    for key in ("a", "b", "c"):
        keys.once("/p", key, b"", work)
    assert keys.once("/p", "b", b"", work).body == b"2"
    assert keys.once("/p", "c", b"", work).body == b"3"
    assert keys.once("/p", "a", b"", work).body == b"4"
    assert repr(keys) == "<IdempotencyKeys 2 of 2>"


def test_work_that_fails_leaves_no_trace() -> None:
    """Work that raises was not done: the next one with the key does it."""
    keys = IdempotencyKeys(clock=Clock())

    def fail() -> Any:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        keys.once("/p", "k", b"x", fail)
    assert keys.once("/p", "k", b"y", Work()).body == b"1"


def test_path_and_key_do_not_run_together() -> None:
    """`/a` with `bc` is not `/ab` with `c`."""
    keys, work = IdempotencyKeys(clock=Clock()), Work()
    keys.once("/a", "bc", b"", work)
    assert keys.once("/ab", "c", b"", work).body == b"2"
