"""Finds the source of each field's value: the shortest way to the value that Strawberry's resolver would return.

A field that isn't recognised for certain gets a `Resolver`, which does all that Strawberry does.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

import strawberry
from graphql import GraphQLField, GraphQLSchema
from strawberry.extensions import FieldExtension
from strawberry.types.arguments import convert_arguments
from strawberry.types.base import StrawberryOptional
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField

from bff.engine.plan import Attribute, Convert, LoadByKey, Method, Resolver, Source
from bff.graph.loaded import Loaded
from bff.graph.rules import Access
from bff.graph.tags import definition_of

_UNCONVERTED = frozenset({str, int, float, bool, strawberry.ID})
"""Types of arguments whose values Strawberry passes to a method as graphql-core has coerced them."""


class Bindings:
    """Finds the sources of a schema's fields. `resolver` resolves fields that have no resolver."""

    def __init__(self, schema: GraphQLSchema, resolver: Callable[..., Any]) -> None:
        self._resolver = resolver
        self._strawberry: strawberry.Schema | None = getattr(schema, "_strawberry_schema", None)
        self._known: dict[int, tuple[GraphQLField, Source]] = {}

    def source_of(self, field: GraphQLField) -> Source:
        """Where the field's value comes from. Found once for each field of the schema."""
        known = self._known.get(id(field))
        if known is None:
            known = self._known[id(field)] = (field, self._find(field))
        return known[1]

    def _find(self, field: GraphQLField) -> Source:
        definition = definition_of(field.extensions)
        source = self._of_strawberry(definition) if isinstance(definition, StrawberryField) else None
        return source or Resolver(field.resolve or self._resolver)

    def _of_strawberry(self, definition: StrawberryField) -> Source | None:
        schema = self._strawberry
        if schema is None or not _is_usual(schema) or not _is_plain(definition):
            return None
        if definition.is_basic_field:
            return Attribute(definition.python_name)
        method = _method(definition, schema)
        loaded = [each for each in definition.extensions if isinstance(each, Loaded)]
        return LoadByKey(method, loaded[0]) if method is not None and loaded else method


def _is_usual(schema: strawberry.Schema) -> bool:
    """Whether the schema leaves resolving as Strawberry has it."""
    config, handlers = schema.config, schema.schema_converter.exception_handlers
    return config.default_resolver is getattr and config.info_class is strawberry.Info and not handlers


def _method(definition: StrawberryField, schema: strawberry.Schema) -> Method | None:
    resolver = definition.base_resolver
    if resolver is None or resolver.parent_parameter or resolver.root_parameter or not callable(resolver.wrapped_func):
        return None
    takes_self = resolver.self_parameter is not None
    info = resolver.info_parameter.name if resolver.info_parameter else None
    access = next((each for each in definition.extensions if isinstance(each, Access)), None)
    takes_more = info is not None or definition.arguments or access is not None
    is_pure = takes_self and not takes_more and not definition.is_async
    is_renamed_only = all(_is_unconverted(each.type) for each in definition.arguments)
    convert = _renaming(definition, schema) if is_renamed_only else _conversion(definition, schema)
    member = getattr(resolver.wrapped_func, "member", None)
    call = resolver.wrapped_func if member is None else attrgetter(member)
    return Method(call, takes_self, info, definition, convert, is_renamed_only, is_pure, access)


def _renaming(definition: StrawberryField, schema: strawberry.Schema) -> Convert:
    from_argument = schema.config.name_converter.from_argument
    names = {from_argument(each): each.python_name for each in definition.arguments}

    def convert(arguments: Mapping[str, Any], _: Any) -> dict[str, Any]:
        return {names[name]: value for name, value in arguments.items()}

    return convert


def _conversion(definition: StrawberryField, schema: strawberry.Schema) -> Convert:
    """Strawberry's own. What it returns is new, and the method may change it."""

    def convert(arguments: Mapping[str, Any], info: Any) -> dict[str, Any]:
        scalars = schema.schema_converter.scalar_registry
        return convert_arguments(
            dict(arguments), definition.arguments, scalar_registry=scalars, config=schema.config, info=info
        )

    return convert


def _is_unconverted(type_: Any) -> bool:
    """Whether a resolver gets values of the type as graphql-core has coerced them."""
    if type(type_) is StrawberryOptional:
        type_ = type_.of_type
    return type_ in _UNCONVERTED or isinstance(type_, StrawberryEnumDefinition)


_LOADED_RESOLVE: Any = Loaded.resolve


def _is_plain(definition: StrawberryField) -> bool:
    """Whether the field is resolved as usual, with no extensions but an access rule and then a load by key."""
    kind = type(definition)
    if kind.get_result is not StrawberryField.get_result:
        return False
    extensions = list(definition.extensions)
    if extensions and type(extensions[0]) is Access:
        del extensions[0]
    if not extensions:
        return True
    if len(extensions) > 1 or type(extensions[0]).resolve is not _LOADED_RESOLVE:
        return False
    return type(extensions[0]).map_arguments is FieldExtension.map_arguments
