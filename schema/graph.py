"""The whole tagged graph, of which the variants are made."""

from datetime import datetime

import strawberry
from graphql import GraphQLSchema, specified_directives
from strawberry.schema.config import StrawberryConfig

from bff.graph.scalars import DATE_TIME
from bff.graph.sdl import DIRECTIVES
from bff.graph.variants import VARIANTS, derive
from schema.mutation import Mutation
from schema.query import Query


def whole_graph() -> GraphQLSchema:
    """The graph with everything in it. It is served to nobody."""
    config = StrawberryConfig(scalar_map={datetime: DATE_TIME})
    return strawberry.Schema(query=Query, mutation=Mutation, config=config)._schema  # noqa: SLF001 - its only way out


def variant_schemas() -> dict[str, GraphQLSchema]:
    """Each variant's schema by its name."""
    graph = whole_graph()
    directives = (*specified_directives, *DIRECTIVES)
    return {variant.name: derive(graph, variant.audience, directives) for variant in VARIANTS}
