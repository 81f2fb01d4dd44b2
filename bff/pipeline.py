"""The steps of a GraphQL request, in their one order. Each may end it, by an answer or by an error; none knows the next.

`run` is the only driver: it makes an answer of whatever comes, so that a client always gets a well-formed one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import OperationType

from bff import errors, http
from bff.engine.answer import Answer, begin
from bff.engine.arguments import InvalidVariables
from bff.engine.operation import Operation
from bff.errors import (
    BadRequest,
    DocumentError,
    Draining,
    GatewayError,
    PersistedQueryNotSupported,
    RoleNeeded,
    TokenNeeded,
)
from bff.exchange import Exchange, Response
from bff.gate.auth import Authenticator
from bff.hangup import UntilGone
from bff.http import GraphQLRequest, MediaType
from bff.observe.metrics import Metrics
from datasources.caller import Caller
from datasources.loop import TimeLimit
from schema.context import Context
from schema.loaders import Loaders
from schema.sources import Sources


@dataclass(frozen=True, slots=True)
class Services:
    """What the steps work with, bound at start-up."""

    authenticator: Authenticator
    sources: Sources
    metrics: Metrics
    is_draining: Callable[[], bool]


Step = Callable[[Exchange, Services], Awaitable[Response | None]]


async def admit(_: Exchange, services: Services) -> Response | None:
    """Nothing new once the gateway is about to stop."""
    if services.is_draining():
        raise Draining
    return None


async def negotiate(exchange: Exchange, _: Services) -> Response | None:
    """GraphiQL for a browser; else the form of the answer, so that whatever follows is said in it."""
    method = exchange.scope["method"]
    accept = exchange.header(b"accept")
    page = exchange.endpoint.page
    if method == "GET" and page is not None and http.wants_html(accept) and not exchange.scope["query_string"]:
        return Response(200, tuple(page.headers), page.body, outcome="page")
    media = http.negotiate(accept)
    if method not in {"GET", "POST"}:
        raise BadRequest("Expected GET or POST.", status=405, headers=((b"allow", b"GET, POST"),))
    if media is None:
        raise BadRequest(f"The answer comes as {MediaType.RESPONSE} or {MediaType.JSON}.", status=406)
    exchange.media = media
    return None


async def authenticate(exchange: Exchange, services: Services) -> Response | None:
    """Who asks, and whether this variant is for them: before a byte of the body is read."""
    exchange.signed_in = services.authenticator.authenticate(exchange.headers.get(b"authorization", []))
    role = exchange.endpoint.variant.role
    if role is not None:
        if exchange.signed_in is None:
            raise TokenNeeded
        if role not in exchange.signed_in.viewer.roles:
            raise RoleNeeded
    return None


async def decode(exchange: Exchange, _: Services) -> Response | None:
    """The request itself, from the body or from the parameters."""
    if exchange.scope["method"] == "GET":
        exchange.request = http.decode_query(exchange.scope["query_string"])
        return None
    http.check_content(exchange.header(b"content-type"), exchange.header(b"content-encoding"))
    limit = exchange.endpoint.limits.body_bytes
    timer = TimeLimit(exchange.deadline.left())
    try:
        body = await http.read_body(exchange.receive, exchange.header(b"content-length"), limit)
    except asyncio.CancelledError:
        if not timer.has_cut_off():
            raise
        raise BadRequest("The body took too long.", status=408, headers=((b"connection", b"close"),)) from None
    finally:
        timer.lift()
    exchange.request = http.decode_body(body)
    return None


async def prepare(exchange: Exchange, services: Services) -> Response | None:
    """The operation that is meant: known, or parsed, measured and validated now."""
    request = _decoded(exchange)
    if request.query is None:
        if request.document_id is not None or "persistedQuery" in (request.extensions or {}):
            raise PersistedQueryNotSupported
        raise BadRequest("Expected a query.")
    prepared, known = exchange.endpoint.plans.get(request.query)
    services.metrics.document(exchange.endpoint.variant.name, known=known)
    operation = exchange.operation = prepared.operation(request.operation_name)
    if exchange.scope["method"] == "GET" and operation.kind is not OperationType.QUERY:
        raise BadRequest("A GET is only ever a query.", status=405, headers=((b"allow", b"POST"),))
    exchange.endpoint.plans.check_cost(operation, request.variables or {})
    if request.extensions and request.extensions.get("explain") is True and exchange.endpoint.page is not None:
        return _explained(exchange, operation, request.variables or {})
    return None


async def execute(exchange: Exchange, services: Services) -> Response | None:
    """Run it, with loaders and a context that are this request's alone."""
    signed_in, operation = exchange.signed_in, exchange.operation
    if operation is None:
        raise AssertionError("prepare comes before execute")
    caller = Caller(
        exchange.request_id,
        exchange.traceparent,
        exchange.deadline,
        signed_in.identity if signed_in else None,
        exchange.calls,
    )
    context = Context(
        exchange.endpoint.variant,
        signed_in.viewer if signed_in else None,
        caller,
        services.sources,
        Loaders(services.sources, caller),
    )
    try:
        answer = begin(operation, _decoded(exchange).variables, context)
        if not isinstance(answer, Answer):
            async with UntilGone(exchange.receive):
                answer = await answer
    finally:
        context.loaders.close()
    services.metrics.operation(exchange.endpoint.variant.name, answer.by)
    return _of_answer(exchange, answer)


STEPS: Sequence[Step] = (
    admit,  # first: a gateway that stops shall not begin anything
    negotiate,  # before all that may fail, so that the failure is said in the form that was asked for
    authenticate,  # before the body: who may not, need not be read
    decode,
    prepare,  # after the token: what a variant knows is not told to those it is not for
    execute,
)


async def run(exchange: Exchange, services: Services, steps: Sequence[Step] = STEPS) -> Response:
    """Answer a request. Raises `http.ClientGone` where nobody is left to answer, and nothing else."""
    try:
        return await _through(steps, exchange, services)
    except http.ClientGone:  # nobody to answer
        raise
    except GatewayError as error:
        return _refusal(exchange, [errors.of_gateway(error)], error.status, error.headers)
    except DocumentError as error:
        return _refusal(exchange, [errors.of_document(fault, error.code) for fault in error.errors], None)
    except Exception as error:  # noqa: BLE001 - the last line: a fault of ours is answered as one, and told to the log
        errors.log_fault(error, exchange.request_id)
        return _refusal(exchange, [dict(errors.internal())], 500)


async def _through(steps: Sequence[Step], exchange: Exchange, services: Services) -> Response:
    for step in steps:
        response = await step(exchange, services)
        if response is not None:
            return response
    raise AssertionError("the last step answers")


def _explained(exchange: Exchange, operation: Operation, variables: Mapping[str, Any]) -> Response:
    """What the operation would ask for, for those who explore: only where GraphiQL is served."""
    try:
        told = exchange.endpoint.plans.explain(operation, variables)
    except InvalidVariables as invalid:
        return _refusal(exchange, [errors.of_document(fault, "BAD_USER_INPUT") for fault in invalid.errors], None)
    body = http.encode({"data": None, "extensions": {"explain": {"text": told.as_text(), **told.as_json()}}})
    return Response(200, http.content_headers(exchange.media or MediaType.JSON, body), body, outcome="explained")


def _of_answer(exchange: Exchange, answer: Answer) -> Response:
    if not answer.executed:
        return _refusal(exchange, answer.payload["errors"], None)
    media = exchange.media or MediaType.JSON
    body = http.encode(answer.payload)
    codes = tuple(answer.codes)
    outcome = "ok" if not codes else "partial" if answer.payload["data"] is not None else "error"
    return Response(200, http.content_headers(media, body), body, codes, outcome)


def _refusal(exchange: Exchange, told: list[dict[str, Any]], status: int | None, headers: errors.Headers = ()) -> Response:
    """An answer without `data`. Where the request was well-formed, the media type decides the status."""
    media = exchange.media or http.negotiate(exchange.header(b"accept")) or MediaType.JSON
    if status is None:
        status = 400 if media is MediaType.RESPONSE else 200
    body = http.encode({"errors": told})
    return Response(status, http.content_headers(media, body) + headers, body, tuple(errors.codes_of(told)), "refused")


def _decoded(exchange: Exchange) -> GraphQLRequest:
    if exchange.request is None:
        raise AssertionError("decode comes first")
    return exchange.request
