"""Cached responses, and values that JSON allows but encoders refuse: clients can't empty the cache, and nothing is a 500."""

import json
from typing import Any

import httpx
import pytest

from tests.conftest import StartGateway
from tests.support.faults import Fault, json_answer
from tests.support.gateways import RunningGateway
from tests.support.services import Tapped

KEPT = {"BFF_VARIANTS__WEB__ANSWERS__ENABLED": "true", "BFF_SOURCES__PRODUCTS__CACHE__ENABLED": "false"}
PAGE = {"query": "query Page($first: Int) { products(first: $first) { nodes { id name } } }", "variables": {"first": 2}}
PRODUCT = '{ product(id: "1") { name price } }'
CHANGE = "mutation ($id: ID!, $price: Float) { updateProduct(id: $id, input: {price: $price}) { userErrors { code } } }"


def asked(gateway: RunningGateway, services: Tapped) -> int:
    """The number of calls for the page; none if its response is cached."""
    before = services.count().total()
    assert len(gateway.post("web", PAGE).json()["data"]["products"]["nodes"]) == 2
    return services.count().total() - before


def test_a_mutation_without_a_write_evicts_nothing(start_gateway: StartGateway, services: Tapped) -> None:
    """Anonymous, refused here, rejected by the service, or with `__typename` only."""
    gateway = start_gateway(**KEPT)
    assert [asked(gateway, services), asked(gateway, services)] == [1, 0]
    gateway.post("web", {"query": "mutation { __typename }"})
    gateway.post("web", {"query": 'mutation { cancelOrder(id: "1") { order { id } } }'})
    gateway.post("web", {"query": "mutation { updateProfile(input: {}) { user { id } } }"}, headers=gateway.bearer("1"))
    assert asked(gateway, services) == 0
    services.forget()
    result = gateway.ask("admin", CHANGE, {"id": "99999", "price": 5})
    assert result["data"]["updateProduct"]["userErrors"] == [{"code": "NOT_FOUND"}]
    assert [method for _, method, _ in services.calls] == ["PATCH"], "it went out"
    assert asked(gateway, services) == 0
    gateway.ask("admin", CHANGE, {"id": "1", "price": 5})
    assert [asked(gateway, services), asked(gateway, services)] == [1, 0]


def test_after_a_write_without_a_reply_nothing_is_cached_for_a_while(start_gateway: StartGateway, services: Tapped) -> None:
    """The write may still take effect."""
    gateway = start_gateway(**KEPT, BFF_SOURCES__PRODUCTS__RETRY__ATTEMPTS="1", BFF_SOURCES__PRODUCTS__TIMEOUT_S="0.2")
    assert [asked(gateway, services), asked(gateway, services)] == [1, 0]
    services.fail("products", Fault.HANG)
    assert gateway.ask("admin", CHANGE, {"id": "1", "price": 5})["errors"]
    services.fail("products", None)
    assert [asked(gateway, services), asked(gateway, services)] == [1, 1]


VALUES = [
    "123456789012345678901234567890",
    "-99999999999999999999",
    "18446744073709551616",
    "1e400",
    "-1e400",
    "1e-400",
    "9" * 400,
    "9" * 5000,
    "123456789012345678901234567890.5",
    '"\\ud800"',
    '"\\udc00x"',
    '"\\ud800\\ud800 and more"',
    '"\\u0000"',
    '"\\uffff"',
    "NaN",
    "Infinity",
    "[" * 50 + "]" * 50,
    '{"\\udfff": 1}',
    '{"": {"": [null, true, 0.1, -0]}}',
    "true",
    "null",
]


def bodies_with(value: str) -> list[str]:
    """Requests with the value as a variable of any type, as an undeclared variable, as an extension, and as a name."""
    query = "query A($first: Int, $s: String, $id: ID = 1, $f: Float) { products(first: $first, search: $s) { totalCount } }"
    bodies = [f'{{"query": "{query}", "variables": {{"{name}": {value}}}}}' for name in ("first", "s", "id", "f", "other")]
    return [
        *bodies,
        f"[{bodies[0]}, {bodies[4]}]",
        '{"query": "mutation ($i: UpdateProfileInput!) { updateProfile(input: $i) { user { name } } }",'
        f' "variables": {{"i": {{"name": {value}}}}}}}',
        f'{{"query": "{{ __typename }}", "extensions": {value}}}',
        f'{{"query": "{{ __typename }}", "extensions": {{"persistedQuery": {value}, "explain": {value}}}}}',
        f'{{"query": "{{ __typename }}", "operationName": {value}, "documentId": {value}}}',
        f'{{"query": {value}}}',
    ]


@pytest.mark.parametrize("environment", [KEPT, {}], ids=["answers are kept", "none are kept"])
def test_no_value_from_a_client_is_a_500(start_gateway: StartGateway, environment: dict[str, str]) -> None:
    """As JSON, in a batch and in a GET."""
    gateway = start_gateway(**environment)
    json_type, signed_in = {"content-type": "application/json"}, gateway.bearer("1")
    query = "query ($first: Int, $s: String) { products(first: $first, search: $s) { totalCount } }"
    for value in VALUES:
        for body in bodies_with(value):
            headers = json_type | (signed_in if "mutation" in body else {})
            check(gateway.http.post(f"{gateway.url}/web/graphql", content=body.encode(), headers=headers))
        variables = f'{{"first": 1, "s": {value}}}'
        check(gateway.http.get(f"{gateway.url}/web/graphql", params={"query": query, "variables": variables}))


def check(response: httpx.Response) -> None:
    """Assert a well-formed answer without an internal error."""
    assert response.status_code in {200, 400}, response.text
    answers = json.loads(response.content.decode("utf-8"))
    for answer in answers if isinstance(answers, list) else [answers]:
        codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
        assert "INTERNAL_SERVER_ERROR" not in codes


MEMBERS = [
    '"name": "half \\ud83d of one"',
    '"name": "\\udc00"',
    '"name": "\\u0000\\uffff"',
    '"stock": 123456789012345678901234567890',
    '"price": 1e400',
    '"price": 123456789012345678901234567890',
    '"price": 1.7976931348623157e308',
    '"stock": -99999999999999999999',
    '"other": 1e999',
    '"price": 5e-324',
    '"updatedAt": "9999-12-31T23:59:59+00:00"',
    '"updatedAt": "0001-01-01T00:00:00-23:59"',
]


def product_with(member: str) -> bytes:
    """A product with that member in place of its own."""
    product: dict[str, Any] = {
        "id": 1,
        "sku": "S",
        "name": "N",
        "description": "D",
        "price": 1.5,
        "currency": "USD",
        "stock": 1,
        "category": "toys",
        "imageUrl": "https://cdn.example.com/1.jpg",
        "updatedAt": "2026-01-01T00:00:00Z",
    }
    product.pop(member.split('"')[1], None)
    return f"{json.dumps(product)[:-1]}, {member}}}".encode()


def test_no_value_from_a_service_is_a_500(start_gateway: StartGateway, services: Tapped) -> None:
    """It is shown, or the object is a bad response of the service: with closures, with generated code, in a page."""
    gateway = start_gateway(BFF_SOURCES__PRODUCTS__BREAKER__MINIMUM_CALLS="10000")
    headers = gateway.bearer("1", "admin")
    fields = "name price stock inStock updatedAt"
    for member in MEMBERS:
        one = product_with(member)
        page = b'{"items": [%s], "nextCursor": null, "total": 1}' % one
        services.ports["products"].custom = lambda request, one=one, page=page: json_answer(
            page if request.startswith(b"GET /products?") else one
        )
        for query in (f'{{ product(id: "1") {{ {fields} }} }}', f"{{ products {{ totalCount nodes {{ {fields} }} }} }}"):
            for _ in range(2):
                check(gateway.post("admin", {"query": query}, headers=headers))
    services.ports["products"].custom = lambda _: json_answer(
        b'{"items": [], "nextCursor": null, "total": 1%s}' % (b"0" * 30)
    )
    check(gateway.post("admin", {"query": "{ products { totalCount } }"}, headers=headers))
    item = b'{"productId": 8, "quantity": %s, "unitPrice": %s}'
    order = b'{"id": 1, "userId": 1, "status": "paid", "currency": "USD", "total": %s, "createdAt": "2026-02-01T00:01:00Z", '
    query = '{ order(id: "1") { total items { quantity unitPrice lineTotal } } }'
    for number, price in ((b"1000", b"1.7e308"), (b"99999999999", b"1"), (b"2147483647", b"999999999999999.99")):
        body = order % price + b'"items": [%s]}' % (item % (number, price))
        services.ports["orders"].custom = lambda _, body=body: json_answer(body)
        check(gateway.post("admin", {"query": query}, headers=headers))
