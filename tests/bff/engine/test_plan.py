"""Plans of typical operations as text, so that each change of a plan shows in a diff.

`SNAPSHOTS=write python -m pytest tests/bff/engine/test_plan.py` rewrites the files.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from bff.engine.plans import Plans
from bff.gate.limits import LimitOptions
from tests.support.shop import schemas

FOLDER = Path(__file__).with_name("snapshots")
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "account": (
        "web",
        "query Account($id: ID!) { user(id: $id) { id name email orders(first: 10) { id total status items "
        "{ quantity unitPrice product { id name price } } } } }",
        {"id": "1"},
    ),
    "me-ahead": ("web", "{ me { name orders(first: 3, status: PAID) { id } } }", {}),
    "catalogue": (
        "web",
        "{ products(first: 100) { totalCount edges { cursor node { id name inStock } } pageInfo { endCursor } } }",
        {},
    ),
    "search": (
        "web",
        "query ($text: String, $n: Int = 5) { products(first: $n, search: $text) { nodes { id imageUrl(width: 64) } } }",
        {"text": "x"},
    ),
    "orders-with-users": ("admin", "{ orders(first: 100) { nodes { id createdAt user { id tier } } } }", {}),
    "order-of-a-user-of-an-order": ("web", '{ order(id: "1") { user { orders { user { id } } } } }', {}),
    "aliases": ("web", '{ a: product(id: "1") { name } b: product(id: "2") { price } }', {}),
    "fragments": (
        "web",
        "query ($more: Boolean!) { me { ...Head ... on User @include(if: $more) { createdAt } } } "
        "fragment Head on User { id orders { ...Line } } fragment Line on Order { id items { lineTotal } }",
        {"more": True},
    ),
    "home": ("mobile", "{ home { user { name } recentOrders { id itemCount } products { id imageUrl } } }", {}),
    "sources": ("admin", "{ sources { name breaker forced instances { number healthy state } } }", {}),
    "place-order": (
        "web",
        "mutation Buy($input: PlaceOrderInput!) { placeOrder(input: $input) "
        "{ order { id user { name } } userErrors { code } } }",
        {"input": {"items": []}},
    ),
    "two-writes": (
        "admin",
        'mutation { a: cancelOrder(id: "1") { order { id } } '
        'b: updateOrderStatus(id: "2", status: PAID) { order { status } } }',
        {},
    ),
    "introspection": ("web", '{ __type(name: "User") { name fields { name } } }', {}),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_plan_of_a_typical_operation(name: str) -> None:
    """The source of each value, the calls of each wave, cost and depth."""
    variant, text, variables = OPERATIONS[name]
    plans = Plans(schemas()[variant], LimitOptions(cost=20_000), introspection=True)
    explanation = plans.explain(plans.get(text)[0].operation(None), variables)
    shown = f"# {variant}\n{text}\n\n{explanation.as_text()}\n{explanation.plan}"
    file = FOLDER / f"{name}.txt"
    if os.environ.get("SNAPSHOTS") == "write":
        file.write_text(shown)
    assert shown == file.read_text()
