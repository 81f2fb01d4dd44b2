"""Trusted operations: their names, and their parameters."""

from typing import Any

import pytest
from graphql import build_schema

from bff.errors import InvalidParameter
from bff.gate.manifests import TrustedDocument
from bff.operations.calls import TrustedOperation, TrustedOperations

SCHEMA = build_schema(
    """
    scalar DateTime
    enum Size { SMALL LARGE }
    input Range { from: Int!, to: Int = 5 }
    type Query {
      a(
        int: Int, float: Float!, flag: Boolean, text: String, id: ID, size: Size, at: DateTime,
        ids: [ID!]!, sizes: [Size], range: Range, ranges: [Range!], grid: [[Int]]
      ): String
    }
    type Mutation { b(text: String): String }
    """
)
ALL = """
# query Not($x: Int) { a }
query All(
  $int: Int, $float: Float!, $flag: Boolean, $text: String, $id: ID, $size: Size, $at: DateTime,
  $ids: [ID!]!, $sizes: [Size], $range: Range, $ranges: [Range!], $grid: [[Int]]
) { a }
"""


def calls(*texts: str, name: str | None = None) -> TrustedOperations:
    """The operations of a manifest with those documents."""
    return TrustedOperations(SCHEMA, [TrustedDocument(text, (str(n),), name, "a.json") for n, text in enumerate(texts)])


@pytest.fixture
def call() -> TrustedOperation:
    """An operation with a parameter of each kind."""
    found = calls(ALL).get("All")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("query_string", "expected"),
    [
        (b"", {}),
        (b"int=-12", {"int": -12}),
        (b"float=1e3", {"float": 1000.0}),
        (b"float=-0.5", {"float": -0.5}),
        (b"flag=true", {"flag": True}),
        (b"flag=false", {"flag": False}),
        (b"text=", {"text": ""}),
        (b"text=a%20b%26%C3%A9+c", {"text": "a b&\u00e9 c"}),
        (b"text=null", {"text": "null"}),
        (b"id=007", {"id": "007"}),
        (b"size=LARGE", {"size": "LARGE"}),
        (b"at=2026-01-01T00%3A00%3A00Z", {"at": "2026-01-01T00:00:00Z"}),
        (b"ids=1", {"ids": ["1"]}),
        (b"ids=1&sizes=SMALL&ids=2", {"ids": ["1", "2"], "sizes": ["SMALL"]}),
        (b"range=%7B%22from%22%3A1%7D", {"range": {"from": 1}}),
        (b"ranges=%5B%7B%22from%22%3A1%7D%5D", {"ranges": [{"from": 1}]}),
        (b"grid=%5B%5B1%5D%5D", {"grid": [[1]]}),
        (b"range=null", {"range": None}),
    ],
)
def test_a_query_string_becomes_variables(call: TrustedOperation, query_string: bytes, expected: dict[str, Any]) -> None:
    """Each by its type. GraphQL then checks enums, IDs and custom scalars."""
    assert call.of_query(query_string) == expected


@pytest.mark.parametrize(
    ("query_string", "message"),
    [
        (b"int=1.0", "int: expected an integer."),
        (b"int=" + b"9" * 5000, "int: expected an integer."),
        (b"int=+1", "int: expected an integer."),
        (b"int=%D9%A1", "int: expected an integer."),
        (b"float=nan", "float: expected a number."),
        (b"float=1e999", "float: expected a number."),
        (b"float=.5", "float: expected a number."),
        (b"flag=TRUE", "flag: expected true or false."),
        (b"text=a&text=b", "text: expected one value, got 2."),
        (b"range={", "range: expected JSON."),
        (b"range=" + b"[" * 5000, "range: expected JSON."),
        (b"text=%FF", "The parameters are malformed, or more than 200."),
        (b"text=\xff", "The parameters are malformed, or more than 200."),
        (b"&".join([b"ids=1"] * 201), "The parameters are malformed, or more than 200."),
        (
            b"Int=1",
            "Unknown parameter Int: expected one of: at, flag, float, grid, id, ids, int, range, ranges, size, sizes, text.",
        ),
    ],
)
def test_an_invalid_query_string_is_refused(call: TrustedOperation, query_string: bytes, message: str) -> None:
    """The message names the parameter and what was expected."""
    with pytest.raises(InvalidParameter) as caught:
        call.of_query(query_string)
    assert caught.value.message == message


def test_a_body_is_a_json_object_or_empty(call: TrustedOperation) -> None:
    """Anything else is refused."""
    assert call.of_body(b" ") == {}
    assert call.of_body(b'{"int": 1, "ids": ["a"]}') == {"int": 1, "ids": ["a"]}
    for body in (b"null", b"[]", b"1", b"{", b"[" * 5000, b'{"x": 1}', b'"\xff"'):
        with pytest.raises(InvalidParameter):
            call.of_body(body)


def test_names_are_found_in_the_documents() -> None:
    """If the manifest has no names: those of operations, not of comments, fragments or anonymous operations."""
    found = calls(ALL, "mutation  Do($text: String) { b(text: $text) }", "{ a }", "query { a }", "fragment F on Query { a }")
    assert [(each.name, each.operation, each.is_mutation) for each in found] == [
        ("All", "All", False),
        ("Do", "Do", True),
    ]
    both = calls("query One { a }\nmutation Two { b }")
    assert [(each.name, each.is_mutation) for each in both] == [("One", False), ("Two", True)]
    assert both.get("Three") is None


def test_a_name_in_the_manifest_is_that_of_the_only_operation() -> None:
    """Whatever its name in the document is."""
    named = calls("mutation Inner($text: String) { b(text: $text) }", name="outer").get("outer")
    assert named is not None
    assert (named.operation, named.is_mutation, list(named.types)) == (None, True, ["text"])


@pytest.mark.parametrize("text", ["query Bad($x: Int", "query Bad($x: Colour) { a }", "query Bad { a(" + "[" * 9000])
def test_an_invalid_document_has_no_parameters(text: str) -> None:
    """A call of it is refused with the errors of the document."""
    found = calls(text).get("Bad")
    assert found is not None
    assert found.types == {}
