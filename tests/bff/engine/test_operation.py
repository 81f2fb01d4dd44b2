"""Operations: when their plans are compiled, how many there are, and which operations have none."""

from typing import Any

import pytest
from graphql import build_schema, parse

from bff.engine.answer import GraphQLResult, begin
from bff.engine.arguments import NO_VARIABLES
from bff.engine.compile import MOST_FIELDS, NotPlannable
from bff.engine.operation import MOST_PLANS, Operation, Planned
from bff.engine.plan_text import plan_text
from tests.support.shop import Shop, schemas


def of(document: str, schema: Any = None) -> Operation:
    """The first operation of a document, with its fragments."""
    parsed: Any = parse(document)
    fragments = {each.name.value: each for each in parsed.definitions[1:]}
    return Operation(schema or schemas()["web"], parsed, parsed.definitions[0], fragments)


def test_a_plan_is_kept_with_rows_from_its_second_use() -> None:
    """For the first use no source is generated, and the plan is dropped."""
    operation = of("{ me { id } }")
    weight = operation.weight
    first = operation.planned(NO_VARIABLES)
    assert isinstance(first, Planned)
    assert not first.has_rows
    assert (operation.weight, operation.is_settled) == (weight, False)
    again = operation.planned(NO_VARIABLES)
    assert isinstance(again, Planned)
    assert again.has_rows
    assert plan_text(again.plan) == plan_text(first.plan)
    assert operation.planned(NO_VARIABLES) is again
    assert operation.weight > weight
    assert operation.is_settled


def test_each_combination_of_switch_values_has_its_plan() -> None:
    """Other variables don't matter."""
    operation = of("query ($a: Boolean!, $n: Int) { me { id @skip(if: $a) orders(first: $n) { id } } }")
    operation.planned(operation.variables.coerce({"a": True, "n": 0}))
    one = operation.planned(operation.variables.coerce({"a": True, "n": 1}))
    assert operation.planned(operation.variables.coerce({"a": True, "n": 2})) is one
    other = operation.planned(operation.variables.coerce({"a": False}))
    assert other is not one
    assert "id ID!" not in plan_text(one.plan).split("orders")[0]  # type: ignore[union-attr]


async def test_the_number_of_plans_is_limited() -> None:
    """graphql-core executes the operation for further combinations, with correct results."""
    names = "abcdef"
    declared = ", ".join(f"${name}: Boolean!" for name in names)
    fields = " ".join(f"{name}: id @include(if: ${name})" for name in names)
    operation = of(f"query ({declared}) {{ me {{ {fields} }} }}")
    reasons = []
    for number in range(2 ** len(names)):
        values = {name: bool(number >> at & 1) for at, name in enumerate(names)}
        answer = begin(operation, values, Shop().context("web", "1"))
        answer = answer if isinstance(answer, GraphQLResult) else await answer
        assert set(answer.payload["data"]["me"]) == {name for name, shown in values.items() if shown}
        reasons.append(answer.by)
    assert reasons == ["plan"] * MOST_PLANS + ["variants"] * (len(reasons) - MOST_PLANS)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("query ($a: Boolean) { me @include(if: $a) { id } }", "directive"),
        ("query @experimental_disableErrorPropagation { me { id } }", "directive"),
        ("{ me { ... @defer { id } } }", "directive"),
        ("subscription { x }", "subscription"),
        ("{ " + " ".join(f"a{number}: __typename" for number in range(MOST_FIELDS + 1)) + " }", "size"),
    ],
    ids=["a switch without a value", "error propagation", "defer", "subscription", "size"],
)
def test_an_operation_without_a_plan_has_a_reason(document: str, reason: str) -> None:
    """One of a few words, a label of the metric."""
    refused = of(document).planned(NO_VARIABLES)
    assert isinstance(refused, NotPlannable)
    assert refused.reason == reason


def test_a_plan_is_no_larger_than_its_document() -> None:
    """A fragment bomb of a billion fields is compiled with each of its selections once."""
    bomb = " ".join(f"fragment F{n} on T {{ a {{ ...F{n + 1} }} b {{ ...F{n + 1} }} }}" for n in range(30))
    schema = build_schema("type Query { t: T } type T { a: T b: T id: ID }")
    planned = of(f"{{ t {{ ...F0 }} }} {bomb} fragment F30 on T {{ id }}", schema).planned(NO_VARIABLES)
    assert isinstance(planned, Planned)
    assert planned.plan.size == 1 + 2 * 30 + 1


def test_the_plans_of_an_operation_share_one_limit_of_fields() -> None:
    """graphql-core executes the combinations that have no room."""
    fields = " ".join(f"a{number}: id" for number in range(MOST_FIELDS // 3))
    operation = of(f"query ($a: Boolean!, $b: Boolean!) {{ me {{ {fields} x: id @skip(if: $a) y: id @skip(if: $b) }} }}")
    kept = []
    for number in range(4):
        values = {"a": bool(number & 1), "b": bool(number & 2)}
        assert isinstance(operation.planned(operation.variables.coerce(values)), Planned)
        kept.append(operation.planned(operation.variables.coerce(values)))
    assert [each.reason for each in kept if isinstance(each, NotPlannable)] == ["variants"] * 2
