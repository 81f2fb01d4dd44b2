"""Documents that are wrong, or made to do harm: a clear message or valid code, never anything else."""

import ast
import copy
import os
import random
import sys
from collections.abc import Iterator
from functools import lru_cache
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
import strawberry

from bff import ById, Record, Source, Variant
from bff.scaffold.names import ScaffoldError, source_names
from bff.scaffold.openapi.application import Application, Known
from bff.scaffold.openapi.datasource import datasource
from bff.scaffold.openapi.demo import description
from bff.scaffold.openapi.detect import detect
from bff.scaffold.openapi.graph import graph_type
from bff.scaffold.openapi.tests import source_test
from tests.support.openapi import STYLES, Document, by_offset, document, link_header, parameter, ref, reply

INJECTION = '"); __import__("os").system("true") #'
NAMES = (
    *(
        "class",
        "None",
        "id",
        "__class__",
        "list",
        "str",
        "datetime",
        "field",
        "import os",
        "a\nb",
        "\u202eevil",
        '"""',
        "\\",
        "'",
    ),
    *(
        "${x}",
        "{x}",
        "%s",
        "1",
        "",
        "é",
        "x" * 500,
        INJECTION,
        *("self", "type", "info", "root", "copy", "is_type_of", "isTypeOf"),
        "first",
        "after",
        "A" * 60,
        "_",
        "-",
        "a b",
        "\0",
        "0x1",
    ),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 10**30, 1.5, "", "x", [], {}, [[]], [None], {"": None}, {"$ref": "#"}, {"$ref": 1}),
    *({"$ref": "#/paths"}, {"$ref": "https://x.example/y"}, {"$ref": "#/components/schemas/Part"}, {"type": ["null"]}),
    *({"allOf": [{}]}, {"oneOf": []}, {"anyOf": [None, 3]}, {"enum": [{}, []]}, {"type": {}}, {"items": {"items": {}}}),
    *({"type": "string", "enum": [INJECTION, "a"]}, {"type": "object", "properties": {INJECTION: {"type": "string"}}}),
    *NAMES,
)
SAMPLES = int(os.environ.get("OPENAPI_SAMPLES", "1"))


class MakerRecord(Record, frozen=True, kw_only=True):
    id: UUID


class Makers(Source[MakerRecord]):
    path = "/makers"
    by_id = ById()


@strawberry.type
class Maker:
    id: strawberry.ID


MAKER = Known("datasources.makers", "Makers", "Maker", "UUID", "by_id", "schema.types.maker")


def written(root: Document, name: str, path: str | None = None) -> list[str]:
    """The code that is written for a document, which must be Python."""
    application = Application({"maker": MAKER}, frozenset({"Maker", "Makers"}))
    found = detect(root, source_names(name, None), path, application)
    code = [datasource(found), graph_type(found), source_test(found, found.owners)]
    for text in code:
        ast.parse(text)
        assert "system" not in text
        assert max(map(len, text.splitlines())) <= 120
    assert all(line.isprintable() and len(line) < 400 for line in found.notes)
    description(found)
    run(name, code[0], code[1])
    return code


@lru_cache(maxsize=10_000)  # most documents lead to the same code
def run(name: str, datasource_code: str, graph_code: str) -> None:
    """Run the module of the source and that of the type: their declarations are checked as they are made."""
    makers, schema, variants = (
        ModuleType("datasources.makers"),
        ModuleType("schema.types.maker"),
        ModuleType("schema.variants"),
    )
    vars(makers)["Makers"], vars(schema)["Maker"] = Makers, Maker
    vars(variants)["EVERYONE"] = (Variant("web"),)
    source, graph = ModuleType(f"datasources.{name}"), ModuleType("schema.types.made")
    with pytest.MonkeyPatch.context() as patch:
        for module in (makers, schema, variants, source, graph):
            patch.setitem(sys.modules, module.__name__, module)
        exec(datasource_code, vars(source))  # noqa: S102 - what is tested
        exec(graph_code, vars(graph))  # noqa: S102


def refusal(root: Document, name: str) -> str:
    """The message with which a document is refused; empty if it is not."""
    try:
        written(root, name)
    except ScaffoldError as error:
        return str(error)
    return ""


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Each object or list of a document, with each of its keys."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield node, key
        yield from places(node[key])


@pytest.mark.parametrize("style", STYLES)
def test_whatever_stands_at_any_place(style: str) -> None:
    """Each part of a document is replaced by each wrong value: either it is refused, or the code is still Python."""
    name, make = STYLES[style]
    count = len(list(places(make())))
    for number in range(count):
        for value in random.Random(number).sample(VALUES, SAMPLES):
            root = make()
            holder, key = list(places(root))[number]
            holder[key] = copy.deepcopy(value)
            assert refusal(root, name).isprintable()


@pytest.mark.parametrize("style", STYLES)
def test_whatever_the_names_are(style: str) -> None:
    """Each name of a document is replaced by each hostile one."""
    name, make = STYLES[style]
    count = len([key for _, key in places(make()) if isinstance(key, str)])
    for number in range(count):
        for hostile in random.Random(number).sample(NAMES, SAMPLES):
            root = make()
            holder, key = [each for each in places(root) if isinstance(each[1], str)][number]
            holder[hostile] = holder.pop(key)
            assert refusal(root, name).isprintable()


def test_descriptions_get_into_no_code() -> None:
    """Nor do titles, examples and defaults."""
    root = by_offset()
    for holder, _ in list(places(root)):
        if isinstance(holder, dict) and "type" in holder:
            holder |= {"title": INJECTION, "description": INJECTION, "example": INJECTION, "x-y": INJECTION}
    written(root, "parts")


def test_a_hundred_thousand_schemas_cost_nothing() -> None:
    """What a resource doesn't refer to isn't read."""
    root = by_offset()
    root["components"]["schemas"] |= {f"S{number}": ref(f"S{number + 1}") for number in range(100_000)}
    written(root, "parts")


def test_many_paths_below_one_another() -> None:
    """As many as are read are looked at."""
    root = by_offset()
    listed = root["paths"]["/makers/{makerId}/parts"]
    root["paths"] |= {f"/makers{number}/{{id}}/parts": listed for number in range(5_000)}
    written(root, "parts")


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [ref("Part"), ref("Part")]},
        {"oneOf": [ref("Part"), ref("Part")]},
        {"allOf": [{"allOf": [ref("Part")] * 3}] * 3},
        ref("Part"),
    ],
)
def test_a_schema_that_contains_itself(schema: Document) -> None:
    """Is refused with a message, or counts as nothing."""
    root = by_offset()
    root["components"]["schemas"]["Part"] = schema
    with pytest.raises(ScaffoldError):
        written(root, "parts")


def test_an_object_inside_of_itself() -> None:
    """Is left out where it is nested too deeply."""
    root = by_offset()
    root["components"]["schemas"]["Part"]["properties"]["parent"] = ref("Part")
    code = written(root, "parts")
    assert "class PartParentParent(" in code[0]
    assert "class PartParentParentParent(" not in code[0]


def test_an_alias_of_itself() -> None:
    """YAML can have objects that contain themselves."""
    root = by_offset()
    part = root["components"]["schemas"]["Part"]
    part["properties"]["itself"] = part
    assert "class PartItselfItself(" in written(root, "parts")[0]
    part |= {"allOf": [part], "anyOf": [part, part, part]}
    with pytest.raises(ScaffoldError, match="simpler"):
        written(root, "parts")


def test_schemas_that_multiply() -> None:
    """Thirty levels of two references each are a thousand million ways: the document is refused before."""
    schemas: Document = {f"S{number}": {"allOf": [ref(f"S{number + 1}")] * 90} for number in range(30)}
    body = {"type": "array", "items": ref("S0")}
    root = document(
        {"/parts": {"get": {"parameters": [parameter("limit"), parameter("offset")], "responses": reply(body)}}}, schemas
    )
    with pytest.raises(ScaffoldError, match="simpler"):
        written(root, "parts")


def test_an_object_with_many_members() -> None:
    """A hundred of them are written, and a note says so."""
    root = link_header()
    root["components"]["schemas"]["issue"]["properties"] |= {
        f"member_{number}": {"type": "string"} for number in range(50_000)
    }
    code = written(root, "issues")
    assert "member_80" in code[0]
    assert "member_200" not in code[0]
