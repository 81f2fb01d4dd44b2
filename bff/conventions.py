"""The conventions of services, for an application to declare at its sources. Part of the gateway's public interface.

    from bff.conventions import Conventions, ErrorObject, Offset, OneByOne

Which of them fits which service is described in `docs/services.md`.
"""

from bff.upstream.conventions import (
    Comma,
    Conventions,
    Cursor,
    ErrorObject,
    FieldProblem,
    InHeader,
    LastId,
    LinkHeader,
    Offset,
    OneByOne,
    PageNumber,
    Posted,
    Problem,
    Repeated,
    snake,
)
from bff.upstream.conventions.keys import camel

__all__ = [
    "Comma",
    "Conventions",
    "Cursor",
    "ErrorObject",
    "FieldProblem",
    "InHeader",
    "LastId",
    "LinkHeader",
    "Offset",
    "OneByOne",
    "PageNumber",
    "Posted",
    "Problem",
    "Repeated",
    "camel",
    "snake",
]
