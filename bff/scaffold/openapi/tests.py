"""Writes the test of a source: its fields, in front of the demo service."""

from collections.abc import Iterator, Sequence

from bff.scaffold.code import text
from bff.scaffold.names import SourceNames, record_field
from bff.scaffold.openapi import findings as f
from bff.scaffold.render import rendered
from bff.scaffold.samples import FIRST_IDS, MISSING_ID
from bff.upstream.conventions.keys import camel


def source_test(found: f.Findings, owners: Sequence[f.Owner]) -> str:
    """The text of `tests/test_NAME.py`. `owners` are those whose demo services have the usual ids."""
    names = found.names
    id_type = found.members[0].type
    record = id_type.record if isinstance(id_type, f.Scalar) else "str"
    values = {
        "source": names.source,
        "field": names.field,
        "members": text(list(_selection(found)), start="MEMBERS = "),
        "graphql_field": camel(names.field),
        "graphql_list": camel(names.source),
        "first_field": _first_field(names, found),
        "first_id": FIRST_IDS[record][0],
        "last_id": FIRST_IDS[record][-1],
        "missing_id": MISSING_ID[record],
    }
    parts = [
        "head",
        *(["one"] if found.by_id is not None else []),
        *(["pages"] if found.pages is not None else []),
        "viewer",
    ]
    tests = [rendered(f"described/test_{part}.py", values) for part in parts]
    tests += [rendered("described/test_owner.py", {**values, **_owner(owner, found)}) for owner in owners]
    return "\n\n".join(tests)


def _owner(owner: f.Owner, found: f.Findings) -> dict[str, str]:
    """An owner, and the member with its id."""
    member = next(each.member for each in found.lists if each.attribute == owner.read)
    type_ = next(each.type for each in found.members if each.name == member)
    record = type_.record if isinstance(type_, f.Scalar) else "str"
    name = record_field(owner.type)
    return {"owner": name, "graphql_owner": camel(name), "owner_id": FIRST_IDS[record][0]}


def _first_field(names: SourceNames, found: f.Findings) -> str:
    """A field with a selection, for a query that any of the root's fields can stand in."""
    if found.pages is not None:
        return f"{camel(names.source)} {{ nodes {{ id }} }}"
    return f"{camel(names.field)}(id: {MISSING_ID['int']}) {{ id }}"


def _selection(found: f.Findings) -> Iterator[str]:
    linked = {each.member for each in found.relations}
    yield from _fields(tuple(each for each in found.members if each.name not in linked))
    for each in found.relations:
        yield from (camel(each.field), "{", "id", "}")


def _fields(members: tuple[f.Member, ...]) -> Iterator[str]:
    for member in members:
        yield camel(member.name)
        type_ = member.type.item if isinstance(member.type, f.ListOf) else member.type
        if isinstance(type_, f.Nested):
            yield "{"
            yield from _fields(type_.members)
            yield "}"
