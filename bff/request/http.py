"""Reading a request (GraphQL over HTTP): the media type it accepts, its body, the GraphQL requests in it.

The only I/O is reading the body. `encoding.py` writes responses.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive

from bff.errors import BadRequest, CsrfPrevented
from bff.runtime.memo import memoized

if TYPE_CHECKING:
    from bff.engine.operation import Operation

READS = frozenset({"GET", "HEAD"})
"""The methods of requests without a body, by which no mutation may run."""

_MOST_PARAMETERS = 20
_FORM_TYPES = frozenset({"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"})
_QUALITY = re.compile(r"(0(\.\d{0,3})?|1(\.0{0,3})?)\Z")
_LONGEST_ACCEPT = 1024
"""Bytes. A longer `Accept` is ignored (RFC 9110, section 12.5.1 allows it): thousands of ranges would block the loop."""


class MediaType(StrEnum):
    """The two media types of responses. They differ in the HTTP statuses that errors have."""

    RESPONSE = "application/graphql-response+json"
    JSON = "application/json"


class GraphQLRequest(msgspec.Struct, frozen=True, rename="camel"):
    """A GraphQL request, from a JSON body or from URL parameters. Members that it doesn't know are ignored."""

    query: str | None = None
    operation_name: str | None = None
    variables: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None
    document_id: str | None = None


_request = msgspec.json.Decoder(GraphQLRequest)
_batch = msgspec.json.Decoder(list[GraphQLRequest])
_members = msgspec.json.Decoder(dict[str, Any])


def negotiate(accept: bytes | None) -> MediaType | None:
    """The media type of the response, by the request's `Accept`; None if the client accepts neither.

    It is `application/json`, which every client reads, if there is no `Accept` or if a wildcard allows both.
    """
    return MediaType.JSON if accept is None else _accepted(accept)


@memoized(max_entries=256, max_length=_LONGEST_ACCEPT, too_long=lambda _: MediaType.JSON)
def _accepted(accept: bytes) -> MediaType | None:
    qualities: dict[MediaType, float] = {}
    ranges = [_media_range(part) for part in accept.decode("latin-1").split(",") if part.strip()]
    for media in MediaType:
        # The most specific of the matching ranges decides (RFC 9110, section 12.5.1).
        matching = [(rank, q) for name, q in ranges if (rank := _rank(name, media))]
        qualities[media] = max(matching)[1] if matching else 0.0
    best = max(qualities.values())
    if best <= 0:
        return None
    named = {name for name, q in ranges if q == best}
    if MediaType.RESPONSE in named:
        return MediaType.RESPONSE
    return MediaType.JSON if qualities[MediaType.JSON] == best else MediaType.RESPONSE


def wants_html(accept: bytes | None) -> bool:
    """Whether the request comes from a browser's address bar, which names `text/html`, and not from a program."""
    if accept is None or len(accept) > _LONGEST_ACCEPT:
        return False
    ranges = accept.decode("latin-1").split(",")
    return any(name == "text/html" and q > 0 for name, q in map(_media_range, ranges))


def _media_range(part: str) -> tuple[str, float]:
    """A media range and its quality. Parameters are ignored, except for a charset other than UTF-8: its quality is 0."""
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            quality = float(value) if _QUALITY.match(value.strip()) else 0.0
        elif key.strip() == "charset" and not _is_utf8(value):
            return name, 0.0
    return name, quality


def _is_utf8(charset: str) -> bool:
    return charset.strip().strip('"') in {"utf-8", "utf8"}


def _rank(name: str, media: MediaType) -> int:
    """How specifically a range matches the media type: 3 by its name, 2 by its main type, 1 by `*/*`, 0 not at all."""
    return {media.value: 3, "application/*": 2, "*/*": 1}.get(name, 0)


def check_content(content_type: bytes | None, encoding: bytes | None) -> None:
    """Check that the body of a POST is JSON in UTF-8 and not compressed. Raises `CsrfPrevented`, `BadRequest` (415)."""
    if content_type == b"application/json" and encoding is None:
        return
    name, *parameters = (piece.strip().lower() for piece in (content_type or b"").decode("latin-1").split(";"))
    if name in _FORM_TYPES:
        raise CsrfPrevented("A POST is expected with content-type application/json.", status=415)
    if name != "application/json":
        raise BadRequest("Expected content-type application/json.", status=415)
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "charset" and not _is_utf8(value):
            raise BadRequest("Expected charset utf-8.", status=415)
    if encoding is not None and encoding.strip().lower() not in {b"", b"identity"}:
        raise BadRequest("Expected a body without content-encoding.", status=415)


async def read_body(receive: Receive, content_length: bytes | None, max_bytes: int) -> bytes:
    """The whole body, at most `max_bytes`. Raises `BadRequest` (413), `ClientDisconnected`."""
    if content_length is not None and content_length.isdigit() and int(content_length[:20]) > max_bytes:
        raise _too_large(max_bytes)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class ClientDisconnected(Exception):
    """The client has disconnected, so that no response can be sent.

    Attributes:
        outcome: of the request's mutations, which ran to their end; None if it had none.
        codes: of the errors in these mutations' responses.
        operation: for the access log; None if it was not known yet, or if the request is a batch.
    """

    def __init__(self, outcome: str | None = None, codes: Sequence[str] = (), operation: "Operation | None" = None) -> None:
        super().__init__()
        self.outcome = outcome
        self.codes = tuple(codes)
        self.operation = operation


def _too_large(max_bytes: int) -> BadRequest:
    # The rest of the body is not read, so the connection can't be used for another request.
    return BadRequest(f"The body is longer than {max_bytes} bytes.", status=413, headers=((b"connection", b"close"),))


def decode_body(body: bytes, max_batch: int = 1) -> GraphQLRequest | list[GraphQLRequest]:
    """The GraphQL request in a JSON body, or the 1 to `max_batch` requests of a batch. Raises `BadRequest`."""
    try:
        decoded = (_batch if body.lstrip()[:1] == b"[" else _request).decode(body)
    except msgspec.ValidationError as error:
        raise BadRequest(f"The body is no GraphQL request: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("The body is not valid JSON.") from error
    if isinstance(decoded, list) and not 1 <= len(decoded) <= max_batch:
        raise BadRequest(f"The batch has {len(decoded)} requests: expected 1 to {max_batch}.")
    return decoded


def parameters_of(query_string: bytes, max_parameters: int) -> list[tuple[str, str]]:
    """The names and values of a query string, in order. Raises `ValueError` if it is malformed or has too many."""
    text = query_string.decode("ascii")
    return parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=max_parameters)


def decode_query(query_string: bytes) -> GraphQLRequest:
    """The GraphQL request in the URL parameters of a GET. Raises `BadRequest`."""
    try:
        pairs = parameters_of(query_string, _MOST_PARAMETERS)
    except ValueError as error:
        raise BadRequest(f"The URL parameters are malformed, or more than {_MOST_PARAMETERS}.") from error
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        raise BadRequest("A URL parameter is given twice.")
    return GraphQLRequest(
        query=parameters.get("query"),
        operation_name=parameters.get("operationName") or None,
        variables=_decode_parameter(parameters, "variables"),
        extensions=_decode_parameter(parameters, "extensions"),
        document_id=parameters.get("documentId"),
    )


def _decode_parameter(parameters: dict[str, str], name: str) -> dict[str, Any] | None:
    text = parameters.get(name, "")
    if text in {"", "null"}:
        return None
    try:
        return _members.decode(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{name}: expected a JSON object.") from error
