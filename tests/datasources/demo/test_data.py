"""The demo data, compared with a second implementation of their formulas."""

import json
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from datasources.demo.data import DemoData, OrderItem, Status


def _time(start: datetime, minutes: int) -> str:
    return (start + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _rounded(amount: Decimal) -> float:
    return float(amount.quantize(Decimal("0.01"), ROUND_HALF_UP))


def _price(p: int) -> Decimal:
    return 5 + Decimal(p * 37 % 1000) / 10


def _user(i: int) -> dict[str, Any]:
    return {
        "id": i,
        "name": f"User {i}",
        "email": f"user{i}@example.com",
        "tier": {0: "free", 1: "plus", 2: "pro"}[i % 3],
        "createdAt": _time(datetime(2026, 1, 1, tzinfo=UTC), i),
    }


def _product(p: int) -> dict[str, Any]:
    return {
        "id": p,
        "sku": "SKU-" + str(p).zfill(5),
        "name": f"Product {p}",
        "description": f"The one and only product {p}.",
        "price": _rounded(_price(p)),
        "currency": "USD",
        "stock": p * 7 % 100,
        "category": {0: "books", 1: "garden", 2: "kitchen", 3: "music", 4: "toys"}[p % 5],
        "imageUrl": f"https://cdn.example.com/products/{p}.jpg",
        "updatedAt": "2026-01-01T00:00:00Z",
    }


def _order(o: int) -> dict[str, Any]:
    lines = [((o * 7 + k * 13) % 500 + 1, (o + k) % 3 + 1) for k in range(o % 4 + 1)]
    return {
        "id": o,
        "userId": (o - 1) % 1000 + 1,
        "status": {0: "pending", 1: "paid", 2: "shipped", 3: "delivered", 4: "cancelled"}[o % 5],
        "currency": "USD",
        "total": _rounded(sum((quantity * _price(p) for p, quantity in lines), Decimal(0))),
        "createdAt": _time(datetime(2026, 2, 1, tzinfo=UTC), o),
        "items": [{"productId": p, "quantity": quantity, "unitPrice": _rounded(_price(p))} for p, quantity in lines],
    }


@pytest.fixture(scope="module")
def data() -> DemoData:
    """The initial data. No test here changes them."""
    return DemoData()


def test_users_follow_their_formula(data: DemoData) -> None:
    """The users are 1 to 1000, each as computed from its number."""
    assert json.loads(b"[%b]" % data.users.json(data.users.ids)) == [_user(i) for i in range(1, 1001)]


def test_products_follow_their_formula(data: DemoData) -> None:
    """The products are 1 to 500, each as computed from its number."""
    assert json.loads(b"[%b]" % data.products.json(data.products.ids)) == [_product(p) for p in range(1, 501)]


def test_orders_follow_their_formula(data: DemoData) -> None:
    """The orders are 1 to 10000, each as computed from its number."""
    assert json.loads(b"[%b]" % data.orders.json(data.orders.ids)) == [_order(o) for o in range(1, 10_001)]


def test_the_first_records_are_as_documented(data: DemoData) -> None:
    """Byte for byte."""
    assert data.users.json([1]) == (
        b'{"id":1,"name":"User 1","email":"user1@example.com","tier":"plus","createdAt":"2026-01-01T00:01:00Z"}'
    )
    assert data.orders.json([1]) == (
        b'{"id":1,"userId":1,"status":"paid","currency":"USD","total":317.3,"createdAt":"2026-02-01T00:01:00Z",'
        b'"items":[{"productId":8,"quantity":2,"unitPrice":34.6},{"productId":21,"quantity":3,"unitPrice":82.7}]}'
    )
    assert data.products.json([1]) == (
        b'{"id":1,"sku":"SKU-00001","name":"Product 1","description":"The one and only product 1.","price":8.7,'
        b'"currency":"USD","stock":7,"category":"garden","imageUrl":"https://cdn.example.com/products/1.jpg",'
        b'"updatedAt":"2026-01-01T00:00:00Z"}'
    )


def test_indexes_have_every_order_once(data: DemoData) -> None:
    """Under its user and its status, and under no other."""
    by_user = [id_ for user in range(1, 1001) for id_ in data.orders_of(user)]
    by_status = [id_ for status in Status for id_ in data.orders_in(status)]
    assert sorted(by_user) == sorted(by_status) == list(range(1, 10_001))
    assert data.orders_of(7) == [7 + 1000 * n for n in range(10)]
    assert data.orders_in(Status.CANCELLED) == list(range(4, 10_001, 5))


def test_indexes_follow_writes() -> None:
    """A new order and a changed status appear in the ids by user and by status, which stay ascending."""
    data = DemoData(now=lambda: datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC))
    order = data.add_order(7, [OrderItem(1, 3, Decimal("0.35")), OrderItem(2, 1, Decimal("12.4"))])
    assert (order.id, order.status, order.total) == (10_001, Status.PENDING, Decimal("13.45"))
    assert data.orders.json([10_001]).startswith(b'{"id":10001,"userId":7,"status":"pending","currency":"USD","total":')
    assert b'"createdAt":"2026-05-04T03:02:01Z"' in data.orders.json([10_001])
    assert data.orders_of(7)[-1] == 10_001

    fifth = data.orders.get(5)
    assert fifth is not None
    data.set_status(fifth, Status.PAID)
    assert list(data.orders_in(Status.PAID))[:3] == [1, 5, 6]
    assert 5 not in data.orders_in(Status.PENDING)
    assert b'"status":"paid"' in data.orders.json([5])
