"""Answers an operation: by its plan, or where it has none by graphql-core; and makes the response of what comes of it."""

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
from bff.engine.operation import Operation
from bff.engine.plan import ObjectPlan
from bff.engine.run import Run
from bff.graph.context import Context, Degraded
from bff.runtime.log import Log

PLAN = "plan"
_log = Log("bff.engine")


@dataclass(frozen=True, slots=True)
class GraphQLResult:
    """A GraphQL response.

    Attributes:
        payload: its members.
        executed: False where the operation never began: then there is no `data`.
        by: `plan`, or why there was none.
        plan: the plan that ran.
    """

    payload: Mapping[str, Any]
    executed: bool = True
    by: str = PLAN
    plan: ObjectPlan | None = None

    @property
    def codes(self) -> list[str]:
        """The errors' codes, each once, in order."""
        return errors.codes_of(self.payload.get("errors", ()))


def begin(
    operation: Operation, variables: Mapping[str, Any] | None, context: Context
) -> GraphQLResult | Awaitable[GraphQLResult]:
    """The answer, or where something has to be waited for, an awaitable of it.

    Never raises for what the operation, its variables or a service do.
    """
    given = variables or {}
    try:
        coerced = operation.variables.coerce(given)
    except InvalidVariables as invalid:
        return _refused(invalid.errors)
    planned = operation.planned(coerced, given)
    if isinstance(planned, NotPlannable):
        return _by_core(operation, given, context, planned.reason)
    run = Run(planned.plan, planned.root, context, coerced, given)
    waiting = run.start()
    plan = planned.plan.root
    if waiting is None:
        return _answer(run.data, run.errors, context, plan=plan)
    return _when_done(run, waiting, context, plan)


async def _when_done(run: Run, waiting: Awaitable[None], context: Context, plan: ObjectPlan) -> GraphQLResult:
    await waiting
    return _answer(run.data, run.errors, context, plan=plan)


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
        return _refused(found.errors)
    return _answer(found.data, found.errors or (), context, reason)


def _refused(faults: Sequence[GraphQLError]) -> GraphQLResult:
    """Of variables that could not be coerced: nothing was run (GraphQL specification, request errors)."""
    return GraphQLResult({"errors": [errors.of_document(error, "BAD_USER_INPUT") for error in faults]}, executed=False)


def _answer(
    data: dict[str, Any] | None,
    faults: Sequence[GraphQLError],
    context: Context,
    by: str = PLAN,
    plan: ObjectPlan | None = None,
) -> GraphQLResult:
    payload: dict[str, Any] = {}
    if faults or context.partial_errors:
        request_id = context.caller.request_id
        payload["errors"] = [errors.of_execution(error, request_id) for error in faults]
        payload["errors"] += [
            errors.of_execution(GraphQLError(str(fault.error), path=fault.path, original_error=fault.error), request_id)
            for fault in context.partial_errors
        ]
    payload["data"] = data
    if context.degraded:
        payload["extensions"] = {"degraded": [_degraded(each) for each in context.degraded]}
    return GraphQLResult(payload, by=by, plan=plan)


def _degraded(what: Degraded) -> dict[str, Any]:
    """A field that shows an old value, with its age in whole seconds, or its fallback, which has none."""
    age = None if what.age_s is None else int(what.age_s)
    shown = {"path": what.path, "source": what.source, "age": age}
    return {**shown, "fallback": True} if age is None else shown
