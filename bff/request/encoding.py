"""A response as bytes: its JSON, the headers of its content, and its validator (ETag)."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from math import inf
from typing import Any

import orjson

from bff.errors import Headers
from bff.request.compression import without_coding
from bff.request.exchange import Exchange
from bff.request.http import READS, MediaType
from bff.request.response import NO_STORE, EncodedResponse, Response, refusal_for
from bff.upstream.caller import Freshness

_CONTENT_TYPE = {media: (b"content-type", media.value.encode() + b"; charset=utf-8") for media in MediaType}
_ALWAYS = (
    (b"vary", b"Accept, Accept-Encoding, Authorization, X-API-Key"),
    (b"x-content-type-options", b"nosniff"),
)
_PUBLIC = b"public"
_OF_THE_BODY = frozenset({b"content-type", b"content-length"})
_LEAST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**64 - 1
"""The range of integers that orjson accepts."""


def encode(exchange: Exchange, response: Response | EncodedResponse) -> EncodedResponse:
    """The response to an exchange as it is sent. Content that can't be encoded becomes an internal error.

    If a GET's response may be cached, it gets an `ETag`; if the client has it already, it is a 304 without a body
    (RFC 9110, sections 13.1.2 and 15.4.5).
    """
    if isinstance(response, EncodedResponse):
        return response
    response, body = _encoded_content(exchange, response)
    status, headers = response.status, content_headers(exchange.media, body, response.cache_control)
    if response.cache_control is not NO_STORE and exchange.scope["method"] in READS:
        etag = etag_of(body)
        known = known_validator(etag, exchange.header(b"if-none-match"))
        if known is not None:
            headers = tuple(each for each in headers if each[0] not in _OF_THE_BODY)
            status, body, etag = 304, b"", known
        headers = (*headers, (b"etag", etag))
        # A shared cache would show one client's counts to others.
        counts = () if response.cache_control.startswith(_PUBLIC) else exchange.ledger.headers()
    else:
        counts = exchange.ledger.headers()
    headers = (*headers, *response.headers, *counts, *exchange.endpoint.vary)
    if exchange.returned:
        headers += exchange.returned.headers()
    return EncodedResponse(status, headers, body, response.codes, response.outcome, response.operation)


def encode_part(exchange: Exchange, response: Response) -> Response:
    """A part of a batch, with its content as bytes."""
    response, body = _encoded_content(exchange, response)
    return replace(response, content=body)


def join_parts(parts: Sequence[Response]) -> Response:
    """The response to a batch: a list of its parts' responses, which are encoded."""
    body = b"[" + b",".join([_bytes_of(part) for part in parts]) + b"]"
    return Response(body, codes=codes_of_all(parts), outcome=outcome_of_all(parts))


def codes_of_all(parts: Sequence[Response]) -> tuple[str, ...]:
    """The error codes of all parts, each once, in order."""
    return tuple(dict.fromkeys(code for part in parts for code in part.codes))


def outcome_of_all(parts: Sequence[Response]) -> str:
    """The outcome that all parts have in common, otherwise `partial`."""
    outcomes = {part.outcome for part in parts}
    return outcomes.pop() if len(outcomes) == 1 else "partial"


def _encoded_content(exchange: Exchange, response: Response) -> tuple[Response, bytes]:
    """The response and its content as bytes. It is an internal error instead if the content can't be encoded."""
    try:
        return response, _bytes_of(response)
    except Exception as error:  # noqa: BLE001 - whatever a resolver or scalar has put into it
        masked = refusal_for(error, exchange, response.operation)
        return masked, _bytes_of(masked)


def _bytes_of(response: Response) -> bytes:
    content = response.content
    if isinstance(content, bytes):
        return content
    body = encode_json(content)
    if response.on_encoded is not None:
        response.on_encoded(body)
    return body


def encode_json(value: Any) -> bytes:
    """A value as UTF-8 JSON. Two kinds of values are encoded that orjson refuses.

    An integer beyond 64 bits is written in full. An unpaired surrogate, which is no character, is replaced by U+FFFD.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        return orjson.dumps(_encodable(value))


def _encodable(value: Any) -> Any:
    """The value in a form that orjson accepts."""
    if isinstance(value, dict):
        return {_encodable(name): _encodable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(each) for each in value]
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if type(value) is int and not _LEAST_INTEGER <= value <= _LARGEST_INTEGER:
        return orjson.Fragment(str(value))
    return value


def content_headers(media: MediaType, body: bytes, cache_control: bytes = NO_STORE) -> Headers:
    """The headers that every GraphQL response has."""
    return (
        _CONTENT_TYPE[media],
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", cache_control),
        *_ALWAYS,
    )


def cache_control_of(freshness: Freshness, *, is_private: bool) -> bytes:
    """`Cache-Control` of a response, by the strictest of the upstream responses that it was made from.

    A response that was made from none has no known age, and is not to be cached.

    Args:
        freshness: what was noted of these upstream responses.
        is_private: whether the request carries a token or an API key.
    """
    if not freshness.may_keep or freshness.left_s == inf:
        return NO_STORE
    scope = b"private" if is_private or not freshness.is_shared else _PUBLIC
    seconds = int(freshness.left_s)
    return b"%s, max-age=%d" % (scope, seconds) if seconds > 0 else b"%s, no-cache" % scope


def etag_of(body: bytes) -> bytes:
    """A strong validator of a body (RFC 9110, section 8.8.3)."""
    return b'"' + blake2b(body, digest_size=16).hexdigest().encode() + b'"'


def known_validator(etag: bytes, if_none_match: bytes | None) -> bytes | None:
    """The client's validator of the body with that validator; None if it has another body or none.

    The comparison is weak (RFC 9110, section 13.1.2), and the client may have the body compressed.
    """
    if if_none_match is None:
        return None
    if if_none_match.strip() == b"*":
        return etag
    for each in if_none_match.split(b","):
        validator = each.strip().removeprefix(b"W/")
        if without_coding(validator) == etag:
            return validator
    return None
