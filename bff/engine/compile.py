"""From an operation to its plan: which fields an object shows (graphql-core's own collecting), and what is known of each.

A plan is for one operation and for one answer to its `@skip` and `@include`. An operation that no plan can be made of raises
`NotPlannable` with the reason; graphql-core's executor runs it then.

Objects of the same type with the same selections are compiled once and shared: a fragment that is spread in many places
doesn't make the plan larger. So a plan is an acyclic graph, and its size is proportional to the document's.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLAbstractType,
    GraphQLError,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    Undefined,
    is_abstract_type,
    is_leaf_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.executor import default_field_resolver, default_type_resolver
from graphql.execution.values import VariableValues

from bff.engine.arguments import Arguments, Variables, arguments_of
from bff.engine.bindings import Bindings
from bff.engine.plan import Abstract, FieldPlan, Leaf, ListOf, NonNull, ObjectPlan, Plan, Shape, Typename
from bff.engine.prepare import selections_in

MOST_FIELDS = 2000
"""The most fields that are compiled for an operation, counting those of each possible type of an interface."""

_DEFERRING = frozenset({"defer", "stream", "experimental_disableErrorPropagation"})


class NotPlannable(Exception):
    """No plan can be made of the operation. `reason` is one of a few, fit for a metric's label."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _defers(definitions: Sequence[Any]) -> bool:
    return any(
        directive.name.value in _DEFERRING
        for node in (*definitions, *selections_in(definitions))
        for directive in node.directives or ()
    )


def compile_operation(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    values: VariableValues,
    *,
    hide_suggestions: bool = False,
    field_resolver: Callable[..., Any] = default_field_resolver,
    type_resolver: Callable[..., Any] = default_type_resolver,
    variables: Variables | None = None,
    bindings: Bindings | None = None,
    arguments: dict[tuple[int, int], tuple[FieldNode, Arguments]] | None = None,
    most_fields: int = MOST_FIELDS,
) -> Plan:
    """The operation's plan for the given values of its switches; it depends on no other of `values`. Raises `NotPlannable`.

    `variables` (of the operation), `bindings` (of the schema) and `arguments` can be passed in to share them between plans.
    `arguments` maps a field's definition and node to its arguments. Those that are omitted are created.
    """
    compiler = _Compiler(
        schema,
        operation,
        fragments,
        values,
        bindings or Bindings(schema, field_resolver),
        {} if arguments is None else arguments,
        most_fields,
    )
    try:
        root = compiler.root()
        if variables is None:
            variables = Variables(schema, operation.variable_definitions or (), hide_suggestions=hide_suggestions)
    except RecursionError:
        raise NotPlannable("depth") from None
    except GraphQLError:
        # Of a directive's argument: graphql-core has to tell it.
        raise NotPlannable("directive") from None
    return Plan(schema, operation, fragments, variables, root, type_resolver, compiler.size)


class _Compiler:
    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        values: VariableValues,
        bindings: Bindings,
        arguments: dict[tuple[int, int], tuple[FieldNode, Arguments]],
        most_fields: int,
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._fragments = {name: FragmentDetails(node) for name, node in fragments.items()}
        self._values = values
        self._bindings = bindings
        self._arguments = arguments
        self._most_fields = most_fields
        self._objects: dict[tuple[int, ...], ObjectPlan] = {}
        self.size = 0

    def root(self) -> ObjectPlan:
        if self._operation.operation is OperationType.SUBSCRIPTION:
            raise NotPlannable("subscription")
        if _defers([self._operation, *(each.definition for each in self._fragments.values())]):
            raise NotPlannable("directive")
        if any(each.definition.variable_definitions for each in self._fragments.values()):
            raise NotPlannable("fragment variables")
        type_ = self._schema.get_root_type(self._operation.operation)
        if type_ is None:
            raise NotPlannable("no root type")
        collected = collect_fields(self._schema, self._fragments, self._values, type_, self._operation)
        return ObjectPlan(type_, self._fields(type_, collected.grouped_field_set))

    def _fields(self, parent: GraphQLObjectType, grouped: Mapping[str, list[FieldDetails]]) -> tuple[FieldPlan, ...]:
        fields = (self._field(parent, key, details) for key, details in grouped.items())
        return tuple(each for each in fields if each is not None)

    def _field(self, parent: GraphQLObjectType, key: str, details: list[FieldDetails]) -> FieldPlan | None:
        node = details[0].node
        definition = self._schema.get_field(parent, node.name.value)
        if definition is None:
            return None  # validation has not been asked; graphql-core leaves it out
        self.size += 1
        if self.size > self._most_fields:
            raise NotPlannable("size")
        name = node.name.value
        return FieldPlan(
            key,
            name,
            parent,
            definition,
            tuple(each.node for each in details),
            Typename(parent.name) if name == "__typename" else self._bindings.source_of(definition),
            self._arguments_of(definition, node),
            self._shape(definition.type, details),
        )

    def _arguments_of(self, definition: GraphQLField, node: FieldNode) -> Arguments:
        key = (id(definition), id(node))
        known = self._arguments.get(key)
        if known is None:
            known = self._arguments[key] = (node, arguments_of(definition, node))
        return known[1]

    def _shape(self, type_: GraphQLOutputType, details: list[FieldDetails]) -> Shape:
        if isinstance(type_, GraphQLNonNull):
            return NonNull(self._shape(type_.of_type, details))
        if isinstance(type_, GraphQLList):
            return ListOf(self._shape(type_.of_type, details))
        if is_leaf_type(type_):
            return Leaf(type_)
        if is_abstract_type(type_):
            return self._abstract(type_, details)
        return self._object(type_, details)  # type: ignore[arg-type] # nothing else is left

    def _abstract(self, type_: GraphQLAbstractType, details: list[FieldDetails]) -> Abstract:
        possible = self._schema.get_possible_types(type_)
        return Abstract(type_, {each.name: self._object(each, details) for each in possible})

    def _object(self, type_: GraphQLObjectType, details: list[FieldDetails]) -> ObjectPlan:
        collected = collect_subfields(self._schema, self._fragments, self._values, self._operation, type_, details)
        grouped = collected.grouped_field_set
        key = (id(type_), *(id(each.node) for same_key in grouped.values() for each in same_key))
        known = self._objects.get(key)
        if known is None:
            known = self._objects[key] = ObjectPlan(type_, self._fields(type_, grouped))
        return known


def switch_values(names: tuple[str, ...], coerced: Mapping[str, Any]) -> tuple[Any, ...]:
    """What decides between the plans of one operation: the values of its switches, those left out as Undefined."""
    return tuple(coerced.get(name, Undefined) for name in names)
