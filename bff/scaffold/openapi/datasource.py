"""Writes the module of a source: its records, and how they are read."""

from collections.abc import Iterator

from bff.scaffold.code import Code, call, code_of, imports, line, names_in, quoted
from bff.scaffold.openapi import findings as f
from bff.upstream.conventions import STANDARD, Comma
from bff.upstream.conventions.keys import camel
from bff.upstream.conventions.paging import MOST_ITEMS

_PLAIN = frozenset({"int", "str", "float", "bool"})
_LIBRARY = frozenset({"Int32", "Timestamp"})


def datasource(found: f.Findings) -> str:
    """The text of `datasources/NAME.py`. Raises `ValueError` for a text that is not harmless."""
    names = found.names
    reads = list(_reads(found))
    conventions = code_of(found.conventions)
    classes = [*_inner(found), _record(found)]
    used = set().union(*(names_in(code) for _, code in reads))
    if found.conventions != STANDARD:
        reads.insert(0, ("conventions", conventions))
        used |= names_in(conventions)
    scalars = {each.record for each in scalars_in(found.members)}
    bff = {"Record", "Source"} | (scalars & _LIBRARY) | (used & {"ById", "ListBy", "Pages"})
    needs_msgspec = any("msgspec." in each for each in classes)
    groups = [
        imports({"enum": {"StrEnum"} if enumerations_in(found.members) else (), "uuid": {"UUID"} & scalars}),
        [
            *(["import msgspec"] if needs_msgspec else []),
            *imports({"bff": bff, "bff.conventions": used - bff - {"None", "True", "False", "ById", "ListBy", "Pages"}}),
        ],
    ]
    identity = "" if found.forwards_identity else ", forward_identity=False"
    body = "\n".join(line(f"{name} = ", code) for name, code in reads)
    source = (
        f"class {names.source_class}(Source[{names.record}]{identity}):\n"
        f'    """`{found.path}`, as its OpenAPI document describes it."""\n\n'
        f"    path = {quoted(found.path)}\n{body}"
    )
    head = "\n\n".join("\n".join(group) for group in groups if group)
    nouns = names.source.replace("_", " ")
    return f'"""The {nouns} service."""\n\n{head}\n\n\n' + "\n\n\n".join([*classes, source]) + "\n"


def _reads(found: f.Findings) -> Iterator[tuple[str, Code]]:
    if found.by_id is not None:
        yield "by_id", _by_id(found.by_id)
    for each in found.lists:
        arguments: dict[str, Code] = {"many": _many(each.many)}
        if each.limit != "limit":
            arguments["limit"] = code_of(each.limit)
        if each.items is not None:
            arguments["items"] = code_of(each.items)
        yield each.attribute, call("ListBy", quoted(each.member), **arguments, **_filters(each.exact, each.filters))
    if found.pages is not None:
        pages: dict[str, Code] = {}
        if found.pages.total != "total":
            pages["total"] = code_of(found.pages.total)
        if found.pages.largest != MOST_ITEMS:
            pages["largest"] = code_of(found.pages.largest)
        yield "page", call("Pages", code_of(found.pages.by), **pages, **_filters(found.pages.exact, found.pages.filters))


def _by_id(read: f.ReadOne) -> Code:
    arguments = () if read.many == Comma("ids") else (_many(read.many),)
    most: dict[str, Code] = {} if read.most is None else {"most": code_of(read.most)}
    return call("ById", *arguments, **most, **({} if read.one else {"one": "False"}))


def _many(many: object) -> Code:
    """A convention of keys; a parameter alone stands for `Comma`."""
    return quoted(many.parameter) if isinstance(many, Comma) else code_of(many)


def _filters(exact: tuple[str, ...], others: tuple[str, ...]) -> dict[str, Code]:
    return {name: code_of(found) for name, found in (("exact", exact), ("filters", others)) if found}


def _record(found: f.Findings) -> str:
    names = found.names
    rename = ", rename=None" if found.is_snake else ""
    noun = names.field.replace("_", " ")
    return (
        f"class {names.record}(Record, frozen=True, kw_only=True{rename}):\n"
        f'    """The members of one {noun} that the graph uses."""\n\n' + _members(found.members, found.is_snake)
    )


def _members(members: tuple[f.Member, ...], is_snake: bool) -> str:
    return "\n".join(_member(each, is_snake) for each in members)


def _member(member: f.Member, is_snake: bool) -> str:
    start = f"{member.name}: {record_type(member.type)}"
    keywords: dict[str, Code] = {}
    # A part that begins with a digit is written with its name: converters of names differ about it.
    is_regular = not any(part[:1].isdigit() for part in member.name.split("_"))
    if (member.name if is_snake else camel(member.name)) != member.json or (not is_snake and not is_regular):
        keywords["name"] = quoted(member.json)
    if member.is_optional:
        start += " | None"
        keywords["default"] = "None"
    if not keywords:
        return f"    {start}"
    if "name" not in keywords:
        return f"    {start} = None"
    return line(f"{start} = ", call("msgspec.field", **keywords))


def record_type(type_: f.Type) -> str:
    """A type as a record has it."""
    if isinstance(type_, f.ListOf):
        return f"tuple[{record_type(type_.item)}, ...]"
    return type_.record if isinstance(type_, f.Scalar) else type_.name


def _inner(found: f.Findings) -> Iterator[str]:
    """The classes of enums and of objects inside of the record, each before it is used."""
    for each in enumerations_in(found.members):
        values = "\n".join(f"    {name} = {quoted(text)}" for name, text in each.values)
        yield f'class {each.name}(StrEnum):\n    """The values that the service has."""\n\n{values}'
    rename = "" if found.is_snake else ', rename="camel"'
    for nested in nested_in(found.members):
        yield (
            f"class {nested.name}(msgspec.Struct, frozen=True, kw_only=True{rename}, gc=False):\n"
            f'    """An object inside of `{found.names.record}`."""\n\n' + _members(nested.members, found.is_snake)
        )


def nested_in(members: tuple[f.Member, ...]) -> list[f.Nested]:
    """The objects inside of these members, the innermost first."""
    found = []
    for member in members:
        type_ = member.type.item if isinstance(member.type, f.ListOf) else member.type
        if isinstance(type_, f.Nested):
            found += [*nested_in(type_.members), type_]
    return found


def scalars_in(members: tuple[f.Member, ...]) -> list[f.Scalar]:
    """The plain types of these members and of those inside of them."""
    return [each for each in _types(members) if isinstance(each, f.Scalar)]


def enumerations_in(members: tuple[f.Member, ...]) -> list[f.Enumeration]:
    """The enums of these members and of those inside of them."""
    return [each for each in _types(members) if isinstance(each, f.Enumeration)]


def _types(members: tuple[f.Member, ...]) -> Iterator[f.Type]:
    for member in members:
        type_ = member.type.item if isinstance(member.type, f.ListOf) else member.type
        if isinstance(type_, f.Nested):
            yield from _types(type_.members)
        else:
            yield type_
