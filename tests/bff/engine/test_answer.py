"""A run: what an operation answers, and that an error tells its code and nothing inner."""

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
    """A shop of one test."""
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
    """The answer to a document."""
    plans = Plans(schemas()[variant], LimitOptions(), introspection=introspection)
    operation = plans.get(document)[0].operation(None)
    context = context or shop.context(variant, sub)
    answer = begin(operation, variables, context)
    return answer if isinstance(answer, GraphQLResult) else await answer


# Answers


async def test_an_answer_without_errors_has_data_alone(shop: Shop) -> None:
    """No `errors` member where there are none (GraphQL specification, section 7.1)."""
    answer = await ask(shop, "{ me { id } }")
    assert (answer.payload, answer.executed) == ({"data": {"me": {"id": "1"}}}, True)
    assert answer.codes == []


async def test_what_needs_no_waiting_is_answered_too(shop: Shop) -> None:
    """An operation whose resolvers are all synchronous."""
    answer = await ask(shop, "{ __typename }")
    assert (answer.payload, answer.executed) == ({"data": {"__typename": "Query"}}, True)


async def test_errors_come_with_path_place_and_code(shop: Shop) -> None:
    """What could be had is there, what could not is null and told."""
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


async def test_codes_are_told_once_each(shop: Shop) -> None:
    """For the log: which there were, in order."""
    answer = await ask(shop, '{ a: user(id: "2") { id } b: user(id: "3") { id } product(id: "1") { imageUrl(width: 0) } }')
    assert answer.codes == ["FORBIDDEN", "BAD_USER_INPUT"]


async def test_what_was_lost_from_a_list_is_told_beside_it(shop: Shop) -> None:
    """Partial errors stand among the others, with the list's path."""
    shop.orders.broken[4] = BadAnswer("orders", counts=False)
    answer = await ask(shop, "{ me { orders(first: 2) { id } } }")
    assert answer.payload["data"] == {"me": {"orders": [{"id": "5"}]}}
    (told,) = answer.payload["errors"]
    assert (told["path"], told["extensions"]) == (["me", "orders"], {"code": "UPSTREAM_ERROR", "source": "orders"})


async def test_a_lost_mutation_loses_the_data(shop: Shop) -> None:
    """Payloads are not nullable: the operation was executed, and its data is null."""
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
async def test_a_source_s_error_tells_code_source_and_when_to_come_back(
    shop: Shop, error: SourceError, extensions: dict[str, Any]
) -> None:
    """As the contract's table has it; `retryAfter` in whole seconds, never too early and at least one, where it is known."""
    shop.users.failure = error
    (told,) = (await ask(shop, "{ me { id } }")).payload["errors"]
    assert told["extensions"] == extensions
    assert told["message"] == error.message
    assert "secret" not in json.dumps(told)


# Faults of ours


SECRET = "postgres://user:password@10.0.0.1/db"


async def test_an_unexpected_exception_shows_nothing_of_itself(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """The client learns the code and where; the log learns the kind and the place, and no one the message."""
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
async def test_a_value_that_does_not_fit_the_graph_is_a_fault_of_ours(shop: Shop, name: Any) -> None:
    """Null where there has to be something, a list where there has to be a string: what it was is not shown."""
    shop.products.records[1] = product(1, name=name)
    answer = await ask(shop, '{ product(id: "1") { name } }')
    assert answer.payload["data"] == {"product": None}
    (told,) = answer.payload["errors"]
    assert (told["message"], told["extensions"]) == ("Internal server error.", {"code": "INTERNAL_SERVER_ERROR"})


async def test_a_fault_in_a_part_of_a_list_is_masked_too(shop: Shop) -> None:
    """What resolvers tell beside a value goes the same way as what they raise."""
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
async def test_variables_that_do_not_fit_are_refused_before_anything_runs(shop: Shop, variables: dict[str, Any]) -> None:
    """BAD_USER_INPUT and no `data`: it is a request error (GraphQL specification, section 6.1.2)."""
    answer = await ask(shop, _ORDERS, variables)
    assert answer.executed is False
    assert "data" not in answer.payload
    assert answer.codes == ["BAD_USER_INPUT"]
    assert shop.calls == []


@pytest.mark.parametrize("variables", [None, {}, {"id": None}, {"other": "1"}])
async def test_a_variable_that_has_to_be_there_is_missed(shop: Shop, variables: dict[str, Any] | None) -> None:
    """Left out or null, for a type that is not."""
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
async def test_inputs_that_do_not_fit_are_refused_before_anything_runs(shop: Shop, input: Any) -> None:
    """Missing, null, of another type, or with what the graph has not."""
    query = "mutation ($input: PlaceOrderInput!) { placeOrder(input: $input) { order { id } } }"
    answer = await ask(shop, query, {"input": input})
    assert (answer.executed, answer.codes, shop.calls) == (False, ["BAD_USER_INPUT"], [])


async def test_a_flood_of_wrong_variables_is_cut_off(shop: Shop) -> None:
    """Thousands of mistakes make no answer of thousands of errors."""
    query = "mutation ($input: PlaceOrderInput!) { placeOrder(input: $input) { order { id } } }"
    answer = await ask(shop, query, {"input": {"items": [{}] * 5000}})
    assert len(answer.payload["errors"]) <= 60


async def test_where_introspection_is_off_variables_suggest_nothing(shop: Shop) -> None:
    """What would have been right is told only where the graph may be asked."""
    told = [
        (await ask(shop, _ORDERS, {"status": "PAIDD"}, introspection=on)).payload["errors"][0]["message"]
        for on in (False, True)
    ]
    assert ["Did you mean" in message for message in told] == [False, True]


async def test_numbers_json_can_write_are_taken_as_graphql_does(shop: Shop) -> None:
    """1.0 is an Int, and an ID may be a number."""
    assert (await ask(shop, _ORDERS, {"first": 1.0})).payload["data"] == {"me": {"orders": [{"id": "5"}]}}
    answer = await ask(shop, "query ($id: ID!) { product(id: $id) { id } }", {"id": 1})
    assert answer.payload["data"] == {"product": {"id": "1"}}


@pytest.mark.parametrize("price", [math.inf, -math.inf, math.nan, 1e400])
async def test_an_amount_that_is_no_number_goes_nowhere(shop: Shop, price: float) -> None:
    """Infinity is no Float (GraphQL specification, section 3.5.2)."""
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
    """Nullable where it is declared, with a default, and not where it is used: the client's mistake, once told as ours."""
    answer = await ask(shop, document, variables)
    assert answer.payload["data"] == {"product": None}
    assert answer.codes == ["BAD_USER_INPUT"]


async def test_the_deepest_document_that_is_let_in_also_runs(shop: Shop) -> None:
    """What passes the limits does not exhaust Python's stack when it is executed."""
    answer = await ask(shop, "{ " + "... { " * 150 + "me { id }" + " }" * 151)
    assert answer.payload == {"data": {"me": {"id": "1"}}}
