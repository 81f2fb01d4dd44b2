"""Where a reply has what is read: the object or the items, the next page, the total.

A place is a path of members, as `data.parts`, or empty for the whole body.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Part:
    """Something that is read from a reply.

    Attributes:
        path: its place.
        type: its type.
        is_required: whether a reply without it is unreadable. Otherwise it is None then.
    """

    path: str
    type: Any
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class Envelope:
    """A type that reads exactly some parts of a reply, and a function for each part that takes it from the value read."""

    type: Any
    parts: Mapping[str, Callable[[Any], Any]]


def envelope_of(parts: Mapping[str, Part]) -> Envelope:
    """The envelope with these parts. Raises `TypeError` for places that exclude each other."""
    if any(not part.path for part in parts.values()):
        if len(parts) > 1:
            raise TypeError(f"expected the items at a member, since {', '.join(parts)} are read from the same reply")
        (name, part) = next(iter(parts.items()))
        return Envelope(part.type, {name: lambda value: value})
    tree: dict[str, Any] = {}
    for part in parts.values():
        *above, last = part.path.split(".")
        inner = tree
        for name in above:
            inner = inner.setdefault(name, {})
            if isinstance(inner, Part):
                raise TypeError(f"{part.path}: expected no value at {name}, which is read as well")
        if not all((*above, last)) or last in inner:
            raise TypeError(f"{part.path}: expected a path of members that nothing else is read from, as data.items")
        inner[last] = part
    names: dict[int, str] = {}
    kind = _struct(tree, "", names)
    return Envelope(kind, {name: _getter(names[id(part)]) for name, part in parts.items()})


def _struct(tree: Mapping[str, Any], path: str, names: dict[int, str]) -> Any:
    """A struct for a level of the tree. `names` gets the attributes' path of each part."""
    members: list[Any] = []
    encoded: dict[str, str] = {}
    for number, (name, inner) in enumerate(tree.items()):
        attribute = f"m{number}"
        here = f"{path}.{attribute}" if path else attribute
        encoded[attribute] = name
        if isinstance(inner, Part):
            names[id(inner)] = here
            kind, is_required = inner.type, inner.is_required
        else:
            kind, is_required = _struct(inner, here, names), _has_required(inner)
        members.append((attribute, kind) if is_required else (attribute, kind | None, None))
    members.sort(key=len)  # those with a default last
    return msgspec.defstruct("Envelope", members, rename=encoded, frozen=False, gc=False)


def _has_required(tree: Mapping[str, Any]) -> bool:
    return any(each.is_required if isinstance(each, Part) else _has_required(each) for each in tree.values())


def _getter(path: str) -> Callable[[Any], Any]:
    if "." not in path:
        return attrgetter(path)
    names = path.split(".")

    def get(value: Any) -> Any:
        for name in names:
            if value is None:
                return None
            value = getattr(value, name)
        return value

    return get
