"""Queries: which data a viewer sees, in each variant."""

from typing import Any

import pytest

from bff.upstream.errors import NotReached
from bff.upstream.ids import read_integer
from tests.support.shop import NO_IDS, Shop, order, product

EVERYWHERE = ("web", "mobile", "admin")
FOR_CLIENTS = ("web", "mobile")

# me


@pytest.mark.parametrize("variant", EVERYWHERE)
async def test_me_is_the_signed_in_user(shop: Shop, variant: str) -> None:
    """The user whose id is the token's `sub`."""
    answer = await shop.ask(variant, "{ me { id email } }", sub="2")
    assert (answer.data, answer.codes) == ({"me": {"id": "2", "email": "u2@example.com"}}, {})


@pytest.mark.parametrize("variant", FOR_CLIENTS)
async def test_me_is_null_for_anonymous_requests(shop: Shop, variant: str) -> None:
    """Without an error and without a call."""
    answer = await shop.ask(variant, "{ me { id } }")
    assert (answer.data, answer.codes, shop.calls) == ({"me": None}, {}, [])


@pytest.mark.parametrize("variant", EVERYWHERE)
@pytest.mark.parametrize("sub", ["service-account", "404", *NO_IDS])
async def test_me_is_null_for_a_viewer_who_is_not_a_user(shop: Shop, variant: str, sub: str) -> None:
    """A `sub` may be any string. If it is not the id of a user, `me` is null without an error."""
    answer = await shop.ask(variant, "{ me { id } }", sub=sub)
    assert (answer.data, answer.codes) == ({"me": None}, {})


# user


_USER = "query ($id: ID!) { user(id: $id) { id } }"


@pytest.mark.parametrize("variant", EVERYWHERE)
async def test_a_user_may_read_itself(shop: Shop, variant: str) -> None:
    """In every variant."""
    answer = await shop.ask(variant, _USER, {"id": "1"}, sub="1")
    assert (answer.data, answer.codes) == ({"user": {"id": "1"}}, {})


@pytest.mark.parametrize("variant", FOR_CLIENTS)
@pytest.mark.parametrize(
    ("sub", "id"),
    [*(("1", each) for each in ("2", "404", "01", "abc", "", "1 ")), ("service-account", "abc"), ("01", "1"), ("01", "001")],
)
async def test_another_user_is_forbidden(shop: Shop, variant: str, sub: str, id: str) -> None:
    """Also if the user does not exist or the id is invalid, so that the error does not reveal it. No call is made."""
    answer = await shop.ask(variant, _USER, {"id": id}, sub=sub)
    assert (answer.data, answer.codes, shop.calls) == ({"user": None}, {"user": "FORBIDDEN"}, [])


@pytest.mark.parametrize("variant", FOR_CLIENTS)
@pytest.mark.parametrize("id", ["1", "404", "abc"])
async def test_reading_a_user_requires_signing_in(shop: Shop, variant: str, id: str) -> None:
    """An anonymous request gets UNAUTHENTICATED, and no call is made."""
    answer = await shop.ask(variant, _USER, {"id": id})
    assert (answer.data, answer.codes, shop.calls) == ({"user": None}, {"user": "UNAUTHENTICATED"}, [])


@pytest.mark.parametrize("variant", FOR_CLIENTS)
@pytest.mark.parametrize("sub", ["service-account", "01", "9" * 30])
async def test_a_viewer_who_is_not_a_user_reads_null(shop: Shop, variant: str, sub: str) -> None:
    """If the id is the viewer's own `sub` and can't be a user's id: without an error and without a call."""
    answer = await shop.ask(variant, _USER, {"id": sub}, sub=sub)
    assert (answer.data, answer.codes, shop.calls) == ({"user": None}, {}, [])


async def test_staff_see_every_user(shop: Shop) -> None:
    """By any id. A user who does not exist is null without an error."""
    query = '{ a: user(id: "2") { id } b: user(id: 3) { id } c: user(id: "404") { id } }'
    answer = await shop.ask("admin", query, sub="boss")
    assert (answer.data, answer.codes) == ({"a": {"id": "2"}, "b": {"id": "3"}, "c": None}, {})
    assert shop.users.calls == [("get_many", (2, 3, 404))]


@pytest.mark.parametrize("id", NO_IDS)
@pytest.mark.parametrize("field", ["user", "order", "product"])
async def test_an_invalid_id_is_null_without_a_call(shop: Shop, field: str, id: str) -> None:
    """It is never sent to a service."""
    answer = await shop.ask("admin", f"query ($id: ID!) {{ {field}(id: $id) {{ id }} }}", {"id": id}, sub="1")
    assert (answer.data, answer.codes, shop.calls) == ({field: None}, {}, [])


@pytest.mark.parametrize("id", NO_IDS)
def test_text_that_is_not_a_canonical_integer_is_not_an_id(id: str) -> None:
    """Each id has one spelling, so that two texts are never the same key."""
    assert read_integer(id) is None


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("10", 10), ("9" * 18, 10**18 - 1)])
def test_a_positive_integer_is_an_id(text: str, number: int) -> None:
    """Of at most eighteen digits, so that it fits in 64 bits."""
    assert read_integer(text) == number


# order


_ORDER = "query ($id: ID!) { order(id: $id) { id } }"


@pytest.mark.parametrize("variant", EVERYWHERE)
async def test_a_user_may_read_its_own_order(shop: Shop, variant: str) -> None:
    """In every variant."""
    answer = await shop.ask(variant, _ORDER, {"id": "1"}, sub="1")
    assert (answer.data, answer.codes) == ({"order": {"id": "1"}}, {})


@pytest.mark.parametrize("variant", FOR_CLIENTS)
@pytest.mark.parametrize("sub", ["1", "service-account", "404", "03"])
async def test_another_users_order_is_null_like_a_missing_one(shop: Shop, variant: str, sub: str) -> None:
    """Without an error, so that the result does not reveal which orders exist."""
    another = await shop.ask(variant, _ORDER, {"id": "3"}, sub=sub)
    missing = await shop.ask(variant, _ORDER, {"id": "404"}, sub=sub)
    assert (another.data, another.codes) == (missing.data, missing.codes) == ({"order": None}, {})


@pytest.mark.parametrize("variant", FOR_CLIENTS)
async def test_the_fields_of_another_users_order_are_not_loaded(shop: Shop, variant: str) -> None:
    """There is no call to products."""
    answer = await shop.ask(variant, '{ order(id: "3") { id items { product { id } } } }', sub="1")
    assert answer.data == {"order": None}
    assert shop.products.calls == []


@pytest.mark.parametrize("variant", FOR_CLIENTS)
@pytest.mark.parametrize("id", ["1", "404", "abc"])
async def test_reading_an_order_requires_signing_in(shop: Shop, variant: str, id: str) -> None:
    """An anonymous request gets UNAUTHENTICATED, and no call is made."""
    answer = await shop.ask(variant, _ORDER, {"id": id})
    assert (answer.data, answer.codes, shop.calls) == ({"order": None}, {"order": "UNAUTHENTICATED"}, [])


async def test_staff_see_every_order(shop: Shop) -> None:
    """Of any user, and with the user."""
    answer = await shop.ask("admin", '{ order(id: "3") { id user { id } } }', sub="boss")
    assert (answer.data, answer.codes) == ({"order": {"id": "3", "user": {"id": "2"}}}, {})


async def test_an_order_whose_call_fails_is_an_error(shop: Shop) -> None:
    """A failure is not shown as a missing order."""
    shop.orders.failure = NotReached("orders", sent=False)
    answer = await shop.ask("web", _ORDER, {"id": "1"}, sub="1")
    assert (answer.data, answer.codes) == ({"order": None}, {"order": "UPSTREAM_UNAVAILABLE"})


# products


@pytest.mark.parametrize("variant", FOR_CLIENTS)
async def test_products_need_no_signing_in(shop: Shop, variant: str) -> None:
    """Anonymous requests read them."""
    answer = await shop.ask(variant, '{ product(id: "1") { id } products(first: 2) { nodes { id } } }')
    assert (answer.data, answer.codes) == ({"product": {"id": "1"}, "products": {"nodes": [{"id": "1"}, {"id": "2"}]}}, {})


async def test_a_product_that_does_not_exist_is_null(shop: Shop) -> None:
    """Without an error."""
    answer = await shop.ask("web", '{ product(id: "404") { id } }')
    assert (answer.data, answer.codes) == ({"product": None}, {})


async def test_products_are_searched_by_name_and_category(shop: Shop) -> None:
    """Both filters are sent to the service unchanged. Null is like omitted."""
    shop.products.records[12] = product(12, category="books")
    query = "query ($s: String, $c: String) { products(search: $s, category: $c) { totalCount nodes { id } } }"
    answer = await shop.ask("web", query, {"s": "DUCT 1", "c": "toys"})
    assert answer.data == {"products": {"totalCount": 3, "nodes": [{"id": "1"}, {"id": "10"}, {"id": "11"}]}}
    answer = await shop.ask("web", query, {"s": None, "c": "books"})
    assert answer.data == {"products": {"totalCount": 1, "nodes": [{"id": "12"}]}}
    assert [call[3] for call in shop.products.calls] == [
        {"search": "DUCT 1", "category": "toys"},
        {"search": None, "category": "books"},
    ]


# Connections


_WALK = """
query ($first: Int, $after: String) {
  products(first: $first, after: $after) {
    totalCount
    nodes { id }
    edges { cursor node { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""


async def test_a_connection_follows_the_relay_specification(shop: Shop) -> None:
    """Edges, nodes and pageInfo agree. `endCursor` as `after` gives the rest."""
    first = (await shop.ask("web", _WALK, {"first": 5})).data["products"]
    assert [edge["node"] for edge in first["edges"]] == first["nodes"] == [{"id": str(number)} for number in range(1, 6)]
    assert first["totalCount"] == 12
    assert first["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": first["edges"][0]["cursor"],
        "endCursor": first["edges"][-1]["cursor"],
    }
    rest = (await shop.ask("web", _WALK, {"first": 50, "after": first["pageInfo"]["endCursor"]})).data["products"]
    assert rest["nodes"] == [{"id": str(number)} for number in range(6, 13)]
    assert (rest["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasPreviousPage"]) == (False, True)


async def test_an_empty_connection_has_no_cursors(shop: Shop) -> None:
    """`startCursor` and `endCursor` are null."""
    shop.products.records = {}
    assert (await shop.ask("web", _WALK)).data["products"] == {
        "totalCount": 0,
        "nodes": [],
        "edges": [],
        "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
    }


@pytest.mark.parametrize("after", ["", "junk", "W251bGwsMV0!", "WyJub25lIiwxXQ"])
@pytest.mark.parametrize("field", ["users", "orders", "products"])
async def test_an_invalid_cursor_is_bad_user_input(shop: Shop, field: str, after: str) -> None:
    """Text that can't be decoded, and a decodable cursor that the service refuses."""
    query = f"query ($after: String) {{ {field}(after: $after) {{ totalCount }} }}"
    answer = await shop.ask("admin", query, {"after": after}, sub="1")
    assert (answer.data, answer.codes) == ({field: None}, {field: "BAD_USER_INPUT"})


async def test_two_aliases_of_a_connection_share_a_call(shop: Shop) -> None:
    """If their arguments are the same."""
    await shop.ask("web", "{ a: products(first: 3) { totalCount } b: products(first: 3) { nodes { id } } }")
    assert len(shop.products.calls) == 1


async def test_staff_list_users_and_orders(shop: Shop) -> None:
    """Users by id; orders by status, newest first, with their users in one call."""
    query = "{ users { nodes { id } } orders(status: PENDING, first: 3) { totalCount nodes { id user { id } } } }"
    answer = await shop.ask("admin", query, sub="boss")
    assert answer.data == {
        "users": {"nodes": [{"id": "1"}, {"id": "2"}, {"id": "3"}]},
        "orders": {
            "totalCount": 5,
            "nodes": [
                {"id": "5", "user": {"id": "1"}},
                {"id": "4", "user": {"id": "1"}},
                {"id": "3", "user": {"id": "2"}},
            ],
        },
    }
    assert shop.orders.calls == [("page", 3, None, {"status": "pending"})]


# home


_HOME = "{ home { user { id } recentOrders { id } products { id } } }"
_FIRST_TEN = [{"id": str(number)} for number in range(1, 11)]


async def test_home_is_the_first_screen(shop: Shop) -> None:
    """The viewer, the three newest orders and the first ten products."""
    answer = await shop.ask("mobile", _HOME, sub="1")
    orders = [{"id": "5"}, {"id": "4"}, {"id": "2"}]
    assert answer.data == {"home": {"user": {"id": "1"}, "recentOrders": orders, "products": _FIRST_TEN}}
    assert answer.codes == {}
    assert shop.calls == [
        ("get_many", (1,)),
        ("of_users", (1,), 3, None),
        ("page", 10, None, {"search": None, "category": None}),
    ]


@pytest.mark.parametrize("sub", [None, "service-account"])
async def test_home_without_a_user_shows_products(shop: Shop, sub: str | None) -> None:
    """User and orders are null without an error and without a call."""
    answer = await shop.ask("mobile", _HOME, sub=sub)
    assert answer.data == {"home": {"user": None, "recentOrders": None, "products": _FIRST_TEN}}
    assert (answer.codes, shop.users.calls, shop.orders.calls) == ({}, [], [])


async def test_home_of_a_user_without_orders(shop: Shop) -> None:
    """`recentOrders` is an empty list and not null."""
    answer = await shop.ask("mobile", "{ home { recentOrders { id } } }", sub="3")
    assert answer.data == {"home": {"recentOrders": []}}


@pytest.mark.parametrize(
    ("source", "lost"), [("users", "home.user"), ("orders", "home.recentOrders"), ("products", "home.products")]
)
async def test_each_part_of_home_fails_separately(shop: Shop, source: str, lost: str) -> None:
    """If one service fails, only its own part is null."""
    getattr(shop, source).failure = NotReached(source, sent=False)
    answer = await shop.ask("mobile", _HOME, sub="1")
    assert answer.codes == {lost: "UPSTREAM_UNAVAILABLE"}
    assert [name for name, value in answer.data["home"].items() if value is None] == [lost.removeprefix("home.")]


# sources


async def test_sources_show_breakers_and_instances_and_no_addresses(shop: Shop) -> None:
    """In the order of the application's sources, without a call."""
    query = "{ sources { name breaker forced instances { number healthy weight state } } }"
    answer = await shop.ask("admin", query, sub="boss")
    instances = [
        {"number": 1, "healthy": True, "weight": 9, "state": "IN"},
        {"number": 2, "healthy": False, "weight": 1, "state": "EJECTED"},
    ]
    assert answer.data["sources"] == [
        {"name": name, "breaker": "HALF_OPEN", "forced": False, "instances": instances}
        for name in ("users", "orders", "products")
    ]
    assert shop.calls == []


# Whole queries


@pytest.mark.parametrize("variant", EVERYWHERE)
async def test_a_user_with_orders_is_two_calls_in_every_variant(shop: Shop, variant: str) -> None:
    """In web and mobile for the viewer itself, in admin for any administrator."""
    query = '{ user(id: "1") { id email name orders { id total status } } }'
    answer = await shop.ask(variant, query, sub="boss" if variant == "admin" else "1")
    assert answer.codes == {}
    assert answer.data["user"] == {
        "id": "1",
        "email": "u1@example.com",
        "name": "User 1",
        "orders": [{"id": each, "total": 5.0, "status": "PENDING"} for each in ("5", "4", "2", "1")],
    }
    assert len(shop.calls) == 2


async def test_nested_relations_make_one_call_for_each_level(shop: Shop) -> None:
    """However many objects a level has, each service gets one call for it."""
    shop.orders.records |= {number: order(number, number % 3 + 1, [(number % 12 + 1, 1, 1.0)]) for number in range(6, 60)}
    query = (
        "{ orders(first: 50) { nodes { user { orders(first: 3) { items { product { id } } } } items { product { id } } } } }"
    )
    answer: Any = await shop.ask("admin", query, sub="boss")
    assert len(answer.data["orders"]["nodes"]) == 50
    assert [call[0] for call in shop.orders.calls] == ["page", "of_users"]
    assert len(shop.users.calls) == 1
    asked = [key for call in shop.products.calls for key in call[1]]
    assert len(asked) == len(set(asked))
    assert len(shop.products.calls) <= 2
