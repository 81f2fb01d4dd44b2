"""Mutations: who may use them, the requests they send, their payloads, and that loaded data are forgotten after them."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.graph.writes import own_key, path_of
from bff.upstream.errors import BadAnswer, BreakerOpen, Busy, SourceError, TimedOut
from bff.upstream.events import BreakerState
from datasources.orders import Orders
from tests.support.shop import NO_IDS, Answer, Shop, order, product, rejected

FOR_CLIENTS = ("web", "mobile")

PLACE = """
mutation ($input: PlaceOrderInput!) {
  placeOrder(input: $input) { order { id status items { quantity product { id } } } userErrors { field message code } }
}
"""
CANCEL = """
mutation ($id: ID!) { cancelOrder(id: $id) { order { id status } userErrors { field message code } } }
"""
PROFILE = """
mutation ($input: UpdateProfileInput!) {
  updateProfile(input: $input) { user { id name email } userErrors { field message code } }
}
"""
STATUS = """
mutation ($id: ID!, $status: OrderStatus!) {
  updateOrderStatus(id: $id, status: $status) { order { id status } userErrors { field message code } }
}
"""
PRODUCT = """
mutation ($id: ID!, $input: UpdateProductInput!) {
  updateProduct(id: $id, input: $input) { product { id name price stock } userErrors { field message code } }
}
"""
ITEMS = [{"productId": "1", "quantity": 2}]


async def place(shop: Shop, variant: str = "web", *, sub: str | None = "1", **members: Any) -> Answer:
    """Place an order of `ITEMS`, with the input changed by `members`."""
    return await shop.ask(variant, PLACE, {"input": {"items": ITEMS} | members}, sub=sub)


def keys(shop: Shop, kind: str = "place") -> list[str]:
    """The idempotency keys that the orders service got."""
    return [call[-1] for call in shop.orders.calls if call[0] == kind]


# placeOrder


@pytest.mark.parametrize("variant", FOR_CLIENTS)
async def test_an_order_is_placed_for_the_viewer(shop: Shop, variant: str) -> None:
    """With the given items. The payload has the new order and its relations."""
    items = [{"productId": "1", "quantity": 2}, {"productId": 7, "quantity": 1}]
    answer = await place(shop, variant, sub="2", items=items)
    shown = [{"quantity": 2, "product": {"id": "1"}}, {"quantity": 1, "product": {"id": "7"}}]
    assert answer.codes == {}
    assert answer.data["placeOrder"] == {"order": {"id": "6", "status": "PENDING", "items": shown}, "userErrors": []}
    ((kind, user_id, placed, _),) = shop.orders.calls
    assert (kind, user_id, placed) == ("place", 2, ((1, 2), (7, 1)))


@pytest.mark.parametrize("variant", FOR_CLIENTS)
@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (PLACE, {"input": {"items": ITEMS}}),
        (PROFILE, {"input": {"name": "Ann"}}),
        (CANCEL, {"id": "1"}),
        (CANCEL, {"id": "abc"}),
    ],
)
async def test_mutations_require_signing_in(shop: Shop, variant: str, query: str, variables: dict[str, Any]) -> None:
    """An anonymous request gets UNAUTHENTICATED, and no call is made."""
    answer = await shop.ask(variant, query, variables)
    assert answer.result.data is None
    assert list(answer.codes.values()) == ["UNAUTHENTICATED"]
    assert shop.calls == []


@pytest.mark.parametrize("sub", ["service-account", "01", "0", "9" * 30])
@pytest.mark.parametrize(("query", "input"), [(PLACE, {"items": ITEMS}), (PROFILE, {"name": "Ann"})])
async def test_a_viewer_who_is_not_a_user_may_not_order_or_change_a_profile(
    shop: Shop, sub: str, query: str, input: dict[str, Any]
) -> None:
    """The error is FORBIDDEN."""
    answer = await shop.ask("web", query, {"input": input}, sub=sub)
    assert answer.result.data is None
    assert list(answer.codes.values()) == ["FORBIDDEN"]
    assert shop.calls == []


@pytest.mark.parametrize("id", NO_IDS)
async def test_an_item_with_an_invalid_product_id_is_a_user_error(shop: Shop, id: str) -> None:
    """With the item's path. No order is placed."""
    items = [{"productId": "1", "quantity": 1}, {"productId": id, "quantity": 1}]
    answer = await place(shop, items=items)
    (error,) = answer.data["placeOrder"]["userErrors"]
    assert (error["field"], error["code"]) == (["items", "1", "productId"], "INVALID")
    assert answer.data["placeOrder"]["order"] is None
    assert shop.calls == []


async def test_an_empty_list_of_items_is_refused_by_the_service(shop: Shop) -> None:
    """It is sent, and the service's 422 becomes a user error."""
    shop.orders.refusal = rejected(422, ("items", "Expected at least one."))
    answer = await place(shop, items=[])
    assert answer.data["placeOrder"] == {
        "order": None,
        "userErrors": [{"field": ["items"], "message": "Expected at least one.", "code": "INVALID"}],
    }
    assert shop.orders.calls[0][2] == ()


async def test_at_most_50_user_errors_are_returned(shop: Shop) -> None:
    """Whether the gateway or the service finds them."""
    answer = await place(shop, items=[{"productId": "x", "quantity": 1}] * 200)
    assert len(answer.data["placeOrder"]["userErrors"]) == 50
    shop.orders.refusal = rejected(422, *[(f"items[{number}]", "Bad. " * 1000) for number in range(200)])
    errors = (await place(shop)).data["placeOrder"]["userErrors"]
    assert len(errors) == 50
    assert max(len(each["message"]) for each in errors) == 500


# Idempotency keys


async def test_the_same_key_of_the_same_viewer_is_the_same_key_upstream(shop: Shop) -> None:
    """So that the service executes the write once."""
    for _ in range(2):
        await place(shop, sub="1", idempotencyKey="mine")
    one, other = keys(shop)
    assert one == other


async def test_the_same_key_of_two_viewers_is_two_keys_upstream(shop: Shop) -> None:
    """Services store keys by path, without the viewer."""
    for sub in ("1", "2"):
        await place(shop, sub=sub, idempotencyKey="mine")
    one, other = keys(shop)
    assert one != other


async def test_different_keys_are_different_upstream(shop: Shop) -> None:
    """Even if they differ only in case or spaces."""
    for key in ("mine", "Mine", "mine "):
        await place(shop, idempotencyKey=key)
    assert len(set(keys(shop))) == 3


@pytest.mark.parametrize("members", [{}, {"idempotencyKey": None}])
async def test_without_a_client_key_each_order_gets_a_unique_one(shop: Shop, members: dict[str, Any]) -> None:
    """If it is omitted or null."""
    for _ in range(3):
        await place(shop, **members)
    assert len(set(keys(shop))) == 3
    assert all(keys(shop))


async def test_each_write_has_a_unique_key(shop: Shop) -> None:
    """Of cancelling, of changes of a status, a profile and a product."""
    for _ in range(2):
        await shop.ask("web", CANCEL, {"id": "1"}, sub="1")
        await shop.ask("admin", STATUS, {"id": "1", "status": "PAID"}, sub="boss")
        await shop.ask("web", PROFILE, {"input": {"name": "Ann"}}, sub="1")
        await shop.ask("admin", PRODUCT, {"id": "1", "input": {"stock": 1}}, sub="boss")
    writes = [call for call in shop.calls if call[0] in {"cancel", "update_status", "update"}]
    assert len({call[-1] for call in writes}) == len(writes) == 8


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_is_one_to_255_characters(shop: Shop, key: str) -> None:
    """Another length is a user error, and no order is placed."""
    payload = (await place(shop, idempotencyKey=key)).data["placeOrder"]
    assert payload == {
        "order": None,
        "userErrors": [{"field": ["idempotencyKey"], "message": "Expected 1 to 255 characters.", "code": "INVALID"}],
    }
    assert shop.calls == []


@pytest.mark.parametrize("key", ["x", "x" * 255, "\r\nX-Evil: 1", "ключ", "\x00", ":", "\U0001f600" * 255])
async def test_any_key_is_sent_as_hexadecimal_digits(shop: Shop, key: str) -> None:
    """So that every client's key is a valid header."""
    answer = await place(shop, idempotencyKey=key)
    assert answer.data["placeOrder"]["userErrors"] == []
    (upstream,) = keys(shop)
    assert upstream.isascii()
    assert upstream.isalnum()
    assert len(upstream) <= 128


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("1", ":x"), ("1:", "x")),
        (("1", "1:x"), ("1:1", "x")),
        (("1", "2:x"), ("12", ":x")),
        (("", "1:a"), ("1", "a")),
        (("1:1", "1"), ("1", "1:1")),
        (("\ud800", "x"), ("\ud801", "x")),
    ],
)
def test_the_viewer_and_the_key_are_separated_unambiguously(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Wherever the delimiter occurs, a viewer can't choose a key that equals another viewer's."""
    assert own_key(*one) != own_key(*other)


@given(
    st.tuples(st.text(":12", max_size=4), st.text(":12", max_size=4)),
    st.tuples(st.text(":12", max_size=4), st.text(":12", max_size=4)),
)
def test_own_keys_are_equal_only_for_the_same_viewer_and_key(one: tuple[str, str], other: tuple[str, str]) -> None:
    """For any texts."""
    assert (own_key(*one) == own_key(*other)) == (one == other)


# cancelOrder


@pytest.mark.parametrize(("variant", "sub", "id"), [("web", "1", "1"), ("mobile", "2", "3"), ("admin", "boss", "3")])
async def test_users_cancel_their_own_orders_and_staff_any(shop: Shop, variant: str, sub: str, id: str) -> None:
    """The payload has the order's new state."""
    answer = await shop.ask(variant, CANCEL, {"id": id}, sub=sub)
    assert answer.data["cancelOrder"] == {"order": {"id": id, "status": "CANCELLED"}, "userErrors": []}


@pytest.mark.parametrize("variant", FOR_CLIENTS)
@pytest.mark.parametrize("sub", ["1", "service-account", "03"])
async def test_another_users_order_is_not_found_like_a_missing_one(shop: Shop, variant: str, sub: str) -> None:
    """The responses are equal, and no write is sent."""
    another = await shop.ask(variant, CANCEL, {"id": "3"}, sub=sub)
    missing = await shop.ask(variant, CANCEL, {"id": "404"}, sub=sub)
    assert another.data == missing.data
    assert another.data["cancelOrder"]["order"] is None
    assert [each["code"] for each in another.data["cancelOrder"]["userErrors"]] == ["NOT_FOUND"]
    assert keys(shop, "cancel") == []
    assert shop.orders.records[3].status == "pending"


@pytest.mark.parametrize("variant", ["web", "mobile", "admin"])
@pytest.mark.parametrize("id", NO_IDS)
async def test_an_invalid_id_is_not_found(shop: Shop, variant: str, id: str) -> None:
    """Like a missing order. It is never sent to the service."""
    answer = await shop.ask(variant, CANCEL, {"id": id}, sub="1")
    errors = [{"field": ["id"], "message": "There is no such order.", "code": "NOT_FOUND"}]
    assert answer.data["cancelOrder"] == {"order": None, "userErrors": errors}
    assert shop.calls == []


async def test_an_order_whose_owner_is_unknown_is_not_cancelled(shop: Shop) -> None:
    """If the order can't be read, the field has an error and no write is sent."""
    shop.orders.failure = BreakerOpen("orders", 7)
    answer = await shop.ask("web", CANCEL, {"id": "1"}, sub="1")
    assert answer.result.data is None
    assert answer.codes == {"cancelOrder": "UPSTREAM_UNAVAILABLE"}
    assert keys(shop, "cancel") == []


# updateProfile


@pytest.mark.parametrize("variant", FOR_CLIENTS)
async def test_the_viewer_s_profile_is_changed(shop: Shop, variant: str) -> None:
    """Only the given members are sent. The payload has the changed user."""
    answer = await shop.ask(variant, PROFILE, {"input": {"email": "new@example.com"}}, sub="2")
    user = {"id": "2", "name": "User 2", "email": "new@example.com"}
    assert answer.data["updateProfile"] == {"user": user, "userErrors": []}
    ((kind, user_id, changes, _),) = shop.users.calls
    assert (kind, user_id, changes) == ("update", 2, {"email": "new@example.com"})


async def test_a_name_can_be_set_to_null(shop: Shop) -> None:
    """The name is nullable in the graph, so null is sent. The service decides whether to accept it."""
    answer = await shop.ask("web", PROFILE, {"input": {"name": None}}, sub="1")
    assert answer.data["updateProfile"]["user"]["name"] is None
    assert shop.users.calls[0][2] == {"name": None}


# Changes of users and products


@pytest.mark.parametrize(
    ("variant", "query", "variables", "message"),
    [
        ("web", PROFILE, {"input": {}}, "Expected at least one of name, email."),
        ("admin", PRODUCT, {"id": "1", "input": {}}, "Expected at least one of name, price, stock."),
    ],
)
async def test_an_empty_input_is_a_user_error(
    shop: Shop, variant: str, query: str, variables: dict[str, Any], message: str
) -> None:
    """No write is sent."""
    answer = await shop.ask(variant, query, variables, sub="1")
    (payload,) = answer.data.values()
    assert payload["userErrors"] == [{"field": None, "message": message, "code": "INVALID"}]
    assert shop.calls == []


@pytest.mark.parametrize(
    ("variant", "query", "input", "fields"),
    [
        ("web", PROFILE, {"email": None}, [["email"]]),
        ("web", PROFILE, {"email": None, "name": "Ann"}, [["email"]]),
        ("admin", PRODUCT, {"name": None}, [["name"]]),
        ("admin", PRODUCT, {"name": None, "price": None, "stock": None}, [["name"], ["price"], ["stock"]]),
    ],
)
async def test_null_for_a_required_member_is_a_user_error(
    shop: Shop, variant: str, query: str, input: dict[str, Any], fields: list[list[str]]
) -> None:
    """Each such member is named, and no write is sent."""
    answer = await shop.ask(variant, query, {"id": "1", "input": input}, sub="1")
    (payload,) = answer.data.values()
    assert [each["field"] for each in payload["userErrors"]] == fields
    assert {each["code"] for each in payload["userErrors"]} == {"INVALID"}
    assert shop.calls == []


@pytest.mark.parametrize("price", ["1e400", "-1e400"])
async def test_an_infinite_number_is_a_user_error(shop: Shop, price: str) -> None:
    """1e400 is a valid Float literal that JSON can't represent. It was once sent as null."""
    query = f'mutation {{ updateProduct(id: "1", input: {{price: {price}}}) {{ userErrors {{ field code }} }} }}'
    answer = await shop.ask("admin", query, sub="boss")
    assert answer.data == {"updateProduct": {"userErrors": [{"field": ["price"], "code": "INVALID"}]}}
    assert shop.calls == []


# Staff


async def test_staff_change_the_status_of_an_order(shop: Shop) -> None:
    """Of any order."""
    answer = await shop.ask("admin", STATUS, {"id": "3", "status": "SHIPPED"}, sub="boss")
    assert answer.data["updateOrderStatus"] == {"order": {"id": "3", "status": "SHIPPED"}, "userErrors": []}


async def test_staff_change_a_product(shop: Shop) -> None:
    """Only the given members are sent, with their types. Zero is a value."""
    answer = await shop.ask("admin", PRODUCT, {"id": "1", "input": {"price": 9, "stock": 0}}, sub="boss")
    changed = {"id": "1", "name": "Product 1", "price": 9.0, "stock": 0}
    assert answer.data["updateProduct"] == {"product": changed, "userErrors": []}
    assert shop.products.calls[0][2] == {"price": 9.0, "stock": 0}


@pytest.mark.parametrize("id", [*NO_IDS, "404"])
@pytest.mark.parametrize(
    ("query", "variables", "thing"),
    [(STATUS, {"status": "PAID"}, "order"), (PRODUCT, {"input": {"stock": 1}}, "product")],
)
async def test_a_missing_object_is_not_found(shop: Shop, query: str, variables: dict[str, Any], thing: str, id: str) -> None:
    """An invalid id and an unknown one are both NOT_FOUND."""
    answer = await shop.ask("admin", query, variables | {"id": id}, sub="boss")
    (payload,) = answer.data.values()
    errors = [{"field": ["id"], "message": f"There is no such {thing}.", "code": "NOT_FOUND"}]
    assert payload == {thing: None, "userErrors": errors}


# Refused writes


_WRITES: list[tuple[str, str, dict[str, Any], str]] = [
    ("web", PLACE, {"input": {"items": ITEMS}}, "orders"),
    ("web", CANCEL, {"id": "1"}, "orders"),
    ("web", PROFILE, {"input": {"name": "Ann"}}, "users"),
    ("admin", STATUS, {"id": "1", "status": "PAID"}, "orders"),
    ("admin", PRODUCT, {"id": "1", "input": {"stock": 1}}, "products"),
]


def _refused(shop: Shop, source: str, refusal: SourceError) -> None:
    getattr(shop, source).refusal = refusal


@pytest.mark.parametrize(("variant", "query", "variables", "source"), _WRITES)
@pytest.mark.parametrize(
    ("status", "code"), [(404, "NOT_FOUND"), (409, "CONFLICT"), (422, "INVALID")], ids=["404", "409", "422"]
)
async def test_a_refused_write_is_a_user_error(
    shop: Shop, variant: str, query: str, variables: dict[str, Any], source: str, status: int, code: str
) -> None:
    """404, 409 and 422. Only the messages of a 422's members are shown, and no other text of the service."""
    _refused(shop, source, rejected(status, source=source))
    answer = await shop.ask(variant, query, variables, sub="1")
    assert answer.codes == {}
    (payload,) = answer.data.values()
    assert [each["code"] for each in payload["userErrors"]] == [code]
    if status == 404:  # without an argument `id` there is no field to name
        assert [each["field"] for each in payload["userErrors"]] == [["id"] if "id" in variables else None]
    assert "secret" not in str(payload)
    assert [value for name, value in payload.items() if name != "userErrors"] == [None]


@pytest.mark.parametrize(("variant", "query", "variables", "source"), _WRITES)
@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (lambda source: rejected(400, source=source), "UPSTREAM_ERROR"),
        (lambda source: Busy(source, 503, 3), "UPSTREAM_UNAVAILABLE"),
        (lambda source: TimedOut(source, counts=True), "UPSTREAM_TIMEOUT"),
        (lambda source: BadAnswer(source, counts=True), "UPSTREAM_ERROR"),
    ],
    ids=["400", "503", "timeout", "bad"],
)
async def test_any_other_failure_is_an_error(
    shop: Shop,
    variant: str,
    query: str,
    variables: dict[str, Any],
    source: str,
    refusal: Callable[[str], SourceError],
    code: str,
) -> None:
    """With the source's error code."""
    _refused(shop, source, refusal(source))
    answer = await shop.ask(variant, query, variables, sub="1")
    assert answer.result.data is None
    assert list(answer.codes.values()) == [code]


async def test_a_reused_key_is_a_user_error(shop: Shop) -> None:
    """If the client chose the key, a 409 is about the key, else about the order."""
    shop.orders.refusal = rejected(409)
    chosen = (await place(shop, idempotencyKey="mine")).data["placeOrder"]["userErrors"]
    made = (await place(shop)).data["placeOrder"]["userErrors"]
    assert [(each["field"], each["code"]) for each in chosen] == [(["idempotencyKey"], "IDEMPOTENCY_KEY_REUSED")]
    assert [(each["field"], each["code"]) for each in made] == [(None, "CONFLICT")]


async def test_the_members_of_a_422_become_paths(shop: Shop) -> None:
    """With the service's messages, in order. A member without a name has no path; one without a message has a default."""
    shop.orders.refusal = rejected(422, ("items[0].productId", "No such product."), ("", "All wrong."), ("items[12]", ""))
    errors = (await place(shop)).data["placeOrder"]["userErrors"]
    assert errors == [
        {"field": ["items", "0", "productId"], "message": "No such product.", "code": "INVALID"},
        {"field": None, "message": "All wrong.", "code": "INVALID"},
        {"field": ["items", "12"], "message": "This is not valid.", "code": "INVALID"},
    ]


async def test_a_422_without_members_is_one_user_error(shop: Shop) -> None:
    """A refused write never has an empty list of user errors."""
    shop.orders.refusal = rejected(422)
    errors = (await place(shop)).data["placeOrder"]["userErrors"]
    assert errors == [{"field": None, "message": "This is not valid.", "code": "INVALID"}]


@pytest.mark.parametrize(
    ("member", "path"),
    [
        ("email", ["email"]),
        ("items[0].productId", ["items", "0", "productId"]),
        ("a.b.c", ["a", "b", "c"]),
        ("[1][2]", ["1", "2"]),
        ("a[", ["a"]),
        ("", None),
        (".", None),
        ("[]", None),
    ],
)
def test_the_name_of_a_member_becomes_a_path(member: str, path: list[str] | None) -> None:
    """Names in the documented form, and other names."""
    assert path_of(member) == path


# Reads after a write


async def test_the_payload_s_relations_show_the_write(shop: Shop) -> None:
    """Of two mutations in one request, the second one's payload shows its own change and not what the first one loaded."""
    query = """
    mutation {
      one: updateProfile(input: {name: "Ann"}) { user { name orders { id status } } }
      two: cancelOrder(id: "5") { order { user { name orders(first: 2) { id status } } } }
      three: placeOrder(input: {items: [{productId: "1", quantity: 1}]}) { order { user { orders(first: 2) { id } } } }
      four: updateProfile(input: {name: "Eve"}) { user { name orders { id status } } }
    }
    """
    answer = await shop.ask("web", query, sub="1")
    one, two, three, four = (answer.data[name] for name in ("one", "two", "three", "four"))
    assert one["user"]["orders"][0] == {"id": "5", "status": "PENDING"}
    assert two["order"]["user"]["orders"][0] == {"id": "5", "status": "CANCELLED"}
    assert [each["id"] for each in three["order"]["user"]["orders"]] == ["6", "5"]
    assert [each["id"] for each in four["user"]["orders"]] == ["6", "5", "4", "2", "1"]
    assert four["user"]["name"] == "Eve"


async def test_a_user_is_reloaded_after_a_changed_profile(shop: Shop) -> None:
    """A user that was loaded before the change is not shown."""
    query = """
    mutation {
      one: cancelOrder(id: "1") { order { user { name } } }
      two: updateProfile(input: {name: "Ann"}) { user { name } }
      three: cancelOrder(id: "2") { order { user { name } } }
    }
    """
    answer = await shop.ask("web", query, sub="1")
    names = [answer.data["one"]["order"]["user"], answer.data["two"]["user"], answer.data["three"]["order"]["user"]]
    assert names == [{"name": "User 1"}, {"name": "Ann"}, {"name": "Ann"}]


async def test_a_product_is_reloaded_after_a_change(shop: Shop) -> None:
    """The same for products of orders, in admin."""
    shop.orders.records = {1: order(1, 1, [(3, 1, 1.0)])}
    shop.products.records = {3: product(3, price=1.0)}
    query = """
    mutation {
      one: updateOrderStatus(id: "1", status: PAID) { order { items { product { price } } } }
      two: updateProduct(id: "3", input: {price: 2}) { product { price } }
      three: updateOrderStatus(id: "1", status: SHIPPED) { order { status items { product { price } } } }
    }
    """
    answer = await shop.ask("admin", query, sub="boss")
    assert answer.data["one"]["order"]["items"] == [{"product": {"price": 1.0}}]
    assert answer.data["three"]["order"] == {"status": "SHIPPED", "items": [{"product": {"price": 2.0}}]}


async def test_objects_are_reloaded_after_a_refused_write(shop: Shop) -> None:
    """A 409 means that the loaded order is outdated."""
    context = shop.context("web", "1")
    stale = await context.loaders[Orders.by_id].load(1)
    assert stale is not None
    shop.orders.refusal = rejected(409)
    query = 'mutation { a: cancelOrder(id: "1") { userErrors { code } } b: cancelOrder(id: "1") { userErrors { code } } }'
    await shop.ask("web", query, sub="1")
    assert [call[0] for call in shop.orders.calls[1:]] == ["get_many", "cancel", "get_many", "cancel"]


async def test_mutations_run_serially(shop: Shop) -> None:
    """In document order, each with its selections (GraphQL specification, section 6.2.2)."""
    query = 'mutation { b: cancelOrder(id: "2") { order { id } } a: cancelOrder(id: "1") { order { id } } }'
    answer = await shop.ask("mobile", query, sub="1")
    assert list(answer.data) == ["b", "a"]
    assert [call[:2] for call in shop.orders.calls if call[0] == "cancel"] == [("cancel", 2), ("cancel", 1)]


# Administration of the gateway


_FORCE = "mutation ($source: String!, $state: BreakerState) { forceBreaker(source: $source, state: $state) { %s } }"
_SHOWN = _FORCE % "source { name breaker forced } userErrors { field code }"


@pytest.mark.parametrize("state", ["OPEN", "CLOSED"])
async def test_an_administrator_holds_a_breaker(shop: Shop, caplog: pytest.LogCaptureFixture, state: str) -> None:
    """Open or closed, until null ends it. Each change is logged with the administrator's id."""
    caplog.set_level(logging.INFO, "bff.audit")
    answer = await shop.ask("admin", _SHOWN, {"source": "orders", "state": state}, sub="boss")
    source = {"name": "orders", "breaker": state, "forced": True}
    assert answer.data["forceBreaker"] == {"source": source, "userErrors": []}
    assert [fake.forced for fake in (shop.users, shop.orders, shop.products)] == [None, BreakerState[state], None]
    await shop.ask("admin", _SHOWN, {"source": "orders"}, sub="boss")
    assert shop.orders.forced is None
    lines = [record.__dict__["fields"] for record in caplog.records]
    assert [(line["action"], line["by"], line["source"], line["state"]) for line in lines] == [
        ("force_breaker", "boss", "orders", state.lower()),
        ("force_breaker", "boss", "orders", None),
    ]


@pytest.mark.parametrize(
    ("variables", "error"),
    [
        ({"source": "stock", "state": "OPEN"}, {"field": ["source"], "code": "NOT_FOUND"}),
        ({"source": "orders", "state": "HALF_OPEN"}, {"field": ["state"], "code": "INVALID"}),
    ],
)
async def test_invalid_arguments_of_force_breaker(shop: Shop, variables: dict[str, str], error: dict[str, Any]) -> None:
    """An unknown source, and half open."""
    answer = await shop.ask("admin", _SHOWN, variables, sub="boss")
    assert answer.data["forceBreaker"] == {"source": None, "userErrors": [error]}
    assert shop.orders.forced is None
