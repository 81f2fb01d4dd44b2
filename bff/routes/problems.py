"""Errors as problem documents (RFC 9457), with the gateway's codes. Nothing of a service's address or text is in them."""

from http import HTTPStatus
from math import ceil
from typing import Any

import orjson

from bff.errors import (
    INTERNAL,
    GatewayError,
    Headers,
    RoleNeeded,
    TokenNeeded,
    VariantNotAllowed,
    log_fault,
)
from bff.request.response import EncodedResponse
from bff.upstream.errors import SourceError

_STATUSES = {"RATE_LIMITED": 429, "UPSTREAM_UNAVAILABLE": 503, "UPSTREAM_TIMEOUT": 504}
"""By code. Any other error of a service is 502."""

_DETAILS: dict[type[GatewayError], str] = {
    TokenNeeded: "Sign in to use this.",
    RoleNeeded: "This is not for you.",
    VariantNotAllowed: "This API key is not for this.",
}
"""What errors say whose own message is about a graph."""


def problem(status: int, code: str, detail: str, headers: Headers = (), retry_after: int | None = None) -> EncodedResponse:
    """An error's response. Its `outcome` is `refused`, or `failed` if the client is not the reason."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if retry_after is not None:
        content["retryAfter"] = retry_after
    body = orjson.dumps(content)
    own: Headers = (
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    )
    return EncodedResponse(status, (*own, *headers), body, (code,), "refused" if status < 500 else "failed")


def problem_of(error: Exception, request_id: str) -> EncodedResponse:
    """The response to a request that failed with this error. An error that is no refusal is logged and masked."""
    if isinstance(error, GatewayError):
        detail = _DETAILS.get(type(error), error.message)
        retry_after = error.extensions.get("retryAfter")
        return problem(error.status or 400, error.code, detail, error.headers, retry_after)
    if isinstance(error, SourceError):
        status = _STATUSES.get(error.code, 502)
        if error.retry_after is None:
            return problem(status, error.code, error.message)
        seconds = max(1, ceil(error.retry_after))  # rounded up, so that no client retries too early
        return problem(status, error.code, error.message, ((b"retry-after", b"%d" % seconds),), seconds)
    log_fault(error, request_id)
    return problem(500, INTERNAL, "Internal server error.")
