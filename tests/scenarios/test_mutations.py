"""Writes against the demo services: made once, reported, and never repeated by accident."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from tests.support.gateways import RunningGateway
from tests.support.services import Tapped

PLACE = """mutation ($input: PlaceOrderInput!) { placeOrder(input: $input) {
    order { id status total items { quantity product { name } } } userErrors { field message code } } }"""
CANCEL = "mutation ($id: ID!) { cancelOrder(id: $id) { order { id status } userErrors { field message code } } }"
STATUS = """mutation ($id: ID!, $status: OrderStatus!) { updateOrderStatus(id: $id, status: $status) {
    order { status } userErrors { field message code } } }"""
PROFILE = """mutation ($input: UpdateProfileInput!) { updateProfile(input: $input) {
    user { name email } userErrors { field code } } }"""
PRODUCT = """mutation ($id: ID!, $input: UpdateProductInput!) { updateProduct(id: $id, input: $input) {
    product { name price stock inStock } userErrors { field code } } }"""

ITEMS = [{"productId": "8", "quantity": 2}, {"productId": "21", "quantity": 1}]


def place(gateway: RunningGateway, sub: str = "1", **given: object) -> dict[str, object]:
    """The payload of `placeOrder`."""
    answer = gateway.ask("web", PLACE, {"input": {"items": ITEMS, **given}}, sub=sub)
    assert "errors" not in answer, answer
    payload: dict[str, object] = answer["data"]["placeOrder"]
    return payload


def test_a_viewer_places_an_order(gateway: RunningGateway, services: Tapped) -> None:
    """It is pending, and its items can be read through the graph."""
    payload = place(gateway)
    assert payload["userErrors"] == []
    assert payload["order"] == {
        "id": "10001",
        "status": "PENDING",
        "total": 151.9,
        "items": [{"quantity": 2, "product": {"name": "Product 8"}}, {"quantity": 1, "product": {"name": "Product 21"}}],
    }
    assert msgspec.json.decode(services.bodies[0]) == {
        "userId": 1,
        "items": [{"productId": 8, "quantity": 2}, {"productId": 21, "quantity": 1}],
    }
    newest = gateway.ask("web", "{ me { orders(first: 1) { id } } }", sub="1")["data"]["me"]["orders"]
    assert newest == [{"id": "10001"}]


def test_the_same_key_places_one_order(gateway: RunningGateway, services: Tapped) -> None:
    """For any number of concurrent requests. Another body with the same key is an error."""
    with ThreadPoolExecutor(4) as pool:
        payloads = list(pool.map(lambda _: place(gateway, idempotencyKey="tuesday"), range(8)))
    assert {str(payload["order"]) for payload in payloads} == {str(payloads[0]["order"])}
    assert len(services.data.orders.ids) == 10_001
    other = place(gateway, idempotencyKey="tuesday", items=ITEMS[:1])
    assert other["order"] is None
    assert [(error["field"], error["code"]) for error in other["userErrors"]] == [  # type: ignore[attr-defined]
        (["idempotencyKey"], "IDEMPOTENCY_KEY_REUSED")
    ]


def test_keys_of_different_viewers_are_separate(gateway: RunningGateway) -> None:
    """Two viewers with the same key get an order each."""
    first, second = place(gateway, "1", idempotencyKey="k"), place(gateway, "2", idempotencyKey="k")
    assert first["order"]["id"] != second["order"]["id"]  # type: ignore[index]


def test_without_a_key_each_request_places_an_order(gateway: RunningGateway, services: Tapped) -> None:
    """The gateway makes a key for each write."""
    assert place(gateway)["order"]["id"] != place(gateway)["order"]["id"]  # type: ignore[index]
    keys = [
        sent["idempotency-key"]
        for (_, method, _), sent in zip(services.calls, services.headers, strict=True)
        if method == "POST"
    ]
    assert len(set(keys)) == 2


@pytest.mark.parametrize(
    ("items", "field"),
    [
        ([], ["items"]),
        ([{"productId": "9999", "quantity": 1}], ["items", "0", "productId"]),
        ([ITEMS[0], {"productId": "8", "quantity": 0}], ["items", "1", "quantity"]),
        ([ITEMS[0], {"productId": "none", "quantity": 1}], ["items", "1", "productId"]),
    ],
)
def test_invalid_input_is_a_user_error(gateway: RunningGateway, items: list[object], field: list[str]) -> None:
    """With the service's messages and the paths in the input."""
    payload = place(gateway, items=items)
    assert payload["order"] is None
    assert [(error["field"], error["code"]) for error in payload["userErrors"]] == [(field, "INVALID")]  # type: ignore[attr-defined]


def test_an_order_is_cancelled_once(gateway: RunningGateway) -> None:
    """The viewer's own pending or paid order. A second time is a conflict. Another user's order doesn't exist."""
    assert gateway.ask("web", CANCEL, {"id": "1"}, sub="1")["data"]["cancelOrder"]["order"] == {
        "id": "1",
        "status": "CANCELLED",
    }
    again = gateway.ask("web", CANCEL, {"id": "1"}, sub="1")["data"]["cancelOrder"]
    assert (again["order"], [error["code"] for error in again["userErrors"]]) == (None, ["CONFLICT"])


@pytest.mark.parametrize("order_id", ["2", "99999", "abc"])
def test_another_user_s_order_does_not_exist(gateway: RunningGateway, services: Tapped, order_id: str) -> None:
    """To cancel it is NOT_FOUND, as for an unknown id, and nothing is written."""
    payload = gateway.ask("mobile", CANCEL, {"id": order_id}, sub="1")["data"]["cancelOrder"]
    assert payload == {
        "order": None,
        "userErrors": [{"field": ["id"], "message": "There is no such order.", "code": "NOT_FOUND"}],
    }
    assert not [call for call in services.calls if call[1] != "GET"]


def test_staff_change_the_status_of_orders(gateway: RunningGateway) -> None:
    """Forward as the service allows. A step backwards is a conflict. Staff may cancel any order."""
    assert gateway.ask("admin", STATUS, {"id": "5", "status": "SHIPPED"})["data"]["updateOrderStatus"]["order"] == {
        "status": "SHIPPED"
    }
    back = gateway.ask("admin", STATUS, {"id": "5", "status": "PAID"})["data"]["updateOrderStatus"]
    assert (back["order"], [error["code"] for error in back["userErrors"]]) == (None, ["CONFLICT"])
    none = gateway.ask("admin", STATUS, {"id": "77777", "status": "PAID"})["data"]["updateOrderStatus"]
    assert [error["code"] for error in none["userErrors"]] == ["NOT_FOUND"]
    assert gateway.ask("admin", CANCEL, {"id": "10"})["data"]["cancelOrder"]["order"] == {"id": "10", "status": "CANCELLED"}


def test_a_profile_is_changed_in_part(gateway: RunningGateway, services: Tapped) -> None:
    """Only the given members are sent. The service's messages are user errors."""
    changed = gateway.ask("web", PROFILE, {"input": {"name": "Zoë"}}, sub="3")["data"]["updateProfile"]
    assert changed == {"user": {"name": "Zoë", "email": "user3@example.com"}, "userErrors": []}
    assert services.calls[-1][1:] == ("PATCH", "/users/3")
    assert msgspec.json.decode(services.bodies[-1]) == {"name": "Zoë"}
    wrong = gateway.ask("web", PROFILE, {"input": {"email": "nonsense"}}, sub="3")["data"]["updateProfile"]
    assert wrong == {"user": None, "userErrors": [{"field": ["email"], "code": "INVALID"}]}
    nothing = gateway.ask("web", PROFILE, {"input": {}}, sub="3")["data"]["updateProfile"]
    assert nothing == {"user": None, "userErrors": [{"field": None, "code": "INVALID"}]}


def test_staff_change_a_product(gateway: RunningGateway) -> None:
    """The changed product is returned, and other clients see it."""
    changed = gateway.ask("admin", PRODUCT, {"id": "8", "input": {"price": 9.5, "stock": 0}})["data"]["updateProduct"]
    assert changed == {"product": {"name": "Product 8", "price": 9.5, "stock": 0, "inStock": False}, "userErrors": []}
    assert gateway.ask("web", '{ product(id: "8") { price inStock } }')["data"]["product"] == {
        "price": 9.5,
        "inStock": False,
    }


def test_anonymous_mutations_fail(gateway: RunningGateway, services: Tapped) -> None:
    """With UNAUTHENTICATED, before any call."""
    for query, variables in (
        (PLACE, {"input": {"items": ITEMS}}),
        (CANCEL, {"id": "1"}),
        (PROFILE, {"input": {"name": "x"}}),
    ):
        answer = gateway.ask("web", query, variables)
        assert answer["data"] is None
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"]
    assert services.calls == []


def test_mutations_run_one_after_the_other(gateway: RunningGateway, services: Tapped) -> None:
    """In the document's order. A later one sees the effect of an earlier one."""
    query = 'mutation { a: cancelOrder(id: "1") { order { status } } b: cancelOrder(id: "1") { userErrors { code } } }'
    answer = gateway.ask("web", query, sub="1")
    assert answer["data"] == {"a": {"order": {"status": "CANCELLED"}}, "b": {"userErrors": [{"code": "CONFLICT"}]}}
    assert [method for _, method, _ in services.calls] == ["GET", "POST", "POST"]
