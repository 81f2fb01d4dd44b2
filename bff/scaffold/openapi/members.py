"""The members of an object, with types that the gateway reads. What has no such type is left out, with a note."""

import re
from collections.abc import Collection
from dataclasses import replace

from bff.scaffold.code import is_harmless
from bff.scaffold.names import singular_of
from bff.scaffold.openapi import findings as f
from bff.scaffold.openapi.document import Notes
from bff.scaffold.openapi.schemas import Schema, Schemas
from bff.scaffold.openapi.words import LONGEST_NAME, class_name, python_name, shown, snake_of
from bff.upstream.conventions.keys import camel

_DEEPEST = 2
_MOST_MEMBERS = 100
_MOST_VALUES = 100
_LARGEST_INT32 = 2**31 - 1
_LONG = frozenset({"int64", "uint64", "uint32", "long", "unix-time", "timestamp", "bigint"})
_SECRET_FORMATS = frozenset({"password", "secret"})
_SECRET_NAMES = re.compile(
    r"(\A|_)(password|passwd|passphrase|secret|private_key|api_key|access_token|refresh_token|password_hash)(_value)?\Z"
)


class MemberReader:
    """Reads the members of one record, with the objects inside of it.

    Args:
        taken: names of classes that the record's own can't have.
        links: names of members that may hold the id of another source's object though they don't end with `_id`.
    """

    def __init__(self, schemas: Schemas, notes: Notes, record: str, taken: Collection[str], links: Collection[str]) -> None:
        self._schemas = schemas
        self._notes = notes
        self._record = record
        self._taken = set(taken)
        self._links = links

    def record(self, schema: Schema, id_name: str) -> tuple[f.Member, ...] | None:
        """The members of the record, the id first; None if the member `id_name` can't be an id."""
        node = schema.properties.get(id_name)
        type_ = _id_type(self._schemas.read(node))
        if type_ is None or not is_harmless(id_name):
            return None
        others = replace(schema, properties={name: each for name, each in schema.properties.items() if name != id_name})
        return f.Member("id", id_name, type_), *self._members(others, self._record, ("id",), 0)

    def _members(self, schema: Schema, owner: str, taken: tuple[str, ...], depth: int) -> tuple[f.Member, ...]:
        found: dict[str, f.Member] = {}
        shown_names = {camel(name) for name in taken}
        where = snake_of(owner)
        for number, (name, node) in enumerate(schema.properties.items()):
            if number >= _MOST_MEMBERS:
                self._notes.add(f"{where}: has more than {_MOST_MEMBERS} members: the others are left out")
                break
            member = self._member(name, node, owner, depth, is_required=name in schema.required)
            if member is None:
                continue
            if camel(member.name) in shown_names:
                self._notes.add(f"{where}.{shown(name)}: another member has the name {member.name}: left out")
                continue
            shown_names.add(camel(member.name))
            found[member.name] = member
        return tuple(found.values())

    def _member(self, name: str, node: object, owner: str, depth: int, *, is_required: bool) -> f.Member | None:
        schema = self._schemas.read(node)
        where = f"{snake_of(owner)}.{shown(name)}"
        python = self._name(name, schema)
        if python is None:
            self._notes.add(f"{where}: its name can't be one in Python: left out")
            return None
        is_secret = schema.format in _SECRET_FORMATS or _SECRET_NAMES.search(python) is not None
        if schema.node.get("writeOnly") is True or is_secret:
            self._notes.add(f"{where}: is a secret, or is only written: left out")
            return None
        type_ = self._type(schema, owner, python, where, depth)
        return None if type_ is None else f.Member(python, name, type_, schema.is_nullable or not is_required)

    def _name(self, name: str, schema: Schema) -> str | None:
        """A member's name in Python; one with another object's id ends with `_id`."""
        python = python_name(name) if is_harmless(name) else None
        is_link = schema.is_expandable or (python in self._links and _may_be_id(schema))
        if python is None or not is_link or python.endswith("_id"):
            return python
        return python_name(f"{python}_id")

    def _type(self, schema: Schema, owner: str, name: str, where: str, depth: int) -> f.Type | None:
        if schema.kind == "array":
            item = self._schemas.read(schema.items)
            found = None if item.kind == "array" else self._type(item, owner, singular_of(name) or name, where, depth)
            if item.kind == "array" or item.is_nullable:
                self._notes.add(f"{where}: a list of lists, or with null in it: left out")
                return None
            return None if found is None or isinstance(found, f.ListOf) else f.ListOf(found)
        if schema.kind == "object":
            return self._nested(schema, owner, name, where, depth)
        found = self._scalar(schema, name, where)
        if found is None and schema.kind == "string":
            return self._enumeration(schema, owner, name, where)
        if found is None:
            self._notes.add(f"{where}: has no type, or several: left out")
        return found

    def _scalar(self, schema: Schema, name: str, where: str) -> f.Scalar | None:
        """A plain value's type; None for a text out of a few, and for what can't be told."""
        is_id = (name == "id" or name.endswith("_id")) and not schema.enum
        if is_id and (type_ := _id_type(schema)) is not None:
            return type_
        if schema.kind == "integer":
            return self._integer(schema, where)
        if schema.kind == "string" and not schema.enum:
            return f.TIMESTAMP if schema.format == "date-time" else f.TEXT
        return {"number": f.FLOAT, "boolean": f.BOOLEAN}.get(schema.kind)

    def _integer(self, schema: Schema, where: str) -> f.Scalar:
        largest = schema.number("maximum")
        if schema.format in _LONG or (largest is not None and largest > _LARGEST_INT32):
            self._notes.add(f"{where}: a 64-bit integer: a Float in the graph, since Int has 32 bits")
            return f.INT
        if schema.format != "int32" and largest is None:
            self._notes.add("integers without a format are read as 32-bit ones: write int for those that are larger")
        return f.INT32

    def _enumeration(self, schema: Schema, owner: str, name: str, where: str) -> f.Scalar | f.Enumeration:
        pairs = {}
        for value in schema.enum[:_MOST_VALUES]:
            python = python_name(value) if is_harmless(value) else None
            if python is None:
                break
            pairs[python.removesuffix("_value").upper() if snake_of(value) + "_value" == python else python.upper()] = value
        if len(pairs) == len(schema.enum) and len(pairs) > 1:
            if (class_ := self._class(owner, name)) is not None:
                return f.Enumeration(class_, tuple(pairs.items()))
        elif len(schema.enum) > 1:
            self._notes.add(f"{where}: its values can't be names of an enum: a String in the graph")
        return f.TEXT

    def _nested(self, schema: Schema, owner: str, name: str, where: str, depth: int) -> f.Nested | None:
        if not schema.properties:
            self._notes.add(f"{where}: an object of any members: left out")
            return None
        class_ = self._class(owner, name) if depth < _DEEPEST else None
        members = () if class_ is None else self._members(schema, class_, (), depth + 1)
        if class_ is None or not members:
            self._notes.add(f"{where}: an object that is nested too deeply, or of which nothing can be read: left out")
            return None
        return f.Nested(class_, members)

    def _class(self, owner: str, name: str) -> str | None:
        """A class's name that is free; None if there is none."""
        for made in (class_name(owner, name), class_name(owner, name)[: LONGEST_NAME - 5] + "Value"):
            if made not in self._taken:
                self._taken.add(made)
                return made
        return None


def _id_type(schema: Schema) -> f.Scalar | None:
    match schema.kind:
        case "integer":
            return f.INT_ID
        case "string" if schema.format == "uuid":
            return f.UUID_ID
        case "string":
            return f.TEXT_ID
    return None


def _may_be_id(schema: Schema) -> bool:
    return schema.kind == "integer" or (schema.kind == "string" and schema.format == "uuid")


def common(members: tuple[f.Member, ...], others: tuple[f.Member, ...], where: str, notes: Notes) -> tuple[f.Member, ...]:
    """The members that two descriptions of an object have in common. An object of a list is used as one by id."""
    known = {each.json: each for each in others}
    found = []
    for member in members:
        other = known.get(member.json)
        if other is None or other.type != member.type or other.name != member.name:
            notes.add(f"{where}.{member.name}: objects in lists lack it, or have it in another form: left out")
            continue
        found.append(replace(member, is_optional=member.is_optional or other.is_optional))
    return tuple(found)
