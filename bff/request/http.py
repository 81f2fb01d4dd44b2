"""GraphQL over HTTP: what a request asks for and in which form, and an answer as bytes. No I/O but reading the body.

After the GraphQL-over-HTTP specification: both media types, POST and GET; 405, 406, 413 and 415 where they are due.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from hashlib import blake2b
from math import inf
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import orjson
from starlette.types import Receive

from bff.errors import BadRequest, CsrfPrevented, Headers
from bff.runtime.memo import memoized
from bff.upstream.caller import Freshness

_MOST_PARAMETERS = 20
_FORM_TYPES = frozenset({"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"})
_QUALITY = re.compile(r"(0(\.\d{0,3})?|1(\.0{0,3})?)\Z")

_LONGEST_ACCEPT = 1024
"""A longer `Accept` is disregarded (RFC 9110, section 12.5.1 allows it): thousands of ranges would hold the event loop."""


class MediaType(StrEnum):
    """The two forms of an answer; they differ in the statuses they come with."""

    RESPONSE = "application/graphql-response+json"
    JSON = "application/json"


class GraphQLRequest(msgspec.Struct, frozen=True, rename="camel"):
    """The members of a request, whether they came as a JSON body or as parameters. Others are ignored."""

    query: str | None = None
    operation_name: str | None = None
    variables: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None
    document_id: str | None = None


_request = msgspec.json.Decoder(GraphQLRequest)
_batch = msgspec.json.Decoder(list[GraphQLRequest])
_members = msgspec.json.Decoder(dict[str, Any])


def negotiate(accept: bytes | None) -> MediaType | None:
    """The form in which to answer, None where the client takes neither.

    Without an `Accept`, and for any of several, it is `application/json`, which every client reads.
    """
    return MediaType.JSON if accept is None else _accepted(accept)


@memoized(max_entries=256, max_length=_LONGEST_ACCEPT, too_long=lambda _: MediaType.JSON)
def _accepted(accept: bytes) -> MediaType | None:
    qualities: dict[MediaType, float] = {}
    ranges = [_media_range(part) for part in accept.decode("latin-1").split(",") if part.strip()]
    for media in MediaType:
        # Of the ranges that match, the most specific one counts (RFC 9110, section 12.5.1).
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
    """Whether a browser's address bar is asking, rather than a program."""
    if accept is None or len(accept) > _LONGEST_ACCEPT:
        return False
    ranges = accept.decode("latin-1").split(",")
    return any(name == "text/html" and q > 0 for name, q in map(_media_range, ranges))


def _media_range(part: str) -> tuple[str, float]:
    """A media range and its quality; a parameter that can't be met leaves the range as it is, but for its charset."""
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
    """How closely a range names the media type: 3 itself, 2 its kind, 1 anything, 0 not at all."""
    return {media.value: 3, "application/*": 2, "*/*": 1}.get(name, 0)


def check_content(content_type: bytes | None, encoding: bytes | None) -> None:
    """Whether a POST's body is one that is read here. Raises `CsrfPrevented`, `BadRequest`."""
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


async def read_body(receive: Receive, declared: bytes | None, limit: int) -> bytes:
    """The whole body, at most `limit` bytes. Raises `BadRequest` (413), `ClientDisconnected`."""
    if declared is not None and declared.isdigit() and int(declared[:20]) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class ClientDisconnected(Exception):
    """The client has disconnected, so there is no one to answer.

    `outcome` and `codes` are those of its mutations, which ran to their end; None and empty if it had none.
    """

    def __init__(self, outcome: str | None = None, codes: Sequence[str] = ()) -> None:
        super().__init__()
        self.outcome = outcome
        self.codes = tuple(codes)


def _too_large(limit: int) -> BadRequest:
    # The rest of the body stays unread, so the connection is of no further use.
    return BadRequest(f"The body is longer than {limit} bytes.", status=413, headers=((b"connection", b"close"),))


def decode_body(body: bytes, most: int = 1) -> GraphQLRequest | list[GraphQLRequest]:
    """A JSON body's request, or the requests of a batch, at most `most` of them. Raises `BadRequest`."""
    try:
        decoded = (_batch if body.lstrip()[:1] == b"[" else _request).decode(body)
    except msgspec.ValidationError as error:
        raise BadRequest(f"The request is not as expected: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("The body is no JSON that can be read.") from error
    if isinstance(decoded, list) and not 1 <= len(decoded) <= most:
        raise BadRequest(f"Requests in the batch: {len(decoded)}, allowed are 1 to {most}.")
    return decoded


def parameters_of(query_string: bytes, most: int) -> list[tuple[str, str]]:
    """Names and values as they stand there, at most `most` of them. Raises `ValueError`."""
    return parse_qsl(
        query_string.decode("ascii"), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=most
    )


def decode_query(query_string: bytes) -> GraphQLRequest:
    """A GET's request from its parameters. Raises `BadRequest`."""
    try:
        pairs = parameters_of(query_string, _MOST_PARAMETERS)
    except ValueError as error:
        raise BadRequest("The parameters can't be read.") from error
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        raise BadRequest("A parameter is given twice.")
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


def encode(payload: Any) -> bytes:
    """An answer as UTF-8 JSON. It takes two kinds of values that orjson refuses.

    Integers beyond 64 bits are written as they are; an unpaired surrogate, which is no character, is replaced by U+FFFD.
    """
    try:
        return orjson.dumps(payload)
    except TypeError:
        return orjson.dumps(_encodable(payload))


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


_LEAST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**64 - 1
"""The range of integers that orjson accepts."""


_CONTENT_TYPE = {media: (b"content-type", media.value.encode() + b"; charset=utf-8") for media in MediaType}
_ALWAYS = (
    (b"vary", b"Accept, Authorization, X-API-Key"),
    (b"x-content-type-options", b"nosniff"),
)
NO_STORE = b"no-store"


def canonical(variables: Mapping[str, Any] | None) -> bytes:
    """Variables as bytes: equal variables have equal bytes. Raises `ValueError` if they have no such form.

    orjson refuses integers beyond 64 bits and unpaired surrogates.
    """
    try:
        return orjson.dumps(variables or {}, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise ValueError("no canonical form") from error


def joined(bodies: Sequence[bytes]) -> bytes:
    """The answers of a batch as one list."""
    return b"[" + b",".join(bodies) + b"]"


def content_headers(media: MediaType, body: bytes, cache_control: bytes = NO_STORE) -> Headers:
    """The headers that go with every GraphQL answer."""
    return (
        _CONTENT_TYPE[media],
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", cache_control),
        *_ALWAYS,
    )


def cache_control_of(freshness: Freshness, *, is_private: bool) -> bytes:
    """How long others may keep an answer: as long as all that went into it, and no others than all of that allows.

    An answer for which nothing was asked is not told to be of any age.
    """
    if not freshness.may_keep or freshness.left_s == inf:
        return NO_STORE
    whose = b"private" if is_private or not freshness.is_shared else b"public"
    seconds = int(freshness.left_s)
    return b"%s, max-age=%d" % (whose, seconds) if seconds > 0 else b"%s, no-cache" % whose


def etag_of(body: bytes) -> bytes:
    """A strong validator of an answer's bytes (RFC 9110, section 8.8.3)."""
    return b'"' + blake2b(body, digest_size=16).hexdigest().encode() + b'"'


def is_known(etag: bytes, if_none_match: bytes | None) -> bool:
    """Whether the client says that it has that answer (RFC 9110, section 13.1.2: compared weakly)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == b"*":
        return True
    return any(each.strip().removeprefix(b"W/") == etag for each in if_none_match.split(b","))
