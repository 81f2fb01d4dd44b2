"""Prints a variant's schema definition language, with directives for access rules, costs and assumed list sizes."""

import json

from graphql import (
    DirectiveLocation,
    GraphQLArgument,
    GraphQLDirective,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLString,
    print_schema,
)

from bff.graph.rules import access_rule
from bff.graph.tags import size_of, weight_of

ACCESS = GraphQLDirective(
    "access",
    [DirectiveLocation.FIELD_DEFINITION],
    {
        "role": GraphQLArgument(GraphQLString),
        "scopes": GraphQLArgument(GraphQLList(GraphQLNonNull(GraphQLString))),
        "owner": GraphQLArgument(
            GraphQLString, description="The name of an argument that must equal the viewer's id, except for staff."
        ),
    },
    description="The viewer must be signed in, and meet every condition that is given here.",
)
COST = GraphQLDirective(
    "cost",
    [DirectiveLocation.FIELD_DEFINITION],
    {"weight": GraphQLArgument(GraphQLNonNull(GraphQLInt))},
    description="The cost of the field itself, in addition to that of the objects it returns.",
)
LIST_SIZE = GraphQLDirective(
    "listSize",
    [DirectiveLocation.FIELD_DEFINITION],
    {"assumedSize": GraphQLArgument(GraphQLNonNull(GraphQLInt))},
    description="The assumed length of the list when the cost of an operation is estimated.",
)
DIRECTIVES = (ACCESS, COST, LIST_SIZE)


def sdl(schema: GraphQLSchema) -> str:
    """The SDL as graphql-core prints it, with each field's directives appended to its line."""
    lines = []
    fields: GraphQLObjectType | None = None
    for line in print_schema(schema).splitlines():
        if line.startswith("type "):
            found = schema.type_map.get(line.split()[1])
            fields = found if isinstance(found, GraphQLObjectType) else None
        elif line.startswith("}"):
            fields = None
        lines.append(line + (_directives(fields, line) if fields is not None else ""))
    return "\n".join(lines) + "\n"


def _directives(parent: GraphQLObjectType, line: str) -> str:
    """The directives to append to a line that ends a field's definition; empty for any other line."""
    name = line.strip().partition("(")[0].partition(":")[0]
    if not line.startswith("  ") or line.startswith("   ") or name not in parent.fields:
        return ""
    if line.rstrip().endswith("("):
        raise AssertionError("arguments with descriptions are not supported: graphql-core prints them on lines of their own")
    extensions = parent.fields[name].extensions
    directives = ""
    if (access := access_rule(extensions)) is not None:
        arguments = {"role": access.role, "scopes": list(access.scopes) or None, "owner": access.owner}
        given = ", ".join(f"{each}: {json.dumps(value)}" for each, value in arguments.items() if value is not None)
        directives += " @access" + (f"({given})" if given else "")
    if (weight := weight_of(extensions)) is not None:
        directives += f" @cost(weight: {weight})"
    if (size := size_of(extensions)) is not None:
        directives += f" @listSize(assumedSize: {size})"
    return directives
