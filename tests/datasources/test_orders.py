"""The orders source: its record, lists by user, and writes."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from bff.upstream.caller import Caller
from bff.upstream.errors import BadAnswer, Busy, Mismatched, Rejected, SourceError
from datasources.orders import Order, OrderItem, Orders, OrderStatus
from tests.support.fakes import Service, a_product, an_order, get, problem, without

LOST = (BadAnswer, False)


def shown(found: Any) -> Any:
    """The lists by user, with orders as their ids and errors as (class, whether it counts)."""

    def one(it: Any) -> Any:
        return (type(it), it.counts) if isinstance(it, SourceError) else it.id

    return {user: one(them) if isinstance(them, SourceError) else [one(it) for it in them] for user, them in found.items()}


async def test_an_order(orders: Orders, service: Service, caller: Caller) -> None:
    """All members have their types, and the items are in order."""
    service.answers = {"/orders/1": an_order(1)}
    assert await get(orders, caller, 1) == Order(
        id=1,
        user_id=1,
        status=OrderStatus.PAID,
        currency="USD",
        total=317.3,
        created_at=datetime(2026, 2, 1, 0, 1, tzinfo=UTC),
        items=(OrderItem(8, 2, 34.6), OrderItem(21, 3, 82.7)),
    )


async def test_amounts_have_two_decimals(orders: Orders, service: Service, caller: Caller) -> None:
    """The order's total and its items' prices are rounded half up."""
    items = [{"productId": 8, "quantity": 2, "unitPrice": 2.675}]
    service.answers = {"/orders/1": an_order(1, total=1.005, items=items)}
    found = await get(orders, caller, 1)
    assert found is not None
    assert (found.total, found.items[0].unit_price) == (1.01, 2.68)


@pytest.mark.parametrize("status", OrderStatus)
async def test_statuses(orders: Orders, service: Service, caller: Caller, status: OrderStatus) -> None:
    """The five statuses, in lower case."""
    service.answers = {"/orders/1": an_order(1, status=status.name.lower())}
    found = await get(orders, caller, 1)
    assert found is not None
    assert found.status is status


@pytest.mark.parametrize(
    "changes",
    [
        {"items": None},
        {"items": [{"productId": 8, "quantity": 2}]},
        {"items": [{"productId": "8", "quantity": 2, "unitPrice": 1}]},
        {"items": [an_order(1)["items"][0], None]},
        {"total": "317.30"},
        {"status": "lost"},
        {"userId": None},
    ],
    ids=repr,
)
async def test_an_order_with_an_unreadable_item_is_unreadable(
    orders: Orders, service: Service, caller: Caller, changes: dict[str, Any]
) -> None:
    """An order is never shown without one of its items."""
    service.answers = {"/orders?ids=1,2": {"items": [an_order(1, **changes), an_order(2)]}}
    found = await orders.by_id.load(caller, [1, 2])
    assert isinstance(found[1], BadAnswer)
    assert isinstance(found[2], Order)


# Lists by user


@pytest.mark.parametrize(
    ("status", "query"),
    [(None, "userIds=3,1&limit=20"), (OrderStatus.SHIPPED, "userIds=3,1&limit=20&status=shipped")],
)
async def test_orders_by_user(
    orders: Orders, service: Service, caller: Caller, status: OrderStatus | None, query: str
) -> None:
    """`GET /orders?userIds=…&limit=…` with each user once. Lists are in the service's order and may be empty."""
    of = status or OrderStatus.PAID
    sent = [an_order(number, userId=user, status=of.value) for number, user in ((9, 3), (8, 1), (7, 3))]
    service.answers = {f"/orders?{query}": {"items": sent}}
    assert shown(await orders.of_user.load(caller, [3, 1, 3], limit=20, status=status)) == {3: [9, 7], 1: [8]}
    service.answers = {f"/orders?{query}": {"items": []}}
    assert shown(await orders.of_user.load(caller, [3, 1], limit=20, status=status)) == {3: [], 1: []}
    assert service.asked == [f"GET /orders?{query}"] * 2


async def test_without_users_there_is_no_call(orders: Orders, service: Service, caller: Caller) -> None:
    """One user is requested like several."""
    assert await orders.of_user.load(caller, [], limit=20) == {}
    assert service.asked == []
    service.answers = {"/orders?userIds=3&limit=1": {"items": [an_order(9, userId=3)]}}
    assert shown(await orders.of_user.load(caller, [3], limit=1)) == {3: [9]}


async def test_the_limit_applies_to_each_user(orders: Orders, service: Service, caller: Caller) -> None:
    """Even if the service sends more."""
    sent = [an_order(number, userId=number % 2 + 1) for number in range(9, 0, -1)]
    service.answers = {"/orders?userIds=1,2&limit=2": {"items": sent}}
    assert shown(await orders.of_user.load(caller, [1, 2], limit=2)) == {1: [8, 6], 2: [9, 7]}


@pytest.mark.parametrize("broken", [{"total": "x"}, {"id": None}, {"items": None}, {"status": 5}], ids=repr)
async def test_an_unreadable_order_affects_only_its_user(
    orders: Orders, service: Service, caller: Caller, broken: dict[str, Any]
) -> None:
    """Its error is in its place in its user's list."""
    sent = [an_order(9, userId=1), an_order(8, userId=2), an_order(7, **{"userId": 1, **broken}), an_order(6, userId=1)]
    service.answers = {"/orders?userIds=1,2&limit=20": {"items": sent}}
    assert shown(await orders.of_user.load(caller, [1, 2], limit=20)) == {1: [9, LOST, 6], 2: [8]}
    service.answers = {"/orders?userIds=1,2&limit=2": {"items": sent}}
    assert shown(await orders.of_user.load(caller, [1, 2], limit=2)) == {1: [9, LOST], 2: [8]}


@pytest.mark.parametrize(
    "nobodys", [without(an_order(7), "userId"), an_order(7, userId="1"), an_order(7, userId=True), None, 7, []], ids=repr
)
async def test_an_order_without_a_readable_user_is_an_error_in_every_list(
    orders: Orders, service: Service, caller: Caller, nobodys: Any
) -> None:
    """Its user is unknown, so any of the lists may be incomplete."""
    sent = [an_order(9, userId=1), nobodys, an_order(6, userId=2)]
    service.answers = {"/orders?userIds=1,2,3&limit=20": {"items": sent}}
    assert shown(await orders.of_user.load(caller, [1, 2, 3], limit=20)) == {1: [9, LOST], 2: [LOST, 6], 3: [LOST]}


@pytest.mark.parametrize(
    ("status", "other"),
    [
        (None, {"userId": 5}),
        (None, {"userId": 5, "total": None}),
        (OrderStatus.PAID, {"userId": 2, "status": "pending"}),
    ],
    ids=["another user's", "another user's, broken", "of another status"],
)
async def test_a_reply_with_another_users_order_is_not_used(
    orders: Orders, service: Service, caller: Caller, status: OrderStatus | None, other: dict[str, Any]
) -> None:
    """It may be the reply to another request. All users get an error and not an empty list."""
    service.every = lambda _: {"items": [an_order(9, **other), an_order(8, userId=1)]}
    found = await orders.of_user.load(caller, [1, 2], limit=20, status=status)
    assert shown(found) == dict.fromkeys([1, 2], (Mismatched, False))


async def test_a_call_has_at_most_200_users(orders: Orders, service: Service, caller: Caller) -> None:
    """201 users are two concurrent calls. A failed call affects only its own users."""
    both_out = asyncio.Event()

    async def answer(request: httpx.Request) -> Any:
        if len(service.requests) == 2:
            both_out.set()
        await both_out.wait()
        users = request.url.params["userIds"].split(",")
        return problem(503) if len(users) == 200 else {"items": [an_order(1, userId=int(user)) for user in users]}

    service.every = answer
    found = shown(await asyncio.wait_for(orders.of_user.load(caller, range(1, 202), limit=3), 30))
    assert found == dict.fromkeys(range(1, 201), (Busy, True)) | {201: [1]}
    assert sorted(len(request.url.params["userIds"].split(",")) for request in service.requests) == [1, 200]


# Writes


async def test_placing_an_order(orders: Orders, service: Service, caller: Caller) -> None:
    """`POST /orders` with the user and the items in order. The reply is the pending order."""
    service.every = lambda _: httpx.Response(201, json=an_order(7, userId=42, status="pending"))
    order = await orders.place(caller, 42, [(8, 2), (21, 3), (8, 1)], key="key-1")
    assert (order.id, order.status) == (7, OrderStatus.PENDING)
    assert service.asked == ["POST /orders"]
    lines = [(8, 2), (21, 3), (8, 1)]
    assert service.last_json == {
        "userId": 42,
        "items": [{"productId": product, "quantity": quantity} for product, quantity in lines],
    }
    assert service.last.headers["idempotency-key"] == "key-1"


async def test_cancelling_an_order(orders: Orders, service: Service, caller: Caller) -> None:
    """`POST /orders/{id}/cancel`, with a key and without a body."""
    service.every = lambda _: an_order(7, status="cancelled")
    assert (await orders.cancel(caller, 7, key="key-1")).status is OrderStatus.CANCELLED
    assert service.asked == ["POST /orders/7/cancel"]
    assert service.last.content == b""
    assert service.last.headers["content-length"] == "0"
    assert "content-type" not in service.last.headers
    assert service.last.headers["idempotency-key"] == "key-1"


@pytest.mark.parametrize("status", OrderStatus)
async def test_changing_the_status_of_an_order(
    orders: Orders, service: Service, caller: Caller, status: OrderStatus
) -> None:
    """`PATCH /orders/{id}` with the service's spelling of the status."""
    service.every = lambda _: an_order(7, status=status.value)
    assert (await orders.update_status(caller, 7, status, key="key-1")).status is status
    assert service.asked == ["PATCH /orders/7"]
    assert service.last_json == {"status": status.name.lower()}
    assert service.last.headers["idempotency-key"] == "key-1"


@pytest.mark.parametrize(
    "answered", [an_order(8, userId=42), an_order(7, userId=43)], ids=["another order", "another user's"]
)
async def test_a_write_whose_reply_is_another_order_is_an_error(
    orders: Orders, service: Service, caller: Caller, answered: dict[str, Any]
) -> None:
    """The reply must be the written order, of the given user."""
    service.every = lambda _: answered
    writes = [orders.cancel(caller, 7, key="key-1", user_id=42)]
    if answered["id"] != 7:
        writes += [orders.cancel(caller, 7, key="key-1"), orders.update_status(caller, 7, OrderStatus.PAID, key="key-1")]
    else:
        writes += [orders.place(caller, 42, [(1, 1)], key="key-1")]
    for write in writes:
        with pytest.raises(Mismatched):
            await write
    assert len(service.asked) == len(writes)


@pytest.mark.parametrize("status", [404, 409, 422])
async def test_a_refused_write_raises_rejected(orders: Orders, service: Service, caller: Caller, status: int) -> None:
    """Each of the three writes, with its own route."""
    service.every = lambda _: problem(status, errors=[{"field": "items[0].quantity", "message": "1 to 1000"}])
    for write in (
        orders.place(caller, 1, [(1, 0)], key="key-1"),
        orders.cancel(caller, 1, key="key-1"),
        orders.update_status(caller, 1, OrderStatus.PAID, key="key-1"),
    ):
        with pytest.raises(Rejected) as caught:
            await write
        assert (caught.value.status, caught.value.problem.errors[0].field) == (status, "items[0].quantity")


async def test_an_object_of_another_kind_is_a_bad_reply(orders: Orders, service: Service, caller: Caller) -> None:
    """As a user in place of an order."""
    service.answers = {"/orders/1": a_product(1)}
    with pytest.raises(BadAnswer):
        await get(orders, caller, 1)
