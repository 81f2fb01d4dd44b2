"""Compiles an operation to its plan. Which fields an object shows is decided by graphql-core's own field collection.

A plan is for one operation and one combination of its `@skip` and `@include` values. If no plan can be made, `NotPlannable`
is raised with the reason, and graphql-core's executor runs the operation.

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
    is_abstract_type,
    is_leaf_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.executor import default_field_resolver, default_type_resolver
from graphql.execution.values import VariableValues

from bff.engine.arguments import Arguments, arguments_of
from bff.engine.bindings import Bindings
from bff.engine.plan import Abstract, FieldPlan, Leaf, ListOf, NonNull, ObjectPlan, Plan, Shape, Typename
from bff.engine.prefetch import prefetches_of
from bff.engine.prepare import selections_in

MOST_FIELDS = 2000
"""The most fields that are compiled for an operation, counting those of each possible type of an interface."""

_DEFERRING = frozenset({"defer", "stream", "experimental_disableErrorPropagation"})


class NotPlannable(Exception):
    """No plan can be made of the operation. `reason` is one of a few words, which a metric has as a label."""

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
    field_resolver: Callable[..., Any] = default_field_resolver,
    type_resolver: Callable[..., Any] = default_type_resolver,
    bindings: Bindings | None = None,
    arguments: dict[tuple[int, int], tuple[FieldNode, Arguments]] | None = None,
    most_fields: int = MOST_FIELDS,
) -> Plan:
    """Compile the operation for the values that its `@skip` and `@include` have. Raises `NotPlannable`.

    Args:
        schema: the schema that the operation is valid for.
        operation: the operation.
        fragments: the document's fragments, by name.
        values: the variables. The plan depends on those in `@skip` and `@include` only.
        field_resolver: resolves fields that have no resolver.
        type_resolver: finds the type of an interface's or union's value.
        bindings: the sources of the schema's fields; can be shared between all plans for the schema.
        arguments: what is known of arguments, by the identities of the field's definition and node; can be shared between
            the plans of a document.
        most_fields: the limit to the plan's size.
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
    except RecursionError:
        raise NotPlannable("depth") from None
    except GraphQLError:
        # An error of a directive's argument, which graphql-core reports.
        raise NotPlannable("directive") from None
    is_serial = operation.operation is OperationType.MUTATION
    return Plan(schema, operation, fragments, root, type_resolver, compiler.size, is_serial)


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
            return None  # the document was not validated; graphql-core leaves the field out
        self.size += 1
        if self.size > self._most_fields:
            raise NotPlannable("size")
        name = node.name.value
        source = Typename(parent.name) if name == "__typename" else self._bindings.source_of(definition)
        shape = self._shape(definition.type, details)
        return FieldPlan(
            key,
            name,
            parent,
            definition,
            tuple(each.node for each in details),
            source,
            self._arguments_of(definition, node),
            shape,
            prefetches_of(source, shape),
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
        return self._object(type_, details)  # type: ignore[arg-type] # the only kind of output type left

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
