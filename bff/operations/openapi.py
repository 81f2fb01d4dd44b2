"""The OpenAPI document (3.1) of the trusted operations, with FastAPI's outline. No I/O."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastapi.openapi.utils import get_openapi
from graphql import (
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    parse,
    validate,
    value_from_ast_untyped,
)

from bff.graph.variants import Variant
from bff.operations.calls import TrustedOperation, TrustedOperations, is_listed, is_plain
from bff.operations.shapes import Schema, Shapes
from bff.version import __version__

_ERRORS: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "message": {"type": "string"},
            "path": {"type": "array", "items": {"type": ["string", "integer"]}},
            "extensions": {
                "type": "object",
                "properties": {"code": {"type": "string"}, "source": {"type": "string"}, "retryAfter": {"type": "integer"}},
                "required": ["code"],
            },
        },
        "required": ["message", "extensions"],
    },
}
_SCHEMES: Mapping[str, Any] = {
    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def document(variants: Iterable[tuple[Variant, GraphQLSchema, TrustedOperations]]) -> dict[str, Any]:
    """The OpenAPI document of all operations of those variants.

    An operation whose document is not valid for the schema is left out, since calls of it fail.
    """
    paths: dict[str, Any] = {}
    components: dict[str, Schema] = {"Errors": _ERRORS}
    for variant, schema, operations in variants:
        for operation in sorted(operations, key=lambda each: each.name):
            path_item = _path_item(variant, schema, operation, components)
            if path_item is not None:
                paths[f"/{variant.name}/api/{operation.name}"] = path_item
    outline = get_openapi(
        title="bff",
        version=__version__,
        description="The trusted operations of the graph, each by its name.",
        routes=[],
    )
    return {**outline, "paths": paths, "components": {"schemas": components, "securitySchemes": dict(_SCHEMES)}}


def _path_item(variant: Variant, schema: GraphQLSchema, operation: TrustedOperation, components: dict[str, Schema]) -> Any:
    try:
        parsed = parse(operation.text)
        faults = validate(schema, parsed, max_errors=1)
    except (GraphQLError, RecursionError):
        return None
    nodes = [each for each in parsed.definitions if isinstance(each, OperationDefinitionNode)]
    named = [each for each in nodes if each.name is not None and each.name.value == operation.operation]
    chosen = named if operation.operation is not None else nodes
    if faults or len(chosen) != 1:
        return None
    (node,) = chosen
    fragments = {each.name.value: each for each in parsed.definitions if isinstance(each, FragmentDefinitionNode)}
    shapes = Shapes(variant.name, fragments, components)
    root = schema.mutation_type if operation.is_mutation else schema.query_type
    assert isinstance(root, GraphQLObjectType)  # noqa: S101 - for the type checker: the document is valid
    common = {
        "tags": [variant.name],
        "summary": operation.name,
        "security": [{"token": []}]
        if variant.role is not None
        else [{}, {"token": []}, {"key": []}, {"token": [], "key": []}],
        "responses": _responses(shapes.of_data(root, node)),
    }
    path_item = {
        "post": {**common, "operationId": f"{variant.name}_{operation.name}_post", **_body(operation, node, shapes)}
    }
    if not operation.is_mutation:
        parameters = list(_parameters(operation, node, shapes))
        path_item["get"] = {**common, "operationId": f"{variant.name}_{operation.name}_get", "parameters": parameters}
    return path_item


def _defaults(node: OperationDefinitionNode) -> dict[str, Any]:
    return {
        each.variable.name.value: value_from_ast_untyped(each.default_value)
        for each in node.variable_definitions or ()
        if each.default_value is not None
    }


def _schemas(
    operation: TrustedOperation, node: OperationDefinitionNode, shapes: Shapes
) -> Iterator[tuple[str, Schema, bool]]:
    """Each parameter with its schema, and whether it is required."""
    defaults = _defaults(node)
    for name, type_ in operation.types.items():
        schema = shapes.of_input(type_)
        if name in defaults:
            schema = {**schema, "default": defaults[name]}
        yield name, schema, isinstance(type_, GraphQLNonNull) and name not in defaults


def _parameters(operation: TrustedOperation, node: OperationDefinitionNode, shapes: Shapes) -> Iterator[dict[str, Any]]:
    for name, schema, is_required in _schemas(operation, node, shapes):
        type_ = operation.types[name]
        as_text = is_plain(type_) or is_listed(type_)
        form = {"schema": schema} if as_text else {"content": {"application/json": {"schema": schema}}}
        yield {"name": name, "in": "query", "required": is_required, **form}


def _body(operation: TrustedOperation, node: OperationDefinitionNode, shapes: Shapes) -> dict[str, Any]:
    schemas = list(_schemas(operation, node, shapes))
    required = [name for name, _, is_required in schemas if is_required]
    schema = {
        "type": "object",
        "properties": {name: each for name, each, _ in schemas},
        "required": required,
        "additionalProperties": False,
    }
    return {"requestBody": {"required": bool(required), "content": {"application/json": {"schema": schema}}}}


def _responses(data: Schema) -> dict[str, Any]:
    errors = {"$ref": "#/components/schemas/Errors"}
    response = {"type": "object", "properties": {"data": data, "errors": errors}, "required": ["data"]}
    refusal = {"type": "object", "properties": {"data": {}, "errors": errors}, "required": ["errors"]}
    return {
        "200": {
            "description": "The data, and errors for fields that are missing in it.",
            "content": {"application/json": {"schema": response}},
        },
        "default": {"description": "Only errors.", "content": {"application/json": {"schema": refusal}}},
    }
