"""The types: their fields' values and arguments."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from graphql import GraphQLError

from bff.graph.scalars import DATE_TIME
from bff.upstream.errors import TimedOut
from datasources.orders import OrderStatus
from datasources.users import Tier
from schema.types.product import MOST_WIDTH, scaled
from tests.support.shop import Shop, order, product, user

EVERYWHERE = ("web", "mobile", "admin")


async def _product(shop: Shop, variant: str, fields: str, variables: dict[str, Any] | None = None) -> Any:
    head = "query ($width: Int)" if variables is not None else "query"
    answer = await shop.ask(variant, f'{head} {{ product(id: "1") {{ {fields} }} }}', variables)
    assert answer.result.errors is None
    return answer.data["product"]


# Products


@pytest.mark.parametrize(("variant", "url"), [("web", "/1.jpg"), ("admin", "/1.jpg"), ("mobile", "/1.jpg?w=320")])
@pytest.mark.parametrize("fields", ["imageUrl", "imageUrl(width: null)"])
async def test_only_mobile_scales_images_by_default(shop: Shop, variant: str, url: str, fields: str) -> None:
    """The default width is 320 pixels in mobile; in other variants there is none. Null is like omitted."""
    assert await _product(shop, variant, fields) == {"imageUrl": "https://cdn.example.com" + url}


@pytest.mark.parametrize("variant", EVERYWHERE)
async def test_the_argument_width_is_used_in_every_variant(shop: Shop, variant: str) -> None:
    """Also in mobile, and separately for each alias."""
    assert await _product(shop, variant, "a: imageUrl(width: 1) b: imageUrl(width: 8192)") == {
        "a": "https://cdn.example.com/1.jpg?w=1",
        "b": f"https://cdn.example.com/1.jpg?w={MOST_WIDTH}",
    }


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://c/1.jpg", "https://c/1.jpg?w=7"),
        ("https://c/1.jpg?v=2", "https://c/1.jpg?v=2&w=7"),
        ("https://c/1.jpg#top", "https://c/1.jpg?w=7#top"),
        ("https://c/1.jpg?v=2#top", "https://c/1.jpg?v=2&w=7#top"),
        ("https://c/1.jpg#a?b", "https://c/1.jpg?w=7#a?b"),
        ("/1.jpg", "/1.jpg?w=7"),
    ],
)
def test_the_width_is_added_to_the_query(url: str, expected: str) -> None:
    """After an existing query and before a fragment."""
    assert scaled(url, 7) == expected


@pytest.mark.parametrize("width", [0, -1, MOST_WIDTH + 1, 2**31 - 1, -(2**31)])
async def test_a_width_out_of_range_is_bad_user_input(shop: Shop, width: int) -> None:
    """The range is 1 to 8192. The message contains it."""
    answer = await shop.ask("web", 'query ($w: Int) { product(id: "1") { imageUrl(width: $w) } }', {"w": width})
    assert answer.data == {"product": None}
    assert answer.codes == {"product.imageUrl": "BAD_USER_INPUT"}
    assert answer.result.errors is not None
    assert answer.result.errors[0].message == f"width: expected 1 to 8192, got {width}."


@pytest.mark.parametrize(("stock", "expected"), [(0, False), (1, True), (-1, False)])
async def test_in_stock_means_a_stock_of_at_least_one(shop: Shop, stock: int, expected: bool) -> None:
    """0 and negative numbers are not in stock."""
    shop.products.records[1] = product(1, stock=stock)
    assert await _product(shop, "web", "inStock") == {"inStock": expected}


async def test_the_fields_of_a_product_are_those_of_the_service(shop: Shop) -> None:
    """All fields that are not computed."""
    own = "id name price currency description category sku stock updatedAt"
    assert await _product(shop, "admin", own) == {
        "id": "1",
        "name": "Product 1",
        "price": 2.5,
        "currency": "USD",
        "description": "About 1.",
        "category": "toys",
        "sku": "SKU-1",
        "stock": 3,
        "updatedAt": "2026-01-01T00:00:00Z",
    }


# Orders


@pytest.mark.parametrize(
    ("quantity", "price", "expected"),
    [(3, 0.1, 0.3), (3, 33.33, 99.99), (1000, 0.07, 70.0), (3, 19.99, 59.97), (0, 5.5, 0.0), (7, 1.1, 7.7)],
)
async def test_a_line_total_is_exact_in_decimal(shop: Shop, quantity: int, price: float, expected: float) -> None:
    """Quantity times price, without errors of binary fractions."""
    shop.orders.records[1] = order(1, 1, [(1, quantity, price)])
    answer = await shop.ask("web", '{ order(id: "1") { items { quantity unitPrice lineTotal } } }', sub="1")
    assert answer.data["order"]["items"] == [{"quantity": quantity, "unitPrice": price, "lineTotal": expected}]


@pytest.mark.parametrize(("sent", "shown"), [(1.005, 1.01), (2.675, 2.68), (0.125, 0.13), (10.004, 10.0), (4, 4.0)])
async def test_amounts_are_rounded_half_up(shop: Shop, sent: float, shown: float) -> None:
    """By the shortest decimal form of the number, and before it is multiplied."""
    shop.orders.records[1] = order(1, 1, [(1, 2, sent)], total=sent)
    shop.products.records[1] = product(1, price=sent)
    query = '{ order(id: "1") { total items { unitPrice lineTotal product { price } } } }'
    found = (await shop.ask("web", query, sub="1")).data["order"]
    assert found["total"] == found["items"][0]["unitPrice"] == found["items"][0]["product"]["price"] == shown
    assert found["items"][0]["lineTotal"] == round(2 * shown, 2)


@pytest.mark.parametrize(("quantities", "count"), [((), 0), ((1,), 1), ((2, 3, 5), 10)])
async def test_item_count_adds_up_the_quantities(shop: Shop, quantities: tuple[int, ...], count: int) -> None:
    """And not the lines."""
    shop.orders.records[1] = order(1, 1, [(number, quantity, 1.0) for number, quantity in enumerate(quantities, 1)])
    answer = await shop.ask("mobile", '{ order(id: "1") { itemCount } }', sub="1")
    assert answer.data == {"order": {"itemCount": count}}


@pytest.mark.parametrize("status", OrderStatus)
async def test_each_status_is_an_enum_value(shop: Shop, status: OrderStatus) -> None:
    """The service's `paid` is `PAID`, as a value and as an argument."""
    shop.orders.records = {1: order(1, 1, status=status), 2: order(2, 1, status=OrderStatus.PENDING)}
    query = "query ($s: OrderStatus) { me { orders(status: $s, first: 1) { id status } } }"
    answer = await shop.ask("web", query, {"s": status.name}, sub="1")
    newest = "2" if status is OrderStatus.PENDING else "1"
    assert answer.data == {"me": {"orders": [{"id": newest, "status": status.name}]}}
    assert shop.orders.calls == [("of_users", (1,), 1, status)]


async def test_an_item_with_a_missing_product_is_shown(shop: Shop) -> None:
    """Its product is null without an error."""
    shop.orders.records[1] = order(1, 1, [(404, 1, 1.0), (2, 1, 1.0)])
    answer = await shop.ask("web", '{ order(id: "1") { items { quantity product { id } } } }', sub="1")
    assert answer.result.errors is None
    assert answer.data["order"]["items"] == [{"quantity": 1, "product": None}, {"quantity": 1, "product": {"id": "2"}}]


async def test_failed_products_do_not_affect_the_order(shop: Shop) -> None:
    """Each product has an error, and the order is shown."""
    shop.products.failure = TimedOut("products", counts=True)
    answer = await shop.ask("web", '{ order(id: "1") { id items { product { id } } } }', sub="1")
    assert answer.data == {"order": {"id": "1", "items": [{"product": None}]}}
    assert answer.codes == {"order.items.0.product": "UPSTREAM_TIMEOUT"}


# Users


@pytest.mark.parametrize("tier", Tier)
async def test_each_tier_is_an_enum_value(shop: Shop, tier: Tier) -> None:
    """The service's `free` is `FREE`."""
    shop.users.records[1] = user(1, tier=tier)
    assert (await shop.ask("mobile", "{ me { tier } }", sub="1")).data == {"me": {"tier": tier.name}}


async def test_the_name_of_a_user_may_be_null(shop: Shop) -> None:
    """The other fields are shown."""
    shop.users.records[1] = user(1, name=None)
    answer = await shop.ask("web", "{ me { id name email createdAt } }", sub="1")
    assert answer.data == {
        "me": {"id": "1", "name": None, "email": "u1@example.com", "createdAt": "2026-01-01T00:00:00Z"},
    }


async def test_the_orders_of_a_user_are_newest_first(shop: Shop) -> None:
    """Only the user's own, by descending id, at most `first`."""
    answer = await shop.ask("web", "{ me { all: orders { id } two: orders(first: 2) { id } } }", sub="1")
    assert answer.data == {"me": {"all": [{"id": each} for each in ("5", "4", "2", "1")], "two": [{"id": "5"}, {"id": "4"}]}}


# `first`


_LISTS = [
    ("web", "me { orders(first: $n) { id } }", "me.orders"),
    ("web", "products(first: $n) { totalCount }", "products"),
    ("admin", "users(first: $n) { totalCount }", "users"),
    ("admin", "orders(first: $n) { totalCount }", "orders"),
]


@pytest.mark.parametrize(("variant", "query", "path"), _LISTS)
@pytest.mark.parametrize("first", [0, -1, 101, 2**31 - 1, -(2**31)])
async def test_first_out_of_range_is_bad_user_input(shop: Shop, variant: str, query: str, path: str, first: int) -> None:
    """Less than one or more than a hundred. No call for the list is made."""
    answer = await shop.ask(variant, f"query ($n: Int) {{ {query} }}", {"n": first}, sub="1")
    assert answer.codes == {path: "BAD_USER_INPUT"}
    assert answer.result.errors is not None
    assert answer.result.errors[0].message == f"first: expected 1 to 100, got {first}."
    assert [call for call in shop.calls if call[0] in {"of_users", "page"}] == []


@pytest.mark.parametrize(("variant", "query", "path"), _LISTS)
@pytest.mark.parametrize(("variables", "asked"), [({}, 20), ({"n": None}, 20), ({"n": 1}, 1), ({"n": 100}, 100)])
async def test_first_is_1_to_100_and_20_by_default(
    shop: Shop, variant: str, query: str, path: str, variables: dict[str, Any], asked: int
) -> None:
    """Null is like omitted. 1 and 100 are valid."""
    answer = await shop.ask(variant, f"query ($n: Int) {{ {query} }}", variables, sub="1")
    assert answer.result.errors is None
    (limit,) = [call[1 if call[0] == "page" else 2] for call in shop.calls if call[0] in {"of_users", "page"}]
    assert limit == asked


# Times


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 31, 12, 0, 5, tzinfo=UTC), "2026-01-31T12:00:05Z"),
        (datetime(2026, 1, 31, 12, 0, 5, 120_000, tzinfo=UTC), "2026-01-31T12:00:05.120000Z"),
        (datetime(2026, 1, 31, 1, 30, tzinfo=timezone(timedelta(hours=2))), "2026-01-30T23:30:00Z"),
    ],
)
async def test_times_are_shown_in_utc(shop: Shop, moment: datetime, text: str) -> None:
    """With a Z, whatever offset the service sends."""
    shop.orders.records[1] = order(1, 1, created_at=moment)
    answer = await shop.ask("mobile", '{ order(id: "1") { createdAt } }', sub="1")
    assert answer.data == {"order": {"createdAt": text}}


@pytest.mark.parametrize("value", ["", "yesterday", "2026-13-01T00:00:00Z", 5, None, []])
def test_an_invalid_time_is_refused_as_input(value: Any) -> None:
    """The error names RFC 3339. No other exception is raised."""
    assert DATE_TIME.parse_value is not None
    with pytest.raises(GraphQLError, match="RFC 3339"):
        DATE_TIME.parse_value(value)
