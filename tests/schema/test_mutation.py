"""The root of writing: who may, what goes out, what comes back, and that what was read before is forgotten."""

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
    """Place an order of `ITEMS`, or of what `members` say."""
    return await shop.ask(variant, PLACE, {"input": {"items": ITEMS} | members}, sub=sub)


def keys(shop: Shop, kind: str = "place") -> list[str]:
    """The idempotency keys that the orders service was given."""
    return [call[-1] for call in shop.orders.calls if call[0] == kind]


# placeOrder


@pytest.mark.parametrize("variant", FOR_CLIENTS)
async def test_an_order_is_placed_for_oneself(shop: Shop, variant: str) -> None:
    """In the viewer's name, with the items as given, and shown as placed, with what lies behind it."""
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
async def test_who_changes_something_has_to_be_signed_in(
    shop: Shop, variant: str, query: str, variables: dict[str, Any]
) -> None:
    """Nobody changes anything: the mutation fails with UNAUTHENTICATED, and nothing is asked of any service."""
    answer = await shop.ask(variant, query, variables)
    assert answer.result.data is None
    assert list(answer.codes.values()) == ["UNAUTHENTICATED"]
    assert shop.calls == []


@pytest.mark.parametrize("sub", ["service-account", "01", "0", "9" * 30])
@pytest.mark.parametrize(("query", "input"), [(PLACE, {"items": ITEMS}), (PROFILE, {"name": "Ann"})])
async def test_a_viewer_who_is_no_user_has_nothing_to_change(
    shop: Shop, sub: str, query: str, input: dict[str, Any]
) -> None:
    """A token whose `sub` is no user's id is FORBIDDEN to order, or to change a profile that it has not."""
    answer = await shop.ask("web", query, {"input": input}, sub=sub)
    assert answer.result.data is None
    assert list(answer.codes.values()) == ["FORBIDDEN"]
    assert shop.calls == []


@pytest.mark.parametrize("id", NO_IDS)
async def test_an_item_that_names_no_product_is_told_by_its_path(shop: Shop, id: str) -> None:
    """What is no id is the person's mistake, with the path of that item; nothing is placed."""
    items = [{"productId": "1", "quantity": 1}, {"productId": id, "quantity": 1}]
    answer = await place(shop, items=items)
    (told,) = answer.data["placeOrder"]["userErrors"]
    assert (told["field"], told["code"]) == (["items", "1", "productId"], "INVALID")
    assert answer.data["placeOrder"]["order"] is None
    assert shop.calls == []


async def test_no_items_are_for_the_service_to_refuse(shop: Shop) -> None:
    """An empty list goes out as it is, and the service's 422 comes back as the person's to mend."""
    shop.orders.refusal = rejected(422, ("items", "Expected at least one."))
    answer = await place(shop, items=[])
    assert answer.data["placeOrder"] == {
        "order": None,
        "userErrors": [{"field": ["items"], "message": "Expected at least one.", "code": "INVALID"}],
    }
    assert shop.orders.calls[0][2] == ()


async def test_a_flood_of_mistakes_is_cut_off(shop: Shop) -> None:
    """Fifty are told, whoever finds them: an answer is no longer than a person can read."""
    answer = await place(shop, items=[{"productId": "x", "quantity": 1}] * 200)
    assert len(answer.data["placeOrder"]["userErrors"]) == 50
    shop.orders.refusal = rejected(422, *[(f"items[{number}]", "Bad. " * 1000) for number in range(200)])
    told = (await place(shop)).data["placeOrder"]["userErrors"]
    assert len(told) == 50
    assert max(len(each["message"]) for each in told) == 500


# Idempotency keys


async def test_the_same_viewer_s_same_key_is_the_same_upstream(shop: Shop) -> None:
    """So that the service does the work once."""
    for _ in range(2):
        await place(shop, sub="1", idempotencyKey="mine")
    one, other = keys(shop)
    assert one == other


async def test_two_viewers_same_key_is_another_upstream(shop: Shop) -> None:
    """Services keep keys by path alone: what one has chosen is nothing to another."""
    for sub in ("1", "2"):
        await place(shop, sub=sub, idempotencyKey="mine")
    one, other = keys(shop)
    assert one != other


async def test_another_key_is_another_upstream(shop: Shop) -> None:
    """Even if they differ in case or space alone."""
    for key in ("mine", "Mine", "mine "):
        await place(shop, idempotencyKey=key)
    assert len(set(keys(shop))) == 3


@pytest.mark.parametrize("members", [{}, {"idempotencyKey": None}])
async def test_without_a_key_each_order_has_one_of_its_own(shop: Shop, members: dict[str, Any]) -> None:
    """Left out or null: the gateway makes one, and never the same twice."""
    for _ in range(3):
        await place(shop, **members)
    assert len(set(keys(shop))) == 3
    assert all(keys(shop))


async def test_every_write_has_a_key_of_its_own(shop: Shop) -> None:
    """Cancelling, changing a status, a profile, a product: no two writes share a key."""
    for _ in range(2):
        await shop.ask("web", CANCEL, {"id": "1"}, sub="1")
        await shop.ask("admin", STATUS, {"id": "1", "status": "PAID"}, sub="boss")
        await shop.ask("web", PROFILE, {"input": {"name": "Ann"}}, sub="1")
        await shop.ask("admin", PRODUCT, {"id": "1", "input": {"stock": 1}}, sub="boss")
    writes = [call for call in shop.calls if call[0] in {"cancel", "update_status", "update"}]
    assert len({call[-1] for call in writes}) == len(writes) == 8


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_is_one_to_255_characters(shop: Shop, key: str) -> None:
    """Anything else is the person's to mend, and nothing is placed."""
    told = (await place(shop, idempotencyKey=key)).data["placeOrder"]
    assert told == {
        "order": None,
        "userErrors": [{"field": ["idempotencyKey"], "message": "Expected 1 to 255 characters.", "code": "INVALID"}],
    }
    assert shop.calls == []


@pytest.mark.parametrize("key", ["x", "x" * 255, "\r\nX-Evil: 1", "ключ", "\x00", ":", "\U0001f600" * 255])
async def test_any_key_of_that_length_goes_upstream_as_plain_characters(shop: Shop, key: str) -> None:
    """Whatever a client chooses, a header can carry what is made of it."""
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
def test_no_sub_and_key_can_be_taken_for_others(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Wherever the delimiter stands: a viewer can't choose a key that becomes another's."""
    assert own_key(*one) != own_key(*other)


@given(
    st.tuples(st.text(":12", max_size=4), st.text(":12", max_size=4)),
    st.tuples(st.text(":12", max_size=4), st.text(":12", max_size=4)),
)
def test_own_keys_are_as_different_as_what_they_are_made_of(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Equal where viewer and key are, and nowhere else."""
    assert (own_key(*one) == own_key(*other)) == (one == other)


# cancelOrder


@pytest.mark.parametrize(("variant", "sub", "id"), [("web", "1", "1"), ("mobile", "2", "3"), ("admin", "boss", "3")])
async def test_one_s_own_order_is_cancelled_and_staff_s_any(shop: Shop, variant: str, sub: str, id: str) -> None:
    """The order comes back as it is now."""
    answer = await shop.ask(variant, CANCEL, {"id": id}, sub=sub)
    assert answer.data["cancelOrder"] == {"order": {"id": id, "status": "CANCELLED"}, "userErrors": []}


@pytest.mark.parametrize("variant", FOR_CLIENTS)
@pytest.mark.parametrize("sub", ["1", "service-account", "03"])
async def test_another_s_order_is_not_found_as_one_that_does_not_exist(shop: Shop, variant: str, sub: str) -> None:
    """The answers are the same to the letter, and no write goes out."""
    another = await shop.ask(variant, CANCEL, {"id": "3"}, sub=sub)
    missing = await shop.ask(variant, CANCEL, {"id": "404"}, sub=sub)
    assert another.data == missing.data
    assert another.data["cancelOrder"]["order"] is None
    assert [each["code"] for each in another.data["cancelOrder"]["userErrors"]] == ["NOT_FOUND"]
    assert keys(shop, "cancel") == []
    assert shop.orders.records[3].status == "pending"


@pytest.mark.parametrize("variant", ["web", "mobile", "admin"])
@pytest.mark.parametrize("id", NO_IDS)
async def test_what_is_no_id_is_not_found(shop: Shop, variant: str, id: str) -> None:
    """As an order that does not exist; it never becomes part of a URL."""
    answer = await shop.ask(variant, CANCEL, {"id": id}, sub="1")
    told = [{"field": ["id"], "message": "There is no such order.", "code": "NOT_FOUND"}]
    assert answer.data["cancelOrder"] == {"order": None, "userErrors": told}
    assert shop.calls == []


async def test_an_order_that_cannot_be_read_is_not_cancelled(shop: Shop) -> None:
    """Whose it is can't be told: the failure is told, as an error, and no write goes out."""
    shop.orders.failure = BreakerOpen("orders", 7)
    answer = await shop.ask("web", CANCEL, {"id": "1"}, sub="1")
    assert answer.result.data is None
    assert answer.codes == {"cancelOrder": "UPSTREAM_UNAVAILABLE"}
    assert keys(shop, "cancel") == []


# updateProfile


@pytest.mark.parametrize("variant", FOR_CLIENTS)
async def test_one_s_own_profile_is_changed(shop: Shop, variant: str) -> None:
    """What is given goes out, what is left out stays, and the user comes back as changed."""
    answer = await shop.ask(variant, PROFILE, {"input": {"email": "new@example.com"}}, sub="2")
    user = {"id": "2", "name": "User 2", "email": "new@example.com"}
    assert answer.data["updateProfile"] == {"user": user, "userErrors": []}
    ((kind, user_id, changes, _),) = shop.users.calls
    assert (kind, user_id, changes) == ("update", 2, {"email": "new@example.com"})


async def test_a_name_may_be_taken_away(shop: Shop) -> None:
    """The graph's name is nullable, so null goes out as it is: whether it may be is the service's to say."""
    answer = await shop.ask("web", PROFILE, {"input": {"name": None}}, sub="1")
    assert answer.data["updateProfile"]["user"]["name"] is None
    assert shop.users.calls[0][2] == {"name": None}


# The same for all that take changes


@pytest.mark.parametrize(
    ("variant", "query", "variables", "message"),
    [
        ("web", PROFILE, {"input": {}}, "Expected at least one of name, email."),
        ("admin", PRODUCT, {"id": "1", "input": {}}, "Expected at least one of name, price, stock."),
    ],
)
async def test_no_change_at_all_is_the_person_s_mistake(
    shop: Shop, variant: str, query: str, variables: dict[str, Any], message: str
) -> None:
    """An empty input changes nothing and goes nowhere."""
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
async def test_null_where_a_value_has_to_be_is_the_person_s_mistake(
    shop: Shop, variant: str, query: str, input: dict[str, Any], fields: list[list[str]]
) -> None:
    """Each such member is named, and nothing is changed."""
    answer = await shop.ask(variant, query, {"id": "1", "input": input}, sub="1")
    (payload,) = answer.data.values()
    assert [each["field"] for each in payload["userErrors"]] == fields
    assert {each["code"] for each in payload["userErrors"]} == {"INVALID"}
    assert shop.calls == []


@pytest.mark.parametrize("price", ["1e400", "-1e400"])
async def test_an_amount_beyond_all_measure_is_the_person_s_mistake(shop: Shop, price: str) -> None:
    """1e400 is a Float by its spelling, and none that JSON can write: it once went upstream as null."""
    query = f'mutation {{ updateProduct(id: "1", input: {{price: {price}}}) {{ userErrors {{ field code }} }} }}'
    answer = await shop.ask("admin", query, sub="boss")
    assert answer.data == {"updateProduct": {"userErrors": [{"field": ["price"], "code": "INVALID"}]}}
    assert shop.calls == []


# Staff


async def test_staff_move_an_order_on(shop: Shop) -> None:
    """Any order, to any status that the service allows."""
    answer = await shop.ask("admin", STATUS, {"id": "3", "status": "SHIPPED"}, sub="boss")
    assert answer.data["updateOrderStatus"] == {"order": {"id": "3", "status": "SHIPPED"}, "userErrors": []}


async def test_staff_change_a_product(shop: Shop) -> None:
    """Only what is given goes out, with its type: zero is a value like any other."""
    answer = await shop.ask("admin", PRODUCT, {"id": "1", "input": {"price": 9, "stock": 0}}, sub="boss")
    changed = {"id": "1", "name": "Product 1", "price": 9.0, "stock": 0}
    assert answer.data["updateProduct"] == {"product": changed, "userErrors": []}
    assert shop.products.calls[0][2] == {"price": 9.0, "stock": 0}


@pytest.mark.parametrize("id", [*NO_IDS, "404"])
@pytest.mark.parametrize(
    ("query", "variables", "thing"),
    [(STATUS, {"status": "PAID"}, "order"), (PRODUCT, {"input": {"stock": 1}}, "product")],
)
async def test_what_does_not_exist_cannot_be_changed(
    shop: Shop, query: str, variables: dict[str, Any], thing: str, id: str
) -> None:
    """What is no id, and what no service knows, is NOT_FOUND alike."""
    answer = await shop.ask("admin", query, variables | {"id": id}, sub="boss")
    (payload,) = answer.data.values()
    told = [{"field": ["id"], "message": f"There is no such {thing}.", "code": "NOT_FOUND"}]
    assert payload == {thing: None, "userErrors": told}


# What a service says no to


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
async def test_what_the_person_can_mend_is_told_in_user_errors(
    shop: Shop, variant: str, query: str, variables: dict[str, Any], source: str, status: int, code: str
) -> None:
    """404, 409 and 422 are no errors of the operation; the service's own words beyond those of a 422 are not shown."""
    _refused(shop, source, rejected(status, source=source))
    answer = await shop.ask(variant, query, variables, sub="1")
    assert answer.codes == {}
    (payload,) = answer.data.values()
    assert [each["code"] for each in payload["userErrors"]] == [code]
    if status == 404:  # an argument that was not there can't be what is wrong
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
async def test_what_nobody_can_mend_is_an_error(
    shop: Shop,
    variant: str,
    query: str,
    variables: dict[str, Any],
    source: str,
    refusal: Callable[[str], SourceError],
    code: str,
) -> None:
    """All else fails the mutation with the source's code."""
    _refused(shop, source, refusal(source))
    answer = await shop.ask(variant, query, variables, sub="1")
    assert answer.result.data is None
    assert list(answer.codes.values()) == [code]


async def test_a_key_that_was_used_for_something_else_is_told_as_such(shop: Shop) -> None:
    """409 to a key that the client chose is that key's fault, else the order's."""
    shop.orders.refusal = rejected(409)
    chosen = (await place(shop, idempotencyKey="mine")).data["placeOrder"]["userErrors"]
    made = (await place(shop)).data["placeOrder"]["userErrors"]
    assert [(each["field"], each["code"]) for each in chosen] == [(["idempotencyKey"], "IDEMPOTENCY_KEY_REUSED")]
    assert [(each["field"], each["code"]) for each in made] == [(None, "CONFLICT")]


async def test_a_422_s_members_are_told_by_their_paths(shop: Shop) -> None:
    """Each with the service's message, in order; a member without a name has no path, one without words has ours."""
    shop.orders.refusal = rejected(422, ("items[0].productId", "No such product."), ("", "All wrong."), ("items[12]", ""))
    told = (await place(shop)).data["placeOrder"]["userErrors"]
    assert told == [
        {"field": ["items", "0", "productId"], "message": "No such product.", "code": "INVALID"},
        {"field": None, "message": "All wrong.", "code": "INVALID"},
        {"field": ["items", "12"], "message": "This is not valid.", "code": "INVALID"},
    ]


async def test_a_422_without_members_still_tells_something(shop: Shop) -> None:
    """A user error is never an empty list where nothing was done."""
    shop.orders.refusal = rejected(422)
    told = (await place(shop)).data["placeOrder"]["userErrors"]
    assert told == [{"field": None, "message": "This is not valid.", "code": "INVALID"}]


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
def test_a_service_s_member_is_a_path(member: str, path: list[str] | None) -> None:
    """As the contract has it, and something sensible of what it does not know."""
    assert path_of(member) == path


# What was read is read anew


async def test_a_write_is_seen_by_what_is_read_behind_it(shop: Shop) -> None:
    """Two mutations of one request, each with the orders behind it: the second shows what it did, not what was loaded."""
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


async def test_a_user_is_read_anew_behind_a_changed_profile(shop: Shop) -> None:
    """A user that was loaded before the change is not shown after it."""
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


async def test_a_product_is_read_anew_behind_a_change(shop: Shop) -> None:
    """The same for products behind orders, on admin."""
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


async def test_a_refused_write_is_followed_by_fresh_reads_too(shop: Shop) -> None:
    """A 409 says that the order is not as it was known: who looks behind it sees it as it is."""
    context = shop.context("web", "1")
    stale = await context.loaders[Orders.by_id].load(1)
    assert stale is not None
    shop.orders.refusal = rejected(409)
    query = 'mutation { a: cancelOrder(id: "1") { userErrors { code } } b: cancelOrder(id: "1") { userErrors { code } } }'
    await shop.ask("web", query, sub="1")
    assert [call[0] for call in shop.orders.calls[1:]] == ["get_many", "cancel", "get_many", "cancel"]


async def test_mutations_run_one_after_the_other(shop: Shop) -> None:
    """In the order of the document, each with what is behind it (GraphQL specification, section 6.2.2)."""
    query = 'mutation { b: cancelOrder(id: "2") { order { id } } a: cancelOrder(id: "1") { order { id } } }'
    answer = await shop.ask("mobile", query, sub="1")
    assert list(answer.data) == ["b", "a"]
    assert [call[:2] for call in shop.orders.calls if call[0] == "cancel"] == [("cancel", 2), ("cancel", 1)]


# The gateway itself


_FORCE = "mutation ($source: String!, $state: BreakerState) { forceBreaker(source: $source, state: $state) { %s } }"
_SHOWN = _FORCE % "source { name breaker forced } userErrors { field code }"


@pytest.mark.parametrize("state", ["OPEN", "CLOSED"])
async def test_an_administrator_holds_a_breaker(shop: Shop, caplog: pytest.LogCaptureFixture, state: str) -> None:
    """Open or closed, until it is let go; each time with a line in the log that says who."""
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
async def test_what_cannot_be_held(shop: Shop, variables: dict[str, str], error: dict[str, Any]) -> None:
    """No such source; half open, which is a way and no place to stay."""
    answer = await shop.ask("admin", _SHOWN, variables, sub="boss")
    assert answer.data["forceBreaker"] == {"source": None, "userErrors": [error]}
    assert shop.orders.forced is None
