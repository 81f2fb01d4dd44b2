"""Variables and arguments: what can be known of them is worked out once, and the plain cases are a look into a dictionary.

Whatever is not plain goes to graphql-core's own coercion, so that its errors are the errors.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
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
    Undefined,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    print_ast,
    type_from_ast,
    visit,
)
from graphql.execution.values import VariableValues, get_argument_values, get_variable_values

NO_VARIABLES = VariableValues({}, {})

_PLAIN: Mapping[Any, Callable[[Any], bool]] = {
    GraphQLID: lambda value: type(value) is str,
    GraphQLString: lambda value: type(value) is str,
    GraphQLBoolean: lambda value: type(value) is bool,
    GraphQLInt: lambda value: type(value) is int and -(2**31) <= value < 2**31,
    GraphQLFloat: lambda value: type(value) is float and math.isfinite(value),
}
"""Scalars of which these inputs are their own coerced values."""


class InvalidVariables(Exception):
    """The variables can't be coerced. Holds all that is wrong with them; nothing was run."""

    def __init__(self, errors: Sequence[GraphQLError]) -> None:
        super().__init__(len(errors))
        self.errors = errors


class Variables:
    """The variables that an operation declares. Compiled once an operation."""

    def __init__(
        self, schema: GraphQLSchema, definitions: Sequence[VariableDefinitionNode], *, hide_suggestions: bool
    ) -> None:
        self._schema = schema
        self._definitions = definitions
        self._hide_suggestions = hide_suggestions
        self._plain = [self._of(definition) for definition in definitions]
        self.are_plain = all(each is not None for each in self._plain)

    def coerce(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values by name; what was not given and has no default is left out. Raises `InvalidVariables`."""
        if not self._definitions:
            return {}
        if self.are_plain:
            coerced = {}
            for name, is_plain, is_nullable in self._plain:  # type: ignore[misc] # None is looked for above
                value = given.get(name, Undefined)
                if value is Undefined:
                    if not is_nullable:
                        break
                elif is_plain(value) or (value is None and is_nullable):
                    coerced[name] = value
                else:
                    break
            else:
                return coerced
        return self.values(given).coerced

    def values(self, given: Mapping[str, Any]) -> VariableValues:
        """As graphql-core has them, with where each comes from. Raises `InvalidVariables`."""
        found = get_variable_values(
            self._schema, self._definitions, dict(given), max_errors=50, hide_suggestions=self._hide_suggestions
        )
        if isinstance(found, list):
            raise InvalidVariables(found)
        return found

    def _of(self, definition: VariableDefinitionNode) -> tuple[str, Callable[[Any], bool], bool] | None:
        type_ = type_from_ast(self._schema, definition.type)
        is_nullable = not isinstance(type_, GraphQLNonNull)
        is_plain = _PLAIN.get(type_ if is_nullable else type_.of_type)  # type: ignore[union-attr]
        if is_plain is None or definition.default_value is not None:
            return None
        return definition.variable.name.value, is_plain, is_nullable


@dataclass(frozen=True, slots=True)
class Arguments:
    """A field's arguments by the schema's names.

    Attributes:
        constant: their values, where no variable has a say in them; else None.
        simple: where each is a constant or a variable by itself: the constants, and the variables' names by the argument's.
        fault: whether graphql-core has to be asked each time, because it has an error to tell.
    """

    field: GraphQLField
    node: FieldNode
    constant: Mapping[str, Any] | None
    simple: "tuple[Mapping[str, Any], Mapping[str, tuple[str, bool]]] | None"

    def of(self, coerced: Mapping[str, Any], values: Callable[[], VariableValues]) -> Mapping[str, Any]:
        """The arguments with those variables. Raises `GraphQLError`."""
        if self.constant is not None:
            return self.constant
        if self.simple is not None:
            constants, variables = self.simple
            arguments = dict(constants)
            for name, (variable, is_nullable) in variables.items():
                value = coerced.get(variable, Undefined)
                if value is Undefined or (value is None and not is_nullable):
                    break
                arguments[name] = value
            else:
                return arguments
        return get_argument_values(self.field, self.node, values())

    def text(self) -> str:
        """As they stand in the document."""
        return f"({', '.join(map(print_ast, self.node.arguments))})" if self.node.arguments else ""


def arguments_of(field: GraphQLField, node: FieldNode) -> Arguments:
    """What can be known of the arguments of `node`."""
    if not field.args and not node.arguments:
        return Arguments(field, node, {}, None)
    by_name = {argument.name.value: argument for argument in node.arguments or ()}
    direct: dict[str, tuple[str, bool]] = {}
    constants = []
    for name, argument in by_name.items():
        if isinstance(argument.value, VariableNode) and name in field.args:
            is_nullable = not isinstance(field.args[name].type, GraphQLNonNull)
            direct[name] = (argument.value.name.value, is_nullable)
        elif _has_variable(argument.value):
            return Arguments(field, node, None, None)
        else:
            constants.append(argument)
    rest = GraphQLField(field.type, {name: each for name, each in field.args.items() if name not in direct})
    try:
        found = get_argument_values(rest, FieldNode(name=node.name, arguments=tuple(constants)), NO_VARIABLES)
    except GraphQLError:
        return Arguments(field, node, None, None)  # the error is each request's own, with its place
    if direct:
        named = {field.args[name].out_name or name: variable for name, variable in direct.items()}
        return Arguments(field, node, None, (found, named))
    return Arguments(field, node, found, None)


def _has_variable(node: Any) -> bool:
    found = _Finder()
    visit(node, found)
    return found.found


class _Finder(Visitor):
    found = False

    def enter_variable(self, *_: Any) -> Any:
        self.found = True
        return self.BREAK
