"""Writes what `bff new` makes. All of it is worked out before the first file is written; no file is overwritten.

What is added to an existing file is inserted at a place found in its syntax tree. If the file does not have the expected
shape, it stays as it is, and the lines are among those to add by hand.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bff.scaffold import edits
from bff.scaffold.names import ScaffoldError, SourceNames, check_app_name, check_variant_name, source_names
from bff.scaffold.render import rendered, rendered_tree
from bff.version import __version__

Edit = Callable[[str], str]
"""From a file's text to its new text. Raises `edits.NoPlace`."""

_APP = "schema/app.py"
_QUERY = "schema/query.py"
_VARIANTS = "schema/variants.py"
_DEMO = "datasources/demo/__init__.py"

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
"""An id that none of them has."""


@dataclass(frozen=True, slots=True)
class ByHand:
    """Lines that could not be inserted: the file, what was looked for in it, and the lines."""

    file: str
    expected: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """What was done. Paths are relative to the application's folder.

    Attributes:
        created: new files.
        edited: files with an insertion.
        by_hand: what is left to a person.
        sdl: what went wrong when the SDL was exported; None if it is up to date, or if lines have to be added first.
    """

    created: tuple[str, ...]
    edited: tuple[str, ...] = ()
    by_hand: tuple[ByHand, ...] = ()
    sdl: str | None = None


@dataclass(frozen=True, slots=True)
class _Insertion:
    """One insertion into a file, and the lines that a person would add in its place."""

    file: str
    edit: Edit
    lines: tuple[str, ...]


def new_app(parent: Path, name: str) -> Written:
    """Write a new application into the folder `name` of `parent`.

    Raises:
        ScaffoldError: the name is not valid, or there is something of that name that is not an empty folder.
        OSError: the folder or a file can't be written.
    """
    check_app_name(name)
    folder = parent / name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ScaffoldError(f"{name}: expected a name that is not taken, but it is here already and not an empty folder")
    files = rendered_tree("app", {"name": name, "bff_version": _compatible(__version__)})
    _create(folder, files)
    return Written(tuple(files), sdl=_export_sdl(folder))


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
    if not path.startswith("/") or path.endswith("/") or not path.isascii() or any(each in path for each in " ?#%{}\"'\\$"):
        raise ScaffoldError(f"--path: expected a path such as /{name}, got {path!r}")
    _check_is_app(folder)
    python_type = "UUID" if id_type == "uuid" else id_type
    values = _values(names, python_type, path)
    files = {
        f"datasources/{name}.py": rendered("source/datasource.py", values),
        f"datasources/demo/{name}.py": rendered("source/demo.py", values),
        f"schema/types/{names.field}.py": rendered("source/type.py", values),
        f"tests/test_{name}.py": rendered("source/test.py", values),
    }
    return _add(folder, files, _insertions(folder, names))


def new_variant(folder: Path, name: str, *, role: str | None = None) -> Written:
    """Add a variant to the application in `folder`: everything that is tagged with `*EVERYONE` is in it.

    Raises:
        ScaffoldError: the name is not valid, the folder has no application, or the variant is there already.
        OSError: a file can't be read or written.
    """
    check_variant_name(name)
    if role is not None and (not role.isprintable() or not role or '"' in role or "\\" in role):
        raise ScaffoldError(f"--role: expected the name of a role, got {role!r}")
    _check_is_app(folder)
    constant = name.upper()
    variants = _text(folder / _VARIANTS)
    if variants is not None and _binds(variants, constant):
        raise ScaffoldError(f"{name}: {_VARIANTS} has {constant} already")
    line = f'{constant} = Variant("{name}")' if role is None else f'{constant} = Variant("{name}", role="{role}")'
    values = {"variant": name, "token": "" if role is None else "# token: required\n"}
    files = {f"schema/examples/{name}/01-type-names.graphql": rendered("variant/example.graphql", values)}

    def add(text: str) -> str:
        text = edits.add_import(text, "bff", "Variant")
        text = edits.add_before_assignment(text, "EVERYONE", line)
        return edits.add_assigned_item(text, "EVERYONE", constant)

    return _add(folder, files, [_Insertion(_VARIANTS, add, (line, f"EVERYONE = (…, {constant})"))])


def _insertions(folder: Path, names: SourceNames) -> list[_Insertion]:
    """What is added to the application's files for a source. Raises `ScaffoldError` for a field that is there already."""
    query = _text(folder / _QUERY)
    for member in (names.field, names.source):
        if query is not None and _class_has(query, "Query", member):
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
    demo = f"from datasources.demo.{names.source} import {names.source}"
    entry = f'"{names.source}": {names.source}(options)'

    def in_app(text: str) -> str:
        text = edits.add_import(text, module, names.source_class)
        return edits.add_keyword_item(text, "App", "sources", names.source_class)

    def in_query(text: str) -> str:
        for each in imports:
            text = edits.add_import(text, *each)
        return edits.add_to_class(text, "Query", fields)

    def in_demo(text: str) -> str:
        text = edits.add_import(text, f"datasources.demo.{names.source}", names.source)
        return edits.add_returned_entry(text, "services", names.source, f"{names.source}(options)")

    by_hand = tuple(f"from {module} import {name}" for module, name in imports)
    return [
        _Insertion(_APP, in_app, (source, f"sources=(…, {names.source_class})")),
        _Insertion(_QUERY, in_query, (*by_hand, *(f"    {field}" for field in fields))),
        _Insertion(_DEMO, in_demo, (demo, f"{entry},")),
    ]


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
        "graphql_field": _camel(names.field),
        "graphql_list": _camel(names.source),
        "path": path,
        "id_type": python_type,
        "id_import": "from uuid import UUID\n\n" if python_type == "UUID" else "",
        "ids": "".join(f"    {each if python_type == 'int' else json.dumps(each)},\n" for each in ids),
        "last_id": ids[-1],
        "missing_id": _MISSING_ID[python_type],
    }


def _add(folder: Path, files: Mapping[str, str], insertions: Sequence[_Insertion]) -> Written:
    """Write new files and insertions. Raises `ScaffoldError` if a file is there already; then nothing is written."""
    if taken := [file for file in files if (folder / file).exists()]:
        raise ScaffoldError(f"{', '.join(taken)}: here already, and nothing is overwritten")
    texts: dict[str, str] = {}
    by_hand: list[ByHand] = []
    for each in insertions:
        text = _text(folder / each.file)
        if text is None:
            by_hand.append(ByHand(each.file, "a file of that name in UTF-8", each.lines))
            continue
        try:
            edited = each.edit(text)
            edits.check(edited)
            texts[each.file] = edited
        except edits.NoPlace as error:
            by_hand.append(ByHand(each.file, str(error), each.lines))
    _create(folder, files)
    for file, text in texts.items():
        (folder / file).write_bytes(text.encode())
    # Without the lines that are missing the graph is that of before, or none.
    sdl = None if by_hand else _export_sdl(folder)
    return Written(tuple(files), tuple(texts), tuple(by_hand), sdl)


def _create(folder: Path, files: Mapping[str, str]) -> None:
    for file, text in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as opened:
            opened.write(text)


def _export_sdl(folder: Path) -> str | None:
    """Write the SDL of the application in `folder`, in a process of its own. Returns what went wrong, else None."""
    command = [sys.executable, "-m", "bff", "schema", "export", "--write", "--app", "schema.app:app"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    return None if done.returncode == 0 else done.stderr.strip()


def _check_is_app(folder: Path) -> None:
    if not (folder / _APP).is_file():
        raise ScaffoldError(f"expected an application in this folder, with {_APP}: {folder}")


def _text(file: Path) -> str | None:
    """A file's text with its own line endings; None if there is none, or if it is not text."""
    try:
        return file.read_bytes().decode()
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _binds(text: str, name: str) -> bool:
    try:
        return edits.binds(text, name)
    except edits.NoPlace:
        return False


def _class_has(text: str, name: str, member: str) -> bool:
    try:
        return edits.class_has(text, name, member)
    except edits.NoPlace:
        return False


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _compatible(version: str) -> str:
    """The versions that an application written now runs with: `>=0.1.0,<0.2`."""
    major, minor, *_ = version.split(".")
    return f">={version},<{f'0.{int(minor) + 1}' if major == '0' else int(major) + 1}"
