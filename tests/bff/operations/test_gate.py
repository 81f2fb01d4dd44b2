"""Which status an answer has, by what is in it."""

import orjson
import pytest

from bff.operations.gate import with_status
from bff.request.exchange import Response


def told(data: object, *codes: str, status: int = 200, **extensions: object) -> Response:
    """An answer with errors of those codes."""
    errors = [{"message": "m", "extensions": {"code": code, **extensions}} for code in codes]
    return Response(status, (), orjson.dumps({"errors": errors, "data": data}), codes)


@pytest.mark.parametrize(
    ("response", "status"),
    [
        (told({"a": 1}, "FORBIDDEN"), 200),
        (told({"a": None, "b": 0}, "FORBIDDEN"), 200),
        (told({"a": None, "b": None}, "FORBIDDEN", "UPSTREAM_ERROR"), 403),
        (told(None, "UPSTREAM_TIMEOUT", "FORBIDDEN"), 504),
        (told(None, "INTERNAL_SERVER_ERROR"), 500),
        (told(None, "GRAPHQL_VALIDATION_FAILED"), 500),
        (told(None, "BAD_REQUEST", status=415), 415),
        (Response(200, (), b'{"data":{"a":null}}'), 200),
        (Response(304, (), b""), 304),
    ],
)
def test_the_first_error_decides_where_there_is_nothing_else(response: Response, status: int) -> None:
    """Otherwise it is as it was."""
    assert with_status(response).status == status


def test_headers_that_go_with_a_status() -> None:
    """When to come back (RFC 9110, section 10.2.3), and how to sign in (section 11.6.1)."""
    assert (b"retry-after", b"7") in with_status(told(None, "UPSTREAM_UNAVAILABLE", retryAfter=7)).headers
    assert (b"www-authenticate", b"Bearer") in with_status(told({"a": None}, "UNAUTHENTICATED")).headers
