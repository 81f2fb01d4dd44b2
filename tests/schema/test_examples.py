"""The examples on the GraphiQL pages: each is valid in its variant, has a description and runs on the demo data."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from graphql import FieldNode, OperationDefinitionNode, build_schema, parse, validate
from graphql.execution.values import get_variable_values
from graphql.utilities import strip_ignored_characters

import schema
from bff.graphiql.examples import Example, read
from schema.variants import EVERYONE
from tests.conftest import StartGateway

_FOLDER = Path(schema.__file__).parent / "examples"
_EXAMPLES: Mapping[str, tuple[Example, ...]] = {variant.name: read(_FOLDER, variant.name) for variant in EVERYONE}
_ALL = [
    pytest.param(variant, example, id=f"{variant}-{example.name}")
    for variant, examples in _EXAMPLES.items()
    for example in examples
]


def _operation(example: Example) -> OperationDefinitionNode:
    """The only operation of an example."""
    (definition,) = parse(example.query).definitions
    assert isinstance(definition, OperationDefinitionNode)
    return definition


def _user_errors(value: object) -> list[object]:
    """All `userErrors` in an answer's data."""
    if isinstance(value, dict):
        return [*value.get("userErrors", ()), *(each for member in value.values() for each in _user_errors(member))]
    return [each for item in value for each in _user_errors(item)] if isinstance(value, list) else []


def test_every_variant_has_examples_and_every_folder_is_a_variant() -> None:
    """A folder with a misspelt name would not be read."""
    assert {each.name for each in _FOLDER.iterdir()} == _EXAMPLES.keys()
    assert all(_EXAMPLES.values())


@pytest.mark.parametrize("variant", _EXAMPLES)
def test_files_are_numbered_without_gaps(variant: str) -> None:
    """The number is the place on the page."""
    files = sorted((_FOLDER / variant).iterdir())
    assert [file.name[:3] for file in files] == [f"{number:02}-" for number in range(1, len(files) + 1)]
    assert {file.suffix for file in files} == {".graphql"}
    assert len(files) == len(_EXAMPLES[variant])


@pytest.mark.parametrize(("variant", "example"), _ALL)
def test_an_example_is_one_named_operation(variant: str, example: Example) -> None:
    """Tabs, metrics and the log are labelled with the operation's name."""
    assert _operation(example).name is not None


@pytest.mark.parametrize(("variant", "example"), _ALL)
def test_an_example_is_valid_in_its_variant(variant: str, example: Example) -> None:
    """So are its variables, which are exactly those that it declares."""
    sdl = Path(schema.__file__).parent / "sdl" / f"{variant}.graphql"
    graph = build_schema(sdl.read_text(encoding="utf-8"))
    operation = _operation(example)
    assert validate(graph, parse(example.query)) == []
    declared = operation.variable_definitions or ()
    assert example.variables.keys() == {definition.variable.name.value for definition in declared}
    assert not isinstance(get_variable_values(graph, declared, dict(example.variables)), list)


@pytest.mark.parametrize("variant", _EXAMPLES)
def test_examples_of_a_variant_differ(variant: str) -> None:
    """No two share a name or a query: the page tells open tabs apart by the query."""
    examples = _EXAMPLES[variant]
    assert len({example.name for example in examples}) == len(examples)
    assert len({example.query for example in examples}) == len(examples)


@pytest.mark.parametrize("variant", _EXAMPLES)
def test_each_variant_offers_the_user_with_orders(variant: str) -> None:
    """The query of a user with its orders, except for its name."""
    own = strip_ignored_characters('{ user(id: "1") { id email name orders { id total status } } }')
    bare = [strip_ignored_characters(example.query[example.query.index("{") :]) for example in _EXAMPLES[variant]]
    assert own in bare


@pytest.mark.parametrize(("variant", "example"), _ALL)
def test_an_example_that_needs_a_token_is_marked(variant: str, example: Example) -> None:
    """It needs one if it changes something, reads a user's own data, or is for administrators."""
    operation = _operation(example)
    roots = {field.name.value for field in operation.selection_set.selections if isinstance(field, FieldNode)}
    is_public = operation.operation.value == "query" and roots <= {"home", "product", "products"}
    assert example.needs_token is (variant == "admin" or not is_public)


@pytest.mark.parametrize("variant", _EXAMPLES)
def test_each_example_runs_on_fresh_demo_data(variant: str, start_gateway: StartGateway) -> None:
    """With a token and the default limits, none gets an error or a user error; all get data."""
    gateway = start_gateway()
    for example in _EXAMPLES[variant]:
        answer = gateway.ask(variant, example.query, dict(example.variables), sub="1" if variant != "admin" else None)
        assert "errors" not in answer, (example.name, answer["errors"])
        assert all(value is not None for value in answer["data"].values()), example.name
        assert _user_errors(answer["data"]) == [], example.name


@pytest.mark.parametrize("variant", ["web", "mobile"])
def test_only_a_marked_example_needs_a_token(variant: str, start_gateway: StartGateway) -> None:
    """Anonymous callers get an error or null from the marked ones, and data from all others."""
    gateway = start_gateway()
    for example in _EXAMPLES[variant]:
        answer = gateway.ask(variant, example.query, dict(example.variables))
        is_complete = "errors" not in answer and all(value is not None for value in answer["data"].values())
        assert is_complete is not example.needs_token, (example.name, answer)
