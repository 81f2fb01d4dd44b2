"""What an application has already: its sources, their records' ids, and the types of its graph. Read without running it."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bff.scaffold.files import text_of
from bff.scaffold.names import record_field

_MOST_FILES = 500
_LONGEST_FILE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Known:
    """A source of the application.

    Attributes:
        module: of the source.
        source: its class.
        record: its records' class; the type in the graph has the same name.
        id_type: the type of its ids as it is written there: `int`, `str`, `UUID`.
        by_id: the name of its read by id; empty if it has none.
        type_module: of the type; empty if there is none.
    """

    module: str
    source: str
    record: str
    id_type: str
    by_id: str
    type_module: str


@dataclass(frozen=True, slots=True)
class Application:
    """The sources of an application by the name of one of their objects, as `order_item`, and the names of its classes."""

    known: Mapping[str, Known] = field(default_factory=dict)
    classes: frozenset[str] = frozenset()


def read(folder: Path) -> Application:
    """The application in a folder. What can't be read counts as missing."""
    types = {name: module for module, tree in _modules(folder, "schema/types") for name in _classes(tree)}
    known: dict[str, Known] = {}
    classes = set(types)
    for module, tree in _modules(folder, "datasources"):
        own = _classes(tree)
        classes |= own.keys()
        for node in own.values():
            record = _record_of(node)
            if record in own:
                id_type, by_id = _annotation(own[record], "id"), _by_id(node)
                name = record_field(record)
                known[name] = Known(module, node.name, record, id_type, by_id, types.get(record, ""))
    return Application(known, frozenset(classes))


def _modules(folder: Path, package: str) -> Iterator[tuple[str, ast.Module]]:
    files = sorted((folder / package).glob("*.py"))[:_MOST_FILES]
    for file in files:
        text = text_of(file) if file.is_file() and file.stat().st_size <= _LONGEST_FILE else None
        try:
            tree = ast.parse(text or "")
        except (SyntaxError, ValueError, RecursionError):
            continue
        yield f"{package.replace('/', '.')}.{file.stem}", tree


def _classes(tree: ast.Module) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _record_of(node: ast.ClassDef) -> str:
    """The record of a source: of `class Parts(Source[Part])`, or of `record = Part` in it; empty for another class."""
    for base in node.bases:
        if isinstance(base, ast.Subscript) and isinstance(base.value, ast.Name) and base.value.id == "Source":
            return base.slice.id if isinstance(base.slice, ast.Name) else ""
    for each in node.body:
        match each:
            case ast.Assign(targets=[ast.Name(id="record")], value=ast.Name(id=name)):
                return name
    return ""


def _annotation(node: ast.ClassDef, name: str) -> str:
    for each in node.body:
        match each:
            case ast.AnnAssign(target=ast.Name(id=found), annotation=ast.Name(id=type_)) if found == name:
                return type_
    return ""


def _by_id(node: ast.ClassDef) -> str:
    for each in node.body:
        match each:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id="ById"))):
                return name
    return ""
