"""How a service describes errors: as problem details, or as an object of its own."""

from collections.abc import Iterable

from bff.conventions import ErrorObject
from bff.scaffold.code import is_harmless
from bff.scaffold.openapi.document import Document, Operation
from bff.scaffold.openapi.schemas import Schema, Schemas

_AT = ("error", "errors", "fault")
_CODES = ("code", "type", "error_code", "errorCode", "status", "reason", "name", "id", "error")
_MESSAGES = ("message", "msg", "error_description", "errorMessage", "error_message", "detail", "description", "title")
_DETAILS = ("details", "errors", "fields", "violations", "field_errors", "fieldErrors", "invalid_params", "detail")
_FIELDS = ("field", "path", "param", "parameter", "pointer", "location", "loc", "property", "name")


def errors_of(document: Document, schemas: Schemas, operations: Iterable[Operation | None]) -> ErrorObject | None:
    """What the errors of these operations look like; None for problem details (RFC 9457), and if nothing is described."""
    for operation in operations:
        for media_type, node in () if operation is None else document.failures(operation):
            if media_type == "application/problem+json":
                return None
            body = schemas.read(node)
            if body.kind == "object" and {"title", "detail"} <= set(body.properties):
                return None
            found = _error_object(schemas, body)
            if found is not None:
                return found
    document.notes.add("errors: no body is described: problem details (RFC 9457) are expected; see ErrorObject")
    return None


def _error_object(schemas: Schemas, body: Schema) -> ErrorObject | None:
    for at in _AT:
        inner = schemas.read(body.properties.get(at))
        if inner.kind == "string" and not any(name in body.properties for name in _MESSAGES):
            return ErrorObject(at)
        if inner.kind == "object" and (found := _at(schemas, inner, at)) is not None:
            return found
    return _at(schemas, body, "")


def _at(schemas: Schemas, schema: Schema, at: str) -> ErrorObject | None:
    """An object with a text."""
    message = _first(schema, _MESSAGES)
    if message is None:
        return None
    details = next(
        (name for name in _DETAILS if schemas.read(schema.properties.get(name)).kind in {"array", "object"}), None
    )
    item = schemas.read(schemas.read(schema.properties.get(details or "")).items)
    default = ErrorObject()
    return ErrorObject(
        at=at,
        code=next((name for name in _CODES if name in schema.properties and name != message), default.code),
        message=message,
        details=details or default.details,
        field=_first(item, _FIELDS) or default.field,
        detail=_first(item, _MESSAGES) or default.detail,
    )


def _first(schema: Schema, names: Iterable[str]) -> str | None:
    return next((name for name in names if name in schema.properties and is_harmless(name)), None)
