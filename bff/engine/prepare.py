"""Prepares a document in stages: parse it, measure it, validate it, analyse it.

The work of each stage is limited by a check before or in it, so that none blocks the event loop for long; other work can run
between two stages. Holds no data of a request.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from graphql import (
    ASTValidationRule,
    DocumentNode,
    ExecutableDefinitionNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OverlappingFieldsCanBeMergedRule,
    SelectionNode,
    Source,
    SourceLocation,
    ValidationContext,
    VariableNode,
    Visitor,
    parse,
    specified_rules,
    validate,
    visit,
)
from graphql.validation.validate import ValidationAbortedError

from bff.errors import DocumentError, TooComplex
from bff.gate.limits import LimitOptions, check_shape

_MOST_ERRORS = 20
_LINES_A_TOKEN = 2
_NEWLINE = re.compile(r"\r\n|[\n\r]")  # GraphQL specification, LineTerminator
_SWITCHES = frozenset({"skip", "include"})


@dataclass(frozen=True, slots=True)
class GoodDocument:
    """A document that is valid and within the limits.

    Attributes:
        document: its syntax tree, without tokens and unused locations.
        nodes: the number of nodes in the tree.
        switches: the variables on which its `@skip` and `@include` depend, by name.
        fragments: by name.
        operations: in order.
    """

    document: DocumentNode
    nodes: int
    switches: frozenset[str]
    fragments: dict[str, FragmentDefinitionNode]
    operations: tuple[OperationDefinitionNode, ...]


class Text(Source):
    """A document's text. Finds lines by bisection; graphql-core's own scans the whole text for each error."""

    __slots__ = ("_line_ends", "_line_starts")

    def __init__(self, body: str) -> None:
        super().__init__(body)
        self._line_ends: Sequence[int] | None = None
        self._line_starts: Sequence[int] = ()

    def get_location(self, position: int) -> SourceLocation:
        """Line and column, both from 1, of a position in characters from 0."""
        if self._line_ends is None:
            breaks = [match.span() for match in _NEWLINE.finditer(self.body)]
            self._line_starts = array("I", [0, *(end for _, end in breaks)])
            self._line_ends = array("I", [start for start, _ in breaks])
        line = bisect_left(self._line_ends, position)
        return SourceLocation(line + 1, position + 1 - self._line_starts[line])


class _BoundedOverlap(OverlappingFieldsCanBeMergedRule):
    """graphql-core's rule with a smaller budget: the default allows about a second of comparisons."""

    steps: ClassVar[int]

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self.rule_context.remaining_complexity_budget = self.steps


class Preparation:
    """Prepares the documents of one schema. Bound at start-up."""

    def __init__(self, schema: GraphQLSchema, limits: LimitOptions, *, introspection: bool, hide_suggestions: bool) -> None:
        self._schema = schema
        self._limits = limits
        self._hide_suggestions = hide_suggestions
        # Made once, because graphql-core would take a new class for another rule.
        overlap = type("BoundedOverlap", (_BoundedOverlap,), {"steps": limits.comparisons})
        rules = [rule for rule in specified_rules if rule is not OverlappingFieldsCanBeMergedRule]
        self._rules = (*rules, *(() if introspection else (NoSchemaIntrospectionCustomRule,)))
        self._overlap: tuple[type[ASTValidationRule], ...] = (overlap,)

    def stages(self, text: str) -> Generator[None, None, GoodDocument]:
        """Prepare the document. Yields between two stages. Raises `DocumentError`, `TooComplex`."""
        try:
            document = self._parse(text)
            yield
            check_shape(document, self._limits)
            yield
            self._validate(document, self._rules, "nesting of fragments", self._limits.depth)
            yield
            # Last and separately: the only rule that does not take linear time.
            self._validate(document, self._overlap, "comparisons of fields", self._limits.comparisons)
            yield
            return _analyse(document)
        except RecursionError:
            raise self.too_deep() from None

    def _parse(self, text: str) -> DocumentNode:
        lines, most = _lines_in(text), self._limits.tokens * _LINES_A_TOKEN
        if lines > most:
            # Locating an error takes time for each line before it.
            raise TooComplex("lines", lines, most)
        try:
            return parse(Text(text), max_tokens=self._limits.tokens)
        except GraphQLSyntaxError as error:
            if "tokens" in error.message and "aborted" in error.message:
                raise TooComplex("tokens", f"more than {self._limits.tokens}", self._limits.tokens) from None
            if "nested too deeply" in error.message:
                raise self.too_deep() from None
            raise DocumentError("GRAPHQL_PARSE_FAILED", [error]) from None

    def _validate(self, document: DocumentNode, rules: Iterable[Any], what: str, limit: int) -> None:
        errors = validate(
            self._schema, document, tuple(rules), max_errors=_MOST_ERRORS, hide_suggestions=self._hide_suggestions
        )
        if errors and isinstance(errors[-1], ValidationAbortedError) and len(errors) <= _MOST_ERRORS:
            # Aborted, and not for the number of errors: it is too much work, or nested too deeply.
            raise TooComplex(what, "more than can be checked", limit)
        if errors:
            raise DocumentError("GRAPHQL_VALIDATION_FAILED", errors)

    def too_deep(self) -> TooComplex:
        """The error for a document that is nested too deeply to be read."""
        return TooComplex("depth", "more than can be read", self._limits.depth)


def _lines_in(text: str) -> int:
    return 1 + text.count("\n") + text.count("\r") - text.count("\r\n")


def _analyse(document: DocumentNode) -> GoodDocument:
    nodes = _slim(document)
    fragments = [each for each in document.definitions if isinstance(each, FragmentDefinitionNode)]
    operations = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    by_name = {each.name.value: each for each in fragments}
    return GoodDocument(document, nodes, switches_in([*operations, *fragments]), by_name, tuple(operations))


def selections_in(definitions: Iterable[ExecutableDefinitionNode]) -> Iterator[SelectionNode]:
    """The selections of operations and fragments at all levels. Fragment spreads are not followed."""
    left = [selection for each in definitions for selection in each.selection_set.selections]
    while left:
        selection = left.pop()
        yield selection
        inner = getattr(selection, "selection_set", None)
        if inner is not None:
            left += inner.selections


def switches_in(definitions: Iterable[ExecutableDefinitionNode]) -> frozenset[str]:
    """The variables on which the `@skip` and `@include` of operations and fragments depend, by name."""
    return frozenset(
        argument.value.name.value
        for selection in selections_in(definitions)
        for directive in selection.directives or ()
        if directive.name.value in _SWITCHES
        for argument in directive.arguments or ()
        if isinstance(argument.value, VariableNode)
    )


def has_variable_lengths(definitions: Iterable[ExecutableDefinitionNode]) -> bool:
    """Whether the length of any list depends on a variable, in operations and fragments."""
    return any(
        argument.name.value == "first" and isinstance(argument.value, VariableNode)
        for selection in selections_in(definitions)
        if isinstance(selection, FieldNode)
        for argument in selection.arguments or ()
    )


def _slim(document: DocumentNode) -> int:
    """Drop what a valid document no longer needs: the lexer's tokens, and locations that no error shows.

    Returns the number of nodes.
    """
    token: Any = document.loc.start_token if document.loc is not None else None
    while token is not None:
        # Unlinked, the tokens are freed at once and not by the garbage collector.
        token.prev, token = None, token.next
    slimming = _Slimming()
    visit(document, slimming)
    return slimming.nodes


_UNLOCATED = frozenset({"name", "named_type", "list_type", "non_null_type", "selection_set", "fragment_spread"})
"""Kinds of nodes whose locations no execution error shows."""


class _Slimming(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.nodes = 0

    def enter(self, node: Any, *_: Any) -> None:
        self.nodes += 1
        if node.kind in _UNLOCATED:
            object.__setattr__(node, "loc", None)  # nodes are frozen
        elif node.loc is not None:
            node.loc.start_token = node.loc.end_token = None
