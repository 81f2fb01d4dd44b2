"""Finds the paths of a resource in a document: its own, that of one object, and those below other resources."""

import re
from dataclasses import dataclass

from bff.scaffold.code import is_harmless
from bff.scaffold.names import ScaffoldError, SourceNames
from bff.scaffold.openapi.document import Document, Operation
from bff.scaffold.openapi.words import plain, shown

_MOST_SHOWN = 8
_MOST_BELOW = 20
_SEGMENT = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._~-]+\Z", re.ASCII)
_VARIABLE = re.compile(r"\{([^{}/]+)\}\Z")


@dataclass(frozen=True, slots=True)
class Below:
    """The resource below another one: `/makers/{key}/parts`. `owner` is the segment before the owner's id."""

    owner: str
    parameter: str
    path: str
    operation: Operation


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource.

    Attributes:
        path: of the resource, as `/v2/parts`.
        several: the operation at it; None if there is none.
        one: the operation for one object; None if there is none.
        parameter: the path's parameter with the object's id; empty without `one`.
    """

    path: str
    several: Operation | None
    one: Operation | None
    parameter: str
    below: tuple[Below, ...]


def find(document: Document, names: SourceNames, path: str | None) -> Resource:
    """The resource at that path, or the one that is named as the source. Raises `ScaffoldError`."""
    known = _collections(document)
    if path is None:
        path = _named(known, names)
    elif path not in known:
        raise ScaffoldError(f"--path: expected a resource of the document{_some(known)}, got {shown(path)}")
    variable = known[path]
    return Resource(
        path=path,
        several=document.operation(path),
        one=None if variable is None else document.operation(f"{path}/{{{variable}}}"),
        parameter=variable or "",
        below=tuple(_below(document, path)),
    )


def _collections(document: Document) -> dict[str, str | None]:
    """The paths of resources, each with the name of the variable behind it; None for a path without one."""
    found: dict[str, str | None] = {}
    for path, item in document.paths().items():
        segments = path[1:].split("/")
        if "get" not in document.mapping(item):
            continue
        variable = _VARIABLE.match(segments[-1])
        literal = segments[:-1] if variable else segments
        if literal and all(map(_SEGMENT.match, literal)):
            collection = "/" + "/".join(literal)
            if not is_harmless(collection):
                continue
            found[collection] = variable[1] if variable else found.get(collection)
    return found


def _named(known: dict[str, str | None], names: SourceNames) -> str:
    """The path whose last segment is the source's name, in the plural or in the singular."""
    for name in (names.source, names.field):
        found = [path for path in known if plain(path.rpartition("/")[2]) == plain(name)]
        # Of two, the one that has single objects too is the resource; another one is often a report about it.
        whole = [path for path in found if known[path] is not None]
        if len(whole or found) == 1:
            return (whole or found)[0]
        if found:
            raise ScaffoldError(f"--path: expected the path of the resource: {names.source} may be{_some(whole or found)}")
    raise ScaffoldError(
        f"--path: expected the path of the resource, since the document has no GET /{names.source}"
        f" without further parameters in its path{_some(known)}"
    )


def _some(paths: "dict[str, str | None] | list[str]") -> str:
    listed = sorted(paths)
    if not listed:
        return ""
    more = f" and {len(listed) - _MOST_SHOWN} more" if len(listed) > _MOST_SHOWN else ""
    return f" ({', '.join(map(shown, listed[:_MOST_SHOWN]))}{more})"


def _below(document: Document, path: str) -> list[Below]:
    """The same resource below others that have one variable."""
    found: list[Below] = []
    last = path.rpartition("/")[2]
    for each in document.paths():
        if len(found) == _MOST_BELOW:
            break
        *before, owner, variable, name = ("", "", "", *each[1:].split("/"))
        matched = _VARIABLE.match(variable)
        if name != last or matched is None or not all(_SEGMENT.match(part) for part in (*filter(None, before), owner)):
            continue
        operation = document.operation(each)
        if operation is not None and is_harmless(each):
            found.append(Below(owner, matched[1], each.replace(variable, "{key}"), operation))
    return found
