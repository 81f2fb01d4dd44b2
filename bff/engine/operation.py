"""An operation of a valid document, and its plans: one for each combination of its `@skip` and `@include` values.

A plan that is needed for the first time is dropped after its run. When it is needed again, it is compiled once more, with
generated code for plain rows, and kept. So a client that never repeats an operation can't fill the memory with plans. An
operation holds no data of a request.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import DocumentNode, FieldNode, FragmentDefinitionNode, GraphQLSchema, OperationDefinitionNode, OperationType

from bff.engine.arguments import Arguments, CoercedVariables, Variables
from bff.engine.bindings import Bindings
from bff.engine.compile import MOST_FIELDS, NotPlannable, compile_operation
from bff.engine.complete import assemble
from bff.engine.places import Root
from bff.engine.plan import Plan
from bff.engine.prepare import switches_in
from bff.engine.rows import Memo
from bff.engine.work import Work

MOST_PLANS = 16
"""The most plans of an operation, enough for four independent switches. graphql-core runs what would need more."""

_OPERATION_BYTES = 2000
_PLAN_BYTES = 3000
_FIELD_BYTES = 4500
"""Estimates in bytes. A field has its part of the plan, its closures and its row's code: measured, 1,500 to 4,200."""


@dataclass(slots=True)
class Planned:
    """A plan and the functions that run it.

    Attributes:
        has_rows: whether source was generated for its plain rows.
        work: its upstream calls and waves; None if it depends on variables, or is not known yet.
    """

    plan: Plan
    root: Root
    has_rows: bool = False
    work: Work | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """A request's variables and the plan for them, before the run. Belongs to one requested operation."""

    variables: CoercedVariables
    planned: "Planned | NotPlannable"


class _Seen:
    """The type of `_SEEN`, which stands in place of a plan that was needed once."""


_SEEN = _Seen()


class Operation:
    """One operation.

    Attributes:
        fixed_cost: its cost; None if that depends on variables.
        digest: of the document's text and the operation's name, as a key for cached responses. With the operation itself as
            a key, a cached response would keep the document and its plans alive after their eviction.
        variables: the variables that it declares.
        weight: the memory of the operation and its plans in bytes, an estimate.
        is_settled: whether no long compilation is left to do.
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
        self.variables = Variables(
            schema,
            node.variable_definitions or (),
            hide_suggestions=hide_suggestions,
            switches=switches_in([node, *fragments.values()]) if switches is None else switches,
        )
        self.weight = _OPERATION_BYTES
        self.is_settled = is_small
        self._memo = memo
        self._bindings = bindings
        self._on_compiled = on_compiled
        self._arguments: dict[tuple[int, int], tuple[FieldNode, Arguments]] = {}
        self._plans: dict[tuple[Any, ...], Planned | NotPlannable | _Seen] = {}
        self._fields_left = MOST_FIELDS

    def __repr__(self) -> str:
        return f"<Operation {self.kind.value} {self.name or '(unnamed)'}, {len(self._plans)} plans>"

    def planned(self, variables: CoercedVariables) -> Planned | NotPlannable:
        """The plan for those variables, or why there is none."""
        decided = self.variables.switch_values(variables) if self.variables.switches else ()
        found = self._plans.get(decided)
        if isinstance(found, _Seen):
            found = self._plans[decided] = self._compile_again(variables)
            self._after_compilation()
        elif found is None:
            if len(self._plans) >= MOST_PLANS:
                return _TOO_MANY
            found = self._compile(variables, MOST_FIELDS, rows=False)
            self._plans[decided] = _SEEN if isinstance(found, Planned) else found
            self._after_compilation()
        return found

    def _after_compilation(self) -> None:
        if self._on_compiled is not None:
            self._on_compiled(self)
        if not self.variables.switches or len(self._plans) >= MOST_PLANS:
            self.is_settled = not any(isinstance(each, _Seen) for each in self._plans.values())

    def _compile_again(self, variables: CoercedVariables) -> Planned | NotPlannable:
        """Compile a plan to keep, within the limit of fields for all plans of the operation together."""
        made = self._compile(variables, self._fields_left, rows=True)
        if not isinstance(made, Planned):
            # It compiled the first time, so it is larger than what is left of the operation's limit.
            return _TOO_MANY
        self._fields_left -= made.plan.size
        self.weight += _PLAN_BYTES + _FIELD_BYTES * made.plan.size
        return made

    def _compile(self, variables: CoercedVariables, most_fields: int, *, rows: bool) -> Planned | NotPlannable:
        try:
            plan = compile_operation(
                self.schema,
                self.node,
                self.fragments,
                variables.core(),
                bindings=self._bindings,
                arguments=self._arguments if rows else None,
                most_fields=most_fields,
            )
            return Planned(plan, assemble(plan, rows=rows, memo=self._memo), rows)
        except NotPlannable as error:
            # A new one, because the traceback of the raised one keeps the frames of the compilation alive.
            return NotPlannable(error.reason)
        except RecursionError:
            return NotPlannable("depth")


_TOO_MANY = NotPlannable("variants")
