"""The actual cost of responses."""

from typing import Any

import pytest

from bff.engine.actual_cost import actual_cost
from bff.engine.arguments import NO_VARIABLES
from bff.engine.plans import Plans
from bff.gate.limits import LimitOptions
from schema.app import app as shop_app

WEB = shop_app.schemas["web"]


def costs(query: str, data: Any) -> tuple[int, int]:
    """The estimated cost of the query, and the actual cost of the data."""
    plans = Plans(WEB, LimitOptions(), introspection=False)
    operation = plans.get(query)[0].operation(None)
    planned: Any = operation.planned(NO_VARIABLES)
    return plans.check_cost(operation, {}), actual_cost(planned.plan.root, data)


@pytest.mark.parametrize(
    ("query", "data", "expected"),
    [
        ("{ __typename }", {"__typename": "Query"}, (0, 0)),
        ('{ product(id: "1") { name } }', {"product": {"name": "A"}}, (1, 1)),
        ('{ product(id: "1") { name } }', {"product": None}, (1, 0)),
        ('{ product(id: "1") { name } }', None, (1, 0)),
        ("{ products(first: 50) { nodes { id } } }", {"products": {"nodes": [{"id": "1"}, {"id": "2"}]}}, (50, 2)),
        ("{ products(first: 50) { nodes { id } } }", {"products": None}, (50, 0)),
        (
            "{ a: products(first: 5) { edges { node { id } } } b: products(first: 5) { totalCount } }",
            {"a": {"edges": [{"node": {"id": "1"}}]}, "b": {"totalCount": 9}},
            (5, 1),
        ),
        (
            "{ me { orders(first: 10) { items { product { id } } } } }",
            {"me": {"orders": [{"items": [{"product": {"id": "1"}}, {"product": None}]}, {"items": []}]}},
            (41, 4),
        ),
    ],
)
def test_objects_in_the_response_are_counted(query: str, data: Any, expected: tuple[int, int]) -> None:
    """Nulls and items that a list doesn't have cost nothing."""
    assert costs(query, data) == expected


def test_a_mutation_costs_the_same_if_it_fails() -> None:
    """The service was called. Only the returned objects differ."""
    query = 'mutation { cancelOrder(id: "1") { order { id } userErrors { code } } }'
    estimated, without = costs(query, {"cancelOrder": {"order": None, "userErrors": [{"code": "CONFLICT"}]}})
    _, with_order = costs(query, {"cancelOrder": {"order": {"id": "1"}, "userErrors": []}})
    assert (with_order, estimated - with_order) == (without + 1, 0)
    assert without == 10
