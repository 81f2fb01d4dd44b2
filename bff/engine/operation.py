"""An operation of a document that has been found good, and its plans: one for each answer to its `@skip` and `@include`.

What is asked for once leaves nothing behind: its plan is dropped after the run. What is asked for again is compiled once
more, with its plain rows generated, and kept. So a client that never repeats itself can't fill the memory with plans. Holds
nothing of a request.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import DocumentNode, FieldNode, FragmentDefinitionNode, GraphQLSchema, OperationDefinitionNode, OperationType

from bff.engine.arguments import Arguments, Variables
from bff.engine.bindings import Bindings
from bff.engine.compile import MOST_FIELDS, Refused, compile_operation, switch_values
from bff.engine.complete import assemble
from bff.engine.links import Root
from bff.engine.plan import Plan
from bff.engine.prepare import switches_in
from bff.engine.rows import Memo

MOST_PLANS = 16
"""So many plans an operation has at most: two to the power of four switches. Further ones are run by graphql-core."""

_OPERATION_BYTES = 2000
_PLAN_BYTES = 3000
_FIELD_BYTES = 4500
"""Of a compiled field: its part of the plan, its closures, its line in a row. Measured: 1,500 to 4,200 bytes."""


@dataclass(slots=True)
class Planned:
    """A plan and the functions that run it."""

    plan: Plan
    root: Root
    has_rows: bool = False


class _Seen:
    """What stands in the place of a plan that was needed once."""


_SEEN = _Seen()


class Operation:
    """One operation.

    Attributes:
        fixed_cost: None where variables decide.
        digest: of the document's text and the operation's name. A key for what is kept of its answers: an operation as a key
            would keep its document and its plans alive after they were evicted.
        weight: what it and its plans take, in bytes. An estimate.
        is_settled: whether nothing is left to compile of it that would take long.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        node: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        fixed_cost: int | None = None,
        *,
        digest: bytes = b"",
        hide_suggestions: bool = False,
        memo: Memo | None = None,
        switches: frozenset[str] | None = None,
        bindings: Bindings | None = None,
        on_compiled: "Callable[[Operation], None] | None" = None,
        is_small: bool = False,
    ) -> None:
        self.schema = schema
        self.document = document
        self.node = node
        self.name = node.name.value if node.name else None
        self.kind: OperationType = node.operation
        self.fragments = fragments
        self.fixed_cost = fixed_cost
        self.digest = digest
        self.hide_suggestions = hide_suggestions
        self.variables = Variables(schema, node.variable_definitions or (), hide_suggestions=hide_suggestions)
        self.weight = _OPERATION_BYTES
        self.is_settled = is_small
        declared = {each.variable.name.value for each in node.variable_definitions or ()}
        switches = switches_in([node, *fragments.values()]) if switches is None else switches
        self._switches = tuple(sorted(declared & switches))
        self._memo = memo
        self._bindings = bindings
        self._on_compiled = on_compiled
        self._arguments: dict[tuple[int, int], tuple[FieldNode, Arguments]] = {}
        self._plans: dict[tuple[Any, ...], Planned | Refused | _Seen] = {}
        self._fields_left = MOST_FIELDS

    def __repr__(self) -> str:
        return f"<Operation {self.kind.value} {self.name or '(unnamed)'}, {len(self._plans)} plans>"

    def planned(self, coerced: Mapping[str, Any], given: Mapping[str, Any]) -> Planned | Refused:
        """The plan for those variables, or why there is none."""
        decided = switch_values(self._switches, coerced) if self._switches else ()
        found = self._plans.get(decided)
        if isinstance(found, _Seen):
            found = self._plans[decided] = self._compile_again(given)
            self._compiled()
        elif found is None:
            if len(self._plans) >= MOST_PLANS:
                return _TOO_MANY
            found = self._compile(given, MOST_FIELDS, rows=False)
            self._plans[decided] = _SEEN if isinstance(found, Planned) else found
            self._compiled()
        return found

    def _compiled(self) -> None:
        if self._on_compiled is not None:
            self._on_compiled(self)
        if not self._switches or len(self._plans) >= MOST_PLANS:
            self.is_settled = not any(isinstance(each, _Seen) for each in self._plans.values())

    def _compile_again(self, given: Mapping[str, Any]) -> Planned | Refused:
        """To be kept: within the bound of all of the operation's plans together."""
        made = self._compile(given, self._fields_left, rows=True)
        if not isinstance(made, Planned):
            # It had a plan when it was seen first: what it lacks now is room beside the others.
            return _TOO_MANY
        self._fields_left -= made.plan.size
        self.weight += _PLAN_BYTES + _FIELD_BYTES * made.plan.size
        return made

    def _compile(self, given: Mapping[str, Any], most: int, *, rows: bool) -> Planned | Refused:
        try:
            plan = compile_operation(
                self.schema,
                self.node,
                self.fragments,
                self.variables.values(given),
                variables=self.variables,
                bindings=self._bindings,
                arguments=self._arguments if rows else None,
                most_fields=most,
            )
            return Planned(plan, assemble(plan, rows=rows, memo=self._memo), rows)
        except Refused as refused:
            # A new one: the one that was raised leads to all frames that it went through.
            return Refused(refused.reason)
        except RecursionError:
            return Refused("depth")


_TOO_MANY = Refused("variants")
