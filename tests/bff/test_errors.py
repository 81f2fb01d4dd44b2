"""Errors: each refusal has a code and a status, and what clients see of an error reveals nothing internal."""

import json
import logging
import re
from pathlib import Path

import pytest
from graphql import GraphQLError, GraphQLSyntaxError, Source, parse

from bff import errors
from bff.errors import (
    BadRequest,
    CsrfPrevented,
    Draining,
    GatewayError,
    InvalidApiKey,
    InvalidOperation,
    InvalidToken,
    KeysUnavailable,
    OperationNotAllowed,
    PersistedQueryNotFound,
    PersistedQueryNotSupported,
    RoleNeeded,
    TokenNeeded,
    TooComplex,
    VariantNotAllowed,
)
from bff.graph.errors import BadUserInput, NotAllowed, SignInNeeded
from bff.upstream.conventions import Problem
from bff.upstream.errors import (
    BadAnswer,
    BreakerOpen,
    Busy,
    Forbidden,
    NotReached,
    QueueFull,
    Rejected,
    SourceError,
    TimedOut,
    Unauthenticated,
)

REFUSALS: list[tuple[GatewayError, str, int | None]] = [
    (BadRequest("Bad."), "BAD_REQUEST", 400),
    (BadRequest("Long.", status=413), "BAD_REQUEST", 413),
    (CsrfPrevented("Form.", status=415), "CSRF_PREVENTION_FAILED", 415),
    (InvalidToken("it has expired"), "UNAUTHENTICATED", 401),
    (TokenNeeded(), "UNAUTHENTICATED", 401),
    (RoleNeeded(), "FORBIDDEN", 403),
    (InvalidApiKey(), "UNAUTHENTICATED", 401),
    (VariantNotAllowed(), "FORBIDDEN", 403),
    (KeysUnavailable(), "SERVICE_UNAVAILABLE", 503),
    (PersistedQueryNotFound(), "PERSISTED_QUERY_NOT_FOUND", None),
    (PersistedQueryNotSupported(), "PERSISTED_QUERY_NOT_SUPPORTED", None),
    (OperationNotAllowed(), "OPERATION_NOT_ALLOWED", None),
    (InvalidOperation("Which?"), "BAD_USER_INPUT", None),
    (TooComplex("depth", 13, 12), "QUERY_TOO_COMPLEX", None),
    (Draining(), "SERVICE_UNAVAILABLE", 503),
]

CODES = {
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
    "BAD_USER_INPUT",
    "UNAUTHENTICATED",
    "FORBIDDEN",
    "PERSISTED_QUERY_NOT_FOUND",
    "PERSISTED_QUERY_NOT_SUPPORTED",
    "OPERATION_NOT_ALLOWED",
    "QUERY_TOO_COMPLEX",
    "RATE_LIMITED",
    "BAD_REQUEST",
    "CSRF_PREVENTION_FAILED",
    "SERVICE_UNAVAILABLE",
    "UPSTREAM_UNAVAILABLE",
    "UPSTREAM_TIMEOUT",
    "UPSTREAM_ERROR",
    "INTERNAL_SERVER_ERROR",
}
"""All codes that clients may see."""


def located(original: Exception | None, message: str = "an internal message") -> GraphQLError:
    """An error as graphql-core's execution raises it."""
    source = Source("{ me { id } }")
    return GraphQLError(message, nodes=parse(source).definitions[0], path=["me", 0, "id"], original_error=original)


@pytest.mark.parametrize(("error", "code", "status"), REFUSALS, ids=[type(row[0]).__name__ for row in REFUSALS])
def test_a_refusal_has_its_code_and_status(error: GatewayError, code: str, status: int | None) -> None:
    """No status means that the request is well-formed, and that the media type decides between 200 and 400."""
    assert error.status == status
    assert errors.of_gateway(error) == {"message": error.message, "extensions": {"code": code}}
    assert error.message.endswith((".", "?")) or error.message.startswith("PersistedQuery")  # Apollo's protocol requires it


@pytest.mark.parametrize("error", [row[0] for row in REFUSALS], ids=[type(row[0]).__name__ for row in REFUSALS])
def test_a_refusal_s_headers_are_headers(error: GatewayError) -> None:
    """Lower-case names and printable ASCII, as ASGI wants them; a 401 challenges (RFC 9110, section 15.5.2)."""
    for name, value in error.headers:
        assert re.fullmatch(rb"[a-z-]+", name)
        assert re.fullmatch(rb"[\x20-\x7e]+", value)
    assert (b"www-authenticate" in dict(error.headers)) is (error.status == 401)


def test_no_code_is_undocumented() -> None:
    """Every code in the sources is in `CODES`, or is one of a mutation's `userErrors`."""
    used: set[str] = set()
    for package in ("bff", "schema", "datasources"):
        for file in Path(errors.__file__).parents[1].joinpath(package).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            used |= set(re.findall(r'(?:code(?:: ClassVar\[str\])? = |DocumentError\(|INTERNAL = )"([A-Z_]+)"', text))
    assert {"INTERNAL_SERVER_ERROR", "BAD_USER_INPUT", "UPSTREAM_ERROR", "GRAPHQL_PARSE_FAILED"} <= used
    assert used <= CODES | {"CONFLICT", "NOT_FOUND", "INVALID", "IDEMPOTENCY_KEY_REUSED"}


def test_an_error_in_a_document_has_its_location() -> None:
    """Message, location and code, and nothing else."""
    with pytest.raises(GraphQLSyntaxError) as caught:
        parse("{ me {\n }")
    entry = errors.of_document(caught.value, "GRAPHQL_PARSE_FAILED")
    assert entry == {
        "message": "Syntax Error: Expected Name, found <EOF>.",
        "locations": [{"line": 2, "column": 3}],
        "extensions": {"code": "GRAPHQL_PARSE_FAILED"},
    }


@pytest.mark.parametrize(
    ("original", "message", "extensions"),
    [
        (BadUserInput("first: expected 1."), "first: expected 1.", {"code": "BAD_USER_INPUT"}),
        (SignInNeeded(), "Sign in first.", {"code": "UNAUTHENTICATED"}),
        (NotAllowed(), "This is not yours to see.", {"code": "FORBIDDEN"}),
        (
            BreakerOpen("users", 3.2),
            "The users service is not being asked at present.",
            {"code": "UPSTREAM_UNAVAILABLE", "source": "users", "retryAfter": 4},
        ),
        (ValueError("an internal message"), "Internal server error.", {"code": "INTERNAL_SERVER_ERROR"}),
        (GraphQLError("an internal message"), "Internal server error.", {"code": "INTERNAL_SERVER_ERROR"}),
        (None, "Internal server error.", {"code": "INTERNAL_SERVER_ERROR"}),
    ],
)
def test_the_type_of_an_execution_error_decides_what_is_shown(
    original: Exception | None, message: str, extensions: dict[str, object]
) -> None:
    """Errors for clients keep their message, any other is masked; all have path and location."""
    assert errors.of_execution(located(original), "request-1") == {
        "message": message,
        "locations": [{"line": 1, "column": 1}],
        "path": ["me", 0, "id"],
        "extensions": extensions,
    }


@pytest.mark.parametrize("original", [None, GraphQLError("Argument 'id' is null.")])
def test_graphql_core_s_message_about_an_argument_is_shown(original: Exception | None) -> None:
    """It is the client's mistake, and quotes only what the client sent."""
    entry = errors.of_execution(located(original, "Argument 'id' is null."), "request-1")
    assert (entry["message"], entry["extensions"]) == ("Argument 'id' is null.", {"code": "BAD_USER_INPUT"})


def test_an_exception_with_a_similar_message_is_masked() -> None:
    """Only graphql-core's own errors about arguments are shown."""
    entry = errors.of_execution(located(ValueError("x"), "Argument secret"), "request-1")
    assert entry["message"] == "Internal server error."


def test_an_error_without_a_location_has_no_empty_members() -> None:
    """Neither `locations` nor `path`."""
    assert errors.of_execution(GraphQLError("x"), "r") == errors.internal()


def test_a_fault_is_logged_by_type_and_frames(caplog: pytest.LogCaptureFixture) -> None:
    """At most twelve frames. Not its message, which may contain a client's data."""

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        raise KeyError("a password")

    with pytest.raises(KeyError) as caught:
        deep(30)
    with caplog.at_level(logging.ERROR, "bff.errors"):
        errors.log_fault(caught.value, "request-1")
    (record,) = caplog.records
    fields = record.fields  # type: ignore[attr-defined]
    assert (fields["request_id"], fields["kind"], len(fields["frames"])) == ("request-1", "KeyError", 12)
    assert "test_errors.py" in fields["frames"][-1]
    assert "password" not in json.dumps([record.getMessage(), fields])
    assert record.exc_info is None


@pytest.mark.parametrize(
    ("error", "extensions"),
    [
        (BreakerOpen("users", 0.0), {"code": "UPSTREAM_UNAVAILABLE", "source": "users", "retryAfter": 1}),
        (Busy("users", 503, None), {"code": "UPSTREAM_UNAVAILABLE", "source": "users"}),
        (QueueFull("orders"), {"code": "UPSTREAM_UNAVAILABLE", "source": "orders"}),
        (NotReached("orders", sent=True), {"code": "UPSTREAM_UNAVAILABLE", "source": "orders"}),
        (TimedOut("orders", counts=True), {"code": "UPSTREAM_TIMEOUT", "source": "orders"}),
        (BadAnswer("orders", counts=True), {"code": "UPSTREAM_ERROR", "source": "orders"}),
        (Rejected("orders", 400, Problem("t", "d")), {"code": "UPSTREAM_ERROR", "source": "orders"}),
        (Unauthenticated("orders"), {"code": "UNAUTHENTICATED", "source": "orders"}),
        (Forbidden("orders"), {"code": "FORBIDDEN", "source": "orders"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_error_of_a_service_has_its_code(error: SourceError, extensions: dict[str, object]) -> None:
    """And its source; `retryAfter` if it is known, in whole seconds and at least 1."""
    assert errors.of_execution(GraphQLError("x", original_error=error), "request-1")["extensions"] == extensions


def test_a_masked_fault_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Operators see what the client doesn't, except for the message."""
    errors.of_execution(GraphQLError("x", original_error=KeyError("secret")), "request-1")
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("bff.errors", "ERROR")
    assert record.fields["kind"] == "KeyError"  # type: ignore[attr-defined]
    assert "secret" not in str(vars(record))
