"""Limits on the size and the cost of a request. Each error names the limit, its value and the request's.

Depth, aliases and fields are counted before the document is validated. A cycle of fragments, which validation refuses, must
not trap that count. The cost, which `cost` computes, is checked after validation, for an operation and its variables.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Le
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    Visitor,
    visit,
)

from bff.errors import TooComplex
from bff.runtime.options import options

INTROSPECTION_DEPTH = 20
"""Limit on the depth below `__schema` and `__type`: tools ask deeper there than clients do for data."""


@options
class LimitOptions:
    """Limits on one request to a variant. A fragment counts each time it is spread, if not said otherwise.

    Attributes:
        depth: levels of fields.
        cost: the estimated number of objects in the answer, and the weights of its fields.
        aliases: fields with an alias.
        tokens: lexical tokens of the document.
        body_bytes: the size of the HTTP request's body.
        batch: GraphQL requests in one HTTP request.
        root_fields: fields of an operation's root type.
        operations: operations of the document.
        fields: fields and fragments of all operations.
        repeats: fields with the same response key in one selection set: each pair has to be compared.
        comparisons: steps to check whether fields with the same response key can be merged (GraphQL specification, section
            5.3.2), as graphql-core counts them. Many fragments in one selection set need many steps.
        directives: uses of directives in the document.
        variables_depth: levels of lists and objects in the variables.
        variables_size: values in the variables, at all levels.
        calls: upstream calls of an operation, without retries; None for no limit. What its plan needs at most is known
            before anything runs. Further calls, as those of resolvers, are refused while it runs.
        waves: groups of upstream calls of which each needs results of the one before; None for no limit.
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
    calls: Annotated[int, Ge(1), Le(100_000)] | None = None
    waves: Annotated[int, Ge(1), Le(1000)] | None = None


def depth_of(operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]) -> int:
    """The depth of an operation: levels of fields, introspection excepted."""
    shapes = _Shapes({name: node.selection_set for name, node in fragments.items()})
    return shapes.of(operation.selection_set).depth


def most_waves_of(operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]) -> int:
    """The most waves of an operation without a plan: one for each level of fields; the root fields of a mutation in turn."""
    shapes = _Shapes({name: node.selection_set for name, node in fragments.items()})
    shape = shapes.of(operation.selection_set)
    return shape.depth * (shape.fields if operation.operation is OperationType.MUTATION else 1)


def check_work(calls: int | None, waves: int, limits: LimitOptions) -> None:
    """Check the most upstream calls and waves of an operation; `calls` is None if unknown. Raises `TooComplex`."""
    if limits.calls is not None and calls is not None and calls > limits.calls:
        raise TooComplex("upstream calls", calls, limits.calls)
    if limits.waves is not None and waves > limits.waves:
        raise TooComplex("waves of upstream calls", waves, limits.waves)


def check_shape(document: DocumentNode, limits: LimitOptions) -> None:
    """Check operations, depth, aliases, fields, root fields, repeats and directives. Raises `TooComplex`.

    Takes time linear in the size of the document: each fragment is measured once.
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
        raise TooComplex("fields with the same response key in a selection set", nodes.repeats, limits.repeats)
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
        raise TooComplex("fields with fragments expanded", selections, limits.fields)


def check_variables(variables: Mapping[str, Any] | None, limits: LimitOptions) -> None:
    """Check depth and size of the variables. Raises `TooComplex`."""
    if not variables:
        return
    level: list[Any] = list(variables.values())
    depth = size = 0
    while level:
        depth += 1
        size += len(level)
        if depth > limits.variables_depth + 1:
            raise TooComplex("depth of variables", f"more than {limits.variables_depth}", limits.variables_depth)
        if size > limits.variables_size:
            raise TooComplex("size of variables", f"more than {limits.variables_size}", limits.variables_size)
        level = [inner for value in level if isinstance(value, dict | list) for inner in _inside(value)]


def _inside(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


class _Nodes(Visitor):
    """Counts what doesn't depend on where fragments are spread."""

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
    """Measures selection sets, each fragment's once. The token limit bounds the nesting, and so the recursion."""

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
        """Whether it spreads a fragment that this selection set has spread before: then it adds no fields."""
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
            self._known[name] = _Shape()  # found by a cycle of fragments, which validation will refuse
            self._known[name] = self.of(self._fragments.get(name))
        return self._known[name]
