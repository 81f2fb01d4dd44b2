"""The orders service: orders by user and by status, new orders, status changes."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

STATUSES = ["pending", "paid", "shipped", "delivered", "cancelled"]


def _ids(response: httpx.Response) -> list[int]:
    assert response.status_code == 200, response.text
    return [item["id"] for item in response.json()["items"]]


async def _pages(orders: httpx.AsyncClient, **params: str) -> AsyncIterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        response = await orders.get("/orders", params={**params} | ({"cursor": cursor} if cursor else {}))
        assert response.status_code == 200
        yield response.json()
        cursor = response.json()["nextCursor"]
        if cursor is None:
            return


async def _new(orders: httpx.AsyncClient, user_id: int = 900) -> int:
    response = await orders.post("/orders", json={"userId": user_id, "items": [{"productId": 1, "quantity": 1}]})
    assert response.status_code == 201
    return int(response.json()["id"])


async def test_orders_by_user_are_the_newest_of_each(orders: httpx.AsyncClient) -> None:
    """The response has the newest `limit` orders of each user, all by descending id."""
    response = await orders.get("/orders", params={"userIds": "2,1,2", "limit": "3"})
    assert _ids(response) == [9002, 9001, 8002, 8001, 7002, 7001]
    assert set(response.json()) == {"items"}


async def test_orders_by_user_have_limit_20_by_default(orders: httpx.AsyncClient) -> None:
    """All ten orders of a user are returned. Unknown users have none."""
    assert _ids(await orders.get("/orders?userIds=7,5000,-1")) == [7 + 1000 * n for n in range(9, -1, -1)]
    assert _ids(await orders.get("/orders?userIds=")) == []


async def test_the_limit_applies_after_the_status_filter(orders: httpx.AsyncClient) -> None:
    """Each user's newest orders of that status are returned. Order 1000n + 2 has the status of order 2."""
    assert _ids(await orders.get("/orders?userIds=2,3&status=shipped&limit=4")) == [9002, 8002, 7002, 6002]
    assert _ids(await orders.get("/orders?userIds=2&status=paid")) == []


async def test_200_users_at_once(orders: httpx.AsyncClient) -> None:
    """201 are refused."""
    response = await orders.get("/orders", params={"userIds": ",".join(map(str, range(1, 201))), "limit": "200"})
    expected = [o for o in range(10_000, 0, -1) if (o - 1) % 1000 < 200]
    assert _ids(response) == expected
    response = await orders.get("/orders", params={"userIds": ",".join(map(str, range(1, 202)))})
    assert response.status_code == 400


@pytest.mark.parametrize("query", ["userIds=a", "userIds=1,,2", "userIds=1&limit=0", "userIds=1&limit=201"])
async def test_invalid_parameters_of_orders_by_user_are_400(orders: httpx.AsyncClient, query: str) -> None:
    """Ids and limits are checked as for other reads."""
    assert (await orders.get(f"/orders?{query}")).status_code == 400


@pytest.mark.parametrize("query", ["status=lost", "status=", "status=PAID", "userIds=1&status=lost"])
async def test_an_unknown_status_in_a_query_is_400(orders: httpx.AsyncClient, query: str) -> None:
    """Only the five statuses are valid."""
    response = await orders.get(f"/orders?{query}")
    assert response.status_code == 400
    assert "status" in response.json()["detail"]


async def test_pages_of_a_status_have_all_its_orders_newest_first(orders: httpx.AsyncClient) -> None:
    """The pages have only orders of that status, and `total` counts them."""
    pages = [page async for page in _pages(orders, status="delivered", limit="200")]
    assert [item["id"] for page in pages for item in page["items"]] == list(range(9998, 0, -5))
    assert {page["total"] for page in pages} == {2000}
    assert len(pages) == 10


async def test_new_orders_do_not_shift_later_pages(orders: httpx.AsyncClient) -> None:
    """A cursor marks the end of a page. Orders that are added before it don't appear, and none appears twice."""
    first = (await orders.get("/orders?limit=3")).json()
    await _new(orders)
    second = await orders.get("/orders", params={"limit": "3", "cursor": first["nextCursor"]})
    last = first["items"][-1]["id"]
    assert _ids(second) == [last - 1, last - 2, last - 3]
    assert second.json()["total"] == first["total"] + 1


async def test_a_new_order_is_placed(orders: httpx.AsyncClient) -> None:
    """It has the next id and the present time, is pending, and appears in every read."""
    newest = _ids(await orders.get("/orders?limit=1"))[0]
    response = await orders.post(
        "/orders",
        json={"userId": 77, "items": [{"productId": 1, "quantity": 3}, {"productId": 2, "quantity": 1}], "note": "x"},
    )
    order = response.json()
    assert response.status_code == 201
    assert response.headers["Location"] == f"/orders/{newest + 1}"
    assert order == {
        "id": newest + 1,
        "userId": 77,
        "status": "pending",
        "currency": "USD",
        "total": 38.5,  # 3 * 8.70 + 12.40
        "createdAt": order["createdAt"],
        "items": [
            {"productId": 1, "quantity": 3, "unitPrice": 8.7},
            {"productId": 2, "quantity": 1, "unitPrice": 12.4},
        ],
    }
    assert order["createdAt"].endswith("Z")
    assert timedelta() <= datetime.now(UTC) - datetime.fromisoformat(order["createdAt"]) < timedelta(minutes=1)
    assert (await orders.get(f"/orders/{order['id']}")).json() == order
    assert (await orders.get(f"/orders?ids={order['id']}")).json()["items"] == [order]
    assert (await orders.get("/orders?userIds=77&limit=1")).json()["items"] == [order]
    assert (await orders.get("/orders?limit=1")).json()["items"] == [order]
    assert (await orders.get("/orders?limit=1&status=pending")).json()["items"] == [order]


async def test_an_order_keeps_the_prices_of_its_time(services: dict[str, httpx.AsyncClient]) -> None:
    """A changed price applies only to later orders."""
    orders, products = services["orders"], services["products"]
    line = {"userId": 5, "items": [{"productId": 300, "quantity": 3}]}
    before = (await orders.post("/orders", json=line)).json()
    await products.patch("/products/300", json={"price": 0.35})
    after = (await orders.post("/orders", json=line)).json()
    assert (after["items"][0]["unitPrice"], after["total"]) == (0.35, 1.05)
    assert (await orders.get(f"/orders/{before['id']}")).json() == before
    assert before["items"][0]["unitPrice"] == 15.0


async def test_the_largest_order_is_exact(services: dict[str, httpx.AsyncClient]) -> None:
    """The total of a hundred items, each a thousand times the highest price, is exact to the cent."""
    orders, products = services["orders"], services["products"]
    await products.patch("/products/301", json={"price": 99_999_999.99})
    items = [{"productId": 301, "quantity": 1000}] * 100
    response = await orders.post("/orders", json={"userId": 6, "items": items})
    assert (response.status_code, response.json()["total"]) == (201, 9_999_999_999_000)
    assert (await orders.post("/orders", json={"userId": 6, "items": [*items, items[0]]})).status_code == 422


GOOD = {"productId": 1, "quantity": 1}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["userId", "items"]),
        ({"userId": 1}, ["items"]),
        ({"userId": 1, "items": []}, ["items"]),
        ({"userId": 1, "items": None}, ["items"]),
        ({"userId": 1, "items": {"0": GOOD}}, ["items"]),
        ({"userId": 1001, "items": [GOOD]}, ["userId"]),
        ({"userId": 0, "items": [GOOD]}, ["userId"]),
        ({"userId": "1", "items": [GOOD]}, ["userId"]),
        ({"userId": True, "items": [GOOD]}, ["userId"]),
        ({"userId": [1], "items": [GOOD]}, ["userId"]),
        ({"userId": 1.0, "items": [GOOD]}, ["userId"]),
        ({"userId": 1, "items": [7]}, ["items[0]"]),
        ({"userId": 1, "items": [GOOD, {}]}, ["items[1].productId", "items[1].quantity"]),
        ({"userId": 1, "items": [{"productId": 501, "quantity": 1}]}, ["items[0].productId"]),
        ({"userId": 1, "items": [{"productId": "1", "quantity": 1}]}, ["items[0].productId"]),
        ({"userId": 1, "items": [{"productId": True, "quantity": 1}]}, ["items[0].productId"]),
        ({"userId": 1, "items": [{"productId": {}, "quantity": 1}]}, ["items[0].productId"]),
        ({"userId": 1, "items": [{"productId": 1, "quantity": 0}]}, ["items[0].quantity"]),
        ({"userId": 1, "items": [{"productId": 1, "quantity": 1001}]}, ["items[0].quantity"]),
        ({"userId": 1, "items": [{"productId": 1, "quantity": -1}]}, ["items[0].quantity"]),
        ({"userId": 1, "items": [{"productId": 1, "quantity": 1.5}]}, ["items[0].quantity"]),
        ({"userId": 1, "items": [{"productId": 1, "quantity": True}]}, ["items[0].quantity"]),
        ({"userId": 1, "items": [{"productId": 1, "quantity": "1"}]}, ["items[0].quantity"]),
        (
            {"userId": 0, "items": [GOOD, {"productId": 0, "quantity": 5}, {"productId": 5, "quantity": None}]},
            ["userId", "items[1].productId", "items[2].quantity"],
        ),
    ],
)
async def test_an_invalid_new_order_is_422(orders: httpx.AsyncClient, body: dict[str, Any], fields: list[str]) -> None:
    """Every mistake is named by its path, and no order is made."""
    total = (await orders.get("/orders?limit=1")).json()["total"]
    response = await orders.post("/orders", json=body)
    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    assert [error["field"] for error in response.json()["errors"]] == fields
    assert all(error["message"] for error in response.json()["errors"])
    assert (await orders.get("/orders?limit=1")).json()["total"] == total


async def test_quantities_from_1_to_1000(orders: httpx.AsyncClient) -> None:
    """Both bounds are valid. A product may be on several lines."""
    items = [{"productId": 1, "quantity": 1}, {"productId": 1, "quantity": 1000}]
    response = await orders.post("/orders", json={"userId": 1000, "items": items})
    assert (response.status_code, response.json()["total"]) == (201, 8708.7)


@pytest.mark.parametrize("start", STATUSES)
@pytest.mark.parametrize("target", STATUSES)
async def test_transitions_from_every_status(orders: httpx.AsyncClient, start: str, target: str) -> None:
    """Any step forward, the same status, and cancelling before shipping are 200. Any other is 409 and changes nothing."""
    id_ = await _new(orders)
    assert (await orders.patch(f"/orders/{id_}", json={"status": start})).status_code == 200
    walk = STATUSES[:4]
    if start == target:
        may = True
    elif target == "cancelled":
        may = start in {"pending", "paid"}
    else:
        may = start != "cancelled" and walk.index(target) > walk.index(start)
    response = await orders.patch(f"/orders/{id_}", json={"status": target})
    assert response.status_code == (200 if may else 409)
    assert (await orders.get(f"/orders/{id_}")).json()["status"] == (target if may else start)
    if may:
        assert response.json() == (await orders.get(f"/orders/{id_}")).json()
    else:
        assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("status", ["lost", "", "PAID", None, 1, True, [], {}])
async def test_an_unknown_status_in_a_body_is_422(orders: httpx.AsyncClient, status: Any) -> None:
    """The error names the field."""
    response = await orders.patch("/orders/1", json={"status": status})
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == ["status"]


@pytest.mark.parametrize(("start", "answered"), list(zip(STATUSES, [200, 200, 409, 409, 409], strict=True)))
async def test_cancelling(orders: httpx.AsyncClient, start: str, answered: int) -> None:
    """Only pending and paid orders can be cancelled. A second time is a 409."""
    id_ = await _new(orders)
    await orders.patch(f"/orders/{id_}", json={"status": start})
    response = await orders.post(f"/orders/{id_}/cancel")
    assert response.status_code == answered
    expected = "cancelled" if answered == 200 else start
    assert (await orders.get(f"/orders/{id_}")).json()["status"] == expected
    if answered == 200:
        assert response.json()["status"] == "cancelled"


async def test_cancelling_with_a_body(orders: httpx.AsyncClient) -> None:
    """It is optional, and must be JSON if it is sent."""
    id_ = await _new(orders)
    text = await orders.post(f"/orders/{id_}/cancel", content=b"please", headers={"Content-Type": "text/plain"})
    assert text.status_code == 415
    assert (await orders.post(f"/orders/{id_}/cancel", json={"reason": "changed my mind"})).status_code == 200
    assert (await orders.post("/orders/99999/cancel")).status_code == 404
    assert (await orders.post("/orders/x/cancel")).status_code == 400


async def test_a_changed_order_is_in_the_list_of_its_new_status(orders: httpx.AsyncClient) -> None:
    """And in no other."""
    id_ = await _new(orders, user_id=901)
    await orders.patch(f"/orders/{id_}", json={"status": "shipped"})
    assert _ids(await orders.get("/orders?status=shipped&limit=1")) == [id_]
    assert id_ not in _ids(await orders.get("/orders?status=pending&limit=200"))
    assert _ids(await orders.get("/orders?userIds=901&status=shipped&limit=1")) == [id_]
    assert id_ not in _ids(await orders.get("/orders?userIds=901&status=pending"))
