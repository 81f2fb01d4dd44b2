"""Writes against the demo services: done once, told well, and never repeated by accident."""

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


def test_an_order_is_placed_for_oneself(gateway: RunningGateway, services: Tapped) -> None:
    """The order is there, pending, for the viewer; its items are read back through the graph."""
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
    """However often and at once it is asked for; another body under the key is told as such."""
    with ThreadPoolExecutor(4) as pool:
        payloads = list(pool.map(lambda _: place(gateway, idempotencyKey="tuesday"), range(8)))
    assert {str(payload["order"]) for payload in payloads} == {str(payloads[0]["order"])}
    assert len(services.data.orders.ids) == 10_001
    other = place(gateway, idempotencyKey="tuesday", items=ITEMS[:1])
    assert other["order"] is None
    assert [(error["field"], error["code"]) for error in other["userErrors"]] == [  # type: ignore[attr-defined]
        (["idempotencyKey"], "IDEMPOTENCY_KEY_REUSED")
    ]


def test_a_key_is_its_viewer_s_own(gateway: RunningGateway) -> None:
    """Two people with the same key have an order each."""
    first, second = place(gateway, "1", idempotencyKey="k"), place(gateway, "2", idempotencyKey="k")
    assert first["order"]["id"] != second["order"]["id"]  # type: ignore[index]


def test_without_a_key_each_is_an_order_of_its_own(gateway: RunningGateway, services: Tapped) -> None:
    """The gateway makes a key for each write: two equal orders are two."""
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
def test_what_a_person_can_mend_is_a_user_error(gateway: RunningGateway, items: list[object], field: list[str]) -> None:
    """The service's findings, with the path in the input."""
    payload = place(gateway, items=items)
    assert payload["order"] is None
    assert [(error["field"], error["code"]) for error in payload["userErrors"]] == [(field, "INVALID")]  # type: ignore[attr-defined]


def test_an_order_is_cancelled_once(gateway: RunningGateway) -> None:
    """One's own pending or paid order; then it is a conflict; another's does not exist."""
    assert gateway.ask("web", CANCEL, {"id": "1"}, sub="1")["data"]["cancelOrder"]["order"] == {
        "id": "1",
        "status": "CANCELLED",
    }
    again = gateway.ask("web", CANCEL, {"id": "1"}, sub="1")["data"]["cancelOrder"]
    assert (again["order"], [error["code"] for error in again["userErrors"]]) == (None, ["CONFLICT"])


@pytest.mark.parametrize("order_id", ["2", "99999", "abc"])
def test_another_s_order_does_not_exist(gateway: RunningGateway, services: Tapped, order_id: str) -> None:
    """To cancel it says NOT_FOUND, just as for one that is none, and nothing is written."""
    payload = gateway.ask("mobile", CANCEL, {"id": order_id}, sub="1")["data"]["cancelOrder"]
    assert payload == {
        "order": None,
        "userErrors": [{"field": ["id"], "message": "There is no such order.", "code": "NOT_FOUND"}],
    }
    assert not [call for call in services.calls if call[1] != "GET"]


def test_staff_move_orders_on(gateway: RunningGateway) -> None:
    """Forward as the service allows; a step backwards is a conflict; staff may cancel any."""
    assert gateway.ask("admin", STATUS, {"id": "5", "status": "SHIPPED"})["data"]["updateOrderStatus"]["order"] == {
        "status": "SHIPPED"
    }
    back = gateway.ask("admin", STATUS, {"id": "5", "status": "PAID"})["data"]["updateOrderStatus"]
    assert (back["order"], [error["code"] for error in back["userErrors"]]) == (None, ["CONFLICT"])
    none = gateway.ask("admin", STATUS, {"id": "77777", "status": "PAID"})["data"]["updateOrderStatus"]
    assert [error["code"] for error in none["userErrors"]] == ["NOT_FOUND"]
    assert gateway.ask("admin", CANCEL, {"id": "10"})["data"]["cancelOrder"]["order"] == {"id": "10", "status": "CANCELLED"}


def test_a_profile_is_changed_in_part(gateway: RunningGateway, services: Tapped) -> None:
    """Only what is given is sent; what the service finds wrong is told."""
    changed = gateway.ask("web", PROFILE, {"input": {"name": "Zoë"}}, sub="3")["data"]["updateProfile"]
    assert changed == {"user": {"name": "Zoë", "email": "user3@example.com"}, "userErrors": []}
    assert services.calls[-1][1:] == ("PATCH", "/users/3")
    assert msgspec.json.decode(services.bodies[-1]) == {"name": "Zoë"}
    wrong = gateway.ask("web", PROFILE, {"input": {"email": "nonsense"}}, sub="3")["data"]["updateProfile"]
    assert wrong == {"user": None, "userErrors": [{"field": ["email"], "code": "INVALID"}]}
    nothing = gateway.ask("web", PROFILE, {"input": {}}, sub="3")["data"]["updateProfile"]
    assert nothing == {"user": None, "userErrors": [{"field": None, "code": "INVALID"}]}


def test_a_product_is_changed_by_staff(gateway: RunningGateway) -> None:
    """The changed product comes back, and is what others then see."""
    changed = gateway.ask("admin", PRODUCT, {"id": "8", "input": {"price": 9.5, "stock": 0}})["data"]["updateProduct"]
    assert changed == {"product": {"name": "Product 8", "price": 9.5, "stock": 0, "inStock": False}, "userErrors": []}
    assert gateway.ask("web", '{ product(id: "8") { price inStock } }')["data"]["product"] == {
        "price": 9.5,
        "inStock": False,
    }


def test_nobody_signed_in_changes_nothing(gateway: RunningGateway, services: Tapped) -> None:
    """Mutations fail with UNAUTHENTICATED before anything is asked."""
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
    """In the document's order, and a later one sees what an earlier one did."""
    query = 'mutation { a: cancelOrder(id: "1") { order { status } } b: cancelOrder(id: "1") { userErrors { code } } }'
    answer = gateway.ask("web", query, sub="1")
    assert answer["data"] == {"a": {"order": {"status": "CANCELLED"}}, "b": {"userErrors": [{"code": "CONFLICT"}]}}
    assert [method for _, method, _ in services.calls] == ["GET", "POST", "POST"]
