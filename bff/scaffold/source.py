"""A new source in an application: its records, its type, its fields, a demo service and a test."""

import json
import re
from pathlib import Path

from bff.scaffold import edits
from bff.scaffold.files import APP, ByHand, Insertion, Written, add, binds, check_is_app, class_has
from bff.scaffold.names import ScaffoldError, SourceNames, source_names
from bff.scaffold.render import rendered
from bff.upstream.conventions.keys import camel

_QUERY = "schema/query.py"
_DEMO = "datasources/demo/__init__.py"
_REST = "datasources/demo/rest.py"
_CONFTEST = "tests/conftest.py"
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+\Z", re.ASCII)

_FIRST_IDS = {
    "int": ("1", "2", "3"),
    "str": ("a-1", "a-2", "a-3"),
    "UUID": (
        "7f2c1a52-5d3e-4f6b-9a1c-0d4e8b7a6c01",
        "7f2c1a52-5d3e-4f6b-9a1c-0d4e8b7a6c02",
        "7f2c1a52-5d3e-4f6b-9a1c-0d4e8b7a6c03",
    ),
}
"""The ids of a demo service's records, by the type of the record's id."""

_MISSING_ID = {"int": "99", "str": "z-9", "UUID": "7f2c1a52-5d3e-4f6b-9a1c-0d4e8b7a6c99"}
"""An id that no record of the demo service has."""


def new_source(
    folder: Path, name: str, *, id_type: str = "int", path: str | None = None, record: str | None = None
) -> Written:
    """Add a source to the application in `folder`.

    Args:
        folder: the application's.
        name: of the source, a plural: `invoices`.
        id_type: of the record's id: `int`, `str` or `uuid`.
        path: of the resource below the service's URL; `/NAME` by default.
        record: the class of its records; the singular of the name by default.

    Raises:
        ScaffoldError: a name or the path is not valid, the folder has no application, or a file is there already.
        OSError: a file can't be read or written.
    """
    names = source_names(name, record)
    path = f"/{name.replace('_', '-')}" if path is None else path
    if not _PATH.match(path):
        raise ScaffoldError(f"--path: expected a path such as /{name}, got {path!r}")
    check_is_app(folder)
    python_type = "UUID" if id_type == "uuid" else id_type
    values = _values(names, python_type, path)
    files = {
        f"datasources/{name}.py": rendered("source/datasource.py", values),
        f"schema/types/{names.field}.py": rendered("source/type.py", values),
    }
    insertions = _in_graph(folder, names)
    # The demo service and the test are written for an application whose own are as `bff new` writes them.
    if not binds(folder / _REST, "Resource"):
        lines = (f'an application for "{name}", in what App.demo returns; or set {name.upper()}_SERVICE_URL',)
        return add(folder, files, insertions, [ByHand(_DEMO, f"Resource in {_REST}", lines)])
    files[f"datasources/demo/{name}.py"] = rendered("source/demo.py", values)
    if binds(folder / _CONFTEST, "app"):
        files[f"tests/test_{name}.py"] = rendered("source/test.py", values)
    return add(folder, files, [*insertions, _in_demo(name)])


def _in_graph(folder: Path, names: SourceNames) -> list[Insertion]:
    """What is added to the application and its root type. Raises `ScaffoldError` for a field that is there already."""
    for member in (names.field, names.source):
        if class_has(folder / _QUERY, "Query", member):
            raise ScaffoldError(f"{names.source}: Query in {_QUERY} has a field {member} already")
    module = f"datasources.{names.source}"
    source = f"from {module} import {names.source_class}"
    read = f"*EVERYONE, read={names.source_class}"
    fields = (
        *_call(f"{names.field}: {names.record} | None = lookup", f"{read}.by_id, access=Access()"),
        *_call(f"{names.source}: Connection[{names.record}] | None = connection", f"{read}.page, access=Access()"),
    )
    imports = [
        *(("bff", name) for name in ("Access", "Connection", "connection", "lookup")),
        (module, names.source_class),
        (f"schema.types.{names.field}", names.record),
        ("schema.variants", "EVERYONE"),
    ]

    def in_app(text: str) -> str:
        text = edits.add_import(text, module, names.source_class)
        return edits.add_keyword_item(text, "App", "sources", names.source_class)

    def in_query(text: str) -> str:
        for each in imports:
            text = edits.add_import(text, *each)
        return edits.add_to_class(text, "Query", fields)

    by_hand = tuple(f"from {module} import {name}" for module, name in imports)
    return [
        Insertion(APP, in_app, (source, f"sources=(…, {names.source_class})")),
        Insertion(_QUERY, in_query, (*by_hand, *(f"    {field}" for field in fields))),
    ]


def _in_demo(name: str) -> Insertion:
    """What is added to the demo services."""
    module, made = f"datasources.demo.{name}", f"{name}(options)"

    def edit(text: str) -> str:
        return edits.add_returned_entry(edits.add_import(text, module, name), "services", name, made)

    return Insertion(_DEMO, edit, (f"from {module} import {name}", f'"{name}": {made},'))


def _call(function: str, arguments: str) -> tuple[str, ...]:
    """A call as lines of a class's body: one line, or three if it is too long."""
    line = f"{function}({arguments})"
    return (line,) if len(line) + 4 <= edits.LONGEST_LINE else (f"{function}(", f"    {arguments}", ")")


def _values(names: SourceNames, python_type: str, path: str) -> dict[str, str]:
    ids = _FIRST_IDS[python_type]
    return {
        "source": names.source,
        "source_class": names.source_class,
        "record": names.record,
        "field": names.field,
        "noun": names.field.replace("_", " "),
        "nouns": names.source.replace("_", " "),
        "graphql_field": camel(names.field),
        "graphql_list": camel(names.source),
        "path": path,
        "id_type": python_type,
        "id_import": "from uuid import UUID\n\n" if python_type == "UUID" else "",
        "ids": "".join(f"    {each if python_type == 'int' else json.dumps(each)},\n" for each in ids),
        "last_id": ids[-1],
        "missing_id": _MISSING_ID[python_type],
    }
