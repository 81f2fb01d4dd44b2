"""What an operation will ask for: waves, keys and calls, before anything runs."""

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


def waves(told: Explanation) -> list[list[tuple[Any, ...]]]:
    """Source, keys and calls, wave by wave."""
    return [[(asked.source, asked.keys, asked.calls) for asked in wave] for wave in told.waves]


def test_the_account_page_takes_two_waves() -> None:
    """Orders with the user, products after: three calls, thirty products at most."""
    told = explained("{ me { orders(first: 10) { items { product { id } } } } }")
    assert waves(told) == [[("users", 1, 1), ("orders", 1, 1)], [("products", 30, 1)]]
    assert (told.by, told.calls, told.depth) == ("plan", 3, 5)


def test_keys_of_aliases_and_lists_add_up_in_their_wave() -> None:
    """One call for up to two hundred of them."""
    told = explained('{ a: product(id: "1") { id } b: product(id: "2") { id } }')
    assert waves(told) == [[("products", 2, 1)]]
    told = explained("{ orders(first: 100) { nodes { user { orders(first: 5) { user { id } } } } } }", variant="admin")
    assert waves(told) == [
        [("orders", 1, 1)],
        [("users", 100, 1), ("orders", 100, 1)],
        [("users", 500, 3)],
    ]


def test_variables_decide_how_long_lists_are() -> None:
    """As they do when it runs."""
    query = "query ($n: Int) { me { orders(first: $n) { items { product { id } } } } }"
    assert waves(explained(query, {"n": 2}))[1] == [("products", 6, 1)]
    assert waves(explained(query, {"n": 50}))[1] == [("products", 150, 1)]


def test_connections_of_different_arguments_are_calls_of_their_own() -> None:
    """A page is a call."""
    told = explained('{ a: products(search: "x") { totalCount } b: products(search: "y") { totalCount } }')
    assert waves(told) == [[("products", 1, 1), ("products", 1, 1)]]


def test_mutations_follow_each_other() -> None:
    """The second begins when all of the first is done."""
    told = explained(
        'mutation { a: cancelOrder(id: "1") { order { user { id } } } b: cancelOrder(id: "2") { order { id } } }',
    )
    assert waves(told) == [[(None, None, None)], [("users", 1, 1)], [(None, None, None)]]
    assert "and what 2 resolvers may ask" in told.as_text()


def test_json_says_the_same() -> None:
    """All of it, and nothing that JSON has no word for."""
    told = explained("{ me { name } }")
    assert json.loads(json.dumps(told.as_json())) == {
        "operation": None,
        "type": "query",
        "by": "plan",
        "cost": 1,
        "costLimit": 20_000,
        "depth": 2,
        "depthLimit": 12,
        "calls": 1,
        "access": [],
        "waves": [
            [{"source": "users", "request": "GET /users?ids=", "keys": 1, "calls": 1, "fields": ["me"]}],
        ],
        "plan": ["query (unnamed)", "  me User <- loader user by me()", "    name String <- .name"],
    }


def test_who_may_have_a_field_is_told() -> None:
    """By path, in words and for machines."""
    told = explained('{ a: user(id: "1") { id } order(id: "2") { id } }')
    assert told.as_json()["access"] == [
        {"field": "a", "needs": "signed in, owner by id"},
        {"field": "order", "needs": "signed in"},
    ]
    assert "a needs: signed in, owner by id\n" in told.as_text()


def test_variables_that_do_not_fit_are_told() -> None:
    """As when it is run."""
    with pytest.raises(InvalidVariables):
        explained("query ($id: ID!) { user(id: $id) { id } }")


def test_what_has_no_plan_says_so() -> None:
    """Nothing is made up."""
    told = explained("query ($a: Boolean = true) { me @include(if: $a) { id } }", {"a": None})
    assert (told.by, told.waves) == ("directive", ())
    assert "no plan (directive)" in told.as_text()
