"""Loaded fields: what they show when a service fails, and how they report it."""

from typing import Any

import pytest
import strawberry

from bff.graph.loaded import Loaded, LoadedList
from bff.upstream.errors import BadAnswer, BreakerOpen, Forbidden, NotReached, SourceError, TimedOut
from datasources.orders import Orders
from datasources.users import Users
from tests.support.shop import Shop, rejected

_ORDERS = "{ me { id orders { id } } }"


async def test_a_failed_item_is_left_out_of_a_list(shop: Shop) -> None:
    """The others are shown, and `errors` has the item's error with the field's path."""
    shop.orders.broken[4] = BadAnswer("orders", counts=False)
    answer = await shop.ask("web", _ORDERS, sub="1")
    assert answer.data == {"me": {"id": "1", "orders": [{"id": "5"}, {"id": "2"}, {"id": "1"}]}}
    assert answer.result.errors is None
    assert answer.partial == [("UPSTREAM_ERROR", ["me", "orders"])]


async def test_each_failed_item_is_reported_for_each_alias(shop: Shop) -> None:
    """Two failed items under two aliases are four errors."""
    shop.orders.broken |= dict.fromkeys((4, 5), BadAnswer("orders", counts=False))
    answer = await shop.ask("web", "{ me { a: orders { id } b: orders { id } } }", sub="1")
    assert answer.data == {"me": {"a": [{"id": "2"}, {"id": "1"}], "b": [{"id": "2"}, {"id": "1"}]}}
    assert sorted(answer.partial) == [("UPSTREAM_ERROR", ["me", name]) for name in ("a", "a", "b", "b")]


async def test_a_failed_list_is_null(shop: Shop) -> None:
    """With the service's error. The rest of the response is shown."""
    shop.orders.failure = BreakerOpen("orders", 7)
    answer = await shop.ask("web", _ORDERS, sub="1")
    assert answer.data == {"me": {"id": "1", "orders": None}}
    assert answer.codes == {"me.orders": "UPSTREAM_UNAVAILABLE"}
    assert answer.partial == []


async def test_a_failed_item_is_left_out_of_home(shop: Shop) -> None:
    """Also of a list that is made from a page."""
    shop.products.broken[2] = BadAnswer("products", counts=False)
    shop.orders.broken[5] = BadAnswer("orders", counts=False)
    answer = await shop.ask("mobile", "{ home { recentOrders { id } products { id } } }", sub="1")
    assert [each["id"] for each in answer.data["home"]["products"]] == ["1", "3", "4", "5", "6", "7", "8", "9", "10"]
    assert [each["id"] for each in answer.data["home"]["recentOrders"]] == ["4", "2"]
    assert sorted(path for _, path in answer.partial) == [["home", "products"], ["home", "recentOrders"]]


async def test_a_failed_item_of_a_connection_is_null(shop: Shop) -> None:
    """In `nodes` and in `edges`, with an error at its own path. Its cursor works."""
    shop.products.broken[2] = BadAnswer("products", counts=False)
    answer = await shop.ask("web", "{ products(first: 3) { nodes { id } edges { cursor node { id } } } }")
    found = answer.data["products"]
    assert found["nodes"] == [{"id": "1"}, None, {"id": "3"}]
    assert [edge["node"] for edge in found["edges"]] == found["nodes"]
    assert answer.codes == {"products.nodes.1": "UPSTREAM_ERROR", "products.edges.1.node": "UPSTREAM_ERROR"}
    after = found["edges"][1]["cursor"]
    answer = await shop.ask(
        "web", "query ($after: String) { products(after: $after, first: 1) { nodes { id } } }", {"after": after}
    )
    assert answer.data == {"products": {"nodes": [{"id": "3"}]}}


# Fresh, stale, fallback, error


async def test_a_stale_value_is_shown_and_reported(shop: Shop) -> None:
    """An object, a list and a connection, each with its path, source and age, without an error."""
    shop.users.stale_s, shop.orders.stale_s, shop.products.stale_s = 5.5, 7, 40
    query = "{ me { id orders(first: 1) { id items { product { id } } } } products(first: 1) { nodes { id } } }"
    answer = await shop.ask("web", query, sub="1")
    assert answer.codes == {}
    assert answer.data["me"] == {"id": "1", "orders": [{"id": "5", "items": [{"product": {"id": "1"}}]}]}
    assert sorted(answer.degraded, key=str) == [
        (["me", "orders", 0, "items", 0, "product"], "products", 40),
        (["me", "orders"], "orders", 7),
        (["me"], "users", 5.5),
        (["products"], "products", 40),
    ]


async def test_a_fresh_value_is_not_reported(shop: Shop) -> None:
    """`degraded` is empty."""
    answer = await shop.ask("web", "{ me { id orders { id } } }", sub="1")
    assert answer.degraded == []


async def test_ownership_is_checked_for_stale_values(shop: Shop) -> None:
    """Another user's stale order is neither shown nor cancelled."""
    shop.orders.stale_s = 7
    answer = await shop.ask("web", '{ order(id: "3") { id } }', sub="1")
    assert answer.data == {"order": None}
    answer = await shop.ask("web", 'mutation { cancelOrder(id: "3") { userErrors { code } } }', sub="1")
    assert answer.data == {"cancelOrder": {"userErrors": [{"code": "NOT_FOUND"}]}}


@strawberry.type
class Screen:
    """Fields with fallbacks."""

    @strawberry.field(graphql_type=str | None, extensions=[Loaded(Users.by_id, show=lambda user, _: user.name)])
    def bare(self) -> int:
        return 1

    @strawberry.field(
        graphql_type=str | None,
        extensions=[
            Loaded(Users.by_id, show=lambda user, _: user.name, fallback=lambda context: f"in {context.variant.name}")
        ],
    )
    def name(self) -> int:
        return 1

    @strawberry.field(graphql_type=list[str] | None, extensions=[LoadedList(Orders.of_user, fallback=lambda _: [])])
    def orders(self) -> Any:
        return Orders.of_user.key(1, 3)


async def show(shop: Shop, query: str) -> tuple[Any, list[Any], Any]:
    """The data, the codes of the errors, and the degraded fields."""
    context = shop.context("web", "1")
    result = await strawberry.Schema(Screen).execute(query, context_value=context)
    codes = [getattr(error.original_error, "code", "-") for error in result.errors or ()]
    return result.data, codes, [(each.path, each.source, each.age_s) for each in context.degraded]


@pytest.mark.parametrize(
    "fault",
    [
        BreakerOpen("users", 3),
        NotReached("users", sent=True),
        TimedOut("users", counts=True),
        BadAnswer("users", counts=True),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_a_declared_fallback_is_shown_for_a_fault(shop: Shop, fault: SourceError) -> None:
    """It is reported without an age. A field without a fallback is null, with an error."""
    shop.users.failure = shop.orders.failure = fault
    data, codes, degraded = await show(shop, "{ name bare orders }")
    assert data == {"name": "in web", "bare": None, "orders": []}
    assert codes == [fault.code]
    assert sorted(degraded) == [(["name"], "users", None), (["orders"], "users", None)]


@pytest.mark.parametrize("refusal", [Forbidden("users"), rejected(404)], ids=["forbidden", "rejected"])
async def test_a_refusal_has_no_fallback(shop: Shop, refusal: SourceError) -> None:
    """A service that refuses has not failed, so the field has an error."""
    shop.users.failure = refusal
    data, codes, degraded = await show(shop, "{ name }")
    assert (data, codes, degraded) == ({"name": None}, [refusal.code], [])


async def test_a_stale_value_takes_precedence_over_a_fallback(shop: Shop) -> None:
    """The fallback is not called."""
    shop.users.stale_s = 9
    data, _, degraded = await show(shop, "{ name }")
    assert (data, degraded) == ({"name": "User 1"}, [(["name"], "users", 9)])


async def test_a_missing_object_has_no_fallback(shop: Shop) -> None:
    """It is null without an error."""
    shop.users.records.clear()
    data, codes, degraded = await show(shop, "{ name }")
    assert (data, codes, degraded) == ({"name": None}, [], [])
