"""Loaded fields: what they show when a service fails, and how they say so."""

from typing import Any

import pytest
import strawberry

from bff.graph.loaded import Loaded, LoadedList
from bff.upstream.errors import BadAnswer, BreakerOpen, Forbidden, NotReached, SourceError, TimedOut
from datasources.orders import Orders
from datasources.users import Users
from tests.support.shop import Shop, rejected

_ORDERS = "{ me { id orders { id } } }"


async def test_an_item_that_failed_costs_a_list_itself_alone(shop: Shop) -> None:
    """The list is shown without it, and `errors` is told of it with the field's path."""
    shop.orders.broken[4] = BadAnswer("orders", counts=False)
    answer = await shop.ask("web", _ORDERS, sub="1")
    assert answer.data == {"me": {"id": "1", "orders": [{"id": "5"}, {"id": "2"}, {"id": "1"}]}}
    assert answer.result.errors is None
    assert answer.partial == [("UPSTREAM_ERROR", ["me", "orders"])]


async def test_each_failed_item_and_each_alias_is_told(shop: Shop) -> None:
    """Two lost items are two errors; the list asked for under two names tells them under both."""
    shop.orders.broken |= dict.fromkeys((4, 5), BadAnswer("orders", counts=False))
    answer = await shop.ask("web", "{ me { a: orders { id } b: orders { id } } }", sub="1")
    assert answer.data == {"me": {"a": [{"id": "2"}, {"id": "1"}], "b": [{"id": "2"}, {"id": "1"}]}}
    assert sorted(answer.partial) == [("UPSTREAM_ERROR", ["me", name]) for name in ("a", "a", "b", "b")]


async def test_a_list_that_failed_whole_is_null(shop: Shop) -> None:
    """The service's failure is the field's error, and the rest of the answer stands."""
    shop.orders.failure = BreakerOpen("orders", 7)
    answer = await shop.ask("web", _ORDERS, sub="1")
    assert answer.data == {"me": {"id": "1", "orders": None}}
    assert answer.codes == {"me.orders": "UPSTREAM_UNAVAILABLE"}
    assert answer.partial == []


async def test_a_failed_item_of_home_costs_itself_alone(shop: Shop) -> None:
    """The lists of the first screen as any other; those made of a page too."""
    shop.products.broken[2] = BadAnswer("products", counts=False)
    shop.orders.broken[5] = BadAnswer("orders", counts=False)
    answer = await shop.ask("mobile", "{ home { recentOrders { id } products { id } } }", sub="1")
    assert [each["id"] for each in answer.data["home"]["products"]] == ["1", "3", "4", "5", "6", "7", "8", "9", "10"]
    assert [each["id"] for each in answer.data["home"]["recentOrders"]] == ["4", "2"]
    assert sorted(path for _, path in answer.partial) == [["home", "products"], ["home", "recentOrders"]]


async def test_a_failed_item_of_a_connection_is_null_in_its_place(shop: Shop) -> None:
    """In `nodes` and in `edges`, with its error at its own path; its cursor works as any other."""
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


# The ladder: fresh, stale, fallback, error


async def test_what_is_stale_is_shown_and_said(shop: Shop) -> None:
    """One object, a list, a connection: each with its path, its source and its age, and no error."""
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


async def test_what_is_fresh_is_not_said(shop: Shop) -> None:
    """Nothing to say, nothing said."""
    answer = await shop.ask("web", "{ me { id orders { id } } }", sub="1")
    assert answer.degraded == []


async def test_ownership_is_checked_on_what_is_stale_too(shop: Shop) -> None:
    """An old order of somebody else's is as little to be seen as a new one, or cancelled."""
    shop.orders.stale_s = 7
    answer = await shop.ask("web", '{ order(id: "3") { id } }', sub="1")
    assert answer.data == {"order": None}
    answer = await shop.ask("web", 'mutation { cancelOrder(id: "3") { userErrors { code } } }', sub="1")
    assert answer.data == {"cancelOrder": {"userErrors": [{"code": "NOT_FOUND"}]}}


@strawberry.type
class Screen:
    """A graph of fields with fallbacks."""

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
    """What the screen shows, the codes of its errors, and what is degraded."""
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
    """It is said to be one: it has no age. A field that declares none is null, with its error."""
    shop.users.failure = shop.orders.failure = fault
    data, codes, degraded = await show(shop, "{ name bare orders }")
    assert data == {"name": "in web", "bare": None, "orders": []}
    assert codes == [fault.code]
    assert sorted(degraded) == [(["name"], "users", None), (["orders"], "users", None)]


@pytest.mark.parametrize("refusal", [Forbidden("users"), rejected(404)], ids=["forbidden", "rejected"])
async def test_a_refusal_is_not_glossed_over(shop: Shop, refusal: SourceError) -> None:
    """A service that says no works well: its answer is the field's error."""
    shop.users.failure = refusal
    data, codes, degraded = await show(shop, "{ name }")
    assert (data, codes, degraded) == ({"name": None}, [refusal.code], [])


async def test_what_is_stale_comes_before_a_fallback(shop: Shop) -> None:
    """An old answer is nearer to the truth."""
    shop.users.stale_s = 9
    data, _, degraded = await show(shop, "{ name }")
    assert (data, degraded) == ({"name": "User 1"}, [(["name"], "users", 9)])


async def test_nothing_that_is_absent_falls_back(shop: Shop) -> None:
    """What does not exist is null: that is an answer."""
    shop.users.records.clear()
    data, codes, degraded = await show(shop, "{ name }")
    assert (data, codes, degraded) == ({"name": None}, [], [])
