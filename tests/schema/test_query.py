"""The root of reading: who sees what, on each of the variants."""

from typing import Any

import pytest

from bff.upstream.errors import NotReached
from bff.upstream.ids import read_integer
from tests.support.shop import NO_IDS, Shop, order, product

EVERYWHERE = ("web", "mobile", "admin")
FOR_CLIENTS = ("web", "mobile")

# me


@pytest.mark.parametrize("variant", EVERYWHERE)
async def test_me_is_whoever_is_signed_in(shop: Shop, variant: str) -> None:
    """By the token's `sub`."""
    answer = await shop.ask(variant, "{ me { id email } }", sub="2")
    assert (answer.data, answer.codes) == ({"me": {"id": "2", "email": "u2@example.com"}}, {})


@pytest.mark.parametrize("variant", FOR_CLIENTS)
async def test_me_is_null_when_nobody_is_signed_in(shop: Shop, variant: str) -> None:
    """Without error, and without a call."""
    answer = await shop.ask(variant, "{ me { id } }")
    assert (answer.data, answer.codes, shop.calls) == ({"me": None}, {}, [])


@pytest.mark.parametrize("variant", EVERYWHERE)
@pytest.mark.parametrize("sub", ["service-account", "404", *NO_IDS])
async def test_a_viewer_who_is_no_user_has_no_me(shop: Shop, variant: str, sub: str) -> None:
    """A `sub` may be any string: one that is no user's id is a viewer without a user, and no error."""
    answer = await shop.ask(variant, "{ me { id } }", sub=sub)
    assert (answer.data, answer.codes) == ({"me": None}, {})


# user


_USER = "query ($id: ID!) { user(id: $id) { id } }"


@pytest.mark.parametrize("variant", EVERYWHERE)
async def test_everybody_sees_oneself(shop: Shop, variant: str) -> None:
    """On every variant."""
    answer = await shop.ask(variant, _USER, {"id": "1"}, sub="1")
    assert (answer.data, answer.codes) == ({"user": {"id": "1"}}, {})


@pytest.mark.parametrize("variant", FOR_CLIENTS)
@pytest.mark.parametrize(
    ("sub", "id"),
    [*(("1", each) for each in ("2", "404", "01", "abc", "", "1 ")), ("service-account", "abc"), ("01", "1"), ("01", "001")],
)
async def test_another_user_is_forbidden(shop: Shop, variant: str, sub: str, id: str) -> None:
    """Whether there is one or not, and whether either is an id or not: who is there is not told. Nothing is asked."""
    answer = await shop.ask(variant, _USER, {"id": id}, sub=sub)
    assert (answer.data, answer.codes, shop.calls) == ({"user": None}, {"user": "FORBIDDEN"}, [])


@pytest.mark.parametrize("variant", FOR_CLIENTS)
@pytest.mark.parametrize("id", ["1", "404", "abc"])
async def test_a_user_needs_somebody_signed_in(shop: Shop, variant: str, id: str) -> None:
    """Nobody sees any user, and is told to sign in."""
    answer = await shop.ask(variant, _USER, {"id": id})
    assert (answer.data, answer.codes, shop.calls) == ({"user": None}, {"user": "UNAUTHENTICATED"}, [])


@pytest.mark.parametrize("variant", FOR_CLIENTS)
@pytest.mark.parametrize("sub", ["service-account", "01", "9" * 30])
async def test_oneself_who_is_no_user_is_null(shop: Shop, variant: str, sub: str) -> None:
    """Whoever asks for himself by a `sub` that no service can know finds nobody, without error and without a call."""
    answer = await shop.ask(variant, _USER, {"id": sub}, sub=sub)
    assert (answer.data, answer.codes, shop.calls) == ({"user": None}, {}, [])


async def test_staff_see_every_user(shop: Shop) -> None:
    """By any id, and who does not exist is null without error."""
    query = '{ a: user(id: "2") { id } b: user(id: 3) { id } c: user(id: "404") { id } }'
    answer = await shop.ask("admin", query, sub="boss")
    assert (answer.data, answer.codes) == ({"a": {"id": "2"}, "b": {"id": "3"}, "c": None}, {})
    assert shop.users.calls == [("get_many", (2, 3, 404))]


@pytest.mark.parametrize("id", NO_IDS)
@pytest.mark.parametrize("field", ["user", "order", "product"])
async def test_what_is_no_id_is_null_and_goes_nowhere(shop: Shop, field: str, id: str) -> None:
    """No service could have given it, so nothing has it: null without error, and it never becomes part of a URL."""
    answer = await shop.ask("admin", f"query ($id: ID!) {{ {field}(id: $id) {{ id }} }}", {"id": id}, sub="1")
    assert (answer.data, answer.codes, shop.calls) == ({field: None}, {}, [])


@pytest.mark.parametrize("id", NO_IDS)
def test_an_id_takes_only_what_a_service_gives(id: str) -> None:
    """One way to write each id: else two strings would be one key here and two elsewhere."""
    assert read_integer(id) is None


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("10", 10), ("9" * 18, 10**18 - 1)])
def test_an_id_takes_plain_numbers(text: str, number: int) -> None:
    """Of up to eighteen digits, which any service's integers hold."""
    assert read_integer(text) == number


# order


_ORDER = "query ($id: ID!) { order(id: $id) { id } }"


@pytest.mark.parametrize("variant", EVERYWHERE)
async def test_everybody_sees_one_s_own_order(shop: Shop, variant: str) -> None:
    """On every variant."""
    answer = await shop.ask(variant, _ORDER, {"id": "1"}, sub="1")
    assert (answer.data, answer.codes) == ({"order": {"id": "1"}}, {})


@pytest.mark.parametrize("variant", FOR_CLIENTS)
@pytest.mark.parametrize("sub", ["1", "service-account", "404", "03"])
async def test_another_s_order_is_as_one_that_does_not_exist(shop: Shop, variant: str, sub: str) -> None:
    """Null without error, both: what others have ordered can't be found out by trying."""
    another = await shop.ask(variant, _ORDER, {"id": "3"}, sub=sub)
    missing = await shop.ask(variant, _ORDER, {"id": "404"}, sub=sub)
    assert (another.data, another.codes) == (missing.data, missing.codes) == ({"order": None}, {})


@pytest.mark.parametrize("variant", FOR_CLIENTS)
async def test_another_s_order_shows_nothing_inside(shop: Shop, variant: str) -> None:
    """Nothing behind it is loaded either."""
    answer = await shop.ask(variant, '{ order(id: "3") { id items { product { id } } } }', sub="1")
    assert answer.data == {"order": None}
    assert shop.products.calls == []


@pytest.mark.parametrize("variant", FOR_CLIENTS)
@pytest.mark.parametrize("id", ["1", "404", "abc"])
async def test_an_order_needs_somebody_signed_in(shop: Shop, variant: str, id: str) -> None:
    """Nobody sees any order, and is told to sign in; nothing is asked."""
    answer = await shop.ask(variant, _ORDER, {"id": id})
    assert (answer.data, answer.codes, shop.calls) == ({"order": None}, {"order": "UNAUTHENTICATED"}, [])


async def test_staff_see_every_order(shop: Shop) -> None:
    """Whosever it is; with its user."""
    answer = await shop.ask("admin", '{ order(id: "3") { id user { id } } }', sub="boss")
    assert (answer.data, answer.codes) == ({"order": {"id": "3", "user": {"id": "2"}}}, {})


async def test_an_order_that_could_not_be_read_is_an_error(shop: Shop) -> None:
    """A failure is told as one, not as absence."""
    shop.orders.failure = NotReached("orders", sent=False)
    answer = await shop.ask("web", _ORDER, {"id": "1"}, sub="1")
    assert (answer.data, answer.codes) == ({"order": None}, {"order": "UPSTREAM_UNAVAILABLE"})


# products


@pytest.mark.parametrize("variant", FOR_CLIENTS)
async def test_products_are_for_everybody(shop: Shop, variant: str) -> None:
    """Nobody need sign in to look at the shop."""
    answer = await shop.ask(variant, '{ product(id: "1") { id } products(first: 2) { nodes { id } } }')
    assert (answer.data, answer.codes) == ({"product": {"id": "1"}, "products": {"nodes": [{"id": "1"}, {"id": "2"}]}}, {})


async def test_a_product_that_does_not_exist_is_null(shop: Shop) -> None:
    """Without error."""
    answer = await shop.ask("web", '{ product(id: "404") { id } }')
    assert (answer.data, answer.codes) == ({"product": None}, {})


async def test_products_are_searched_by_name_and_category(shop: Shop) -> None:
    """Both filters go to the service as they are; null is as left out."""
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


async def test_a_connection_is_as_relay_has_it(shop: Shop) -> None:
    """Edges, nodes and pageInfo tell the same; `endCursor` leads on to the end."""
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
    """Nothing to begin or to go on from."""
    shop.products.records = {}
    assert (await shop.ask("web", _WALK)).data["products"] == {
        "totalCount": 0,
        "nodes": [],
        "edges": [],
        "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
    }


@pytest.mark.parametrize("after", ["", "junk", "W251bGwsMV0!", "WyJub25lIiwxXQ"])
@pytest.mark.parametrize("field", ["users", "orders", "products"])
async def test_an_after_that_is_no_cursor_is_bad_user_input(shop: Shop, field: str, after: str) -> None:
    """Junk, and what is of our making but that the service does not know."""
    query = f"query ($after: String) {{ {field}(after: $after) {{ totalCount }} }}"
    answer = await shop.ask("admin", query, {"after": after}, sub="1")
    assert (answer.data, answer.codes) == ({field: None}, {field: "BAD_USER_INPUT"})


async def test_the_same_connection_asked_for_twice_is_one_call(shop: Shop) -> None:
    """Aliases of one question share its answer."""
    await shop.ask("web", "{ a: products(first: 3) { totalCount } b: products(first: 3) { nodes { id } } }")
    assert len(shop.products.calls) == 1


async def test_staff_list_users_and_orders(shop: Shop) -> None:
    """Users by id, orders from the newest on, by status where one is named; their users are one call."""
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
    """Oneself, the three newest orders, the first ten products."""
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
async def test_home_without_a_user_shows_the_shop(shop: Shop, sub: str | None) -> None:
    """User and orders are null without error, and not asked for."""
    answer = await shop.ask("mobile", _HOME, sub=sub)
    assert answer.data == {"home": {"user": None, "recentOrders": None, "products": _FIRST_TEN}}
    assert (answer.codes, shop.users.calls, shop.orders.calls) == ({}, [], [])


async def test_home_of_a_user_who_has_ordered_nothing(shop: Shop) -> None:
    """An empty list is not null: somebody is signed in."""
    answer = await shop.ask("mobile", "{ home { recentOrders { id } } }", sub="3")
    assert answer.data == {"home": {"recentOrders": []}}


@pytest.mark.parametrize(
    ("source", "lost"), [("users", "home.user"), ("orders", "home.recentOrders"), ("products", "home.products")]
)
async def test_a_part_of_home_is_lost_by_itself(shop: Shop, source: str, lost: str) -> None:
    """One service's failure costs its own part of the screen."""
    getattr(shop, source).failure = NotReached(source, sent=False)
    answer = await shop.ask("mobile", _HOME, sub="1")
    assert answer.codes == {lost: "UPSTREAM_UNAVAILABLE"}
    assert [name for name, value in answer.data["home"].items() if value is None] == [lost.removeprefix("home.")]


# sources


async def test_sources_show_breakers_and_instances_and_no_addresses(shop: Shop) -> None:
    """The gateway's own view, in the order of the settings, without a call."""
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


# The whole


@pytest.mark.parametrize("variant", EVERYWHERE)
async def test_the_brief_s_own_query_runs_everywhere(shop: Shop, variant: str) -> None:
    """Word for word: on web and mobile as oneself, on admin as any administrator. Two calls."""
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


async def test_a_page_of_relations_is_one_call_a_level(shop: Shop) -> None:
    """However many objects a level has, each service is asked once for it."""
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
