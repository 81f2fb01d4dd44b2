"""Executes an operation, by its plan or else by graphql-core, and makes the GraphQL response."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from graphql import ExecutionResult, GraphQLError
from graphql.execution import execute

from bff import errors
from bff.engine.arguments import InvalidVariables
from bff.engine.compile import NotPlannable
from bff.engine.located import LocatingExecutor
from bff.engine.operation import Operation, Ready
from bff.engine.plan import ObjectPlan
from bff.engine.response import Response
from bff.engine.run import Run
from bff.graph.context import Context, Degraded
from bff.runtime.log import Log

PLAN = "plan"
_log = Log("bff.engine")


@dataclass(frozen=True, slots=True)
class GraphQLResult:
    """A GraphQL response.

    Attributes:
        payload: its members: `data`, `errors`, `extensions`.
        executed: False if the operation was not begun (a request error): then there is no `data`.
        by: `plan`, or the reason why there was none.
        plan: the root of the plan that ran; None without one.
    """

    payload: Mapping[str, Any]
    executed: bool = True
    by: str = PLAN
    plan: ObjectPlan | None = None

    @property
    def codes(self) -> list[str]:
        """The errors' codes in order, each once."""
        return errors.codes_of(self.payload.get("errors", ()))


def begin(
    operation: Operation, variables: Mapping[str, Any] | None, context: Context, ready: Ready | None = None
) -> GraphQLResult | Awaitable[GraphQLResult]:
    """Execute the operation. Returns the result, or an awaitable of it if something must be awaited.

    All faults of the operation, its variables and the services are errors in the result; none is raised. `ready` has what is
    prepared already.
    """
    given = variables or {}
    if ready is None:
        try:
            coerced = operation.variables.coerce(given)
        except InvalidVariables as invalid:
            return _request_error(invalid.errors)
        planned = operation.planned(coerced)
    else:
        coerced, planned = ready.variables, ready.planned
    if isinstance(planned, NotPlannable):
        return _by_core(operation, given, context, planned.reason)
    run = Run(planned.plan, planned.root, context, coerced)
    waiting = run.start()
    plan = planned.plan.root
    if waiting is None:
        return _result(run.response.data, run.response.errors, context, plan=plan)
    return _result_of(run.response, waiting, context, plan)


async def _result_of(response: Response, waiting: Awaitable[None], context: Context, plan: ObjectPlan) -> GraphQLResult:
    await waiting
    return _result(response.data, response.errors, context, plan=plan)


async def _by_core(operation: Operation, given: Mapping[str, Any], context: Context, reason: str) -> GraphQLResult:
    _log.debug("no plan", variant=context.variant.name, operation=operation.name, reason=reason)
    result = execute(
        operation.schema,
        operation.document,
        context_value=context,
        variable_values=dict(given),
        operation_name=operation.name,
        hide_suggestions=operation.hide_suggestions,
        executor_class=LocatingExecutor,
    )
    found: ExecutionResult = await result if isawaitable(result) else result
    if found.data is None and found.errors and all(error.path is None for error in found.errors):
        return _request_error(found.errors)
    return _result(found.data, found.errors or (), context, reason)


def _request_error(found: Sequence[GraphQLError]) -> GraphQLResult:
    """The result if variables can't be coerced: nothing was run (GraphQL specification, request errors)."""
    return GraphQLResult({"errors": [errors.of_document(error, "BAD_USER_INPUT") for error in found]}, executed=False)


def _result(
    data: dict[str, Any] | None,
    found: Sequence[GraphQLError],
    context: Context,
    by: str = PLAN,
    plan: ObjectPlan | None = None,
) -> GraphQLResult:
    payload: dict[str, Any] = {}
    if found or context.partial_errors:
        request_id = context.caller.request_id
        payload["errors"] = [errors.of_execution(error, request_id) for error in found]
        payload["errors"] += [
            errors.of_execution(GraphQLError(str(fault.error), path=fault.path, original_error=fault.error), request_id)
            for fault in context.partial_errors
        ]
    payload["data"] = data
    if context.degraded:
        payload["extensions"] = {"degraded": [_degraded(each) for each in context.degraded]}
    return GraphQLResult(payload, by=by, plan=plan)


def _degraded(what: Degraded) -> dict[str, Any]:
    """An entry of `extensions.degraded`: a stale value with its age in whole seconds, or a fallback with the age null."""
    age = None if what.age_s is None else int(what.age_s)
    shown = {"path": what.path, "source": what.source, "age": age}
    return {**shown, "fallback": True} if age is None else shown
