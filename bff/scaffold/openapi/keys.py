"""How objects are read by their ids, and lists by their owners: parameters, bodies of a POST, paths, or one by one."""

from collections.abc import Mapping
from dataclasses import dataclass

from bff.conventions import Comma, OneByOne, Posted, Repeated
from bff.scaffold.code import is_harmless
from bff.scaffold.names import SourceNames, singular_of
from bff.scaffold.openapi import findings as f
from bff.scaffold.openapi import places
from bff.scaffold.openapi.document import Document, Notes, Operation, Parameter
from bff.scaffold.openapi.paging import Listed, size_of
from bff.scaffold.openapi.resource import Below, Resource
from bff.scaffold.openapi.schemas import Schema, Schemas
from bff.scaffold.openapi.words import plain, python_name, snake_of
from bff.upstream.conventions import Many
from bff.upstream.ids import MOST_IDS

_POSTS = (
    "search",
    "batch",
    "bulk",
    "lookup",
    "query",
    "batch-get",
    "batchGet",
    "by-ids",
    "byIds",
    "_search",
    "_mget",
    "list",
)
_FEW = 10


@dataclass(frozen=True, slots=True)
class Keys:
    """How objects are read by id, and the parameter that is used for it."""

    read: f.ReadOne
    parameter: str | None = None


def by_id(
    document: Document, schemas: Schemas, path: str, listed: Listed | None, place: str | None, *, is_one: bool
) -> Keys | None:
    """How objects are read by id; None if they can't be.

    Args:
        document: it.
        schemas: its schemas.
        path: of the resource.
        listed: its list; None if it has none.
        place: where the list has its items.
        is_one: whether a single object can be read.
    """
    notes = document.notes
    found = None if listed is None or place is None else _by_parameter(schemas, listed, notes)
    if found is not None:
        many, most, parameter = found
        return Keys(f.ReadOne(many, most, is_one), parameter)
    if place is not None and (posted := _posted(document, schemas, path, place)) is not None:
        return Keys(f.ReadOne(posted, None, is_one))
    return Keys(f.ReadOne(OneByOne())) if is_one else None


def _by_parameter(schemas: Schemas, listed: Listed, notes: Notes) -> tuple[Many, int | None, str] | None:
    """The query's parameter with several ids."""
    name = listed.parameter(("ids", "id", "idin"))
    if name is None:
        return None
    parameter = listed.query[name]
    schema = schemas.read(parameter.schema)
    if schema.kind == "array":
        many: Many = Repeated(name) if parameter.explodes else Comma(name)
    elif plain(name) == "ids" and schema.kind == "string":
        notes.add(f"parameter {name}: its ids are assumed to be joined by commas")
        many = Comma(name)
    else:
        return None
    sizes = [each for each in (schema.number("maxItems"), _default_size(schemas, listed, name, notes)) if each is not None]
    most = max(1, min(sizes)) if sizes else None
    return many, None if most is None or most >= MOST_IDS else most, name


def _default_size(schemas: Schemas, listed: Listed, name: str, notes: Notes) -> int | None:
    """As many objects as a reply has without a limit: a request with more ids would lose some."""
    size = size_of(listed)
    if size is None:
        return None
    default = schemas.read(listed.query[size].schema).number("default")
    if default is None:
        notes.add(
            f"parameter {name}: {_FEW} ids are requested in one call, as the default of {size} is not described: see most"
        )
        return _FEW
    return default


def _posted(document: Document, schemas: Schemas, path: str, place: str) -> Posted | None:
    """A POST that takes ids and returns objects, as the list does."""
    for last in _POSTS:
        operation = document.operation(f"{path}/{last}", "post")
        if operation is None or not is_harmless(operation.path):
            continue
        body = schemas.read(document.content(document.mapping(operation.node.get("requestBody")))[1])
        reply = schemas.read(document.content(document.success(operation))[1])
        if not _has_items(schemas, reply, place):
            continue
        if body.kind == "array":
            return Posted(operation.path)
        member = next((each for each in ("ids", "id") if each in body.properties), None)
        if member is not None and schemas.read(body.properties[member]).kind == "array" and body.required <= {member}:
            return Posted(operation.path, member)
    return None


def _has_items(schemas: Schemas, reply: Schema, place: str) -> bool:
    if not place:
        return reply.kind == "array"
    return any(path == place and each.kind == "array" for path, each in places.members(schemas, reply))


@dataclass(frozen=True, slots=True)
class OwnerKey:
    """A way to a list by its owner.

    Attributes:
        owner: the owner's name in the singular, as `maker`.
        member: the record's member with the owner's id, and its type.
        is_new: whether objects don't have the member: it gets the owner's id.
    """

    owner: str
    member: f.Member
    is_new: bool
    many: Many
    operation: Operation


def owners_of(
    schemas: Schemas, resource: Resource, members: tuple[f.Member, ...], names: SourceNames, query: Mapping[str, Parameter]
) -> list[OwnerKey]:
    """The ways to lists by owner: a parameter that is a member, or a path below the owner. One for each member."""
    found: dict[str, OwnerKey] = {}
    by_json = {each.json: each for each in members}
    for name, parameter in query.items():
        member = by_json.get(name)
        is_plain = schemas.read(parameter.schema).kind in {"integer", "string"}
        if member is None or not member.name.endswith("_id") or not is_plain or resource.several is None:
            continue
        if member.type in {f.INT_ID, f.TEXT_ID, f.UUID_ID}:
            # Also where the parameter takes several owners: a limit is then for all of them, not for each.
            owner = member.name.removesuffix("_id")
            found[member.name] = OwnerKey(owner, member, False, OneByOne(name), resource.several)
    for below in resource.below:
        key = _below(schemas, below, members)
        if key is not None and key.member.name not in found and key.owner not in {names.field, "page"}:
            found[key.member.name] = key
    return list(found.values())


def _below(schemas: Schemas, below: Below, members: tuple[f.Member, ...]) -> OwnerKey | None:
    """The list at a path below the owner."""
    segment = snake_of(below.owner)
    owner = python_name(singular_of(segment) or segment)
    if owner is None or python_name(f"{owner}_id") is None:
        return None
    many = OneByOne(path=below.path)
    wanted = (f"{owner}_id", python_name(below.parameter) if is_harmless(below.parameter) else None)
    for member in members:
        if member.name in wanted and member.name != "id" and member.type in {f.INT_ID, f.TEXT_ID, f.UUID_ID}:
            return OwnerKey(owner, member, False, many, below.operation)
    parameter = below.operation.parameters.get(("path", below.parameter))
    schema = schemas.read(None if parameter is None else parameter.schema)
    type_ = f.INT_ID if schema.kind == "integer" else f.UUID_ID if schema.format == "uuid" else f.TEXT_ID
    member = f.Member(f"{owner}_id", f"{owner}_id", type_, is_optional=True)
    return OwnerKey(owner, member, True, many, below.operation)
