"""JSON Schema of what goes into operations and comes out, held against real values by a validator."""

from typing import Any

import pytest
from graphql import FragmentDefinitionNode, GraphQLObjectType, OperationDefinitionNode, build_schema, graphql_sync, parse

from bff.operations.shapes import Shapes

SCHEMA = build_schema(
    """
    enum Size { SMALL LARGE }
    input Range { from: Int!, to: Int! = 5, inner: Range }
    interface Named { name: String }
    type Thing implements Named { name: String, size: Size!, things: [Thing!], at: Thing }
    type Query { thing(range: Range, sizes: [Size!]!): Thing!  named: Named }
    """
)


def answer(text: str) -> dict[str, Any]:
    """The schema of a document's answer."""
    document = parse(text)
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    (node,) = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    assert isinstance(SCHEMA.query_type, GraphQLObjectType)
    return Shapes("web", fragments).of_answer(SCHEMA.query_type, node)


def test_fields_merge_and_may_be_missing() -> None:
    """As the answer has them: aliases, fragments, fields asked for twice, and what a switch may leave out."""
    thing = answer(
        """
        query A($s: Boolean!) {
          t: thing(sizes: []) { ...F at { size } at { name @skip(if: $s) } __typename }
        }
        fragment F on Thing { things { size } ... @include(if: $s) { name } }
        """
    )["properties"]["t"]
    assert thing["type"] == "object"
    assert thing["required"] == ["things", "at", "__typename"]
    assert thing["properties"]["name"] == {"type": ["string", "null"]}
    things = thing["properties"]["things"]
    assert things["type"] == ["array", "null"]
    assert things["items"]["properties"] == {"size": {"type": "string", "enum": ["SMALL", "LARGE"]}}
    at = thing["properties"]["at"]
    assert (at["required"], list(at["properties"])) == (["size"], ["size", "name"])


def test_what_only_one_of_several_types_has_may_be_missing() -> None:
    """On an interface."""
    named = answer("{ named { name ... on Thing { size } } }")["properties"]["named"]
    assert named["required"] == ["name"]
    assert "size" in named["properties"]


def test_inputs_refer_to_components() -> None:
    """Also to themselves; a field with a default may be left out."""
    shapes = Shapes("web", {})
    assert SCHEMA.query_type is not None
    arguments = SCHEMA.query_type.fields["thing"].args
    reference = {"$ref": "#/components/schemas/web.Range"}
    assert shapes.of_input(arguments["range"].type) == {"anyOf": [reference, {"type": "null"}]}
    assert shapes.of_input(arguments["sizes"].type) == {
        "type": "array",
        "items": {"type": "string", "enum": ["SMALL", "LARGE"]},
    }
    component = shapes.components["web.Range"]
    assert component["required"] == ["from"]
    assert component["additionalProperties"] is False
    assert component["properties"]["inner"] == {"anyOf": [reference, {"type": "null"}]}


@pytest.mark.parametrize("text", ["{ __schema { types { name } } }", "{ __typename }"])
def test_introspection_is_anything(text: str) -> None:
    """Its shape is well known elsewhere."""
    assert graphql_sync(SCHEMA, text).errors is None
    assert answer(text)["required"]
