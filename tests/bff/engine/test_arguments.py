"""Variables and arguments: what is computed once, and that graphql-core's rules decide about all unusual values."""

from collections import Counter
from typing import Any

import pytest
import strawberry
from graphql import GraphQLError, Undefined, parse

from bff.engine import arguments as module
from bff.engine.answer import GraphQLResult, begin
from bff.engine.arguments import NO_VARIABLES, Arguments, InvalidVariables
from bff.engine.operation import Operation
from tests.bff.engine.test_operation import of
from tests.support.shop import Shop


@strawberry.input
class Filter:
    """An input object, whose values graphql-core has to coerce."""

    text: str = "x"


@strawberry.type
class Item:
    """Has a field with arguments."""

    number: int

    @strawberry.field
    def sum(self, plus: int = 1, filter: Filter | None = None) -> int:
        """Of the item's number and the argument."""
        return self.number + plus


@strawberry.type
class Query:
    """Has a list of items, and a resolver that reads all of its info."""

    @strawberry.field
    def items(self) -> list[Item]:
        """Three items."""
        return [Item(number=number) for number in range(3)]

    @strawberry.field
    def given(self, info: strawberry.Info) -> str:
        """The variables."""
        return str(sorted(info.variable_values))


SCHEMA = strawberry.Schema(Query)._schema


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often graphql-core's coercion is called."""
    counts: Counter[str] = Counter()

    def count(name: str) -> None:
        real = getattr(module, name)

        def call(*args: Any, **options: Any) -> Any:
            counts[name] += 1
            return real(*args, **options)

        monkeypatch.setattr(module, name, call)

    count("get_variable_values")
    count("get_argument_values")
    return counts


async def run(operation: Operation, variables: dict[str, Any]) -> Any:
    """The data of a run without errors."""
    result = begin(operation, variables, Shop().context("web", None))
    result = result if isinstance(result, GraphQLResult) else await result
    assert result.by == "plan"
    assert "errors" not in result.payload
    return result.payload["data"]


INPUT = "query ($f: Filter, $n: Int) { given items { sum(plus: $n, filter: $f) } }"


async def test_variables_are_coerced_once_a_request(calls: Counter[str]) -> None:
    """Also for the first requests, which compile the plan, and if a resolver reads graphql-core's variables."""
    operation = of(INPUT, SCHEMA)
    for request in range(1, 5):
        data = await run(operation, {"f": {"text": "y"}, "n": 5})
        assert data == {"given": "['f', 'n']", "items": [{"sum": 5}, {"sum": 6}, {"sum": 7}]}
        assert calls["get_variable_values"] == request


async def test_usual_values_of_scalars_need_no_coercion(calls: Counter[str]) -> None:
    """Once the plan is compiled. The arguments need none either."""
    operation = of("query ($n: Int) { items { sum(plus: $n) } }", SCHEMA)
    for _ in range(2):
        await run(operation, {"n": 5})
    calls.clear()
    assert await run(operation, {"n": 7}) == {"items": [{"sum": 7}, {"sum": 8}, {"sum": 9}]}
    assert not calls


async def test_arguments_are_evaluated_once_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """For all objects that have the field."""
    evaluated: list[str] = []
    real = Arguments.evaluate

    def evaluate(self: Arguments, *args: Any) -> Any:
        evaluated.append(self.text())
        return real(self, *args)

    monkeypatch.setattr(Arguments, "evaluate", evaluate)
    operation = of("query ($n: Int) { items { sum(plus: $n) b: sum(plus: 2) } }", SCHEMA)
    await run(operation, {"n": 5})
    assert evaluated == ["(plus: $n)"]


def test_a_document_without_variables_shares_one_value() -> None:
    """What a client sends beyond the declared variables is ignored."""
    assert of("{ given }", SCHEMA).variables.coerce({"other": 1}) is NO_VARIABLES


@pytest.mark.parametrize(
    ("given", "coerced"),
    [
        ({"n": 1}, {"n": 1}),
        ({"n": 1.0}, {"n": 1}),
        ({"n": None}, {"n": None}),
        ({}, {}),
        ({"n": 1, "other": 2}, {"n": 1}),
    ],
)
def test_values_are_coerced_as_by_graphql_core(given: dict[str, Any], coerced: dict[str, Any]) -> None:
    """Whether they are simple or not."""
    variables = of("query ($n: Int) { items { sum(plus: $n) } }", SCHEMA).variables.coerce(given)
    assert variables.by_name == coerced
    assert variables.core().coerced == coerced


@pytest.mark.parametrize("value", ["1", True, 2**31, 1.5, [1]])
def test_an_invalid_value_has_graphql_core_s_error(value: Any) -> None:
    """With its location."""
    variables = of("query ($n: Int) { items { sum(plus: $n) } }", SCHEMA).variables
    with pytest.raises(InvalidVariables) as caught:
        variables.coerce({"n": value})
    assert caught.value.errors[0].locations


def test_switches_are_the_declared_variables_of_skip_and_include() -> None:
    """In alphabetical order, with `Undefined` for those that have no value."""
    operation = of(
        "query ($n: Int, $b: Boolean!, $a: Boolean!) { items { sum(plus: $n) @skip(if: $b) } given @include(if: $a) }",
        SCHEMA,
    )
    variables = operation.variables
    assert variables.switches == ("a", "b")
    values = variables.coerce({"a": True, "b": False, "n": 1})
    assert variables.switch_values(values) == (True, False)
    assert variables.switch_values(NO_VARIABLES) == (Undefined, Undefined)


def test_arguments_with_an_error_are_evaluated_each_time() -> None:
    """So that each request gets an error of its own."""
    item: Any = SCHEMA.type_map["Item"]
    document: Any = parse('{ sum(plus: "x") }')
    known = module.arguments_of(item.fields["sum"], document.definitions[0].selection_set.selections[0])
    assert (known.constant, known.literals) == (None, None)
    errors = []
    for _ in range(2):
        with pytest.raises(GraphQLError) as caught:
            known.evaluate(NO_VARIABLES)
        errors.append(caught.value)
    assert errors[0] is not errors[1]
