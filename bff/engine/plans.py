"""Documents made ready to run, and kept: what is known is parsed, validated and measured once.

One `Plans` a variant. Bounded by count and by size; the one that has rested longest goes first. Nothing of a request is
held on to, and what is refused is not kept.
"""

import gc
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    ASTValidationRule,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    Visitor,
    parse,
    specified_rules,
    validate,
    visit,
)

from bff.engine.explain import Explanation, explain
from bff.engine.operation import Operation
from bff.engine.rows import Memo
from bff.errors import DocumentError, InvalidOperation, TooComplex
from bff.gate.limits import CostModel, LimitOptions, check_shape, depth_of

_MOST_DOCUMENTS = 1000
_MOST_CHARACTERS = 8 * 1024 * 1024
_MOST_NODES = 100_000
"""Of all documents' syntax trees: a node and what is compiled of it take 200 to 700 bytes, however short its text."""
_MOST_ERRORS = 20
_COLLECTED_EVERY = 5
"""Parsing, validating and assembling leave cycles behind, and the collector is told to come by but rarely."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document with its operations, by name. `nodes`: of its syntax tree."""

    operations: Mapping[str | None, Operation]
    nodes: int

    def operation(self, name: str | None) -> Operation:
        """The one that is meant (GraphQL specification, GetOperation). Raises `InvalidOperation`."""
        if name:
            found = self.operations.get(name)
            if found is None:
                raise InvalidOperation("There is no operation of that name in the document.")
            return found
        if len(self.operations) == 1:
            return next(iter(self.operations.values()))
        if self.operations:
            raise InvalidOperation("The document has several operations: operationName has to say which.")
        raise InvalidOperation("The document has no operation.")


class Plans:
    """The documents that a variant knows. `public`: the kinds of records that are no viewer's own."""

    def __init__(
        self,
        schema: GraphQLSchema,
        limits: LimitOptions,
        *,
        introspection: bool,
        suggestions: bool | None = None,
        public: Collection[type] = (),
    ) -> None:
        self._schema = schema
        self._limits = limits
        self._cost = CostModel(schema)
        self._suggestions = introspection if suggestions is None else suggestions
        self._memo = Memo(public)
        # Made once: a rule made anew is another class to graphql-core.
        self._rules: tuple[type[ASTValidationRule], ...] = tuple(specified_rules)
        if not introspection:
            self._rules += (NoSchemaIntrospectionCustomRule,)
        self._known: OrderedDict[str, Prepared] = OrderedDict()
        self._characters = 0
        self._nodes = 0
        self._made = 0

    def __repr__(self) -> str:
        return f"<Plans {len(self._known)} documents, {self._characters} characters>"

    @property
    def hide_suggestions(self) -> bool:
        """Whether errors must not say what the graph has besides: where it may not be asked, it is not told either."""
        return not self._suggestions

    def get(self, text: str) -> tuple[Prepared, bool]:
        """The document made ready, and whether it was known. Raises `DocumentError`, `TooComplex`."""
        known = self._known.get(text)
        if known is not None:
            self._known.move_to_end(text)
            return known, True
        prepared = self._prepare(text)
        self._keep(text, prepared)
        self._made += 1
        if self._made % _COLLECTED_EVERY == 0:
            gc.collect(0)
        return prepared, False

    def check_cost(self, operation: Operation, variables: Mapping[str, Any]) -> int:
        """The operation's cost with those variables. Raises `TooComplex` where it is more than the variant allows."""
        cost = operation.fixed_cost
        if cost is None:
            cost = self._cost.of(operation.node, operation.fragments, variables)
        if cost > self._limits.cost:
            raise TooComplex("cost", cost, self._limits.cost)
        return cost

    def explain(self, operation: Operation, variables: Mapping[str, Any]) -> Explanation:
        """What the operation will ask for with those variables. Raises `InvalidVariables`."""
        return explain(
            operation,
            variables,
            cost=self._cost.of(operation.node, operation.fragments, variables),
            cost_limit=self._limits.cost,
            depth=depth_of(operation.node, operation.fragments),
            depth_limit=self._limits.depth,
        )

    def _prepare(self, text: str) -> Prepared:
        document = self._parse(text)
        try:
            check_shape(document, self._limits)
        except RecursionError:
            raise self._too_deep() from None
        errors = validate(
            self._schema, document, self._rules, max_errors=_MOST_ERRORS, hide_suggestions=self.hide_suggestions
        )
        if errors:
            raise DocumentError("GRAPHQL_VALIDATION_FAILED", errors)
        nodes_kept = _slim(document)
        fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        nodes = [definition for definition in document.definitions if isinstance(definition, OperationDefinitionNode)]
        operations = (self._operation(document, node, fragments) for node in nodes)
        return Prepared({operation.name: operation for operation in operations}, nodes_kept)

    def _parse(self, text: str) -> DocumentNode:
        try:
            return parse(text, max_tokens=self._limits.tokens)
        except GraphQLSyntaxError as error:
            if "tokens" in error.message and "aborted" in error.message:
                raise TooComplex("tokens", f"more than {self._limits.tokens}", self._limits.tokens) from None
            raise DocumentError("GRAPHQL_PARSE_FAILED", [error]) from None
        except RecursionError:
            raise self._too_deep() from None

    def _too_deep(self) -> TooComplex:
        return TooComplex("depth", "more than can be read", self._limits.depth)

    def _operation(
        self,
        document: DocumentNode,
        node: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
    ) -> Operation:
        fixed = None if self._cost.varies(node, fragments) else self._cost.of(node, fragments, {})
        return Operation(
            self._schema, document, node, fragments, fixed, hide_suggestions=self.hide_suggestions, memo=self._memo
        )

    def _keep(self, text: str, prepared: Prepared) -> None:
        self._known[text] = prepared
        self._characters += len(text)
        self._nodes += prepared.nodes
        while len(self._known) > _MOST_DOCUMENTS or self._characters > _MOST_CHARACTERS or self._nodes > _MOST_NODES:
            oldest, dropped = self._known.popitem(last=False)
            self._characters -= len(oldest)
            self._nodes -= dropped.nodes


def _slim(document: DocumentNode) -> int:
    """Forget what nothing needs once a document is known to be good: the lexer's tokens, and places that no error tells.

    How many nodes there are.
    """
    token: Any = document.loc.start_token if document.loc is not None else None
    while token is not None:
        # Each leads to the one before: without that they go at once, and not when the collector comes.
        token.prev, token = None, token.next
    slimming = _Slimming()
    visit(document, slimming)
    return slimming.nodes


_PLACELESS = frozenset({"name", "named_type", "list_type", "non_null_type", "selection_set", "fragment_spread"})
"""Kinds of nodes whose places no error of an execution tells."""


class _Slimming(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.nodes = 0

    def enter(self, node: Any, *_: Any) -> None:
        self.nodes += 1
        if node.kind in _PLACELESS:
            object.__setattr__(node, "loc", None)  # a frozen value to all others
        elif node.loc is not None:
            node.loc.start_token = node.loc.end_token = None
