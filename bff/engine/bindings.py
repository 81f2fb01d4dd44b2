"""Where a field's value comes from: of what Strawberry has made of a field, the shortest way to the same value.

What isn't recognised for certain is a `Resolver`, which does all that Strawberry does.
"""

from collections.abc import Callable, Mapping
from typing import Any

import strawberry
from graphql import GraphQLField, GraphQLSchema
from strawberry.extensions import FieldExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.types.arguments import convert_arguments
from strawberry.types.base import StrawberryOptional
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField

from bff.engine.plan import Attribute, Convert, LoadByKey, Method, Resolver, Source
from bff.graph.loaded import Loaded
from bff.graph.rules import Access
from bff.graph.tags import definition_of

_SAME = frozenset({str, int, float, bool, strawberry.ID})


class Bindings:
    """Finds the sources of a schema's fields. `resolver` is for fields that have none of their own."""

    def __init__(self, schema: GraphQLSchema, resolver: Callable[..., Any]) -> None:
        self._resolver = resolver
        self._strawberry = getattr(schema, "_strawberry_schema", None)
        self._known: dict[int, tuple[GraphQLField, Source]] = {}

    def source_of(self, field: GraphQLField) -> Source:
        """Where the field's value comes from. Determined once for each field of the schema."""
        known = self._known.get(id(field))
        if known is None:
            known = self._known[id(field)] = (field, self._find(field))
        return known[1]

    def _find(self, field: GraphQLField) -> Source:
        definition = definition_of(field.extensions)
        source = self._of_strawberry(definition) if isinstance(definition, StrawberryField) else None
        return source or Resolver(field.resolve or self._resolver)

    def _of_strawberry(self, definition: StrawberryField) -> Source | None:
        if self._strawberry is None or not self._is_usual(self._strawberry.config) or not _is_plain(definition):
            return None
        if definition.is_basic_field:
            return Attribute(definition.python_name)
        method = self._method(definition)
        loaded = [each for each in definition.extensions if isinstance(each, Loaded)]
        return LoadByKey(method, loaded[0]) if method is not None and loaded else method

    def _is_usual(self, config: StrawberryConfig) -> bool:
        handlers = self._strawberry.schema_converter.exception_handlers  # type: ignore[union-attr]
        return config.default_resolver is getattr and config.info_class is strawberry.Info and not handlers

    def _method(self, definition: StrawberryField) -> Method | None:
        resolver = definition.base_resolver
        if resolver is None or resolver.parent_parameter or resolver.root_parameter or not callable(resolver.wrapped_func):
            return None
        takes_self = resolver.self_parameter is not None
        info = resolver.info_parameter.name if resolver.info_parameter else None
        access = next((each for each in definition.extensions if isinstance(each, Access)), None)
        takes_more = info is not None or definition.arguments or access is not None
        is_pure = takes_self and not takes_more and not definition.is_async
        renames = all(_is_converted(each.type) for each in definition.arguments)
        convert = self._converter(definition, renames=renames)
        return Method(resolver.wrapped_func, takes_self, info, definition, convert, renames, is_pure, access)

    def _converter(self, definition: StrawberryField, *, renames: bool) -> Convert:
        """From arguments as graphql-core has them to those that the method takes, which are its own to change."""
        schema: Any = self._strawberry
        arguments = definition.arguments
        from_argument = schema.config.name_converter.from_argument
        names = {from_argument(each): each.python_name for each in arguments}

        def rename(given: Mapping[str, Any], _: Any) -> dict[str, Any]:
            return {names[name]: value for name, value in given.items()}

        def convert(given: Mapping[str, Any], info: Any) -> dict[str, Any]:
            registry = schema.schema_converter.scalar_registry
            return convert_arguments(dict(given), arguments, scalar_registry=registry, config=schema.config, info=info)

        return rename if renames else convert


def _is_converted(type_: Any) -> bool:
    """Whether a value of the type is, as graphql-core has it, the one that a resolver gets."""
    if type(type_) is StrawberryOptional:
        type_ = type_.of_type
    return type_ in _SAME or isinstance(type_, StrawberryEnumDefinition)


def _is_plain(definition: StrawberryField) -> bool:
    """Whether it is called as Strawberry calls a field: with no extensions but a rule of access, and then a load by key."""
    kind = type(definition)
    if kind.get_result is not StrawberryField.get_result:
        return False
    extensions = list(definition.extensions)
    if extensions and type(extensions[0]) is Access:
        del extensions[0]
    if not extensions:
        return True
    if len(extensions) > 1 or type(extensions[0]).resolve is not Loaded.resolve:
        return False
    return type(extensions[0]).map_arguments is FieldExtension.map_arguments
