"""Writes the module of a type: what clients see of a record."""

from bff.scaffold.code import call, imports, line
from bff.scaffold.openapi import findings as f
from bff.scaffold.openapi.datasource import enumerations_in, nested_in, record_type, scalars_in


def graph_type(found: f.Findings) -> str:
    """The text of `schema/types/FIELD.py`."""
    names = found.names
    enums = enumerations_in(found.members)
    # With a list at another type, that type's module imports this one: then this one imports the others when they are used.
    is_lazy = bool(found.owners)
    linked = {each.type_module: [each.type] for each in found.relations}
    scalars = {each.graph for each in scalars_in(found.members)}
    linked_ids = {record_type(each.type) for each in found.members if each.name in {link.member for link in found.relations}}
    standard = {"datetime": sorted({"datetime"} & scalars), "uuid": sorted({"UUID"} & linked_ids)}
    if is_lazy and linked:
        standard["typing"] = ["TYPE_CHECKING", "Annotated"]
    library = {"field", *(["enum"] if enums else []), *(["one"] if found.relations else [])}
    own = {
        **{each.module: [each.source] for each in found.relations},
        f"datasources.{names.source}": [each.name for each in enums],
        **({} if is_lazy else linked),
        "schema.variants": ["EVERYONE"],
    }
    blocks = [
        f'"""The type {names.record}: what clients see of a record of the {names.source.replace("_", " ")} service."""',
        "\n".join(imports(standard)),
        "\n".join(["import strawberry", *imports({"bff": library})]),
        "\n".join(imports(own)),
    ]
    if is_lazy and linked:
        blocks.append("if TYPE_CHECKING:\n" + "\n".join(f"    {each}" for each in imports(linked)))
        blocks += [
            f'{_lazy(each.type)} = Annotated["{each.type}", strawberry.lazy("{each.type_module}")]'
            for each in {each.type: each for each in found.relations}.values()
        ]
    blocks += ["\n".join(f"enum()({each.name})" for each in enums)]
    classes = [_class(each.name, names.source, _fields(each.members)) for each in nested_in(found.members)]
    classes.append(_class(names.record, names.source, _record_fields(found, is_lazy)))
    return "\n\n".join(filter(None, blocks)) + "\n\n\n" + "\n\n\n".join(classes) + "\n"


def _class(name: str, source: str, fields: str) -> str:
    return f'@strawberry.type\nclass {name}:\n    """Resolved from `datasources.{source}.{name}`."""\n\n{fields}'


def _record_fields(found: f.Findings, is_lazy: bool) -> str:
    linked = {each.member for each in found.relations}
    private = [
        f"    {each.name}: strawberry.Private[{record_type(each.type)}{_or_none(each)}]"
        for each in found.members
        if each.name in linked
    ]
    shown = _fields(tuple(each for each in found.members if each.name not in linked))
    links = [
        line(
            f"{each.field}: {_lazy(each.type) if is_lazy else each.type} | None = ",
            call("one", "*EVERYONE", read=f"{each.source}.{each.read}", key=f'"{each.member}"'),
        )
        for each in found.relations
    ]
    return "\n".join([*private, shown]) + ("\n\n" + "\n".join(links) if links else "")


def _fields(members: tuple[f.Member, ...]) -> str:
    starts = (f"{each.name}: {_graph_type(each.type)}{_or_none(each)} = " for each in members)
    return "\n".join(line(start, call("field", "*EVERYONE")) for start in starts)


def _or_none(member: f.Member) -> str:
    return " | None" if member.is_optional else ""


def _graph_type(type_: f.Type) -> str:
    if isinstance(type_, f.ListOf):
        return f"list[{_graph_type(type_.item)}]"
    return type_.graph if isinstance(type_, f.Scalar) else type_.name


def _lazy(name: str) -> str:
    return f"Lazy{name}"
