"""Schemas of a document, reduced to what can be read: one kind, whether it may be null, its members or items.

`allOf` is folded into one object. Of `oneOf` and `anyOf`, null is taken out; what is left must be one thing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from bff.scaffold.openapi.document import Document

_DEEPEST = 20
_MOST_ALTERNATIVES = 100
_MOST_PROPERTIES = 1000
_KINDS = frozenset({"object", "array", "string", "integer", "number", "boolean"})


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema.

    Attributes:
        kind: `object`, `array`, `string`, `integer`, `number`, `boolean` or `null`; `mixed` for several; empty if unknown.
        is_expandable: a text that may be an object in its place on demand.
        properties: an object's members, not yet read.
        node: the schema itself, for what is rarely needed.
    """

    kind: str = ""
    is_nullable: bool = False
    is_expandable: bool = False
    format: str = ""
    enum: tuple[Any, ...] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    items: Any = None
    node: Mapping[str, Any] = field(default_factory=dict)

    def number(self, name: str) -> int | None:
        """An integer of the schema, as `maximum`; None if it has none."""
        found = self.node.get(name)
        return found if isinstance(found, int) and not isinstance(found, bool) else None


class Schemas:
    """Reads the schemas of one document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._known: dict[int, tuple[Any, Schema]] = {}

    def read(self, node: Any) -> Schema:
        """A schema. One that can't be read has no kind."""
        known = self._known.get(id(node))
        if known is None:
            # With the node itself, so that its id stays its own.
            known = self._known[id(node)] = (node, self._read(node, 0))
        return known[1]

    def _read(self, given: Any, depth: int) -> Schema:
        node = self._document.mapping(given)
        if not node or depth > _DEEPEST:
            return Schema()
        found = _own(node)
        self._document.step(len(found.properties) // 10)
        for part in _list(node.get("allOf")):
            found = _merged(found, self._read(part, depth + 1))
        for name in ("oneOf", "anyOf"):
            if options := _list(node.get(name)):
                found = _merged(found, _one_of([self._read(each, depth + 1) for each in options]), or_null=True)
        # Beside a reference, OpenAPI 3.1 allows further members: the one that matters is this.
        if isinstance(given, dict) and given.get("nullable") is True:
            return replace(found, is_nullable=True)
        return found


def _own(node: Mapping[str, Any]) -> Schema:
    """What a schema says by itself."""
    given = node.get("type")
    types = [given] if isinstance(given, str) else [each for each in _list(given) if isinstance(each, str)]
    kinds = [each for each in types if each != "null"]
    is_nullable = node.get("nullable") is True or (bool(kinds) and "null" in types)
    values = [node["const"]] if "const" in node else _list(node.get("enum"))
    is_nullable = is_nullable or None in values
    enum = tuple(each for each in values if isinstance(each, str | int | float))
    properties = node.get("properties")
    kind = kinds[0] if len(kinds) == 1 else "mixed" if kinds else "null" if "null" in types or (values and not enum) else ""
    if not kind and isinstance(properties, dict):
        kind = "object"
    if not kind and "items" in node:
        kind = "array"
    if not kind and enum and all(isinstance(each, str) for each in enum):
        kind = "string"
    form = node.get("format")
    return Schema(
        kind=kind if kind in _KINDS or kind in {"null", "mixed"} else "",
        is_nullable=is_nullable,
        format=form if isinstance(form, str) else "",
        enum=enum,
        properties=dict(islice(properties.items(), _MOST_PROPERTIES)) if isinstance(properties, dict) else {},
        required=frozenset(each for each in _list(node.get("required")) if isinstance(each, str)),
        items=node.get("items"),
        node=node,
    )


def _merged(one: Schema, other: Schema, *, or_null: bool = False) -> Schema:
    """What both say. `or_null`: the other one may allow null."""
    kind = one.kind or other.kind
    if other.kind and kind != other.kind:
        kind = "number" if {kind, other.kind} == {"integer", "number"} else "mixed"
    return Schema(
        kind=kind,
        is_nullable=one.is_nullable or (or_null and other.is_nullable),
        is_expandable=one.is_expandable or other.is_expandable,
        format=one.format or other.format,
        enum=one.enum or other.enum,
        properties=_both(one.properties, other.properties),
        required=one.required | other.required,
        items=_all_of(one.items, other.items),
        node={**other.node, **one.node},
    )


def _both(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of both. One that both have is what both say of it: often the second makes the first more precise."""
    found = dict(one)
    for name, node in other.items():
        found[name] = _all_of(found.get(name), node)
    return dict(islice(found.items(), _MOST_PROPERTIES))


def _all_of(one: Any, other: Any) -> Any:
    if one is None or other is None or one is other or one == other:
        return other if one is None else one
    return {"allOf": [one, other]}


def _one_of(options: Sequence[Schema]) -> Schema:
    """What is left of alternatives."""
    is_nullable = any(each.kind == "null" or each.is_nullable for each in options)
    left = [each for each in options if each.kind != "null"]
    if not left:
        return Schema("null")
    if len(left) == 1:
        return replace(left[0], is_nullable=is_nullable)
    kinds = {each.kind for each in left}
    texts = [each for each in left if each.kind == "string"]
    if kinds == {"string"}:
        values = tuple(dict.fromkeys(value for each in texts for value in each.enum if isinstance(value, str)))
        is_closed = all(each.enum for each in texts)
        formats = {each.format for each in texts}
        return Schema(
            "string", is_nullable, format=formats.pop() if len(formats) == 1 else "", enum=values if is_closed else ()
        )
    if kinds == {"string", "object"} and len(texts) == 1:
        return replace(texts[0], is_nullable=is_nullable, is_expandable=True)
    if kinds <= {"integer", "number"}:
        return Schema("number", is_nullable)
    return Schema("mixed", is_nullable)


def _list(node: Any) -> list[Any]:
    return node[:_MOST_ALTERNATIVES] if isinstance(node, list) else []
