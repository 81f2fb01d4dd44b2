"""A pytest plugin: graphql-core's executor replaced by a plan, wherever one can be made of the operation.

`pytest -p tests.parity.planned` in the tests of graphql-core. At the end it says how many operations ran as plans, and why
the others did not.
"""

import sys
from collections import Counter
from typing import Any

from graphql import ExecutionResult
from graphql.execution.incremental.incremental_executor import IncrementalExecutor

from bff.engine.compile import NotPlannable, compile_operation
from bff.engine.complete import assemble
from bff.engine.run import Run

taken: Counter[str] = Counter()
"""How many operations ran, by what took them."""


class PlannedExecutor(IncrementalExecutor):
    """Runs what it was built for as a plan, and leaves the rest to graphql-core."""

    def execute_operation(self, serially: bool | None = None) -> Any:
        """The operation's result, or an awaitable of it."""
        reason = self._reason_not_to(serially)
        if reason is None:
            try:
                plan = compile_operation(
                    self.schema,
                    self.operation,
                    self.fragment_definitions,
                    self.variable_values,
                    hide_suggestions=self.hide_suggestions,
                    field_resolver=self.field_resolver,
                    type_resolver=self.type_resolver,
                )
            except NotPlannable as refused:
                reason = refused.reason
        if reason is not None:
            taken[reason] += 1
            return super().execute_operation(serially)
        taken["plan"] += 1
        root = assemble(plan, rows=True, is_awaitable=self.is_awaitable, is_async_iterable=self.is_async_iterable)
        coerced = self.variable_values.coerced
        run = Run(plan, root, self.context_value, coerced, coerced, self.root_value)
        run._values = self.variable_values
        waiting = run.start()
        return ExecutionResult(run.data, run.errors or None) if waiting is None else self._result(run, waiting)

    async def _result(self, run: Run, waiting: Any) -> ExecutionResult:
        await waiting
        return ExecutionResult(run.data, run.errors or None)

    def _reason_not_to(self, serially: bool | None) -> str | None:
        """What of graphql-core's ways of being called the gateway has no use for, and plans don't know."""
        if self.middleware_manager is not None:
            return "middleware"
        if self.abort_signal is not None:
            return "abort signal"
        if self.hooks is not None:
            return "hooks"
        if serially is not None:
            return "subscription"
        if type(self) is not PlannedExecutor:
            return "executor of its own"
        return None


def pytest_configure() -> None:
    """From now on `execute` builds one of ours."""
    # The package exports a function of the module's name, which hides the module.
    module: Any = sys.modules["graphql.execution.execute"]
    module.IncrementalExecutor = PlannedExecutor


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How much of it was about plans at all."""
    terminalreporter.write_line(f"taken by: {dict(taken)}")
