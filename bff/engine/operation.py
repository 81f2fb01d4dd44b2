"""An operation of a document that has been found good, and its plans: one for each answer to its `@skip` and `@include`.

Compiled once, when it is first asked for; what is asked for again gets its plain rows generated. Holds nothing of a request.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import DocumentNode, FragmentDefinitionNode, GraphQLSchema, OperationDefinitionNode, OperationType

from bff.engine.arguments import Variables
from bff.engine.compile import Refused, compile_operation, switch_values, switches
from bff.engine.complete import assemble
from bff.engine.links import Root
from bff.engine.plan import Plan
from bff.engine.rows import Memo

MOST_PLANS = 16
"""So many plans an operation has at most: two to the power of four switches. Further ones are run by graphql-core."""


@dataclass(slots=True)
class Planned:
    """A plan and the functions that run it."""

    plan: Plan
    root: Root
    has_rows: bool = False


class Operation:
    """One operation. `fixed_cost` is None where variables decide."""

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        node: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        fixed_cost: int | None = None,
        *,
        hide_suggestions: bool = False,
        memo: Memo | None = None,
    ) -> None:
        self.schema = schema
        self.document = document
        self.node = node
        self.name = node.name.value if node.name else None
        self.kind: OperationType = node.operation
        self.fragments = fragments
        self.fixed_cost = fixed_cost
        self.hide_suggestions = hide_suggestions
        self.variables = Variables(schema, node.variable_definitions or (), hide_suggestions=hide_suggestions)
        self._switches = switches(document)
        self._memo = memo
        self._plans: OrderedDict[tuple[Any, ...], Planned | Refused] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Operation {self.kind.value} {self.name or '(unnamed)'}, {len(self._plans)} plans>"

    def planned(self, coerced: Mapping[str, Any], given: Mapping[str, Any]) -> Planned | Refused:
        """The plan for those variables, or why there is none."""
        decided = switch_values(self._switches, coerced) if self._switches else ()
        found = self._plans.get(decided)
        if found is None:
            if len(self._plans) >= MOST_PLANS:
                return _TOO_MANY
            found = self._plans[decided] = self._compile(given)
        elif type(found) is Planned and not found.has_rows:
            found.root = assemble(found.plan, rows=True, memo=self._memo)
            found.has_rows = True
        return found

    def _compile(self, given: Mapping[str, Any]) -> Planned | Refused:
        try:
            plan = compile_operation(
                self.schema,
                self.node,
                self.fragments,
                self.variables.values(given),
                hide_suggestions=self.hide_suggestions,
            )
            return Planned(plan, assemble(plan, rows=False))
        except Refused as refused:
            return refused.with_traceback(None)
        except RecursionError:
            return Refused("depth")


_TOO_MANY = Refused("variants")
