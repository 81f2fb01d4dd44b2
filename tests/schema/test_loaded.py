"""Loaded fields: a list is shown without what failed of it, and `errors` is told."""

from datasources.errors import BadAnswer, BreakerOpen
from tests.schema.shop import Shop

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
