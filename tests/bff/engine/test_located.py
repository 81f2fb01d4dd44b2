"""An error's locations come from the document, whatever attributes the exception has."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
import strawberry
from graphql import GraphQLError, parse

import bff
import datasources
import schema
from bff.engine.answer import GraphQLResult, begin
from bff.engine.located import located, locations_of
from bff.engine.operation import Operation
from bff.engine.prepare import Text
from tests.support.shop import Shop

READ = ("source", "positions", "nodes", "path", "extensions", "locations", "original_error")
"""What graphql-core reads of any exception that a resolver raises. `message` is harmless: it is only shown."""
AT_THE_GATE = "bff.errors"
"""The module of the errors that are never raised during execution."""


def subclasses(kind: type) -> Iterator[type]:
    """All subclasses, direct and indirect."""
    each: type
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def test_no_exception_of_ours_has_an_attribute_that_graphql_core_reads() -> None:
    """All classes of all modules, by their annotations, attributes and what their constructors set."""
    for package in (bff, schema, datasources):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    checked = 0
    for kind in set(subclasses(Exception)):
        home = kind.__module__
        if home.partition(".")[0] not in {"bff", "schema", "datasources"} or home == AT_THE_GATE:
            continue
        checked += 1
        names = {*dir(kind), *getattr(kind, "__annotations__", {})}
        for base in kind.__mro__:
            code = getattr(base.__dict__.get("__init__"), "__code__", None)
            names |= set(code.co_names) if code is not None else set()
        assert not names & set(READ), kind
    assert checked > 15


class Colliding(Exception):
    """An exception of some library, with attributes of all those names."""

    source = "one line"
    positions = (3,)
    nodes = ("no node",)
    path = None
    extensions = {"secret": "token"}  # noqa: RUF012 - as bad as it gets


@strawberry.type
class Query:
    """Fails."""

    @strawberry.field
    def fails(self) -> str | None:
        """Raises."""
        raise Colliding("no")

    @strawberry.field
    async def fails_later(self) -> str | None:
        """Raises when it is awaited."""
        raise Colliding("no")


DOCUMENT = """query Q($s: Boolean!) {
  __typename @skip(if: $s)

  a:
    fails
    b: failsLater
}
"""


@pytest.mark.parametrize("way", ["plan", "graphql-core"])
async def test_an_error_has_the_location_of_its_field(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a plan and by graphql-core's executor. Nothing of the exception's attributes is shown."""
    if way != "plan":
        monkeypatch.setattr("bff.engine.operation.MOST_PLANS", 0)
    document: Any = parse(Text(DOCUMENT))
    graph = strawberry.Schema(Query)._schema
    operation = Operation(graph, document, document.definitions[0], {})
    answer = begin(operation, {"s": False}, Shop().context("web", None))
    answer = answer if isinstance(answer, GraphQLResult) else await answer
    assert answer.by == ("plan" if way == "plan" else "variants")
    assert answer.payload["data"] == {"__typename": "Query", "a": None, "b": None}
    errors = {error["path"][0]: (error["locations"], error["extensions"]) for error in answer.payload["errors"]}
    code = {"code": "INTERNAL_SERVER_ERROR"}
    assert errors == {"a": ([{"line": 4, "column": 3}], code), "b": ([{"line": 6, "column": 5}], code)}


def test_a_graphql_error_keeps_its_own_locations() -> None:
    """They are more exact, as those of an argument."""
    document: Any = parse(Text("{\n a\n b\n}"))
    a, b = document.definitions[0].selection_set.selections
    placed = located(GraphQLError("no", a), [b], ["b"])
    assert (placed.locations, placed.path) == ([(2, 2)], ["b"])
    assert located(placed, [b], ["x"]) is placed
    bare = located(GraphQLError("no", extensions={"x": 1}), [b], ["b"])
    assert (bare.locations, bare.extensions) == ([(3, 2)], {"x": 1})


@pytest.mark.parametrize("text", ["{\n a\n}", "\r\n{\r a\n\r\n b }", "\n\n\n{ a }\n\n", "{ a }", "{a\n}\r"])
def test_lines_and_columns_are_graphql_cores(text: str) -> None:
    """For each position of a text and each kind of line break."""
    theirs = Text.__mro__[1]
    for position in range(len(text) + 1):
        assert Text(text).get_location(position) == theirs(text).get_location(position)


def test_a_document_without_locations_gives_none() -> None:
    """It was parsed with `no_location`."""
    document: Any = parse("{ a }", no_location=True)
    assert locations_of(document.definitions[0].selection_set.selections) is None
