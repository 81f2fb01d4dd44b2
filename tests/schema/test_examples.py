"""The operations offered to a newcomer run as they stand."""

from pathlib import Path

import pytest
from graphql import FieldNode, OperationDefinitionNode, build_schema, parse, validate
from graphql.execution.values import get_variable_values
from graphql.utilities import strip_ignored_characters

import schema
from bff.graphiql.examples import EXAMPLES, Example

_ALL = [
    pytest.param(variant, example, id=f"{variant}-{example.name}")
    for variant, examples in EXAMPLES.items()
    for example in examples
]


def _operation(example: Example) -> OperationDefinitionNode:
    """The one operation of an example."""
    (definition,) = parse(example.query).definitions
    assert isinstance(definition, OperationDefinitionNode)
    return definition


@pytest.mark.parametrize(("variant", "example"), _ALL)
def test_example_is_one_named_operation(variant: str, example: Example) -> None:
    """An example parses as one operation, and it has a name: tabs, metrics and the log are labelled with it."""
    assert _operation(example).name is not None


@pytest.mark.parametrize(("variant", "example"), _ALL)
def test_example_fits_its_graph(variant: str, example: Example) -> None:
    """An example is valid in its variant's graph, and so are its variables, which are just those it declares."""
    sdl = Path(schema.__file__).parent / "sdl" / f"{variant}.graphql"
    graph = build_schema(sdl.read_text(encoding="utf-8"))
    operation = _operation(example)
    assert validate(graph, parse(example.query)) == []
    declared = operation.variable_definitions or ()
    assert example.variables.keys() == {definition.variable.name.value for definition in declared}
    assert not isinstance(get_variable_values(graph, declared, dict(example.variables)), list)


@pytest.mark.parametrize("variant", EXAMPLES)
def test_examples_of_a_variant_differ(variant: str) -> None:
    """No two examples of a variant share a name or a query: the page tells open tabs apart by the query."""
    examples = EXAMPLES[variant]
    assert len({example.name for example in examples}) == len(examples)
    assert len({example.query for example in examples}) == len(examples)


@pytest.mark.parametrize("variant", EXAMPLES)
def test_brief_s_own_query_is_among_them(variant: str) -> None:
    """Every variant offers the query that the project set out with, word for word but for its name."""
    own = strip_ignored_characters('{ user(id: "1") { id email name orders { id total status } } }')
    bare = [strip_ignored_characters(example.query[example.query.index("{") :]) for example in EXAMPLES[variant]]
    assert own in bare


@pytest.mark.parametrize(("variant", "example"), _ALL)
def test_token_is_announced(variant: str, example: Example) -> None:
    """An example says that it needs a token if it changes something, asks for somebody's own, or is for staff."""
    operation = _operation(example)
    roots = {field.name.value for field in operation.selection_set.selections if isinstance(field, FieldNode)}
    is_public = operation.operation.value == "query" and roots <= {"home", "product", "products"}
    assert example.needs_token is (variant == "admin" or not is_public)
