"""An application's graph: one schema with all fields, from which the schema of each variant is derived."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import strawberry
from graphql import GraphQLObjectType, GraphQLSchema, get_named_type, specified_directives
from strawberry.schema.config import StrawberryConfig

from bff.graph.connections import TOTAL_COUNT
from bff.graph.derive import derive
from bff.graph.loaded import Loaded
from bff.graph.scalars import DATE_TIME
from bff.graph.sdl import DIRECTIVES
from bff.graph.tags import definition_of
from bff.graph.variants import Variant
from bff.upstream.reads import Pages
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


def check_reads(graph: GraphQLSchema, sources: Iterable[type[Source[Any]]]) -> None:
    """Check the fields that are loaded. Raises `TypeError` that names the field.

    Each must be loaded from a source of the application. One that shows `totalCount` needs a read that knows it.
    """
    known = set(sources)
    for type_ in graph.type_map.values():
        if not isinstance(type_, GraphQLObjectType):
            continue
        for name, field in type_.fields.items():
            for extension in getattr(definition_of(field.extensions), "extensions", None) or ():
                if not isinstance(extension, Loaded):
                    continue
                where, read = f"{type_.name}.{name}", extension.read
                if read.source not in known:
                    missing = read.source.__name__
                    raise TypeError(f"{where} is loaded from {missing}, which is not among the application's sources")
                shown = get_named_type(field.type)
                is_counted = isinstance(shown, GraphQLObjectType) and TOTAL_COUNT in shown.fields
                if isinstance(read, Pages) and read.total is None and is_counted:
                    raise TypeError(f"{where}: {read.name} does not know the total: expected an UncountedConnection")
