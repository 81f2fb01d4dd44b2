"""Adds locations and paths to errors, for a plan's run and for graphql-core's executor.

graphql-core's `located_error` reads `source`, `positions`, `nodes`, `message` and `extensions` of any exception as if it
were a `GraphQLError`. An exception of a service or a library may use these names for something else: the client would get a
wrong location, or internal data. Here a location comes from the document only.
"""

from collections.abc import Collection, Sequence
from typing import Any

from graphql import FieldNode, GraphQLError, GraphQLOutputType
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental
from graphql.language import Node, SourceLocation
from graphql.pyutils import Path


def located(error: Exception, nodes: Sequence[FieldNode], path: Collection[str | int]) -> GraphQLError:
    """The error of a field with nodes `nodes` at `path`, as a `GraphQLError` with locations and path.

    A `GraphQLError` that has a path is returned unchanged.
    """
    if isinstance(error, GraphQLError):
        if error.path is not None:
            return error
        return GraphQLError(
            error.message, error.nodes or nodes, error.source, error.positions, path, error, error.extensions
        )
    made = GraphQLError(str(error), None, None, None, path, error, {})
    made.nodes = list(nodes)
    spans = [node.loc for node in nodes if node.loc]
    if spans:
        made.source = spans[0].source
        made.positions = [span.start for span in spans]
    made.locations = locations_of(nodes)
    return made


def locations_of(nodes: Sequence[Node]) -> list[SourceLocation] | None:
    """The locations at which the nodes begin, line and column from 1; None if the nodes have none."""
    return [node.loc.source.get_location(node.loc.start) for node in nodes if node.loc] or None


class LocatingExecutor(ExecutorThrowingOnIncremental):
    """graphql-core's executor, with errors located by `located`."""

    def handle_field_error(
        self, raw_error: Exception, return_type: GraphQLOutputType, field_details_list: Any, path: Path
    ) -> None:
        """Locate the error before graphql-core does."""
        nodes = [each.node for each in field_details_list]
        super().handle_field_error(located(raw_error, nodes, path.as_list()), return_type, field_details_list, path)
