"""The steps of a GraphQL request, in their one order. Each may end it, by an answer or by an error; none knows the next.

The gate's steps are for the HTTP request, an operation's for each of those that came in it. `run` is the only driver: it
makes an answer of whatever comes, so that a client always gets a well-formed one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphql import OperationType

from bff import errors
from bff.engine.actual_cost import actual_cost
from bff.engine.answer import GraphQLResult, begin
from bff.engine.arguments import InvalidVariables
from bff.engine.operation import Operation
from bff.engine.plans import Prepared
from bff.errors import (
    BadRequest,
    DocumentError,
    Draining,
    GatewayError,
    RoleNeeded,
    TokenNeeded,
    TooManyDocuments,
    VariantNotAllowed,
)
from bff.gate.auth import Authenticator
from bff.gate.consumers import HEADER as API_KEY
from bff.gate.consumers import Consumers, granted
from bff.gate.counts import Counts
from bff.gate.limits import check_variables
from bff.gate.rate import Ledger, Subject, counted_name
from bff.gate.response_cache import response_key
from bff.gate.shared_state import SharedStateBudget
from bff.graph.context import Context
from bff.graph.controls import Controls
from bff.graph.loaders import Loaders
from bff.observe.metrics import Metrics
from bff.request import http
from bff.request.disconnect import CancelOnDisconnect, cancel_nothing
from bff.request.exchange import Exchange, Response
from bff.request.http import GraphQLRequest, MediaType
from bff.runtime.loop import TimeLimit, running_loop
from bff.upstream.caller import Caller, Freshness
from schema.sources import Sources


@dataclass(frozen=True, slots=True)
class Services:
    """What the steps work with, bound at start-up. `counts` is None where nothing is counted."""

    authenticator: Authenticator
    consumers: Consumers
    counts: Counts | None
    sources: Sources
    metrics: Metrics
    controls: Controls
    is_draining: Callable[[], bool]


Step = Callable[[Exchange, Services], Awaitable[Response | None]]


async def admit(_: Exchange, services: Services) -> Response | None:
    """Nothing new once the gateway is about to stop."""
    if services.is_draining():
        raise Draining
    return None


async def negotiate(exchange: Exchange, _: Services) -> Response | None:
    """GraphiQL for a browser; else the form of the answer, so that whatever follows is said in it."""
    accept = exchange.header(b"accept")
    page = exchange.endpoint.page
    is_read = exchange.scope["method"] in READS
    if is_read and page is not None and http.wants_html(accept) and not exchange.scope["query_string"]:
        return Response(200, tuple(page.headers), page.body, outcome="page")
    return take_form(exchange, METHODS)


def take_form(exchange: Exchange, methods: bytes) -> Response | None:
    """The form of the answer, of a request by one of those methods; OPTIONS is answered with them. Raises `BadRequest`."""
    method = exchange.scope["method"]
    if method == "OPTIONS":
        return Response(204, ((b"allow", methods), (b"content-length", b"0")), b"", outcome="options")
    if method not in _TAKEN:
        raise BadRequest("Expected GET or POST.", status=405, headers=((b"allow", methods),))
    media = http.negotiate(exchange.header(b"accept"))
    if media is None:
        raise BadRequest(f"The answer comes as {MediaType.RESPONSE} or {MediaType.JSON}.", status=406)
    exchange.media = media
    return None


async def authenticate(exchange: Exchange, services: Services) -> Response | None:
    """Identify the client and check that it may use this variant, before the body is read. A refusal is charged too."""
    try:
        await _identify(exchange, services)
    except GatewayError as error:
        if error.status in _CHARGED_REFUSALS:
            await charge(exchange, services)
        raise
    return None


async def _identify(exchange: Exchange, services: Services) -> None:
    """Raises `InvalidToken`, `InvalidApiKey`, `KeysUnavailable`, `VariantNotAllowed`, `TokenNeeded`, `RoleNeeded`."""
    signed_in = await services.authenticator.authenticate(exchange.headers.get(b"authorization", []))
    exchange.consumer = services.consumers.identify(exchange.headers.get(API_KEY, []))
    exchange.signed_in = signed_in  # only now: a request with a bad API key is charged to the address
    variant = exchange.endpoint.variant
    if exchange.consumer is not None and variant.name not in exchange.consumer.variants:
        raise VariantNotAllowed
    if signed_in is not None and not signed_in.may_use(variant.name):
        raise RoleNeeded
    if variant.role is not None:
        if signed_in is None:
            raise TokenNeeded
        if variant.role not in signed_in.viewer.roles:
            raise RoleNeeded


_CHARGED_REFUSALS = frozenset({401, 403})


async def charge(exchange: Exchange, services: Services) -> Response | None:
    """A request is taken from the counts of whoever asks."""
    if services.counts is not None:
        wait_budget = exchange.wait_budget = SharedStateBudget(exchange.deadline)
        exchange.ledger = Ledger(services.counts, exchange.endpoint.variant.name, _subjects(exchange), wait_budget)
        await exchange.ledger.charge_requests()
    return None


def _subjects(exchange: Exchange) -> list[Subject]:
    """Whose counts the request is on: a consumer's that has a rate of its own, and the user's; else whoever is known."""
    options, consumer = exchange.endpoint.rate, exchange.consumer
    subjects = []
    if consumer is not None and (consumer.rate is not None or exchange.signed_in is None):
        subjects.append(Subject("consumer", consumer.name, consumer.rate or options))
    if exchange.signed_in is not None:
        subjects.append(Subject("user", counted_name(exchange.signed_in.viewer.sub), options))
    return subjects or [Subject("address", exchange.address, options)]


def _registrant(exchange: Exchange) -> tuple[str, str]:
    """Whose limits a registration of a document is charged to: the user, else the consumer, else the address."""
    subject = _subjects(exchange)[-1]
    return subject.kind, subject.name


async def decode(exchange: Exchange, _: Services) -> Response | None:
    """The request itself, from the body or from the parameters; or several, each of which is charged."""
    if exchange.scope["method"] in READS:
        exchange.request = http.decode_query(exchange.scope["query_string"])
        return None
    http.check_content(exchange.header(b"content-type"), exchange.header(b"content-encoding"))
    decoded = http.decode_body(await read_body(exchange), exchange.endpoint.limits.batch)
    if isinstance(decoded, GraphQLRequest):
        exchange.request = decoded
        return None
    exchange.batch = decoded
    if exchange.ledger is not None and len(decoded) > 1:
        await exchange.ledger.charge_requests(len(decoded) - 1)
    return None


async def read_body(exchange: Exchange) -> bytes:
    """The body, whole and in time. Raises `BadRequest`, `http.ClientDisconnected`."""
    limit = exchange.endpoint.limits.body_bytes
    timer = TimeLimit(exchange.deadline.left())
    try:
        return await http.read_body(exchange.receive, exchange.header(b"content-length"), limit)
    except asyncio.CancelledError:
        if not timer.has_cut_off():
            raise
        raise BadRequest("The body took too long.", status=408, headers=((b"connection", b"close"),)) from None
    finally:
        timer.lift()


async def prepare(exchange: Exchange, services: Services) -> Response | None:
    """The operation that is meant: known, or parsed, measured and validated now."""
    endpoint, request = exchange.endpoint, _decoded(exchange)
    check_variables(request.variables, endpoint.limits)
    if exchange.wait_budget is None:
        exchange.wait_budget = SharedStateBudget(exchange.deadline)
    text, digest = await endpoint.documents.text(
        request.query, request.document_id, request.extensions, exchange.wait_budget
    )
    prepared, known = endpoint.plans.known(text), True
    if prepared is None:
        prepared, known = await _prepared_in_time(exchange, text)
    services.metrics.document(endpoint.variant.name, known=known)
    if digest is not None:
        await endpoint.documents.register(digest, text, _registrant(exchange))
    operation = exchange.operation = prepared.operation(request.operation_name)
    if exchange.scope["method"] in READS and operation.kind is not OperationType.QUERY:
        raise BadRequest("A GET is only ever a query.", status=405, headers=((b"allow", b"POST"),))
    exchange.cost = endpoint.plans.check_cost(operation, request.variables or {})
    if request.extensions and request.extensions.get("explain") is True and exchange.endpoint.page is not None:
        return _explained(exchange, operation, request.variables or {})
    return None


async def _prepared_in_time(exchange: Exchange, text: str) -> tuple[Prepared, bool]:
    """Prepare the document. Raises `TooManyDocuments` if the deadline passes before its turn has come.

    A client that hangs up gives up its turn: else clients that come and go could have any number of documents waiting.
    """
    timer = TimeLimit(exchange.deadline.left())
    try:
        if exchange.is_part:  # whoever waits for all parts watches the client
            return await exchange.endpoint.plans.prepare(text)
        async with CancelOnDisconnect(exchange.receive):
            return await exchange.endpoint.plans.prepare(text)
    except asyncio.CancelledError:
        if not timer.has_cut_off():
            raise
        raise TooManyDocuments from None
    finally:
        timer.lift()


async def lookup_response(exchange: Exchange, services: Services) -> Response | None:
    """The answer as it is kept, where the same was asked and everybody may have it."""
    answers, operation = exchange.endpoint.answers, _prepared(exchange)
    anonymous = exchange.signed_in is None and exchange.consumer is None
    if answers is None or not anonymous or operation.kind is not OperationType.QUERY:
        return None
    exchange.response_key = response_key(operation.digest, _decoded(exchange).variables)
    if exchange.response_key is None:
        return None
    exchange.response_generation = answers.generation
    found = answers.get(exchange.response_key)
    services.metrics.answer(exchange.endpoint.variant.name, kept=found is not None)
    if found is None:
        return None
    body, left_s = found
    return _cacheable(exchange, body, b"public, max-age=%d" % int(left_s))


async def charge_cost(exchange: Exchange, _: Services) -> Response | None:
    """What the operation will cost, as far as can be told; corrected once it has run."""
    if exchange.ledger is not None and exchange.ledger.counts_cost:
        await exchange.ledger.charge_cost(exchange.cost)
    return None


async def execute(exchange: Exchange, services: Services) -> Response | None:
    """Run it, with loaders and a context that are this request's alone."""
    signed_in, operation = exchange.signed_in, _prepared(exchange)
    is_write, client = operation.kind is OperationType.MUTATION, None
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
        granted(signed_in.viewer.scopes if signed_in else None, exchange.consumer),
        services.controls,
    )
    try:
        if not operation.is_settled:  # it may have to be compiled
            await exchange.endpoint.plans.pace.turn()
        answer = begin(operation, _decoded(exchange).variables, context)
        if isinstance(answer, GraphQLResult):
            pass
        elif exchange.is_part:  # whoever waits for all parts watches the client
            answer = await answer
        elif is_write:  # runs to its end once begun: if it were cancelled, its effect would be unknown
            async with CancelOnDisconnect(exchange.receive, cancel_nothing) as client:
                answer = await answer
        else:
            async with CancelOnDisconnect(exchange.receive):
                answer = await answer
    finally:
        context.loaders.close()
    services.metrics.operation(exchange.endpoint.variant.name, answer.by)
    if exchange.ledger is not None and exchange.ledger.counts_cost:
        await exchange.ledger.correct_cost(_difference(exchange, answer))
    if is_write:
        caller.freshness.forbid()
    response = _of_answer(exchange, answer, caller.freshness)
    if client is not None and client.is_gone:
        raise http.ClientDisconnected(response.outcome, response.codes)
    return response


def _difference(exchange: Exchange, answer: GraphQLResult) -> int:
    """How much more the answer came to than was charged; what was never run costs nothing."""
    if not answer.executed:
        return -exchange.cost
    return 0 if answer.plan is None else actual_cost(answer.plan, answer.payload["data"]) - exchange.cost


GATE: Sequence[Step] = (
    admit,  # first: a gateway that stops shall not begin anything
    negotiate,  # before all that may fail, so that the failure is said in the form that was asked for
    authenticate,  # before the body: who may not, need not be read
    charge,  # as soon as it is known whose count it is
    decode,
)
"""The HTTP request: may it come in, and what does it hold."""

OPERATION: Sequence[Step] = (
    prepare,  # after the token: what a variant knows is not told to those it is not for
    lookup_response,  # before its cost is charged: what is at hand costs next to nothing
    charge_cost,
    execute,
)
"""Each operation in it."""


def replaced(steps: Sequence[Step], others: Mapping[Step, Step]) -> tuple[Step, ...]:
    """The same list with some steps replaced. Raises `ValueError` if a step to be replaced is not in the list."""
    if missing := [step for step in others if step not in steps]:
        raise ValueError(f"Expected steps of the list, got {', '.join(step.__name__ for step in missing)}.")
    return tuple(others.get(step, step) for step in steps)


READS = frozenset({"GET", "HEAD"})
_TAKEN = frozenset({"GET", "HEAD", "POST"})
METHODS = b"GET, HEAD, POST, OPTIONS"


async def run(
    exchange: Exchange, services: Services, gate: Sequence[Step] = GATE, operation: Sequence[Step] = OPERATION
) -> Response:
    """Answer a request. Raises `http.ClientDisconnected` where nobody is left to answer, and nothing else."""
    response = await _answered(exchange, services, (gate, operation))
    if exchange.ledger is not None:
        response = replace(response, headers=response.headers + exchange.ledger.headers())
    return response


async def _answered(exchange: Exchange, services: Services, lists: Sequence[Sequence[Step]]) -> Response:
    try:
        for steps in lists:
            if exchange.batch is not None:
                return await _batched(exchange, services, steps)
            for step in steps:
                if exchange.is_part:
                    await exchange.endpoint.plans.pace.turn()
                response = await step(exchange, services)
                if response is not None:
                    return response
    except http.ClientDisconnected:  # nobody to answer
        raise
    except GatewayError as error:
        return _refusal(exchange, [errors.of_gateway(error)], error.status, error.headers)
    except DocumentError as error:
        return _refusal(exchange, [errors.of_document(fault, error.code) for fault in error.errors], None)
    except Exception as error:  # noqa: BLE001 - the last line: a fault of ours is answered as one, and told to the log
        errors.log_fault(error, exchange.request_id)
        return _refusal(exchange, [dict(errors.internal())], 500)
    raise AssertionError("the last step answers")


async def _batched(exchange: Exchange, services: Services, steps: Sequence[Step]) -> Response:
    """Each request of a batch, at the same time; one that fails costs itself alone.

    Steps are paced, so that ten requests don't block the event loop ten times as long as one.
    """
    parts = [replace(exchange, request=request, batch=None, is_part=True) for request in exchange.batch or ()]
    running = [running_loop().create_task(_answered(part, services, [steps])) for part in parts]

    def stop() -> None:
        """The client has disconnected: cancel the reads, and let mutations go on."""
        for part, task in zip(parts, running, strict=True):
            if not _is_write(part):
                task.cancel()

    try:
        async with CancelOnDisconnect(exchange.receive, stop) as client:
            await asyncio.wait(running)
    finally:
        for task in running:  # some still run if this task itself was cancelled, as when the server stops
            task.cancel()
    if client.is_gone:
        writes = [each.result() for part, each in zip(parts, running, strict=True) if _is_write(part)]
        raise http.ClientDisconnected(_outcome_of(writes), _codes_of(writes)) if writes else http.ClientDisconnected
    responses = [task.result() for task in running]
    body = http.joined([response.body for response in responses])
    headers = http.content_headers(exchange.media or MediaType.JSON, body)
    return Response(200, headers, body, _codes_of(responses), _outcome_of(responses))


def _is_write(part: Exchange) -> bool:
    return part.operation is not None and part.operation.kind is OperationType.MUTATION


def _codes_of(responses: Sequence[Response]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(code for response in responses for code in response.codes))


def _outcome_of(responses: Sequence[Response]) -> str:
    outcomes = {response.outcome for response in responses}
    return outcomes.pop() if len(outcomes) == 1 else "partial"


def _explained(exchange: Exchange, operation: Operation, variables: Mapping[str, Any]) -> Response:
    """What the operation would ask for, for those who explore: only where GraphiQL is served."""
    try:
        told = exchange.endpoint.plans.explain(operation, variables)
    except InvalidVariables as invalid:
        return _refusal(exchange, [errors.of_document(fault, "BAD_USER_INPUT") for fault in invalid.errors], None)
    body = http.encode({"data": None, "extensions": {"explain": {"text": told.as_text(), **told.as_json()}}})
    return Response(200, http.content_headers(exchange.media or MediaType.JSON, body), body, outcome="explained")


def _of_answer(exchange: Exchange, answer: GraphQLResult, freshness: Freshness) -> Response:
    if not answer.executed:
        return _refusal(exchange, answer.payload["errors"], None)
    media = exchange.media or MediaType.JSON
    body = http.encode(answer.payload)
    if len(answer.payload) > 1:  # errors, or what is shown for want of better
        codes = tuple(answer.codes)
        outcome = "ok" if not codes else "partial" if answer.payload["data"] is not None else "error"
        return Response(200, http.content_headers(media, body), body, codes, outcome)
    is_private = exchange.signed_in is not None or exchange.consumer is not None
    control = http.cache_control_of(freshness, is_private=is_private)
    if (
        exchange.response_key is not None
        and exchange.endpoint.answers is not None
        and control.startswith(b"public, max-age")
    ):
        exchange.endpoint.answers.put(exchange.response_key, body, freshness.left_s, exchange.response_generation)
    return _cacheable(exchange, body, control)


def _cacheable(exchange: Exchange, body: bytes, control: bytes) -> Response:
    """An answer without faults; for a GET with a validator, or without a body where the client has it (RFC 9110, 15.4.5)."""
    headers = http.content_headers(exchange.media or MediaType.JSON, body, control)
    if exchange.scope["method"] not in READS or control is http.NO_STORE:
        return Response(200, headers, body)
    etag = http.etag_of(body)
    if http.is_known(etag, exchange.header(b"if-none-match")):
        kept = tuple(each for each in headers if each[0] not in _OF_THE_BODY)
        return Response(304, (*kept, (b"etag", etag)), b"")
    return Response(200, (*headers, (b"etag", etag)), body)


_OF_THE_BODY = frozenset({b"content-type", b"content-length"})


def _refusal(exchange: Exchange, told: list[dict[str, Any]], status: int | None, headers: errors.Headers = ()) -> Response:
    """An answer without `data`. Where the request was well-formed, the media type decides the status."""
    media = exchange.media or http.negotiate(exchange.header(b"accept")) or MediaType.JSON
    if status is None:
        status = 400 if media is MediaType.RESPONSE else 200
    body = http.encode({"errors": told})
    return Response(status, http.content_headers(media, body) + headers, body, tuple(errors.codes_of(told)), "refused")


def _prepared(exchange: Exchange) -> Operation:
    if exchange.operation is None:
        raise AssertionError("prepare comes first")
    return exchange.operation


def _decoded(exchange: Exchange) -> GraphQLRequest:
    if exchange.request is None:
        raise AssertionError("decode comes first")
    return exchange.request
