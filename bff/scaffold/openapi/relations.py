"""Links between the new source and those that the application has: by ids in its objects, and by lists of an owner."""

from bff.scaffold.names import SourceNames
from bff.scaffold.openapi import findings as f
from bff.scaffold.openapi.application import Application
from bff.scaffold.openapi.document import Notes
from bff.scaffold.openapi.words import LONGEST_NAME

_SUFFIX = "_id"


def relations_of(
    members: tuple[f.Member, ...], names: SourceNames, application: Application, notes: Notes
) -> tuple[f.Relation, ...]:
    """The links to one: a member `maker_id`, where the application has makers."""
    taken = {each.name for each in members}
    found = []
    for member in members:
        name = member.name.removesuffix(_SUFFIX)
        known = application.known.get(name)
        if member.name == name or known is None or name == names.field:
            continue
        if not isinstance(member.type, f.Scalar) or member.type.record != known.id_type:
            notes.add(f"{names.field}.{member.name}: expected an id of {known.source} ({known.id_type}): no link is written")
        elif name in taken or not known.by_id or not known.type_module:
            notes.add(
                f"{names.field}.{member.name}: no link is written: {known.source} can't be read by id, or {name} is taken"
            )
        else:
            found.append(
                f.Relation(member.name, name, known.source, known.module, known.by_id, known.record, known.type_module)
            )
    return tuple(found)


def owner_of(
    read: f.ReadList, members: tuple[f.Member, ...], names: SourceNames, application: Application, notes: Notes
) -> f.Owner | None:
    """The type of the application that gets the list; None, with a note, if there is none."""
    known = application.known.get(read.owner)
    member = next(each for each in members if each.name == read.member)
    field = f"{names.source} = many(…, read={names.source_class}.{read.attribute})"
    if known is None or not known.type_module or len(read.attribute) > LONGEST_NAME:
        notes.add(f"{names.source_class}.{read.attribute}: the application has no source of such owners; later: {field}")
        return None
    if not isinstance(member.type, f.Scalar) or member.type.record != known.id_type:
        notes.add(
            f"{names.source_class}.{read.attribute}: expected ids of {known.source} ({known.id_type}): no list is written"
        )
        return None
    return f.Owner(known.record, known.type_module, known.module, read.attribute)
