"""`explain`: the waves, keys and calls of an operation, before it runs."""

import json
from typing import Any

import pytest

from bff.engine.arguments import InvalidVariables
from bff.engine.explain import Explanation
from bff.engine.plans import Plans
from bff.gate.limits import LimitOptions
from tests.support.shop import schemas


def explained(document: str, variables: dict[str, Any] | None = None, variant: str = "web") -> Explanation:
    """The explanation."""
    plans = Plans(schemas()[variant], LimitOptions(cost=20_000), introspection=True)
    return plans.explain(plans.get(document)[0].operation(None), variables or {})


def waves(explanation: Explanation) -> list[list[tuple[Any, ...]]]:
    """Source, keys and calls of each wave."""
    return [[(asked.source, asked.keys, asked.calls) for asked in wave] for wave in explanation.waves]


def test_the_account_page_takes_two_waves() -> None:
    """Orders with the user, products after them: three calls, and at most thirty products."""
    explanation = explained("{ me { orders(first: 10) { items { product { id } } } } }")
    assert waves(explanation) == [[("users", 1, 1), ("orders", 1, 1)], [("products", 30, 1)]]
    assert (explanation.by, explanation.calls, explanation.depth) == ("plan", 3, 5)


def test_keys_of_aliases_and_lists_add_up() -> None:
    """In their wave. One call takes up to two hundred keys."""
    explanation = explained('{ a: product(id: "1") { id } b: product(id: "2") { id } }')
    assert waves(explanation) == [[("products", 2, 1)]]
    explanation = explained(
        "{ orders(first: 100) { nodes { user { orders(first: 5) { user { id } } } } } }", variant="admin"
    )
    assert waves(explanation) == [
        [("orders", 1, 1)],
        [("users", 100, 1), ("orders", 100, 1)],
        [("users", 500, 3)],
    ]


def test_list_lengths_depend_on_variables() -> None:
    """As in the operation's cost."""
    query = "query ($n: Int) { me { orders(first: $n) { items { product { id } } } } }"
    assert waves(explained(query, {"n": 2}))[1] == [("products", 6, 1)]
    assert waves(explained(query, {"n": 50}))[1] == [("products", 150, 1)]


def test_connections_with_different_arguments_are_separate_calls() -> None:
    """Each page is one call."""
    explanation = explained('{ a: products(search: "x") { totalCount } b: products(search: "y") { totalCount } }')
    assert waves(explanation) == [[("products", 1, 1), ("products", 1, 1)]]


def test_mutations_are_serial() -> None:
    """The second begins when the first is complete."""
    explanation = explained(
        'mutation { a: cancelOrder(id: "1") { order { user { id } } } b: cancelOrder(id: "2") { order { id } } }',
    )
    assert waves(explanation) == [[(None, None, None)], [("users", 1, 1)], [(None, None, None)]]
    assert "and what 2 resolvers may ask" in explanation.as_text()


def test_an_explanation_can_be_written_as_json() -> None:
    """With all of its members."""
    explanation = explained("{ me { name } }")
    assert json.loads(json.dumps(explanation.as_json())) == {
        "operation": None,
        "type": "query",
        "by": "plan",
        "cost": 1,
        "costLimit": 20_000,
        "depth": 2,
        "depthLimit": 12,
        "calls": 1,
        "callsLimit": None,
        "wavesLimit": None,
        "access": [],
        "waves": [
            [{"source": "users", "request": "GET /users?ids=", "keys": 1, "calls": 1, "fields": ["me"]}],
        ],
        "plan": ["query (unnamed)", "  me User <- users.by_id by me()", "    name String <- .name"],
    }


def test_access_rules_are_listed() -> None:
    """By path, in the text and in the JSON."""
    explanation = explained('{ a: user(id: "1") { id } order(id: "2") { id } }')
    assert explanation.as_json()["access"] == [
        {"field": "a", "needs": "signed in, owner by id"},
        {"field": "order", "needs": "signed in"},
    ]
    assert "a needs: signed in, owner by id\n" in explanation.as_text()


def test_invalid_variables_are_refused() -> None:
    """As in a run."""
    with pytest.raises(InvalidVariables):
        explained("query ($id: ID!) { user(id: $id) { id } }")


def test_an_operation_without_a_plan_has_no_waves() -> None:
    """It has the reason instead."""
    explanation = explained("query ($a: Boolean = true) { me @include(if: $a) { id } }", {"a": None})
    assert (explanation.by, explanation.waves) == ("directive", ())
    assert "no plan (directive)" in explanation.as_text()
