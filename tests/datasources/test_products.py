"""The products source: its record, its search and its write."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bff.upstream.caller import Caller
from bff.upstream.errors import Rejected
from datasources.products import Product, Products
from tests.support.fakes import SUB, Clock, Service, a_product, get, make_caller


async def test_a_product(products: Products, service: Service, caller: Caller) -> None:
    """All members have their types."""
    service.answers = {"/products/1": a_product(1)}
    assert await get(products, caller, 1) == Product(
        id=1,
        sku="SKU-00001",
        name="Product 1",
        description="…",
        price=8.7,
        currency="USD",
        stock=7,
        category="garden",
        image_url="https://cdn.example.com/products/1.jpg",
        updated_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(("sent", "price"), [(1.005, 1.01), (2.675, 2.68), (8, 8.0), (0.1, 0.1), (1e300, 1e300)])
async def test_a_price_has_two_decimals(
    products: Products, service: Service, caller: Caller, sent: float, price: float
) -> None:
    """Rounded half up, in a single object and in a list."""
    service.answers = {
        "/products/1": a_product(1, price=sent),
        "/products?ids=1,2": {"items": [a_product(1, price=sent), a_product(2)]},
    }
    one = await get(products, caller, 1)
    many = await products.by_id.load(caller, [1, 2])
    assert isinstance(one, Product)
    assert (one.price, many[1]) == (price, one)


@pytest.mark.parametrize("price", ["8.70", None, True, [8.7]])
async def test_a_price_is_a_number(products: Products, service: Service, caller: Caller, price: Any) -> None:
    """With any other price the product is unreadable."""
    service.answers = {"/products?ids=1,2": {"items": [a_product(1, price=price), a_product(2)]}}
    found = await products.by_id.load(caller, [1, 2])
    assert not isinstance(found[1], Product)
    assert isinstance(found[2], Product)


async def test_reads_carry_no_identity(products: Products, service: Service, clock: Clock) -> None:
    """Products are public, so reads have no identity even if the viewer is signed in. Writes have it."""
    signed_in = make_caller(clock, sub=SUB)
    await get(products, signed_in, 1)
    service.answers["/products?ids=1,2"] = {"items": []}
    await products.by_id.load(signed_in, [1, 2])
    with pytest.raises(Rejected):
        await products.page.load(signed_in, limit=20, cursor=None, search="x")
    assert len(service.requests) == 3
    for request in service.requests:
        assert not {"x-user-id", "authorization", "cookie"} & set(request.headers)
    with pytest.raises(Rejected):
        await products.update(signed_in, 1, {"stock": 1}, key="key-1")
    assert service.last.headers["x-user-id"] == SUB


@pytest.mark.parametrize("changes", [{"price": 9.99}, {"stock": 0}, {"name": "A", "price": 1, "stock": 2}])
async def test_an_update(products: Products, service: Service, caller: Caller, changes: dict[str, Any]) -> None:
    """`PATCH /products/{id}` with only the changes and the key. The reply is the product."""
    service.every = lambda _: a_product(7, price=1.005)
    product = await products.update(caller, 7, changes, key="key-1")
    assert (product.id, product.price) == (7, 1.01)
    assert service.asked == ["PATCH /products/7"]
    assert service.last_json == changes
    assert service.last.headers["idempotency-key"] == "key-1"
