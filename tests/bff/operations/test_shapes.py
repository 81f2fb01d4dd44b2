"""JSON Schema of operations' parameters and responses."""

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


def data_of(text: str) -> dict[str, Any]:
    """The schema of the `data` of a document's only operation."""
    document = parse(text)
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    (node,) = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    assert isinstance(SCHEMA.query_type, GraphQLObjectType)
    return Shapes("web", fragments).of_data(SCHEMA.query_type, node)


def test_fields_are_merged() -> None:
    """As in the response: aliases, fragments, repeated fields. Fields with `@skip` or `@include` are not required."""
    thing = data_of(
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


def test_a_field_of_one_type_of_an_interface_is_not_required() -> None:
    """Objects of the other types don't have it."""
    named = data_of("{ named { name ... on Thing { size } } }")["properties"]["named"]
    assert named["required"] == ["name"]
    assert "size" in named["properties"]


def test_inputs_refer_to_components() -> None:
    """Also recursively. A field with a default is not required."""
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
def test_introspection_fields_have_no_schema(text: str) -> None:
    """Any value is valid for them."""
    assert graphql_sync(SCHEMA, text).errors is None
    assert data_of(text)["required"]
