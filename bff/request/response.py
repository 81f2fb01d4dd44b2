"""What a request is answered with: a GraphQL response as data, or bytes that are ready to send."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bff import errors
from bff.errors import DocumentError, GatewayError, Headers
from bff.request.http import MediaType

if TYPE_CHECKING:
    from bff.engine.operation import Operation
    from bff.request.exchange import Exchange

NO_STORE = b"no-store"
"""`Cache-Control` of a response that must not be cached."""


@dataclass(frozen=True, slots=True)
class Response:
    """A GraphQL response before it is encoded. `encoding.encode` makes an `EncodedResponse` of it.

    Attributes:
        content: its members `data`, `errors` and `extensions`; bytes if it is encoded already, as from the cache.
        status: of HTTP.
        headers: those beside the content's own (type, length, caching), which encoding adds.
        cache_control: `Cache-Control`. Any but `NO_STORE` gives a GET a validator.
        codes: of its errors, each once, in order: for the access log.
        outcome: `ok`, `partial`, `error`, `refused` or `explained`: for the metrics.
        operation: for the access log; None if it is not known, or if the response is a batch's.
        on_encoded: called once with the encoded content.
    """

    content: Mapping[str, Any] | bytes
    status: int = 200
    headers: Headers = ()
    cache_control: bytes = NO_STORE
    codes: tuple[str, ...] = ()
    outcome: str = "ok"
    operation: "Operation | None" = None
    on_encoded: Callable[[bytes], None] | None = None


@dataclass(frozen=True, slots=True)
class EncodedResponse:
    """A response that is ready to send, except for `X-Request-ID`. Other attributes: see `Response`."""

    status: int
    headers: Headers
    body: bytes
    codes: tuple[str, ...] = ()
    outcome: str = "ok"
    operation: "Operation | None" = None


def refusal(
    exchange: "Exchange",
    entries: Sequence[Mapping[str, Any]],
    status: int | None,
    headers: Headers = (),
    operation: "Operation | None" = None,
) -> Response:
    """A response with errors and without `data`.

    `status` is None if the request is well-formed. Then the media type decides: 400, or 200 for `application/json`
    (GraphQL over HTTP, status codes).
    """
    if status is None:
        status = 400 if exchange.media is MediaType.RESPONSE else 200
    codes = tuple(errors.codes_of(entries))
    return Response({"errors": entries}, status, headers, codes=codes, outcome="refused", operation=operation)


def refusal_for(error: Exception, exchange: "Exchange", operation: "Operation | None" = None) -> Response:
    """The response to a request that failed with this error. An error that is no refusal is logged and masked."""
    if isinstance(error, GatewayError):
        return refusal(exchange, [errors.of_gateway(error)], error.status, error.headers, operation)
    if isinstance(error, DocumentError):
        entries = [errors.of_document(each, error.code) for each in error.errors]
        return refusal(exchange, entries, None, operation=operation)
    errors.log_fault(error, exchange.request_id)
    return refusal(exchange, [errors.internal()], 500, operation=operation)
