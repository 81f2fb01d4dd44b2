"""Whole pages, and the number of calls to the services that they take."""

import pytest

from tests.support.gateways import RunningGateway
from tests.support.services import Tapped

ACCOUNT = """
query Account($id: ID!) {
  user(id: $id) { id name email orders(first: 10) {
    id total status items { quantity unitPrice product { id name price } } } }
}
"""


@pytest.mark.parametrize("variant", ["web", "mobile", "admin"])
def test_the_original_query_runs_on_every_variant(gateway: RunningGateway, variant: str) -> None:
    """Unchanged, as the signed-in user."""
    answer = gateway.ask(variant, '{ user(id: "1") { id email name orders { id total status } } }', sub="1", role="admin")
    assert "errors" not in answer
    user = answer["data"]["user"]
    assert list(user) == ["id", "email", "name", "orders"]
    assert (user["id"], user["email"], user["name"]) == ("1", "user1@example.com", "User 1")
    assert [order["id"] for order in user["orders"]] == [str(o) for o in range(9001, 0, -1000)]
    assert user["orders"][-1] == {"id": "1", "total": 317.3, "status": "PAID"}


def test_account_page_takes_three_calls(gateway: RunningGateway, services: Tapped) -> None:
    """One call to each service, for any number of orders."""
    answer = gateway.ask("web", ACCOUNT, {"id": "1"}, sub="1")
    assert "errors" not in answer
    assert len(answer["data"]["user"]["orders"]) == 10
    assert all(item["product"] for order in answer["data"]["user"]["orders"] for item in order["items"])
    assert services.count() == {"users": 1, "orders": 1, "products": 1}


def test_a_hundred_orders_with_their_users_take_two_calls(gateway: RunningGateway, services: Tapped) -> None:
    """A page of orders, and one batch for all of their users."""
    answer = gateway.ask("admin", "{ orders(first: 100) { nodes { id user { id name } } } }")
    nodes = answer["data"]["orders"]["nodes"]
    assert [node["user"]["id"] for node in nodes] == [str((int(node["id"]) - 1) % 1000 + 1) for node in nodes]
    assert len(nodes) == 100
    assert services.count() == {"orders": 1, "users": 1}


def test_aliases_are_one_call(gateway: RunningGateway, services: Tapped) -> None:
    """One object with two aliases is loaded once, and the keys of one turn are one call."""
    query = '{ a: product(id: "7") { name } b: product(id: "7") { price } c: product(id: "8") { name } }'
    answer = gateway.ask("web", query)
    assert answer["data"]["a"]["name"] == "Product 7"
    assert answer["data"]["c"]["name"] == "Product 8"
    assert [target for _, _, target in services.calls] == ["/products?ids=7,8"]


def test_one_object_on_two_levels_is_loaded_once(gateway: RunningGateway, services: Tapped) -> None:
    """An object that was loaded for one level is not loaded for another."""
    answer = gateway.ask("web", '{ user(id: "1") { name orders(first: 2) { user { email } } } }', sub="1")
    assert answer["data"]["user"]["orders"][1]["user"] == {"email": "user1@example.com"}
    assert services.count() == {"users": 1, "orders": 1}


def test_equal_connections_are_one_call(gateway: RunningGateway, services: Tapped) -> None:
    """The same page of a list with two aliases is loaded once."""
    gateway.ask("web", "{ a: products(first: 3) { nodes { id } } b: products(first: 3) { totalCount } }")
    assert services.count() == {"products": 1}


def test_missing_keys_are_null_without_error(gateway: RunningGateway) -> None:
    """Alone or in a batch. So is an id that no service can have."""
    answer = gateway.ask(
        "admin", '{ a: user(id: "0") { id } b: user(id: "2") { id } c: user(id: "5000") { id } d: product(id: "x") { id } }'
    )
    assert answer == {"data": {"a": None, "b": {"id": "2"}, "c": None, "d": None}}


def test_home_is_one_round_trip(gateway: RunningGateway, services: Tapped) -> None:
    """The mobile app's first screen: three concurrent calls for a signed-in user, one for the catalogue without."""
    query = "{ home { user { name } recentOrders { id itemCount } products { id imageUrl } } }"
    home = gateway.ask("mobile", query, sub="1")["data"]["home"]
    assert home["user"] == {"name": "User 1"}
    assert [order["id"] for order in home["recentOrders"]] == ["9001", "8001", "7001"]
    assert [order["itemCount"] for order in home["recentOrders"]] == [
        sum((o + k) % 3 + 1 for k in range(o % 4 + 1)) for o in (9001, 8001, 7001)
    ]
    assert [product["id"] for product in home["products"]] == [str(i) for i in range(1, 11)]
    assert home["products"][0]["imageUrl"] == "https://cdn.example.com/products/1.jpg?w=320"
    assert services.count() == {"users": 1, "orders": 1, "products": 1}
    anonymous = gateway.ask("mobile", query)
    assert "errors" not in anonymous
    assert anonymous["data"]["home"]["user"] is None
    assert anonymous["data"]["home"]["recentOrders"] is None
    assert len(anonymous["data"]["home"]["products"]) == 10


def test_connections_continue_from_any_edge(gateway: RunningGateway) -> None:
    """Each edge's cursor works as `after`, across the ends of the services' pages, until the end."""
    query = """query ($after: String) { products(first: 7, after: $after, search: "1", category: "toys") {
        totalCount edges { cursor node { id } } pageInfo { hasNextPage endCursor } } }"""
    wanted = [str(p) for p in range(1, 501) if "1" in str(p) and p % 5 == 4]
    seen: list[str] = []
    after, more, total = None, True, None
    while more:
        page = gateway.ask("web", query, {"after": after})["data"]["products"]
        for edge in page["edges"]:
            seen.append(edge["node"]["id"])
            resumed = gateway.ask("web", query, {"after": edge["cursor"]})["data"]["products"]["edges"]
            assert [each["node"]["id"] for each in resumed] == wanted[len(seen) : len(seen) + 7]
        total, more, after = page["totalCount"], page["pageInfo"]["hasNextPage"], page["pageInfo"]["endCursor"]
    assert seen == wanted
    assert total == len(wanted)


@pytest.mark.parametrize("first", [0, -1, 101])
def test_first_out_of_range_is_bad_input(gateway: RunningGateway, services: Tapped, first: int) -> None:
    """`first` is 1 to 100. Any other value is BAD_USER_INPUT, before any call."""
    answer = gateway.ask("web", f"{{ products(first: {first}) {{ totalCount }} }}")
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert answer["errors"][0]["path"] == ["products"]
    assert services.calls == []


def test_a_filter_too_long_is_bad_input(gateway: RunningGateway, services: Tapped) -> None:
    """A search that is too long for a URL is BAD_USER_INPUT, before any call. One that just fits is sent."""
    query = "query ($text: String) { products(search: $text) { totalCount } }"
    answer = gateway.ask("web", query, {"text": "ü" * 501})
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert "500" in answer["errors"][0]["message"]
    assert services.calls == []
    assert gateway.ask("web", query, {"text": "ü" * 500}) == {"data": {"products": {"totalCount": 0}}}


def test_an_invalid_cursor_is_bad_input(gateway: RunningGateway) -> None:
    """Whether the gateway notices it or only the service."""
    for after in ("nonsense", "WyJtYWRlLXVwIiwwXQ"):
        answer = gateway.ask("web", "query ($after: String) { products(after: $after) { totalCount } }", {"after": after})
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


def test_an_operation_can_be_explained_where_graphiql_is_served(dev_gateway: RunningGateway) -> None:
    """The calls are listed, and none is made."""
    body = {"query": ACCOUNT, "variables": {"id": "1"}, "extensions": {"explain": True}}
    answer = dev_gateway.http.post(f"{dev_gateway.url}/web/graphql", json=body).json()
    assert answer["data"] is None
    result = answer["extensions"]["explain"]
    assert [[asked["source"] for asked in wave] for wave in result["waves"]] == [["users", "orders"], ["products"]]
    assert result["text"].startswith("query Account: 2 waves, at most 3 calls\n")
    refused = dev_gateway.http.post(f"{dev_gateway.url}/web/graphql", json={**body, "variables": {}}).json()
    assert refused["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


def test_in_production_operations_are_not_explained(gateway: RunningGateway) -> None:
    """The gateway doesn't reveal its services."""
    body = {"query": "{ __typename }", "extensions": {"explain": True}}
    answer = gateway.http.post(f"{gateway.url}/web/graphql", json=body).json()
    assert answer == {"data": {"__typename": "Query"}}
