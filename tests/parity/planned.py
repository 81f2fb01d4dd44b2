"""A pytest plugin that replaces graphql-core's executor by plans, for each operation that has one.

`pytest -p tests.parity.planned` in the tests of graphql-core. The summary has the number of operations that ran as plans,
and the reasons why the others did not.
"""

import sys
from collections import Counter
from collections.abc import Awaitable
from typing import Any

from graphql import ExecutionResult
from graphql.execution.incremental.incremental_executor import IncrementalExecutor

from bff.engine.arguments import CoercedVariables
from bff.engine.compile import NotPlannable, compile_operation
from bff.engine.complete import assemble
from bff.engine.response import Response
from bff.engine.run import Run

executed: Counter[str] = Counter()
"""The number of operations by `plan`, or by the reason for graphql-core's executor."""


class PlannedExecutor(IncrementalExecutor):
    """Runs the operation as a plan if it can, else by graphql-core."""

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
                    field_resolver=self.field_resolver,
                    type_resolver=self.type_resolver,
                )
            except NotPlannable as refused:
                reason = refused.reason
        if reason is not None:
            executed[reason] += 1
            return super().execute_operation(serially)
        executed["plan"] += 1
        root = assemble(plan, rows=True, is_awaitable=self.is_awaitable, is_async_iterable=self.is_async_iterable)
        variables = CoercedVariables(self.variable_values.coerced, self.variable_values)
        run = Run(plan, root, self.context_value, variables, self.root_value)
        waiting = run.start()
        return self._result(run.response) if waiting is None else self._await_result(run.response, waiting)

    async def _await_result(self, response: Response, waiting: Awaitable[None]) -> ExecutionResult:
        await waiting
        return self._result(response)

    @staticmethod
    def _result(response: Response) -> ExecutionResult:
        return ExecutionResult(response.data, response.errors or None)

    def _reason_not_to(self, serially: bool | None) -> str | None:
        """Which feature of graphql-core is used that the gateway doesn't need and plans don't have; None if none is."""
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
    """Make `execute` use `PlannedExecutor`."""
    # The package exports a function with the module's name, which hides the module.
    module: Any = sys.modules["graphql.execution.execute"]
    module.IncrementalExecutor = PlannedExecutor


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write how many operations ran as plans."""
    terminalreporter.write_line(f"executed by: {dict(executed)}")
