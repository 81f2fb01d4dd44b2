"""Tags on the graph: in which variants a field, an argument, an input field or an enum value is.

A field without a tag is a mistake that stops the start. An argument, an input field or an enum value without one is
wherever its field, its input or its enum is.
"""

from collections.abc import Callable, Sequence
from enum import Enum, StrEnum
from typing import Any, TypeVar

import strawberry
from strawberry.extensions import FieldExtension
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.enum import EnumValue, StrawberryEnumDefinition
from strawberry.types.field import StrawberryField

AUDIENCE = "audience"
"""The key of a tag in Strawberry's `metadata`."""

SIZE = "size"
"""The key of a list's assumed length in Strawberry's `metadata`."""

WEIGHT = "weight"
"""The key of a field's own cost in Strawberry's `metadata`."""

_BACKREF = "strawberry-definition"


class Audience(StrEnum):
    """Those for whom a variant is made."""

    WEB = "web"
    MOBILE = "mobile"
    ADMIN = "admin"


WEB, MOBILE, ADMIN = Audience.WEB, Audience.MOBILE, Audience.ADMIN
EVERYONE = (WEB, MOBILE, ADMIN)

_E = TypeVar("_E", bound=type[Enum])


def on(*audiences: Audience, **options: Any) -> Any:
    """A member that is a field of the variants named: resolved from the record's member of the same name."""
    return strawberry.field(metadata=tagged(*audiences), **options)


def computed(
    *audiences: Audience,
    type: Any = None,
    extensions: Sequence[FieldExtension] = (),
    size: int | None = None,
    weight: int | None = None,
    **options: Any,
) -> Callable[[Callable[..., Any]], Any]:
    """Makes a method the resolver of a field of the variants named.

    `type` is the field's type in the graph, where the resolver returns something else: the key of what is loaded.
    `size` is how long a list is taken to be when an operation's cost is counted, where no `first` says it.
    `weight` is what the field costs by itself, on top of the objects that it brings.
    """
    if type is not None:
        options["graphql_type"] = type
    field: Callable[[Callable[..., Any]], Any] = strawberry.field(
        metadata={**tagged(*audiences), SIZE: size, WEIGHT: weight}, extensions=list(extensions), **options
    )
    return field


def tagged(*audiences: Audience) -> dict[str, frozenset[Audience]]:
    """The tag itself, for `metadata=` of an argument or an input field."""
    return {AUDIENCE: frozenset(audiences)}


def enum_for(hidden: dict[str, Sequence[Audience]] | None = None, **options: Any) -> Callable[[_E], _E]:
    """Makes a Python enum one of the graph. `hidden` names members that only some audiences have."""

    def make(cls: _E) -> _E:
        made = strawberry.enum(cls, **options)
        definition: StrawberryEnumDefinition = made.__strawberry_definition__  # type: ignore[attr-defined]
        for value in definition.values:
            if value.name in (hidden or {}):
                value.directives = [_Only(frozenset((hidden or {})[value.name]))]
        return made

    return make


class _Only:
    """An enum value's tag. Strawberry has no metadata there; it keeps directives that nothing prints."""

    def __init__(self, audiences: frozenset[Audience]) -> None:
        self.audiences = audiences


def definition_of(extensions: dict[str, Any]) -> Any:
    """Strawberry's definition behind an element of a GraphQL schema."""
    return extensions.get(_BACKREF)


def audiences_of(extensions: dict[str, Any]) -> frozenset[Audience] | None:
    """The tag of an element of a GraphQL schema that Strawberry built, from its `extensions`; None where it has none."""
    definition = definition_of(extensions)
    if isinstance(definition, StrawberryField | StrawberryArgument):
        tag: frozenset[Audience] | None = definition.metadata.get(AUDIENCE)
        return tag
    if isinstance(definition, EnumValue):
        return next((tag.audiences for tag in definition.directives if isinstance(tag, _Only)), None)
    return None


def weight_of(extensions: dict[str, Any]) -> int | None:
    """What a field costs by itself, from its `extensions`; None where nothing was said."""
    definition = definition_of(extensions)
    weight: int | None = definition.metadata.get(WEIGHT) if isinstance(definition, StrawberryField) else None
    return weight


def size_of(extensions: dict[str, Any]) -> int | None:
    """The assumed length of a list field, from its `extensions`; None where nothing was said."""
    definition = definition_of(extensions)
    size: int | None = definition.metadata.get(SIZE) if isinstance(definition, StrawberryField) else None
    return size
