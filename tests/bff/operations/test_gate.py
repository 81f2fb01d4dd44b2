"""REST's HTTP statuses, by the errors in a response, and the pipeline that calls pass."""

import pytest

from bff.operations.gate import with_status
from bff.request.response import Response


def failed(data: object, *codes: str, status: int = 200, **extensions: object) -> Response:
    """A response with errors of those codes."""
    errors = [{"message": "m", "extensions": {"code": code, **extensions}} for code in codes]
    return Response({"errors": errors, "data": data}, status, codes=codes)


@pytest.mark.parametrize(
    ("response", "status"),
    [
        (failed({"a": 1}, "FORBIDDEN"), 200),
        (failed({"a": None, "b": 0}, "FORBIDDEN"), 200),
        (failed({"a": None, "b": None}, "FORBIDDEN", "UPSTREAM_ERROR"), 403),
        (failed(None, "UPSTREAM_TIMEOUT", "FORBIDDEN"), 504),
        (failed(None, "INTERNAL_SERVER_ERROR"), 500),
        (failed(None, "GRAPHQL_VALIDATION_FAILED"), 500),
        (failed(None, "BAD_REQUEST", status=415), 415),
        (Response({"errors": [{"message": "m", "extensions": {"code": "FORBIDDEN"}}]}, codes=("FORBIDDEN",)), 403),
        (Response({"data": {"a": None}}), 200),
        (Response(b'{"data":{"a":null}}'), 200),
    ],
)
def test_the_first_error_decides_the_status_if_there_is_no_data(response: Response, status: int) -> None:
    """If there is data, or no error, or if the request was refused with a status, it stays as it is."""
    assert with_status(response).status == status


def test_headers_that_go_with_a_status() -> None:
    """When to retry (RFC 9110, section 10.2.3), and how to sign in (section 11.6.1), after the response's own."""
    assert with_status(failed(None, "UPSTREAM_UNAVAILABLE", retryAfter=7)).headers == ((b"retry-after", b"7"),)
    assert with_status(failed({"a": None}, "UNAUTHENTICATED")).headers == ((b"www-authenticate", b"Bearer"),)
    assert with_status(failed(None, "UPSTREAM_ERROR", retryAfter=7)).headers == ()
