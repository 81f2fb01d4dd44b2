"""Errors with their place in the document, for a plan's run and for graphql-core's executor alike.

graphql-core's `located_error` reads `source`, `positions`, `nodes`, `message` and `extensions` of any exception, and takes
them for its own. An exception of a service, or of a library, may use such a name for something else: the client would be
told a wrong line, or something that was not meant for it. Here a place comes from the document and from nothing else.
"""

from collections.abc import Collection, Sequence
from typing import Any

from graphql import FieldNode, GraphQLError, GraphQLOutputType
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental
from graphql.language import Node, SourceLocation
from graphql.pyutils import Path


def located(error: Exception, nodes: Sequence[FieldNode], path: Collection[str | int]) -> GraphQLError:
    """A field's error with its place: `nodes` are the field's, `path` leads to it in the answer.

    An error of GraphQL's own that has a place of its own keeps it.
    """
    if isinstance(error, GraphQLError):
        if error.path is not None:
            return error
        return GraphQLError(
            error.message, error.nodes or nodes, error.source, error.positions, path, error, error.extensions
        )
    made = GraphQLError(str(error), None, None, None, path, error, {})
    made.nodes = list(nodes)
    made.locations = locations_of(nodes)
    return made


def locations_of(nodes: Sequence[Node]) -> list[SourceLocation] | None:
    """Where the nodes begin, by line and column from 1; None where they have no places."""
    return [node.loc.source.get_location(node.loc.start) for node in nodes if node.loc] or None


class LocatingExecutor(ExecutorThrowingOnIncremental):
    """graphql-core's executor, but for where it says that a field failed."""

    def handle_field_error(
        self, raw_error: Exception, return_type: GraphQLOutputType, field_details_list: Any, path: Path
    ) -> None:
        """As graphql-core has it, with an error that is located already."""
        nodes = [each.node for each in field_details_list]
        super().handle_field_error(located(raw_error, nodes, path.as_list()), return_type, field_details_list, path)
