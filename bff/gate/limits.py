"""Limits on what a request may ask. Each error says which one it is, the figure and the limit.

Depth, aliases and fields are counted before the document is validated, on a walk that no cycle of fragments can trap;
cost is counted after it, for an operation and its variables.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Le
from graphql import (
    DocumentNode,
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
    VariableNode,
    Visitor,
    get_named_type,
    visit,
)

from bff.errors import TooComplex
from bff.graph.scalars import DEFAULT_FIRST, MOST_FIRST
from bff.graph.tags import size_of, weight_of
from bff.runtime.options import options

INTROSPECTION_DEPTH = 20
"""How deep `__schema` and `__type` may be asked: tools ask deeper there than any screen asks of the data."""

DEFAULT_LIST_SIZE = 3
"""How many items a list is taken to have where neither an argument nor a tag says so."""


@options
class LimitOptions:
    """How much one request may ask of a variant.

    Attributes:
        depth: levels of fields.
        cost: objects that it may bring back, as far as can be told before, and the weights of its fields.
        aliases: renamed fields, a fragment's counted wherever it is spread.
        tokens: lexical tokens of the document.
        body_bytes: of the HTTP request.
        batch: requests in one.
        root_fields: fields of an operation itself, a fragment's counted wherever it is spread.
        operations: operations of the document.
        fields: fields and fragments of all operations, a fragment's own counted wherever it is spread.
        repeats: fields of one response key in one selection set: each pair of them has to be compared.
        comparisons: steps to check whether fields of one response key can be merged (GraphQL specification, section 5.3.2),
            as graphql-core counts them. Many fragments side by side take many.
        directives: uses of directives in the document.
        variables_depth: levels of lists and objects in the variables.
        variables_size: values in the variables, at all levels.
    """

    depth: Annotated[int, Ge(1), Le(100)] = 12
    cost: Annotated[int, Ge(1), Le(1_000_000)] = 5000
    aliases: Annotated[int, Ge(0), Le(10_000)] = 30
    tokens: Annotated[int, Ge(1), Le(100_000)] = 2000
    body_bytes: Annotated[int, Ge(1), Le(100 * 1024 * 1024)] = 100 * 1024
    batch: Annotated[int, Ge(1), Le(1000)] = 10
    root_fields: Annotated[int, Ge(1), Le(10_000)] = 50
    operations: Annotated[int, Ge(1), Le(1000)] = 50
    fields: Annotated[int, Ge(1), Le(100_000)] = 2000
    repeats: Annotated[int, Ge(1), Le(10_000)] = 50
    comparisons: Annotated[int, Ge(1), Le(500_000)] = 20_000
    directives: Annotated[int, Ge(0), Le(10_000)] = 100
    variables_depth: Annotated[int, Ge(1), Le(100)] = 10
    variables_size: Annotated[int, Ge(1), Le(1_000_000)] = 5000


def depth_of(operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]) -> int:
    """How deep an operation reaches into the graph."""
    shapes = _Shapes({name: node.selection_set for name, node in fragments.items()})
    return shapes.of(operation.selection_set).depth


def check_shape(document: DocumentNode, limits: LimitOptions) -> None:
    """Operations, depth, aliases, fields, root fields, repeats and directives. Raises `TooComplex`.

    Takes time linear in the document's size: a fragment is measured once, however often it is spread.
    """
    fragments = {
        definition.name.value: definition.selection_set
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    operations = [definition for definition in document.definitions if isinstance(definition, OperationDefinitionNode)]
    if len(operations) > limits.operations:
        raise TooComplex("operations", len(operations), limits.operations)
    nodes = _Nodes()
    visit(document, nodes)
    if nodes.directives > limits.directives:
        raise TooComplex("directives", nodes.directives, limits.directives)
    if nodes.repeats > limits.repeats:
        raise TooComplex("fields of one name side by side", nodes.repeats, limits.repeats)
    shapes = _Shapes(fragments)
    selections = 0
    for operation in operations:
        shape = shapes.of(operation.selection_set)
        if shape.depth > limits.depth:
            raise TooComplex("depth", shape.depth, limits.depth)
        if shape.introspection_depth > INTROSPECTION_DEPTH:
            raise TooComplex("depth of introspection", shape.introspection_depth, INTROSPECTION_DEPTH)
        if shape.aliases > limits.aliases:
            raise TooComplex("aliases", shape.aliases, limits.aliases)
        if shape.fields > limits.root_fields:
            raise TooComplex("root fields", shape.fields, limits.root_fields)
        selections += shape.selections
    if selections > limits.fields:
        raise TooComplex("fields with fragments unfolded", selections, limits.fields)


def check_variables(variables: Mapping[str, Any] | None, limits: LimitOptions) -> None:
    """Depth and size of what was sent. Raises `TooComplex`."""
    if not variables:
        return
    level: list[Any] = list(variables.values())
    depth = size = 0
    while level:
        depth += 1
        size += len(level)
        if depth > limits.variables_depth + 1:
            raise TooComplex("variables' depth", f"more than {limits.variables_depth}", limits.variables_depth)
        if size > limits.variables_size:
            raise TooComplex("variables' size", f"more than {limits.variables_size}", limits.variables_size)
        level = [inner for value in level if isinstance(value, dict | list) for inner in _inside(value)]


def _inside(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


class _Nodes(Visitor):
    """Counts what needs no knowledge of fragments."""

    def __init__(self) -> None:
        super().__init__()
        self.directives = 0
        self.repeats = 0

    def enter_directive(self, *_: Any) -> None:
        self.directives += 1

    def enter_selection_set(self, node: SelectionSetNode, *_: Any) -> None:
        keys = Counter(
            (each.alias or each.name).value if isinstance(each, FieldNode) else ""
            for each in node.selections
            if not isinstance(each, FragmentSpreadNode)
        )
        self.repeats = max(self.repeats, max(keys.values(), default=0))


@dataclass(frozen=True, slots=True)
class _Shape:
    depth: int = 0
    introspection_depth: int = 0
    aliases: int = 0
    fields: int = 0
    selections: int = 0


class _Shapes:
    """Measures selection sets; a fragment's once, however often it is spread. Nesting is bounded by the token limit."""

    def __init__(self, fragments: Mapping[str, SelectionSetNode]) -> None:
        self._fragments = fragments
        self._known: dict[str, _Shape] = {}

    def of(self, selections: SelectionSetNode | None) -> _Shape:
        depth = introspection = aliases = fields = count = 0
        spread: set[str] = set()
        for selection in selections.selections if selections is not None else ():
            inner = self._of_selection(selection)
            depth = max(depth, inner.depth)
            introspection = max(introspection, inner.introspection_depth)
            aliases += inner.aliases
            fields += 1 if isinstance(selection, FieldNode) else inner.fields
            count += 1 if self._is_repeated(selection, spread) else 1 + inner.selections
        return _Shape(depth, introspection, aliases, fields, count)

    @staticmethod
    def _is_repeated(selection: Any, spread: set[str]) -> bool:
        """Whether it spreads a fragment again that this selection set has spread: then it adds nothing."""
        if not isinstance(selection, FragmentSpreadNode):
            return False
        name = selection.name.value
        if name in spread:
            return True
        spread.add(name)
        return False

    def _of_selection(self, selection: Any) -> _Shape:
        if isinstance(selection, FragmentSpreadNode):
            return self._of_fragment(selection.name.value)
        inner = self.of(selection.selection_set)
        if not isinstance(selection, FieldNode):
            return inner
        aliases = inner.aliases + (selection.alias is not None)
        if selection.name.value.startswith("__"):
            return _Shape(0, 1 + max(inner.depth, inner.introspection_depth), aliases, selections=inner.selections)
        introspection = 1 + inner.introspection_depth if inner.introspection_depth else 0
        return _Shape(1 + inner.depth, introspection, aliases, selections=inner.selections)

    def _of_fragment(self, name: str) -> _Shape:
        if name not in self._known:
            self._known[name] = _Shape()  # what a cycle of fragments finds; validation will refuse it
            self._known[name] = self.of(self._fragments.get(name))
        return self._known[name]


class CostModel:
    """What an operation costs on a schema: how many objects with an id it may bring back, as far as can be told before.

    A list counts as many as its `first`, or as its tag says. What a service sends along inside an object costs nothing.
    """

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema

    def of(
        self,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Mapping[str, Any],
    ) -> int:
        """The operation's cost with those variables."""
        root = self._schema.get_root_type(operation.operation)
        counting = _Counting(fragments, ListLengths(operation, variables))
        return 0 if root is None else counting.of([operation.selection_set], root, None)


class ListLengths:
    """Estimated lengths of an operation's lists, for its cost and for `explain`.

    The length of a list is the first of these that is given: the field's own `first`; the `first` of the connection that it
    is part of; its tag; `DEFAULT_LIST_SIZE`. A `first` is limited to the range from 0 to the most that a resolver grants.
    """

    def __init__(self, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> None:
        self._variables = _with_defaults(operation, variables)

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
        """The `first` of a field that takes one, between 0 and the most that any resolver grants."""
        if "first" not in field.args:
            return None
        value: Any = field.args["first"].default_value
        for argument in node.arguments or ():
            if argument.name.value == "first" and isinstance(argument.value, VariableNode):
                value = self._variables.get(argument.value.name.value, value)
            elif argument.name.value == "first" and isinstance(argument.value, IntValueNode):
                value = int(argument.value.value[:10])
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # JSON's 100.0 is as good an Int as 100, and as many
        return min(max(value, 0), MOST_FIRST) if isinstance(value, int) else DEFAULT_FIRST


@dataclass(frozen=True, slots=True)
class _Counting:
    """One count. Selections of the same response key are one field, as they are when the operation is executed."""

    fragments: Mapping[str, FragmentDefinitionNode]
    lengths: ListLengths

    def of(self, sets: Sequence[SelectionSetNode], parent: Any, listed: int | None) -> int:
        """The cost of an object's selections. `listed`: the length of its lists, where it is a connection."""
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
    defaults = {
        definition.variable.name.value: int(definition.default_value.value[:10])
        for definition in operation.variable_definitions or ()
        if isinstance(definition.default_value, IntValueNode)
    }
    return {**defaults, **variables}
