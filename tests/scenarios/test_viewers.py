"""Who sees what over real requests, and what the services get to know of the viewer."""

import re

import pytest

from tests.conftest import StartGateway
from tests.support.gateways import RunningGateway
from tests.support.services import Tapped

SUMMARY = '{ me { id } user(id: "1") { name } order(id: "1") { id } }'


def test_anonymous_requests(gateway: RunningGateway) -> None:
    """`me` is null without an error. Fields that need a sign-in are null with an error."""
    answer = gateway.ask("web", SUMMARY)
    assert answer["data"] == {"me": None, "user": None, "order": None}
    result = [(error["path"], error["extensions"]["code"]) for error in answer["errors"]]
    assert result == [(["user"], "UNAUTHENTICATED"), (["order"], "UNAUTHENTICATED")]


@pytest.mark.parametrize("variant", ["web", "mobile"])
@pytest.mark.parametrize("role", [None, "admin"])
def test_another_user_s_data_is_not_shown(gateway: RunningGateway, variant: str, role: str | None) -> None:
    """On web and mobile another user is FORBIDDEN and another user's order is null, with any role."""
    answer = gateway.ask(variant, SUMMARY, sub="2", role=role)
    assert answer["data"] == {"me": {"id": "2"}, "user": None, "order": None}
    assert [(error["path"], error["extensions"]["code"]) for error in answer["errors"]] == [(["user"], "FORBIDDEN")]


def test_administrators_see_all_users_and_orders(gateway: RunningGateway) -> None:
    """On admin."""
    answer = gateway.ask("admin", SUMMARY, sub="2", role="admin")
    assert answer == {"data": {"me": {"id": "2"}, "user": {"name": "User 1"}, "order": {"id": "1"}}}


@pytest.mark.parametrize("sub", ["auth0|5f7c", "0", "1e0", "01"])
def test_a_viewer_without_a_user(gateway: RunningGateway, sub: str) -> None:
    """A `sub` that is no user's id."""
    answer = gateway.ask("web", '{ me { id } user(id: "1") { id } }', sub=sub)
    assert answer["data"] == {"me": None, "user": None}
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "UNAUTHENTICATED"),
        ({"authorization": ""}, 401, "UNAUTHENTICATED"),
        ({"authorization": "Bearer nonsense"}, 401, "UNAUTHENTICATED"),
        ({"role": "user"}, 403, "FORBIDDEN"),
        ({"role": "Admin"}, 403, "FORBIDDEN"),
    ],
)
def test_admin_is_for_administrators(
    gateway: RunningGateway, services: Tapped, headers: dict[str, str], status: int, code: str
) -> None:
    """Without the role there is only a well-formed refusal, before any call."""
    if "role" in headers:
        headers = gateway.bearer("1", headers["role"])
    response = gateway.post("admin", {"query": "{ sources { name } }"}, headers=headers)
    assert response.status_code == status
    assert response.json()["errors"][0]["extensions"]["code"] == code
    assert "data" not in response.json()
    assert ("www-authenticate" in response.headers) == (status == 401)
    assert services.calls == []


@pytest.mark.parametrize("variant", ["web", "mobile", "admin"])
def test_a_bad_token_is_refused(gateway: RunningGateway, services: Tapped, variant: str) -> None:
    """An expired token never counts as anonymous, also where no token is needed."""
    token = gateway.token("1", ttl_s=-60)
    response = gateway.post(variant, {"query": "{ __typename }"}, headers={"authorization": f"Bearer {token}"})
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    assert token not in response.text
    assert services.calls == []


def test_the_viewer_s_identity_goes_upstream(gateway: RunningGateway, services: Tapped) -> None:
    """To users and orders, not to products. A client's own X-User-ID and cookies are not forwarded."""
    headers = {
        **gateway.bearer("1"),
        "x-user-id": "2",
        "cookie": "session=stolen",
        "x-request-id": "order-page-42",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    response = gateway.post(
        "web", {"query": '{ me { orders(first: 1) { items { product { id } } } } product(id: "9") { id } }'}, headers=headers
    )
    assert response.headers["x-request-id"] == "order-page-42"
    for (name, _, _), sent in zip(services.calls, services.headers, strict=True):
        assert sent["x-request-id"] == "order-page-42"
        assert re.match(r"00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[0-9a-f]{16}-01\Z", sent["traceparent"])
        assert sent["accept"] == "application/json"
        assert "cookie" not in sent
        assert sent.get("x-user-id") == (None if name == "products" else "1")
        assert sent.get("authorization") == (None if name == "products" else headers["authorization"])
    assert {name for name, _, _ in services.calls} == {"users", "orders", "products"}


def test_identity_is_a_setting_of_each_source(start_gateway: StartGateway, services: Tapped) -> None:
    """`forward_identity` decides for reads. A write always has the identity."""
    gateway = start_gateway(BFF_SOURCES__ORDERS__FORWARD_IDENTITY="false", BFF_SOURCES__PRODUCTS__FORWARD_IDENTITY="true")
    gateway.ask("web", '{ order(id: "1") { items { product { id } } } }', sub="1")
    gateway.ask("web", 'mutation { cancelOrder(id: "1") { order { id } } }', sub="1")
    result = [
        (name, method, sent.get("x-user-id"))
        for (name, method, _), sent in zip(services.calls, services.headers, strict=True)
    ]
    assert result == [
        ("orders", "GET", None),
        ("products", "GET", "1"),
        ("orders", "GET", None),
        ("orders", "POST", "1"),
    ]


@pytest.mark.parametrize("sent", ["", "spaces in it", "a" * 129, "<script>"])
def test_an_invalid_request_id_is_replaced(gateway: RunningGateway, services: Tapped, sent: str) -> None:
    """It is neither in the answer nor sent upstream."""
    response = gateway.post("web", {"query": '{ product(id: "1") { id } }'}, headers={"x-request-id": sent})
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])
    assert services.headers[0]["x-request-id"] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("variant", "missing"),
    [
        ("web", "{ sources { name } }"),
        ("web", "{ users { totalCount } }"),
        ("web", "{ home { user { id } } }"),
        ("web", '{ product(id: "1") { stock } }'),
        ("web", '{ order(id: "1") { itemCount } }'),
        ("web", '{ __type(name: "Source") { name } }'),
        ("mobile", "{ me { createdAt } }"),
        ("mobile", '{ order(id: "1") { user { id } } }'),
        ("mobile", "{ sources { name } }"),
        ("admin", "{ home { user { id } } }"),
        ("admin", "mutation { placeOrder(input: {items: []}) { order { id } } }"),
        ("web", 'mutation { updateProduct(id: "1", input: {stock: 1}) { product { id } } }'),
    ],
)
def test_fields_of_other_variants_do_not_exist(start_gateway: StartGateway, variant: str, missing: str) -> None:
    """With introspection and suggestions on: they are unknown as any made-up name."""
    gateway = start_gateway(
        BFF_VARIANTS__WEB__INTROSPECTION="true",
        BFF_VARIANTS__MOBILE__INTROSPECTION="true",
        BFF_VARIANTS__ADMIN__INTROSPECTION="true",
    )
    answer = gateway.ask(variant, missing, sub="1", role="admin")
    if "__type" in missing:
        assert answer == {"data": {"__type": None}}
    else:
        assert {error["extensions"]["code"] for error in answer["errors"]} == {"GRAPHQL_VALIDATION_FAILED"}
        assert "data" not in answer


def test_production_reveals_nothing_of_the_graph(gateway: RunningGateway) -> None:
    """In `serve` web and mobile have no introspection and no suggestions. Admin has both."""
    for variant in ("web", "mobile"):
        assert "errors" in gateway.ask(variant, "{ __schema { types { name } } }")
        message = gateway.ask(variant, '{ product(id: "1") { nam } }')["errors"][0]["message"]
        assert "Did you mean" not in message
        assert "name" not in message.replace("'nam'", "")
    assert "data" in gateway.ask("admin", "{ __schema { types { name } } }")
    assert "Did you mean" in gateway.ask("admin", '{ product(id: "1") { nam } }')["errors"][0]["message"]
