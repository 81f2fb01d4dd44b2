"""Random documents that are valid for a schema, with aliases, fragments, directives and variables, from a seeded source."""

import random
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_composite_type,
)

_SCALARS: dict[str, list[tuple[str, Any]]] = {
    "ID": [(f'"{text}"', text) for text in ("1", "2", "3", "4", "99", "abc", "")],
    "String": [(f'"{text}"', text) for text in ("", "a", "Product 1", "toys", "WyJjMiIsMF0", "orders", "\\u00e9")],
    "Int": [(str(number), number) for number in (1, 2, 3, 10, 100, 0, -1, 101, 320)],
    "Float": [(str(number), number) for number in (1.5, 0.0, 12.25)],
    "Boolean": [("true", True), ("false", False)],
    "DateTime": [('"2026-01-31T12:00:00Z"', "2026-01-31T12:00:00Z")],
}


@dataclass
class Document:
    """A document and the variables to send with it."""

    text: str
    variables: dict[str, Any] = field(default_factory=dict)


class Documents:
    """Makes documents for a schema."""

    def __init__(self, schema: GraphQLSchema, source: random.Random) -> None:
        self._schema = schema
        self._random = source

    def make(self) -> Document:
        """The next one."""
        self._declared: dict[str, tuple[str, str]] = {}
        self._given: dict[str, Any] = {}
        self._fragments: dict[str, str] = {}
        self._names = 0
        self._left = self._random.choice((6, 15, 40))
        root: Any = self._schema.query_type
        kind = "query"
        if self._schema.mutation_type is not None and self._chance(0.15):
            root, kind = self._schema.mutation_type, "mutation"
        body = self._selection(root, self._random.randint(2, 6))
        declared = ", ".join(f"${name}: {type_}{default}" for name, (type_, default) in self._declared.items())
        head = f"{kind} Q({declared})" if declared else kind
        return Document("\n".join([f"{head} {body}", *self._fragments.values()]), self._given)

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _name(self, letter: str) -> str:
        self._names += 1
        return f"{letter}{self._names}"

    def _selection(self, type_: Any, depth: int) -> str:
        parts = [self._part(type_, depth) for _ in range(self._random.randint(1, 5))]
        return "{ " + " ".join(part for part in parts if part) + " __typename }"

    def _part(self, type_: Any, depth: int) -> str:
        self._left -= 1
        roll = self._random.random()
        if roll < 0.08:
            return f"{self._alias(0.5)}__typename{self._directives()}"
        if roll < 0.2 and depth > 0:
            return self._inline(type_, depth)
        if roll < 0.28 and depth > 0:
            return self._spread(type_, depth)
        if isinstance(type_, GraphQLUnionType):
            return self._inline(type_, depth)
        names = [name for name, each in type_.fields.items() if self._may(each, depth)]
        return self._field(type_.fields, self._random.choice(names), depth) if names else ""

    def _may(self, each: GraphQLField, depth: int) -> bool:
        return not is_composite_type(get_named_type(each.type)) or (depth > 0 and self._left > 0)

    def _field(self, fields: dict[str, GraphQLField], name: str, depth: int) -> str:
        each = fields[name]
        # A field with arguments gets its own alias: two with different arguments can't be merged.
        alias = f"{self._name('a')}: " if each.args else self._alias(0.2)
        arguments = [text for key, argument in each.args.items() if (text := self._argument(key, argument))]
        shown = f"({', '.join(arguments)})" if arguments else ""
        named: Any = get_named_type(each.type)
        inner = f" {self._selection(named, depth - 1)}" if is_composite_type(named) else ""
        return f"{alias}{name}{shown}{self._directives()}{inner}"

    def _alias(self, share: float) -> str:
        return f"{self._name('a')}: " if self._chance(share) else ""

    def _inline(self, type_: Any, depth: int) -> str:
        on = self._condition(type_)
        condition = "" if on is type_ and self._chance(0.3) else f" on {on.name}"
        return f"...{condition}{self._directives()} {self._selection(on, depth - 1)}"

    def _spread(self, type_: Any, depth: int) -> str:
        on = self._condition(type_)
        fitting = [name for name, text in self._fragments.items() if text.startswith(f"fragment {name} on {on.name} ")]
        if fitting and self._chance(0.4):
            return f"...{self._random.choice(fitting)}{self._directives()}"
        name = self._name("F")
        body = self._selection(on, depth - 1)  # made before the fragment is added, so that no fragment spreads itself
        self._fragments[name] = f"fragment {name} on {on.name} {body}"
        return f"...{name}{self._directives()}"

    def _condition(self, type_: Any) -> Any:
        if isinstance(type_, GraphQLInterfaceType | GraphQLUnionType):
            possible = list(self._schema.get_possible_types(type_))
            return self._random.choice(possible if isinstance(type_, GraphQLUnionType) else [type_, *possible])
        if isinstance(type_, GraphQLObjectType) and type_.interfaces and self._chance(0.3):
            return self._random.choice(type_.interfaces)
        return type_

    def _directives(self) -> str:
        if not self._chance(0.12):
            return ""
        if self._chance(0.5):
            value = self._random.choice(("true", "false"))
        else:
            value = f"${self._variable('Boolean!', 'true', True)}"
            self._given[value[1:]] = self._chance(0.5)
        return f" @{self._random.choice(('skip', 'include'))}(if: {value})"

    def _argument(self, name: str, argument: GraphQLArgument) -> str:
        if not isinstance(argument.type, GraphQLNonNull) and self._chance(0.5):
            return ""
        literal, value = self._value(argument.type)
        if self._chance(0.4):
            return f"{name}: ${self._variable(str(argument.type), literal, value)}"
        return f"{name}: {literal}"

    def _variable(self, type_: str, literal: str, value: Any) -> str:
        name = self._name("v")
        default = f" = {literal}" if self._chance(0.2) else ""
        self._declared[name] = (type_, default)
        if type_.endswith("!") and not default:
            self._given[name] = value
        elif self._chance(0.75):
            self._given[name] = None if not type_.endswith("!") and self._chance(0.1) else value
        return name

    def _value(self, type_: Any) -> tuple[str, Any]:
        """A literal, and the same as JSON."""
        if isinstance(type_, GraphQLNonNull):
            return self._value(type_.of_type)
        if isinstance(type_, GraphQLList):
            values = [self._value(type_.of_type) for _ in range(self._random.randint(0, 2))]
            return f"[{', '.join(literal for literal, _ in values)}]", [value for _, value in values]
        if isinstance(type_, GraphQLEnumType):
            name = self._random.choice(list(type_.values))
            return name, name
        if isinstance(type_, GraphQLInputObjectType):
            members = {
                name: self._value(each.type)
                for name, each in type_.fields.items()
                if isinstance(each.type, GraphQLNonNull) or self._chance(0.5)
            }
            text = ", ".join(f"{name}: {literal}" for name, (literal, _) in members.items())
            return f"{{ {text} }}", {name: value for name, (_, value) in members.items()}
        return self._random.choice(_SCALARS[type_.name])
