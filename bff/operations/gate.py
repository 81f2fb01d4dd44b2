"""A call through the pipeline: the same steps, with parameters in place of a document, and with HTTP's own statuses."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from bff.errors import BadRequest
from bff.request import http, pipeline
from bff.request.exchange import Exchange, Response
from bff.request.http import GraphQLRequest, MediaType
from bff.request.pipeline import METHODS, READS, Services, Step

_WRITE = b"POST, OPTIONS"
_STATUSES: Mapping[str, int] = {
    "BAD_USER_INPUT": 400,
    "QUERY_TOO_COMPLEX": 400,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "RATE_LIMITED": 429,
    "UPSTREAM_ERROR": 502,
    "UPSTREAM_UNAVAILABLE": 503,
    "UPSTREAM_TIMEOUT": 504,
}
"""Of an answer that has nothing but errors. Any other is no fault of the client's: the document is the gateway's own."""


async def accept(exchange: Exchange, _: Services) -> Response | None:
    """The answer is JSON, and nothing else. Which names there are is not told to whom the variant is not for."""
    call, is_for_anybody = exchange.called, exchange.endpoint.variant.role is None
    response = pipeline.take_form(exchange, _WRITE if is_for_anybody and call is not None and call.is_mutation else METHODS)
    exchange.media = MediaType.JSON
    return response


async def read(exchange: Exchange, _: Services) -> Response | None:
    """The operation that is called, with its parameters as variables."""
    call = exchange.called
    if call is None:
        raise BadRequest("There is no operation of that name.", status=404)
    if exchange.scope["method"] in READS:
        if call.is_mutation:
            raise BadRequest("A GET is only ever a query.", status=405, headers=((b"allow", _WRITE),))
        variables = call.of_query(exchange.scope["query_string"])
    else:
        http.check_content(exchange.header(b"content-type"), exchange.header(b"content-encoding"))
        variables = call.of_body(await pipeline.read_body(exchange))
    exchange.request = GraphQLRequest(call.text, call.operation, variables)
    return None


def gate() -> Sequence[Step]:
    """The pipeline's gate with this module's steps for negotiation and decoding."""
    return pipeline.replaced(pipeline.GATE, {pipeline.negotiate: accept, pipeline.decode: read})


GATE = gate()


async def run(exchange: Exchange, services: Services) -> Response:
    """Answer a call. Raises `http.ClientDisconnected` where nobody is left to answer, and nothing else."""
    return with_status(await pipeline.run(exchange, services, GATE))


class _Extensions(msgspec.Struct):
    code: str
    retry_after: int | None = msgspec.field(default=None, name="retryAfter")


class _Error(msgspec.Struct):
    extensions: _Extensions


class _Answer(msgspec.Struct):
    errors: list[_Error] = []
    data: dict[str, Any] | None = None


_answer = msgspec.json.Decoder(_Answer)


def with_status(response: Response) -> Response:
    """The response with the status of its first error, where it has nothing else to give."""
    if response.status != 200 or not response.codes:
        return response
    told = _answer.decode(response.body)
    if any(value is not None for value in (told.data or {}).values()):
        return response
    first = told.errors[0].extensions
    status = _STATUSES.get(first.code, 500)
    headers = response.headers
    if status == 401:
        headers += ((b"www-authenticate", b"Bearer"),)
    if first.retry_after is not None and status in {429, 503, 504}:
        headers += ((b"retry-after", b"%d" % first.retry_after),)
    return replace(response, status=status, headers=headers)
