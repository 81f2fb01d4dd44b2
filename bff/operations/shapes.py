"""The parameters and the response of an operation in JSON Schema (2020-12, which OpenAPI 3.1 uses). No I/O."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    is_required_input_field,
)

Schema = dict[str, Any]

_SCALARS: Mapping[str, Schema] = {
    "Int": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "Float": {"type": "number"},
    "Boolean": {"type": "boolean"},
    "ID": {"type": "string"},
    "String": {"type": "string"},
    "DateTime": {"type": "string", "format": "date-time"},
}


@dataclass(slots=True)
class Shapes:
    """Makes the schemas of one variant. The input types that they refer to are added to `components`."""

    variant: str
    fragments: Mapping[str, FragmentDefinitionNode]
    components: dict[str, Schema] = field(default_factory=dict)

    def of_input(self, type_: GraphQLInputType) -> Schema:
        """The schema of an input value of that type."""
        if isinstance(type_, GraphQLNonNull):
            return self._bare_input(type_.of_type)
        return _or_null(self._bare_input(type_))

    def _bare_input(self, type_: Any) -> Schema:
        if isinstance(type_, GraphQLList):
            return {"type": "array", "items": self.of_input(type_.of_type)}
        if isinstance(type_, GraphQLInputObjectType):
            return self._component(type_)
        return self._leaf(type_)

    def _component(self, type_: GraphQLInputObjectType) -> Schema:
        name = f"{self.variant}.{type_.name}"
        if name not in self.components:
            schema = self.components[name] = {"type": "object", "additionalProperties": False}
            if type_.description:
                schema["description"] = type_.description
            schema["properties"] = {key: self.of_input(each.type) for key, each in type_.fields.items()}
            schema["required"] = [key for key, each in type_.fields.items() if is_required_input_field(each)]
        return {"$ref": f"#/components/schemas/{name}"}

    def _leaf(self, type_: GraphQLNamedType) -> Schema:
        if isinstance(type_, GraphQLEnumType):
            return {"type": "string", "enum": list(type_.values)}
        return dict(_SCALARS.get(type_.name, {}))

    def of_data(self, root: GraphQLObjectType, operation: OperationDefinitionNode) -> Schema:
        """The schema of the `data` in an operation's response."""
        return self._object(root, [operation.selection_set])

    def _object(self, type_: Any, selections: Sequence[SelectionSetNode]) -> Schema:
        nodes: dict[str, list[FieldNode]] = {}
        certain: set[str] = set()
        for node, is_certain in self._fields(type_, selections, is_certain=True):
            key = node.alias.value if node.alias else node.name.value
            nodes.setdefault(key, []).append(node)
            if is_certain:
                certain.add(key)
        properties = {key: self._field(type_, same) for key, same in nodes.items()}
        return {"type": "object", "properties": properties, "required": [key for key in nodes if key in certain]}

    def _fields(
        self, type_: Any, selections: Sequence[SelectionSetNode], *, is_certain: bool
    ) -> Iterator[tuple[FieldNode, bool]]:
        """The selected fields, each with whether every response has it: it has no directive, and no other type condition."""
        for selection in (each for selection_set in selections for each in selection_set.selections):
            certain = is_certain and not selection.directives
            if isinstance(selection, FieldNode):
                yield selection, certain
                continue
            if isinstance(selection, FragmentSpreadNode):
                fragment: Any = self.fragments[selection.name.value]
            else:
                fragment = selection
            condition = fragment.type_condition
            same = condition is None or condition.name.value == type_.name
            assert isinstance(fragment, FragmentDefinitionNode | InlineFragmentNode)  # noqa: S101 - for the type checker
            yield from self._fields(type_, [fragment.selection_set], is_certain=certain and same)

    def _field(self, type_: Any, nodes: Sequence[FieldNode]) -> Schema:
        name = nodes[0].name.value
        if name == "__typename":
            return {"type": "string"}
        found = type_.fields.get(name) if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType) else None
        if found is None:  # an introspection field, or a field of only some of an interface's types
            return {}
        schema = self._output(found.type, [node.selection_set for node in nodes if node.selection_set])
        # Also beside `$ref` and `anyOf`, which JSON Schema 2020-12 allows.
        return {**schema, "description": found.description} if found.description else schema

    def _output(self, type_: GraphQLOutputType, below: Sequence[SelectionSetNode]) -> Schema:
        if isinstance(type_, GraphQLNonNull):
            return self._bare_output(type_.of_type, below)
        return _or_null(self._bare_output(type_, below))

    def _bare_output(self, type_: Any, below: Sequence[SelectionSetNode]) -> Schema:
        if isinstance(type_, GraphQLList):
            return {"type": "array", "items": self._output(type_.of_type, below)}
        return self._object(type_, below) if below else self._leaf(get_named_type(type_))


def _or_null(schema: Schema) -> Schema:
    if "type" in schema:
        with_null = {**schema, "type": [schema["type"], "null"]}
        return {**with_null, "enum": [*schema["enum"], None]} if "enum" in schema else with_null
    return {"anyOf": [schema, {"type": "null"}]} if schema else schema
