"""Results: the members of a response, and that an error shows its code and nothing internal."""

import json
import logging
import math
from typing import Any

import pytest

from bff.engine.answer import GraphQLResult, begin
from bff.engine.plans import Plans
from bff.gate.limits import LimitOptions
from bff.graph.context import Context
from bff.upstream.errors import (
    BadAnswer,
    BreakerOpen,
    Busy,
    Forbidden,
    NotReached,
    QueueFull,
    SourceError,
    TimedOut,
    Unauthenticated,
)
from tests.support.shop import Shop, product, rejected, schemas


@pytest.fixture
def shop() -> Shop:
    """The fake services of one test."""
    return Shop()


async def ask(
    shop: Shop,
    document: str,
    variables: dict[str, Any] | None = None,
    *,
    variant: str = "web",
    sub: str | None = "1",
    introspection: bool = True,
    context: Context | None = None,
) -> GraphQLResult:
    """The result of a document."""
    plans = Plans(schemas()[variant], LimitOptions(), introspection=introspection)
    operation = plans.get(document)[0].operation(None)
    context = context or shop.context(variant, sub)
    answer = begin(operation, variables, context)
    return answer if isinstance(answer, GraphQLResult) else await answer


# Results


async def test_a_response_without_errors_has_only_data(shop: Shop) -> None:
    """It has no `errors` member (GraphQL specification, section 7.1)."""
    answer = await ask(shop, "{ me { id } }")
    assert (answer.payload, answer.executed) == ({"data": {"me": {"id": "1"}}}, True)
    assert answer.codes == []


async def test_an_operation_that_awaits_nothing_is_executed_synchronously(shop: Shop) -> None:
    """All of its resolvers are synchronous."""
    answer = await ask(shop, "{ __typename }")
    assert (answer.payload, answer.executed) == ({"data": {"__typename": "Query"}}, True)


async def test_errors_have_path_locations_and_code(shop: Shop) -> None:
    """The field with the error is null; the other fields have their values."""
    answer = await ask(shop, '{ me { id }\n  user(id: "2") { id } }')
    assert answer.executed
    assert answer.payload == {
        "data": {"me": {"id": "1"}, "user": None},
        "errors": [
            {
                "message": "This is not yours to see.",
                "locations": [{"line": 2, "column": 3}],
                "path": ["user"],
                "extensions": {"code": "FORBIDDEN"},
            }
        ],
    }
    assert answer.codes == ["FORBIDDEN"]


async def test_each_code_is_listed_once(shop: Shop) -> None:
    """In the order of the errors, for the log."""
    answer = await ask(shop, '{ a: user(id: "2") { id } b: user(id: "3") { id } product(id: "1") { imageUrl(width: 0) } }')
    assert answer.codes == ["FORBIDDEN", "BAD_USER_INPUT"]


async def test_a_failed_list_item_is_left_out_and_reported(shop: Shop) -> None:
    """The partial error is one of the errors, with the list's path."""
    shop.orders.broken[4] = BadAnswer("orders", counts=False)
    answer = await ask(shop, "{ me { orders(first: 2) { id } } }")
    assert answer.payload["data"] == {"me": {"orders": [{"id": "5"}]}}
    (error,) = answer.payload["errors"]
    assert (error["path"], error["extensions"]) == (["me", "orders"], {"code": "UPSTREAM_ERROR", "source": "orders"})


async def test_a_failed_mutation_makes_the_data_null(shop: Shop) -> None:
    """Payloads are not nullable. The operation still counts as executed."""
    answer = await ask(shop, 'mutation { cancelOrder(id: "1") { order { id } } }', sub=None)
    assert answer.executed
    assert answer.payload["data"] is None
    assert answer.codes == ["UNAUTHENTICATED"]


# Errors of sources


@pytest.mark.parametrize(
    ("error", "extensions"),
    [
        (BreakerOpen("users", 12.4), {"code": "UPSTREAM_UNAVAILABLE", "source": "users", "retryAfter": 13}),
        (BreakerOpen("users", 0.2), {"code": "UPSTREAM_UNAVAILABLE", "source": "users", "retryAfter": 1}),
        (QueueFull("users"), {"code": "UPSTREAM_UNAVAILABLE", "source": "users"}),
        (NotReached("users", sent=False), {"code": "UPSTREAM_UNAVAILABLE", "source": "users"}),
        (BreakerOpen("users", 0.0), {"code": "UPSTREAM_UNAVAILABLE", "source": "users", "retryAfter": 1}),
        (Busy("users", 503, 7), {"code": "UPSTREAM_UNAVAILABLE", "source": "users", "retryAfter": 7}),
        (Busy("users", 429, None), {"code": "UPSTREAM_UNAVAILABLE", "source": "users"}),
        (TimedOut("users", counts=True), {"code": "UPSTREAM_TIMEOUT", "source": "users"}),
        (BadAnswer("users", counts=True), {"code": "UPSTREAM_ERROR", "source": "users"}),
        (rejected(400, source="users"), {"code": "UPSTREAM_ERROR", "source": "users"}),
        (Unauthenticated("users"), {"code": "UNAUTHENTICATED", "source": "users"}),
        (Forbidden("users"), {"code": "FORBIDDEN", "source": "users"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, SourceError) else "",
)
async def test_a_source_s_error_has_code_source_and_retry_after(
    shop: Shop, error: SourceError, extensions: dict[str, Any]
) -> None:
    """`retryAfter` is in whole seconds, rounded up, and at least 1; it is left out if unknown."""
    shop.users.failure = error
    (reported,) = (await ask(shop, "{ me { id } }")).payload["errors"]
    assert reported["extensions"] == extensions
    assert reported["message"] == error.message
    assert "secret" not in json.dumps(reported)


# Internal errors


SECRET = "postgres://user:password@10.0.0.1/db"


async def test_an_unexpected_exception_is_masked(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """The client gets code and path, the log the exception's type and place in the code; neither gets its message."""
    shop.users.failure = RuntimeError(SECRET)  # type: ignore[assignment] # a fault, not a source's error
    with caplog.at_level(logging.ERROR, "bff.errors"):
        answer = await ask(shop, "{ me { id } products(first: 1) { nodes { id } } }")
    assert answer.payload["data"] == {"me": None, "products": {"nodes": [{"id": "1"}]}}
    assert answer.payload["errors"] == [
        {
            "message": "Internal server error.",
            "locations": [{"line": 1, "column": 3}],
            "path": ["me"],
            "extensions": {"code": "INTERNAL_SERVER_ERROR"},
        }
    ]
    (record,) = caplog.records
    fields = record.fields  # type: ignore[attr-defined]
    assert (fields["kind"], fields["request_id"]) == ("RuntimeError", "request-1")
    assert SECRET not in json.dumps([record.getMessage(), fields])


@pytest.mark.parametrize("name", [None, [SECRET], {SECRET: 1}])
async def test_a_value_that_does_not_fit_the_schema_is_an_internal_error(shop: Shop, name: Any) -> None:
    """Such as null for a non-null field, or a list for a string. The value is not shown."""
    shop.products.records[1] = product(1, name=name)
    answer = await ask(shop, '{ product(id: "1") { name } }')
    assert answer.payload["data"] == {"product": None}
    (error,) = answer.payload["errors"]
    assert (error["message"], error["extensions"]) == ("Internal server error.", {"code": "INTERNAL_SERVER_ERROR"})


async def test_an_internal_error_of_a_list_item_is_masked_too(shop: Shop) -> None:
    """Partial errors are masked like raised ones."""
    shop.orders.broken[4] = RuntimeError(SECRET)  # type: ignore[assignment]
    answer = await ask(shop, "{ me { orders { id } } }")
    assert answer.codes == ["INTERNAL_SERVER_ERROR"]
    assert SECRET not in json.dumps(answer.payload)


# Variables


_ORDERS = "query ($first: Int, $status: OrderStatus) { me { orders(first: $first, status: $status) { id } } }"


@pytest.mark.parametrize(
    "variables",
    [
        {"first": "ten"},
        {"first": 1.5},
        {"first": 2**31},
        {"first": True},
        {"first": [1]},
        {"status": "paid"},
        {"status": 1},
        {"status": {"a": 1}},
    ],
)
async def test_invalid_variables_are_refused_before_execution(shop: Shop, variables: dict[str, Any]) -> None:
    """BAD_USER_INPUT without `data`: a request error (GraphQL specification, section 6.1.2)."""
    answer = await ask(shop, _ORDERS, variables)
    assert answer.executed is False
    assert "data" not in answer.payload
    assert answer.codes == ["BAD_USER_INPUT"]
    assert shop.calls == []


@pytest.mark.parametrize("variables", [None, {}, {"id": None}, {"other": "1"}])
async def test_a_missing_required_variable_is_refused(shop: Shop, variables: dict[str, Any] | None) -> None:
    """Left out, or null for a non-null type."""
    answer = await ask(shop, "query ($id: ID!) { user(id: $id) { id } }", variables)
    assert (answer.executed, answer.codes) == (False, ["BAD_USER_INPUT"])


@pytest.mark.parametrize(
    "input",
    [
        {},
        {"items": None},
        {"items": [None]},
        {"items": [{"productId": "1"}]},
        {"items": [{"productId": "1", "quantity": 1.5}]},
        {"items": [{"productId": "1", "quantity": 1, "price": 0}]},
        {"items": {"productId": True, "quantity": 1}},
        "x",
        [],
    ],
)
async def test_invalid_input_objects_are_refused_before_execution(shop: Shop, input: Any) -> None:
    """Missing, null, of another type, or with unknown fields."""
    query = "mutation ($input: PlaceOrderInput!) { placeOrder(input: $input) { order { id } } }"
    answer = await ask(shop, query, {"input": input})
    assert (answer.executed, answer.codes, shop.calls) == (False, ["BAD_USER_INPUT"], [])


async def test_the_number_of_variable_errors_is_limited(shop: Shop) -> None:
    """Thousands of invalid values don't make thousands of errors."""
    query = "mutation ($input: PlaceOrderInput!) { placeOrder(input: $input) { order { id } } }"
    answer = await ask(shop, query, {"input": {"items": [{}] * 5000}})
    assert len(answer.payload["errors"]) <= 60


async def test_without_introspection_variable_errors_suggest_no_names(shop: Shop) -> None:
    """Suggestions would reveal the schema."""
    messages = [
        (await ask(shop, _ORDERS, {"status": "PAIDD"}, introspection=on)).payload["errors"][0]["message"]
        for on in (False, True)
    ]
    assert ["Did you mean" in message for message in messages] == [False, True]


async def test_json_numbers_are_coerced_by_graphql_rules(shop: Shop) -> None:
    """1.0 is an Int, and an ID may be a number."""
    assert (await ask(shop, _ORDERS, {"first": 1.0})).payload["data"] == {"me": {"orders": [{"id": "5"}]}}
    answer = await ask(shop, "query ($id: ID!) { product(id: $id) { id } }", {"id": 1})
    assert answer.payload["data"] == {"product": {"id": "1"}}


@pytest.mark.parametrize("price", [math.inf, -math.inf, math.nan, 1e400])
async def test_a_float_that_is_not_finite_is_refused(shop: Shop, price: float) -> None:
    """GraphQL specification, section 3.5.2."""
    query = 'mutation ($p: Float) { updateProduct(id: "1", input: {price: $p}) { product { id } } }'
    answer = await ask(shop, query, {"p": price}, variant="admin")
    assert (answer.executed, answer.codes, shop.calls) == (False, ["BAD_USER_INPUT"], [])


@pytest.mark.parametrize(
    ("document", "variables"),
    [
        ('query ($id: ID = "1") { product(id: $id) { id } }', {"id": None}),
        ('query ($yes: Boolean = true) { product(id: "1") { id @include(if: $yes) } }', {"yes": None}),
    ],
)
async def test_an_argument_that_is_null_only_at_run_time_is_bad_user_input(
    shop: Shop, document: str, variables: dict[str, Any]
) -> None:
    """A nullable variable with a default is null at a non-null argument: the client's error. Was reported as internal."""
    answer = await ask(shop, document, variables)
    assert answer.payload["data"] == {"product": None}
    assert answer.codes == ["BAD_USER_INPUT"]


async def test_the_deepest_allowed_document_can_be_executed(shop: Shop) -> None:
    """A document within the limits does not exhaust Python's stack."""
    answer = await ask(shop, "{ " + "... { " * 150 + "me { id }" + " }" * 151)
    assert answer.payload == {"data": {"me": {"id": "1"}}}
