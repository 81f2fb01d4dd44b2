"""Tags: the variants that contain a field, an argument, an input field or an enum value.

A field without a tag is an error at start-up. An argument, an input field or an enum value without a tag is in every variant
that contains its field, input type or enum.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, TypeVar

import strawberry
from strawberry.extensions import FieldExtension
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.enum import EnumValue, StrawberryEnumDefinition
from strawberry.types.field import StrawberryField

from bff.graph.variants import Variant

VARIANTS = "variants"
"""The key of a tag in Strawberry's `metadata`."""

SIZE = "size"
"""The key of a list's assumed length in Strawberry's `metadata`."""

WEIGHT = "weight"
"""The key of a field's own cost in Strawberry's `metadata`."""

_BACKREF = "strawberry-definition"


EVERY = Variant("every")
"""The tag of fields that are in every variant of every application."""

_E = TypeVar("_E", bound=type[Enum])


def field(*variants: Variant, **options: Any) -> Any:
    """A field of the named variants, resolved from the record's member of the same name. `options` are Strawberry's."""
    return strawberry.field(metadata=tagged(*variants), **options)


def computed(
    *variants: Variant,
    type: Any = None,
    extensions: Sequence[FieldExtension] = (),
    size: int | None = None,
    weight: int | None = None,
    **options: Any,
) -> Callable[[Callable[..., Any]], Any]:
    """Makes a method the resolver of a field of the named variants.

    Args:
        variants: the variants that contain the field.
        type: the field's type in the graph, if the resolver returns something else, as the key to load it by.
        extensions: an `Access` rule, a `Loaded` or `LoadedList`.
        size: the assumed length of a list when an operation's cost is computed, if no argument `first` gives it.
        weight: the field's own cost, on top of the objects that it returns.
        options: Strawberry's, as `description`.
    """
    if type is not None:
        options["graphql_type"] = type
    made: Callable[[Callable[..., Any]], Any] = strawberry.field(
        metadata={**tagged(*variants), SIZE: size, WEIGHT: weight}, extensions=list(extensions), **options
    )
    return made


def tagged(*variants: Variant) -> dict[str, frozenset[str]]:
    """The tag itself, for `metadata=` of an argument or an input field."""
    return {VARIANTS: _EveryName() if EVERY in variants else frozenset(variant.name for variant in variants)}


class _EveryName(frozenset[str]):
    """Contains every name."""

    def __contains__(self, _: object) -> bool:
        return True


def enum(hidden: Mapping[str, Sequence[Variant]] | None = None, **options: Any) -> Callable[[_E], _E]:
    """Makes a Python enum one of the graph. `hidden` names members that only some variants have."""

    def make(cls: _E) -> _E:
        made = strawberry.enum(cls, **options)
        definition: StrawberryEnumDefinition = made.__strawberry_definition__  # type: ignore[attr-defined]
        for value in definition.values:
            if value.name in (hidden or {}):
                value.directives = [_Only(frozenset(variant.name for variant in (hidden or {})[value.name]))]
        return made

    return make


class _Only:
    """An enum value's tag. It is kept among the directives, which are not printed: Strawberry has no metadata there."""

    def __init__(self, variants: frozenset[str]) -> None:
        self.variants = variants


def definition_of(extensions: dict[str, Any]) -> Any:
    """Strawberry's definition behind an element of a GraphQL schema."""
    return extensions.get(_BACKREF)


def variants_of(extensions: dict[str, Any]) -> frozenset[str] | None:
    """The names of the variants that an element is in, from its `extensions`; None if it has no tag."""
    definition = definition_of(extensions)
    if isinstance(definition, StrawberryField | StrawberryArgument):
        tag: frozenset[str] | None = definition.metadata.get(VARIANTS)
        return tag
    if isinstance(definition, EnumValue):
        return next((tag.variants for tag in definition.directives if isinstance(tag, _Only)), None)
    return None


def weight_of(extensions: dict[str, Any]) -> int | None:
    """A field's own cost, from its `extensions`; None if it has none."""
    definition = definition_of(extensions)
    weight: int | None = definition.metadata.get(WEIGHT) if isinstance(definition, StrawberryField) else None
    return weight


def size_of(extensions: dict[str, Any]) -> int | None:
    """The assumed length of a list field, from its `extensions`; None if it has none."""
    definition = definition_of(extensions)
    size: int | None = definition.metadata.get(SIZE) if isinstance(definition, StrawberryField) else None
    return size
