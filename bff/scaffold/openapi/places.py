"""Where a reply has what is read: the object, the items, and members that are known by their names."""

from collections.abc import Iterator, Sequence

from bff.scaffold.code import is_harmless
from bff.scaffold.names import SourceNames
from bff.scaffold.openapi.schemas import Schema, Schemas
from bff.scaffold.openapi.words import plain

_DEEPEST = 3
_MOST = 1000
_ONE = ("data", "item", "result", "record", "object", "payload")
_ITEMS = (
    *("data", "items", "results", "values", "records", "content", "entries", "elements", "list", "nodes", "hits", "rows"),
    *("objects", "resources", "docs"),
)


def members(schemas: Schemas, schema: Schema) -> Iterator[tuple[str, Schema]]:
    """The members of a reply by their paths, those of the reply itself first. Lists are not entered."""
    level, left = [("", schema)], _MOST
    for _ in range(_DEEPEST):
        inner = []
        for prefix, each in level:
            for name, node in list(each.properties.items())[:left]:
                left -= 1
                path = f"{prefix}.{name}" if prefix else name
                if "." in name or not is_harmless(path):
                    continue
                found = schemas.read(node)
                yield path, found
                if found.kind == "object":
                    inner.append((path, found))
        level = inner


def id_of(schemas: Schemas, schema: Schema, names: SourceNames, parameter: str) -> str | None:
    """The member of an object that is its id; None if it has none.

    It is the one that is named as the path's parameter, so that `/users/{username}` is asked with it.
    """
    if schema.kind != "object":
        return None
    by_plain = {plain(name): name for name in reversed(list(schema.properties)[:_MOST])}
    wanted = plain(parameter)
    if wanted and wanted in by_plain and wanted != plain(names.field):
        found = schemas.read(schema.properties[by_plain[wanted]])
        if found.kind in {"string", "integer"} and not found.is_nullable and not found.is_expandable:
            return by_plain[wanted]
    if "id" in schema.properties:
        return "id"
    return next((by_plain[name] for name in (f"{plain(names.field)}id", "id", "uuid") if name in by_plain), None)


def one(schemas: Schemas, body: Schema, names: SourceNames, parameter: str) -> tuple[str, Schema] | None:
    """Where the reply for one object has it, and its schema; None if it can't be told."""
    if id_of(schemas, body, names, parameter) is not None:
        return "", body
    found = {path: each for path, each in _level(schemas, body) if id_of(schemas, each, names, parameter) is not None}
    return _preferred(list(found.items()), (*_ONE, plain(names.field), plain(names.source)))


def items(schemas: Schemas, body: Schema, names: SourceNames) -> tuple[str, Schema] | None:
    """Where a reply for several objects has them, and the schema of one; None if it can't be told."""
    if body.kind == "array":
        return "", schemas.read(body.items)
    found = [
        (path, schemas.read(each.items))
        for path, each in members(schemas, body)
        if each.kind == "array" and path.count(".") < 2 and schemas.read(each.items).kind == "object"
    ]
    top = [each for each in found if "." not in each[0]]
    return _preferred(top or found, (plain(names.source), *_ITEMS, plain(names.field)))


def _level(schemas: Schemas, body: Schema) -> Iterator[tuple[str, Schema]]:
    return ((path, each) for path, each in members(schemas, body) if "." not in path)


def _preferred(found: Sequence[tuple[str, Schema]], names: Sequence[str]) -> tuple[str, Schema] | None:
    """The one with the first of the names; else the only one."""
    for name in names:
        for path, each in found:
            if plain(path.rpartition(".")[2]) == name:
                return path, each
    return found[0] if len(found) == 1 else None
