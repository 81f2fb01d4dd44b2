"""What resolvers receive in one run: their arguments, and the two kinds of `Info`."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

import strawberry
from graphql import GraphQLResolveInfo
from graphql.pyutils import gather_with_cancel
from graphql.pyutils.is_awaitable import is_awaitable
from graphql.type import GraphQLResolveInfoHelpers
from strawberry.types.field import StrawberryField

from bff.engine.arguments import CoercedVariables
from bff.engine.places import Place, core_path_of
from bff.engine.plan import FieldPlan, Method, Plan
from bff.graph.context import Context


class ResolverInputs:
    """Makes the inputs of the resolvers of one run. A field's arguments are computed once, for all of its objects."""

    __slots__ = ("_arguments", "_method_arguments", "_plan", "_root_value", "_variables", "context")

    def __init__(self, plan: Plan, variables: CoercedVariables, context: Context, root_value: Any) -> None:
        self._plan = plan
        self._variables = variables
        self._root_value = root_value
        self._arguments: dict[int, Mapping[str, Any]] = {}
        self._method_arguments: dict[int, dict[str, Any]] = {}
        self.context = context

    def arguments(self, field: FieldPlan) -> Mapping[str, Any]:
        """The field's arguments by their GraphQL names. Raises `GraphQLError`."""
        known = field.arguments.constant
        if known is None:
            known = self._arguments.get(id(field))
            if known is None:
                known = self._arguments[id(field)] = field.arguments.evaluate(self._variables)
        return known

    def method_arguments(self, field: FieldPlan, method: Method) -> dict[str, Any]:
        """The field's arguments by their Python names, for a method that `is_renamed_only`. Raises `GraphQLError`."""
        known = self._method_arguments.get(id(field))
        if known is None:
            constant = field.arguments.constant
            arguments = self.arguments(field) if constant is None else constant
            known = self._method_arguments[id(field)] = method.convert(arguments, None)
        return known

    def info(self, place: Place) -> GraphQLResolveInfo[Any]:
        """graphql-core's `GraphQLResolveInfo` for the field at `place`."""
        field = place[3].field
        return GraphQLResolveInfo(
            field.name,
            list(field.nodes),
            field.type,
            field.parent,
            core_path_of(place),
            self._plan.schema,
            dict(self._plan.fragments),
            self._root_value,
            self._plan.operation,
            self._variables.core(),
            self.context,
            is_awaitable,
            None,
            GraphQLResolveInfoHelpers(gather=_gather, track=run_to_end),
        )

    def strawberry_info(self, place: Place, definition: StrawberryField) -> "Info":
        """Strawberry's `Info` for the field at `place`."""
        return Info(self, place, definition)


class Info(strawberry.Info[Any, Any]):
    """Strawberry's `Info`. Most resolvers use its context alone, so graphql-core's info is made when something else is."""

    def __init__(self, inputs: ResolverInputs, place: Place, definition: StrawberryField) -> None:
        self._inputs = inputs
        self._place = place
        self._field = definition
        self._made: GraphQLResolveInfo[Any] | None = None

    @property
    def _raw_info(self) -> GraphQLResolveInfo[Any]:  # type: ignore[override] # an attribute in Strawberry
        if self._made is None:
            self._made = self._inputs.info(self._place)
        return self._made

    @property
    def context(self) -> Context:
        """The operation's context."""
        return self._inputs.context


def run_to_end(values: Any) -> None:
    """Let the awaitables among the values run to their end. Their results and errors are dropped."""
    awaitables = [value for value in values if is_awaitable(value)]
    if awaitables:
        asyncio.gather(*awaitables, return_exceptions=True)


def _gather(values: Any) -> Awaitable[list[Any]]:
    return gather_with_cancel(*values)
