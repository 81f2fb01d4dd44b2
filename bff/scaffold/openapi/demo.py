"""Describes a demo service for a source: data that `datasources/demo/described.py` of the application serves."""

import json
from typing import Any

from bff.conventions import Comma, Cursor, InHeader, LastId, LinkHeader, Offset, OneByOne, PageNumber, Posted, Repeated
from bff.scaffold.openapi import findings as f
from bff.scaffold.samples import FIRST_IDS

_RECORDS = 3


def description(found: f.Findings) -> str:
    """The text of `datasources/demo/NAME.json`."""
    value = {
        "path": found.path,
        "id": found.members[0].json,
        "one": found.conventions.one if found.by_id is not None and found.by_id.one else None,
        "items": found.conventions.items,
        "ids": _ids(found.by_id),
        "lists": [_list(each, found) for each in found.lists if _path_of(each) is not None],
        "pages": _pages(found.pages),
        "filters": _filters(found),
        "records": [{each.json: _sample(each, number) for each in found.members} for number in range(1, _RECORDS + 1)],
    }
    return json.dumps(value, indent=2) + "\n"


def _ids(read: f.ReadOne | None) -> dict[str, Any] | None:
    match None if read is None else read.many:
        case Comma(parameter):
            return {"form": "comma", "parameter": parameter}
        case Repeated(parameter):
            return {"form": "repeated", "parameter": parameter}
        case Posted(path, member):
            return {"form": "posted", "path": path, "member": member}
    return None


def _path_of(read: f.ReadList) -> str | None:
    return read.many.path if isinstance(read.many, OneByOne) else None


def _list(read: f.ReadList, found: f.Findings) -> dict[str, Any]:
    return {
        "path": _path_of(read),
        "member": _json(read.member, found),
        "limit": read.limit,
        "items": found.conventions.items if read.items is None else read.items,
    }


def _pages(read: f.ReadPages | None) -> dict[str, Any] | None:
    if read is None:
        return None
    total = {
        "total": read.total if isinstance(read.total, str) else None,
        "total_header": read.total.name if isinstance(read.total, InHeader) else None,
    }
    match read.by:
        case Offset(offset, limit):
            return {"by": "offset", "start": offset, "size": limit, **total}
        case PageNumber(page, size, first):
            return {"by": "page", "start": page, "size": size, "first": first, **total}
        case LastId(parameter, limit, more):
            return {"by": "last_id", "start": parameter, "size": limit, "more": more, **total}
        case LinkHeader(parameter, limit):
            return {"by": "link", "start": parameter, "size": limit, **total}
        case Cursor(parameter, limit, at, is_url):
            return {"by": "url" if is_url else "cursor", "start": parameter, "size": limit, "next": at, **total}
    raise ValueError(f"expected a known convention of pages, got {read.by!r}")


def _filters(found: f.Findings) -> dict[str, str]:
    """The parameters that filter by a member, with the member."""
    exact = [*(each.exact for each in found.lists), () if found.pages is None else found.pages.exact]
    filters = {_json(name, found): _json(name, found) for names in exact for name in names}
    for each in found.lists:
        if isinstance(each.many, OneByOne) and each.many.parameter is not None:
            filters[each.many.parameter] = _json(each.member, found)
    return filters


def _json(name: str, found: f.Findings) -> str:
    return next(each.json for each in found.members if each.name == name)


def _sample(member: f.Member, number: int) -> Any:
    return _value(member.type, member.json, number)


def _value(type_: f.Type, name: str, number: int) -> Any:
    if isinstance(type_, f.ListOf):
        return [_value(type_.item, name, number)]
    if isinstance(type_, f.Nested):
        return {each.json: _sample(each, number) for each in type_.members}
    if isinstance(type_, f.Enumeration):
        return type_.values[(number - 1) % len(type_.values)][1]
    if type_.graph == "strawberry.ID":
        text = FIRST_IDS[type_.record][number - 1]
        return int(text) if type_ == f.INT_ID else text
    samples = {
        f.INT: number,
        f.INT32: number,
        f.FLOAT: number + 0.5,
        f.BOOLEAN: number % 2 == 1,
        f.TIMESTAMP: f"2026-01-{number:02}T08:00:00Z",
    }
    return samples.get(type_, f"{name} {number}")
