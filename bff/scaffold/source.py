"""A new source in an application: its records, its type, its fields, a demo service and a test."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bff.scaffold import edits
from bff.scaffold.code import Call, call, line
from bff.scaffold.files import APP, ByHand, Insertion, Written, add, binds, check_is_app, class_has
from bff.scaffold.names import ScaffoldError, SourceNames, source_names
from bff.scaffold.render import rendered
from bff.scaffold.samples import FIRST_IDS, MISSING_ID
from bff.upstream.conventions.keys import camel

QUERY = "schema/query.py"
_DEMO = "datasources/demo/__init__.py"
_REST = "datasources/demo/rest.py"
_CONFTEST = "tests/conftest.py"
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+\Z", re.ASCII)


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
    fields = (
        QueryField(names.field, f"{names.record} | None", "lookup", "by_id"),
        QueryField(names.source, f"Connection[{names.record}] | None", "connection", "page"),
    )
    demo = {f"datasources/demo/{name}.py": rendered("source/demo.py", values)}
    test = rendered("source/test.py", values)
    return add_source(folder, names, files, in_graph(folder, names, fields), demo, test)


@dataclass(frozen=True, slots=True)
class QueryField:
    """A field of the root type: its name, its type, the function that makes it, and the read that loads it."""

    name: str
    type: str
    function: str
    read: str


def add_source(
    folder: Path,
    names: SourceNames,
    files: Mapping[str, str],
    insertions: Sequence[Insertion],
    demo: Mapping[str, str],
    test: str,
) -> Written:
    """Write a source's files and insertions, with its demo service and its test where the application has such.

    Raises:
        ScaffoldError: a file is there already.
        OSError: a file can't be read or written.
    """
    name = names.source
    # The demo service and the test are written for an application whose own are as `bff new` writes them.
    if not binds(folder / _REST, "Resource"):
        lines = (f'an application for "{name}", in what App.demo returns; or set {name.upper()}_SERVICE_URL',)
        return add(folder, files, insertions, [ByHand(_DEMO, f"Resource in {_REST}", lines)])
    files = {**files, **demo}
    if binds(folder / _CONFTEST, "app"):
        files[f"tests/test_{name}.py"] = test
    return add(folder, files, [*insertions, _in_demo(name)])


def in_graph(folder: Path, names: SourceNames, fields: Sequence[QueryField]) -> list[Insertion]:
    """What is added to the application and its root type. Raises `ScaffoldError` for a field that is there already."""
    for member in (names.field, names.source):
        if class_has(folder / QUERY, "Query", member):
            raise ScaffoldError(f"{names.source}: Query in {QUERY} has a field {member} already")
    module = f"datasources.{names.source}"
    source = f"from {module} import {names.source_class}"
    lines = [line(f"{each.name}: {each.type} = ", _made(each, names)) for each in fields]
    generic = {each.type.partition("[")[0] for each in fields if "[" in each.type}
    imports = [
        *(("bff", name) for name in sorted({"Access", *generic, *(each.function for each in fields)})),
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
        return edits.add_to_class(text, "Query", [each[4:] for field in lines for each in field.splitlines()])

    by_hand = tuple(f"from {module} import {name}" for module, name in imports)
    return [
        Insertion(APP, in_app, (source, f"sources=(…, {names.source_class})")),
        Insertion(QUERY, in_query, (*by_hand, *lines)),
    ]


def _made(field: QueryField, names: SourceNames) -> Call:
    return call(field.function, "*EVERYONE", read=f"{names.source_class}.{field.read}", access=call("Access"))


def _in_demo(name: str) -> Insertion:
    """What is added to the demo services."""
    module, made = f"datasources.demo.{name}", f"{name}(options)"

    def edit(text: str) -> str:
        return edits.add_returned_entry(edits.add_import(text, module, name), "services", name, made)

    return Insertion(_DEMO, edit, (f"from {module} import {name}", f'"{name}": {made},'))


def _values(names: SourceNames, python_type: str, path: str) -> dict[str, str]:
    ids = FIRST_IDS[python_type]
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
        "missing_id": MISSING_ID[python_type],
    }
