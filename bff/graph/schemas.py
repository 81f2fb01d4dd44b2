"""An application's graph: one schema with all fields, from which the schema of each variant is derived."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import strawberry
from graphql import GraphQLNamedType, GraphQLObjectType, GraphQLSchema, get_named_type, specified_directives
from strawberry.schema.config import StrawberryConfig

from bff.graph.connections import TOTAL_COUNT
from bff.graph.derive import derive
from bff.graph.loaded import Loaded
from bff.graph.scalars import DATE_TIME
from bff.graph.sdl import DIRECTIVES
from bff.graph.tags import definition_of
from bff.graph.variants import Variant
from bff.upstream.reads import Pages, Read
from bff.upstream.source import Source


def whole_graph(query: type, mutation: type | None = None, subscription: type | None = None) -> GraphQLSchema:
    """The schema with all fields of all variants. It is not served."""
    config = StrawberryConfig(scalar_map={datetime: DATE_TIME})
    schema = strawberry.Schema(query=query, mutation=mutation, subscription=subscription, config=config)
    return schema._schema  # noqa: SLF001 - Strawberry has no public name for it


def variant_schemas(graph: GraphQLSchema, variants: Sequence[Variant]) -> dict[str, GraphQLSchema]:
    """Each variant's schema by its name."""
    directives = (*specified_directives, *DIRECTIVES)
    return {variant.name: derive(graph, variant, directives) for variant in variants}


@dataclass(frozen=True, slots=True)
class LoadedField:
    """A field that is loaded by key.

    Attributes:
        where: type and field, as `Order.user`.
        type_: the named type that it shows.
        read: the read that loads it.
        member: the member of the record that is the key; None if the key is computed otherwise.
    """

    where: str
    type_: GraphQLNamedType
    read: Read
    member: str | None


def loaded_fields(graph: GraphQLSchema) -> Iterator[LoadedField]:
    """All fields of a schema that are loaded by key."""
    for type_ in graph.type_map.values():
        if not isinstance(type_, GraphQLObjectType):
            continue
        for name, field in type_.fields.items():
            definition = definition_of(field.extensions)
            for extension in getattr(definition, "extensions", None) or ():
                if isinstance(extension, Loaded):
                    resolver = getattr(definition.base_resolver, "wrapped_func", None)
                    member = getattr(resolver, "member", None)
                    yield LoadedField(f"{type_.name}.{name}", get_named_type(field.type), extension.read, member)


def check_reads(graph: GraphQLSchema, sources: Iterable[type[Source[Any]]]) -> None:
    """Check the fields that are loaded. Raises `TypeError` that names the field.

    Each must be loaded from a source of the application. One that shows `totalCount` needs a read that knows it.
    """
    known = set(sources)
    for field in loaded_fields(graph):
        read, shown = field.read, field.type_
        if read.source not in known:
            missing = read.source.__name__
            raise TypeError(f"{field.where} is loaded from {missing}, which is not among the application's sources")
        is_counted = isinstance(shown, GraphQLObjectType) and TOTAL_COUNT in shown.fields
        if isinstance(read, Pages) and read.total is None and is_counted:
            raise TypeError(f"{field.where}: {read.name} does not know the total: expected an UncountedConnection")
