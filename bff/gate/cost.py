"""The cost of an operation: the estimated number of objects in its answer, and the weights of its fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    VariableNode,
    get_named_type,
)

from bff.graph.arguments import DEFAULT_FIRST, MOST_FIRST
from bff.graph.tags import size_of, weight_of

DEFAULT_LIST_SIZE = 3
"""The length that a list is estimated to have if neither an argument nor a tag gives one."""


class CostModel:
    """Computes the cost of operations on a schema: the estimated number of objects with an id, and the weights of fields.

    `ListLengths` estimates the lengths of lists. Objects without an id are part of another object, and cost nothing.
    """

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema

    def of(
        self,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Mapping[str, Any],
    ) -> int:
        """The cost of an operation with those variables."""
        root = self._schema.get_root_type(operation.operation)
        counting = _Counting(fragments, ListLengths(operation, variables))
        return 0 if root is None else counting.of([operation.selection_set], root, None)


class ListLengths:
    """Estimated lengths of an operation's lists, for its cost and for `explain`.

    The length of a list is the first of these that is given: the field's own `first`; the `first` of the connection that it
    is part of; its tag; `DEFAULT_LIST_SIZE`. A `first` is limited to the range from 0 to `MOST_FIRST`.

    Attributes:
        depends_on_variables: whether anything that was asked for so far has depended on a variable.
    """

    def __init__(self, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> None:
        self._variables = _with_defaults(operation, variables)
        self.depends_on_variables = False

    def of(self, node: FieldNode, field: GraphQLField, listed: int | None) -> tuple[int, int | None]:
        """The estimated number of objects for each parent object, and the length that lists below the field inherit.

        `listed` is the length that the field itself inherits; None if there is none.
        """
        type_ = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
        first = self._first(node, field)
        if not isinstance(type_, GraphQLList):
            return 1, first
        length = first if first is not None else listed
        return (size_of(field.extensions) or DEFAULT_LIST_SIZE) if length is None else length, None

    def _first(self, node: FieldNode, field: GraphQLField) -> int | None:
        """The `first` of a field that has this argument, between 0 and `MOST_FIRST`; None for other fields."""
        if "first" not in field.args:
            return None
        value: Any = field.args["first"].default_value
        for argument in node.arguments or ():
            if argument.name.value == "first" and isinstance(argument.value, VariableNode):
                value = self._value(argument.value, value)
            elif argument.name.value == "first" and isinstance(argument.value, IntValueNode):
                value = int(argument.value.value[:10])
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # a variable of 100.0 is a valid Int, and means 100
        return min(max(value, 0), MOST_FIRST) if isinstance(value, int) else DEFAULT_FIRST

    def text(self, node: FieldNode, field: GraphQLField, name: str) -> str | None:
        """The value of an argument of text; None if it has none, or is no text."""
        value: Any = field.args[name].default_value if name in field.args else None
        for argument in node.arguments or ():
            if argument.name.value == name and isinstance(argument.value, VariableNode):
                value = self._value(argument.value, value)
            elif argument.name.value == name and isinstance(argument.value, StringValueNode):
                value = argument.value.value
        return value if isinstance(value, str) else None

    def _value(self, node: VariableNode, default: Any) -> Any:
        self.depends_on_variables = True
        return self._variables.get(node.name.value, default)


@dataclass(frozen=True, slots=True)
class _Counting:
    """Counts the cost of one operation. Selections with the same response key are one field, as in execution."""

    fragments: Mapping[str, FragmentDefinitionNode]
    lengths: ListLengths

    def of(self, sets: Sequence[SelectionSetNode], parent: Any, listed: int | None) -> int:
        """The cost of an object's selections. `listed` is the length that its lists inherit, if it is a connection."""
        merged: dict[str, list[FieldNode]] = {}
        visited: set[str] = set()
        for selections in sets:
            self._collect(selections, merged, visited)
        return sum(
            self._of_field(nodes, field, listed)
            for nodes in merged.values()
            if (field := parent.fields.get(nodes[0].name.value)) is not None
        )

    def _of_field(self, nodes: Sequence[FieldNode], field: GraphQLField, listed: int | None) -> int:
        named = get_named_type(field.type)
        sets = [node.selection_set for node in nodes if node.selection_set is not None]
        if not isinstance(named, GraphQLObjectType | GraphQLInterfaceType):
            return weight_of(field.extensions) or 0
        times, below = self.lengths.of(nodes[0], field, listed)
        own = 1 if "id" in named.fields else 0
        return (weight_of(field.extensions) or 0) + times * (own + self.of(sets, named, below))

    def _collect(self, selections: SelectionSetNode, merged: dict[str, list[FieldNode]], visited: set[str]) -> None:
        for selection in selections.selections:
            if isinstance(selection, FieldNode):
                key = (selection.alias or selection.name).value
                merged.setdefault(key, []).append(selection)
            elif isinstance(selection, InlineFragmentNode):
                self._collect(selection.selection_set, merged, visited)
            elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in visited:
                visited.add(selection.name.value)
                self._collect(self.fragments[selection.name.value].selection_set, merged, visited)


def _with_defaults(operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> dict[str, Any]:
    defaults: dict[str, Any] = {}
    for definition in operation.variable_definitions or ():
        default = definition.default_value
        if isinstance(default, IntValueNode):
            defaults[definition.variable.name.value] = int(default.value[:10])
        elif isinstance(default, StringValueNode):
            defaults[definition.variable.name.value] = default.value
    return {**defaults, **variables}
