"""Derives the schema of each variant from the tagged graph.

A variant's schema contains only the fields, arguments, input fields and enum values that are tagged for it, and only the
types that are reachable from them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from graphql import (
    GraphQLArgument,
    GraphQLDirective,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    Undefined,
    is_introspection_type,
    is_specified_scalar_type,
    specified_directives,
    validate_schema,
)
from strawberry.schema.schema_converter import CustomGraphQLEnumType

from bff.graph.tags import definition_of, variants_of
from bff.graph.variants import Variant

_T = TypeVar("_T")


class UntaggedError(TypeError):
    """A field has no tag, so no variant would contain it. The message names the field and says what to write."""


def derive(
    graph: GraphQLSchema, variant: Variant, directives: Sequence[GraphQLDirective] = specified_directives
) -> GraphQLSchema:
    """The variant's schema. It is valid, and shares nothing mutable with the graph."""
    return _Derivation(variant, directives).schema(graph)


class _Derivation:
    """Derives one schema, from the root types down, so that unreachable types are not copied."""

    def __init__(self, variant: Variant, directives: Sequence[GraphQLDirective]) -> None:
        self._variant = variant
        self._directives = tuple(directives)
        self._made: dict[str, GraphQLNamedType] = {}

    def schema(self, graph: GraphQLSchema) -> GraphQLSchema:
        options = graph.to_kwargs()
        for root in ("query", "mutation", "subscription"):
            type_ = options[root]
            options[root] = self._type(type_) if type_ is not None and self._fields(type_) else None
        options["types"] = ()
        options["directives"] = self._directives
        options["assume_valid"] = False
        derived = GraphQLSchema(**options)
        while len(types := self._implementing(graph, derived)) > len(options["types"] or ()):
            options["types"] = types
            derived = GraphQLSchema(**options)
        if faults := validate_schema(derived):
            raise TypeError(f"variant {self._variant.name}: " + "; ".join(fault.message for fault in faults))
        # Strawberry's resolvers look up their schema in this attribute.
        derived._strawberry_schema = graph._strawberry_schema  # type: ignore[attr-defined] # noqa: SLF001
        return derived

    def _implementing(self, graph: GraphQLSchema, derived: GraphQLSchema) -> tuple[Any, ...]:
        """The types that implement the interfaces found so far. No field needs to refer to them."""
        interfaces = [type_ for type_ in derived.type_map.values() if isinstance(type_, GraphQLInterfaceType)]
        found = [
            type_
            for interface in interfaces
            for type_ in graph.get_implementations(graph.type_map[interface.name]).objects  # type: ignore[arg-type]
        ]
        return tuple(self._type(type_) for type_ in dict.fromkeys(found) if self._has_fields(type_))

    def _type(self, type_: Any) -> Any:
        if isinstance(type_, GraphQLNonNull):
            return GraphQLNonNull(self._type(type_.of_type))
        if isinstance(type_, GraphQLList):
            return GraphQLList(self._type(type_.of_type))
        if is_specified_scalar_type(type_) or is_introspection_type(type_) or isinstance(type_, GraphQLScalarType):
            return type_
        if type_.name not in self._made:
            self._made[type_.name] = self._make(type_)
        return self._made[type_.name]

    def _make(self, type_: GraphQLNamedType) -> GraphQLNamedType:
        """A copy of the type. The types it refers to are looked up later, by functions, because types may be recursive."""
        options: dict[str, Any] = dict(type_.to_kwargs())
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            options["fields"] = lambda: self._fields(type_)
            options["interfaces"] = lambda: [self._type(each) for each in type_.interfaces if self._has_fields(each)]
        elif isinstance(type_, GraphQLUnionType):
            options["types"] = lambda: [self._type(member) for member in type_.types if self._has_fields(member)]
            if (resolve := type_.resolve_type) is not None:
                # Strawberry looks up the member among those of the union that it gets: this must be the graph's own.
                options["resolve_type"] = lambda root, info, _: resolve(root, info, type_)
        elif isinstance(type_, GraphQLInputObjectType):
            options["fields"] = lambda: self._input_fields(type_)
        elif isinstance(type_, GraphQLEnumType):
            options["values"] = {name: value for name, value in type_.values.items() if self._has(value.extensions)}
            # The constructor of Strawberry's subclass also takes the Python enum.
            if isinstance(type_, CustomGraphQLEnumType):
                options["enum"] = definition_of(type_.extensions)
        else:
            raise TypeError(f"{type_.name}: this kind of type is not supported in variants")
        return type(type_)(**options)

    def _fields(self, type_: GraphQLObjectType | GraphQLInterfaceType) -> dict[str, GraphQLField]:
        fields = {}
        for name, field in type_.fields.items():
            names = variants_of(field.extensions)
            if names is None:
                raise UntaggedError(
                    f"{type_.name}.{name}: expected a field with variants, such as `= field(WEB)`; "
                    "use `strawberry.Private` for a member that clients don't see"
                )
            if self._variant.name in names:
                options = field.to_kwargs()
                options["type_"] = self._type(field.type)
                options["args"] = self._arguments(field.args)
                fields[name] = GraphQLField(**options)
        return fields

    def _arguments(self, arguments: Mapping[str, GraphQLArgument]) -> dict[str, GraphQLArgument]:
        return {name: self._with_type(argument) for name, argument in arguments.items() if self._has(argument.extensions)}

    def _input_fields(self, type_: GraphQLInputObjectType) -> dict[str, GraphQLInputField]:
        return {name: self._with_type(field) for name, field in type_.fields.items() if self._has(field.extensions)}

    def _with_type(self, element: _T) -> _T:
        options = element.to_kwargs()  # type: ignore[attr-defined]
        options["type_"] = self._type(element.type)  # type: ignore[attr-defined]
        if options["default_value"] is None:
            # A Python parameter needs a default where a GraphQL argument has none. Resolvers treat omitted as null.
            options["default_value"] = Undefined
        make: Callable[..., _T] = type(element)
        return make(**options)

    def _has_fields(self, type_: GraphQLObjectType | GraphQLInterfaceType) -> bool:
        """Whether a type has fields in the variant. Interfaces and union members without any are left out."""
        return any(self._variant.name in (variants_of(field.extensions) or ()) for field in type_.fields.values())

    def _has(self, extensions: dict[str, Any]) -> bool:
        """Whether an element whose tag is optional is in the variant."""
        names = variants_of(extensions)
        return names is None or self._variant.name in names
