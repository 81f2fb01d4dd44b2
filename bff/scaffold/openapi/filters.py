"""The filters of a list: its query's parameters that are neither about pages nor about the form of the reply."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bff.conventions import camel, snake
from bff.scaffold.code import is_harmless
from bff.scaffold.openapi import findings as f
from bff.scaffold.openapi.document import Notes, Parameter
from bff.scaffold.openapi.paging import is_of_pages
from bff.scaffold.openapi.schemas import Schema, Schemas
from bff.scaffold.openapi.words import plain, python_name, shown
from bff.upstream.conventions.keys import Naming

_MOST = 20
_FORMS = frozenset(
    {"fields", "field", "expand", "include", "includes", "embed", "select", "format", "callback", "populate", "prettyprint"}
    | {"pretty", "view", "accesstoken", "apikey", "key", "token"}
)
"""Parameters that change what the reply has, and those with credentials."""

_NO_ARGUMENTS = frozenset({"self", "cls", "root", "info", "first", "after", "before", "last", "id", "ids"})
_SCALARS = frozenset({"string", "integer", "number", "boolean"})


@dataclass(frozen=True, slots=True)
class Filters:
    """Those by a member, which the gateway checks, and the others. Both by their names in Python."""

    exact: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def naming_of(parameters: Collection[str], *, is_snake: bool) -> Naming:
    """How the service writes the names of parameters."""
    made = [(python_name(name), name) for name in parameters if is_harmless(name)]
    in_camel, in_snake = (sum(name is not None and way(name) == text for name, text in made) for way in (camel, snake))
    return snake if in_snake > in_camel or (is_snake and in_snake == in_camel) else camel


def filters_of(
    schemas: Schemas,
    query: Mapping[str, Parameter],
    members: tuple[f.Member, ...],
    naming: Naming,
    notes: Notes,
    without: Collection[str | None] = (),
) -> Filters:
    """The filters among a query's parameters. `without` has those that are used otherwise."""
    by_json = {each.json: each for each in members}
    by_name = {each.name: each for each in members}
    exact, others = [], []
    for name, parameter in query.items():
        if name in without or is_of_pages(name):
            continue
        schema = schemas.read(parameter.schema)
        made = python_name(name) if is_harmless(name) else None
        member = by_json.get(name)
        if member is not None and member.name not in _NO_ARGUMENTS and _is_exact(schema, member.type):
            exact.append(member.name)
        elif _is_plain(name, schema) and made not in _NO_ARGUMENTS and made and _named(made, by_name, naming) == name:
            others.append(made)
        else:
            notes.add(f"parameter {shown(name)}: no filter is written for it")
    if len(exact) + len(others) > _MOST:
        notes.add(f"the list has more than {_MOST} filters: the others are left out")
    exact = exact[:_MOST]
    return Filters(tuple(exact), tuple(others[: _MOST - len(exact)]))


def _named(name: str, members: Mapping[str, f.Member], naming: Naming) -> str:
    """The parameter that the gateway sends for a filter: see `Read.parameter`."""
    return members[name].json if name in members else naming(name)


def _is_plain(name: str, schema: Schema) -> bool:
    return plain(name) not in _FORMS and schema.kind in _SCALARS


def _is_exact(schema: Schema, type_: f.Type) -> bool:
    """Whether each item must have the value: a parameter with further values, as `all`, is another kind of filter."""
    if isinstance(type_, f.Enumeration):
        return schema.kind == "string" and bool(schema.enum) and set(schema.enum) <= {text for _, text in type_.values}
    if schema.enum:
        return False
    kinds = {f.TEXT: "string", f.TEXT_ID: "string", f.UUID_ID: "string", f.INT_ID: "integer", f.INT32: "integer"}
    kinds |= {f.BOOLEAN: "boolean"}
    return isinstance(type_, f.Scalar) and kinds.get(type_) == schema.kind
