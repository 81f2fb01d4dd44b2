"""Variables and arguments. What is known of them is worked out once an operation; the usual values need no coercion then.

All other values go to graphql-core's own coercion, so that its errors are the errors.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphql import (
    ArgumentNode,
    FieldNode,
    GraphQLBoolean,
    GraphQLError,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLNonNull,
    GraphQLSchema,
    GraphQLString,
    Node,
    Undefined,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    print_ast,
    type_from_ast,
    visit,
)
from graphql.execution.values import VariableValues, get_argument_values, get_variable_values

_MAX_ERRORS = 50

_IS_COERCED: Mapping[Any, Callable[[Any], bool]] = {
    GraphQLID: lambda value: type(value) is str,
    GraphQLString: lambda value: type(value) is str,
    GraphQLBoolean: lambda value: type(value) is bool,
    GraphQLInt: lambda value: type(value) is int and -(2**31) <= value < 2**31,
    GraphQLFloat: lambda value: type(value) is float and math.isfinite(value),
}
"""By scalar: whether an input is its own coerced value."""


class InvalidVariables(Exception):
    """The variables can't be coerced. `errors` says why; nothing was run."""

    def __init__(self, errors: Sequence[GraphQLError]) -> None:
        super().__init__(len(errors))
        self.errors = errors


class CoercedVariables:
    """The variables of one run, coerced (GraphQL specification, CoerceVariableValues).

    Attributes:
        by_name: the values. A variable that has neither a value nor a default is left out.
    """

    __slots__ = ("_core", "by_name")

    def __init__(self, by_name: Mapping[str, Any], core: VariableValues | Callable[[], VariableValues]) -> None:
        self.by_name = by_name
        self._core = core

    def core(self) -> VariableValues:
        """graphql-core's form of them, with the source of each value. Made when it is first needed."""
        if not isinstance(self._core, VariableValues):
            self._core = self._core()
        return self._core


NO_VARIABLES = CoercedVariables({}, VariableValues({}, {}))


class Variables:
    """The variables that an operation declares. Compiled once an operation.

    Attributes:
        switches: those on which `@skip` and `@include` depend, in alphabetical order.
        are_simple: whether `coerce` can do without graphql-core for usual values.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        definitions: Sequence[VariableDefinitionNode],
        *,
        hide_suggestions: bool,
        switches: frozenset[str] = frozenset(),
    ) -> None:
        self._schema = schema
        self._definitions = definitions
        self._hide_suggestions = hide_suggestions
        self._simple: list[tuple[str, Callable[[Any], bool], bool]] = []
        self.are_simple = True
        for definition in definitions:
            type_ = type_from_ast(schema, definition.type)
            is_nullable = not isinstance(type_, GraphQLNonNull)
            is_coerced = _IS_COERCED.get(type_ if is_nullable else type_.of_type)  # type: ignore[union-attr]
            if is_coerced is None or definition.default_value is not None:
                self.are_simple = False
            else:
                self._simple.append((definition.variable.name.value, is_coerced, is_nullable))
        self.switches = tuple(sorted(switches.intersection(each.variable.name.value for each in definitions)))

    def coerce(self, given: Mapping[str, Any]) -> CoercedVariables:
        """The values of a request. Raises `InvalidVariables`."""
        if not self._definitions:
            return NO_VARIABLES
        if self.are_simple:
            by_name = {}
            for name, is_coerced, is_nullable in self._simple:
                value = given.get(name, Undefined)
                if value is Undefined:
                    if not is_nullable:
                        break
                elif is_coerced(value) or (value is None and is_nullable):
                    by_name[name] = value
                else:
                    break
            else:
                return CoercedVariables(by_name, partial(self._coerce_by_core, given))
        core = self._coerce_by_core(given)
        return CoercedVariables(core.coerced, core)

    def switch_values(self, variables: CoercedVariables) -> tuple[Any, ...]:
        """The values of the switches in their order, `Undefined` where there is none. An operation has a plan for each."""
        by_name = variables.by_name
        return tuple(by_name.get(name, Undefined) for name in self.switches)

    def _coerce_by_core(self, given: Mapping[str, Any]) -> VariableValues:
        found = get_variable_values(
            self._schema, self._definitions, dict(given), max_errors=_MAX_ERRORS, hide_suggestions=self._hide_suggestions
        )
        if isinstance(found, list):
            raise InvalidVariables(found)
        return found


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of a field in a document. By their GraphQL names, except where a schema has given others (`out_name`).

    Attributes:
        field: the field's definition.
        node: the field in the document.
        constant: the values, if they depend on no variable; else None.
        literals: the values of the arguments that depend on none, if all others are a variable each; else None.
        by_variable: for each other argument the variable's name, and whether the argument is nullable.
    """

    field: GraphQLField
    node: FieldNode
    constant: Mapping[str, Any] | None = None
    literals: Mapping[str, Any] | None = None
    by_variable: Sequence[tuple[str, str, bool]] = ()

    def evaluate(self, variables: CoercedVariables) -> Mapping[str, Any]:
        """The values for those variables, if they are not constant. Raises `GraphQLError`."""
        if self.literals is not None:
            values = dict(self.literals)
            for name, variable, is_nullable in self.by_variable:
                value = variables.by_name.get(variable, Undefined)
                if value is Undefined or (value is None and not is_nullable):
                    break
                values[name] = value
            else:
                return values
        return get_argument_values(self.field, self.node, variables.core())

    def text(self) -> str:
        """The arguments as they stand in the document, in parentheses; empty if there are none."""
        return f"({', '.join(map(print_ast, self.node.arguments))})" if self.node.arguments else ""


def arguments_of(field: GraphQLField, node: FieldNode) -> Arguments:
    """Work out what is known of the arguments of `node` before any request."""
    if not field.args and not node.arguments:
        return Arguments(field, node, constant={})
    by_variable: dict[str, tuple[str, str, bool]] = {}
    literal_nodes: list[ArgumentNode] = []
    for argument in {each.name.value: each for each in node.arguments or ()}.values():
        name = argument.name.value
        if isinstance(argument.value, VariableNode) and name in field.args:
            definition = field.args[name]
            is_nullable = not isinstance(definition.type, GraphQLNonNull)
            by_variable[name] = (definition.out_name or name, argument.value.name.value, is_nullable)
        elif _has_variable(argument.value):
            return Arguments(field, node)
        else:
            literal_nodes.append(argument)
    others = GraphQLField(field.type, {name: each for name, each in field.args.items() if name not in by_variable})
    try:
        literals = get_argument_values(
            others, FieldNode(name=node.name, arguments=tuple(literal_nodes)), NO_VARIABLES.core()
        )
    except GraphQLError:
        return Arguments(field, node)  # each request raises the error anew, with its location
    if by_variable:
        return Arguments(field, node, literals=literals, by_variable=tuple(by_variable.values()))
    return Arguments(field, node, constant=literals)


def _has_variable(node: Node) -> bool:
    finder = _VariableFinder()
    visit(node, finder)
    return finder.has_found


class _VariableFinder(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.has_found = False

    def enter_variable(self, *_: Any) -> Any:
        self.has_found = True
        return self.BREAK
