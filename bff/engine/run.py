"""Runs a prepared operation with graphql-core's executor, and makes the answer of what it gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from graphql import ExecutionResult, GraphQLError, GraphQLSchema
from graphql.execution import execute

from bff import errors
from bff.engine.plans import Operation
from schema.context import Context, Degraded


@dataclass(frozen=True, slots=True)
class Answer:
    """A GraphQL response. `executed` is False where the operation never began: then there is no `data`."""

    payload: Mapping[str, Any]
    executed: bool

    @property
    def codes(self) -> list[str]:
        """The errors' codes, each once, in order."""
        return errors.codes_of(self.payload.get("errors", ()))


async def run(
    schema: GraphQLSchema,
    operation: Operation,
    variables: Mapping[str, Any] | None,
    context: Context,
    *,
    hide_suggestions: bool,
) -> Answer:
    """Run the operation. Never raises for what the operation, its variables or a service do."""
    result = execute(
        schema,
        operation.document,
        context_value=context,
        variable_values=dict(variables or {}),
        operation_name=operation.name,
        hide_suggestions=hide_suggestions,
    )
    if isawaitable(result):
        result = await result
    return _answer(result, context)


def _answer(result: ExecutionResult, context: Context) -> Answer:
    if result.data is None and result.errors and all(error.path is None for error in result.errors):
        # The variables could not be coerced: nothing was run (GraphQL specification, request errors).
        return Answer({"errors": [errors.of_document(error, "BAD_USER_INPUT") for error in result.errors]}, executed=False)
    request_id = context.caller.request_id
    told = [errors.of_execution(error, request_id) for error in result.errors or ()]
    told += [
        errors.of_execution(GraphQLError(str(fault.error), path=fault.path, original_error=fault.error), request_id)
        for fault in context.partial_errors
    ]
    payload: dict[str, Any] = {"errors": told, "data": result.data} if told else {"data": result.data}
    if context.degraded:
        payload["extensions"] = {"degraded": [_degraded(each) for each in context.degraded]}
    return Answer(payload, executed=True)


def _degraded(what: Degraded) -> dict[str, Any]:
    """A field that shows an old value, with its age in whole seconds, or its fallback, which has none."""
    age = None if what.age_s is None else int(what.age_s)
    shown = {"path": what.path, "source": what.source, "age": age}
    return {**shown, "fallback": True} if age is None else shown
