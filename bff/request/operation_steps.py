"""How an operation is found and checked, and the steps that it passes after that. `pipeline.py` has their order."""

import asyncio
from collections.abc import Mapping
from functools import partial

from graphql import OperationType

from bff import errors
from bff.engine.actual_cost import actual_cost
from bff.engine.answer import GraphQLResult, begin
from bff.engine.arguments import InvalidVariables
from bff.engine.operation import Operation
from bff.engine.plans import Prepared
from bff.errors import BadRequest, TooManyDocuments
from bff.gate.consumers import granted
from bff.gate.limits import check_variables
from bff.gate.response_cache import response_key
from bff.graph.context import Context
from bff.graph.loaders import Loaders
from bff.graph.rules import visible_records
from bff.request import http
from bff.request.disconnect import CancelOnDisconnect, cancel_nothing
from bff.request.encoding import cache_control_of
from bff.request.exchange import Exchange
from bff.request.gate_steps import clients_of
from bff.request.http import READS, GraphQLRequest
from bff.request.requested_operation import CacheSlot, RequestedOperation
from bff.request.response import Response, refusal
from bff.request.services import Services
from bff.request.source_rates import SourceRates
from bff.runtime.loop import TimeLimit
from bff.upstream.caller import CallBudget, Caller, Deadline, Freshness
from bff.upstream.headers import LONGEST_FORWARDED, ReturnedHeaders, is_value


async def prepare(exchange: Exchange, request: GraphQLRequest, services: Services, *, is_in_batch: bool) -> Operation:
    """The requested operation, ready to run: from the cache of documents, or else parsed and validated now.

    Raises `DocumentError`, `GatewayError`.
    """
    endpoint = exchange.endpoint
    check_variables(request.variables, endpoint.limits)
    text, digest = await endpoint.documents.text(
        request.query, request.document_id, request.extensions, exchange.wait_budget
    )
    prepared, known = endpoint.plans.known(text), True
    if prepared is None:
        prepared, known = await _prepared_in_time(exchange, text, is_in_batch=is_in_batch)
    services.metrics.document(endpoint.variant.name, known=known)
    if digest is not None:
        # Charged to the user, otherwise to the consumer, otherwise to the address.
        subject = clients_of(exchange, services)[-1]
        await endpoint.documents.register(digest, text, (subject.kind, subject.name))
    return prepared.operation(request.operation_name)


async def _prepared_in_time(exchange: Exchange, text: str, *, is_in_batch: bool) -> tuple[Prepared, bool]:
    """The prepared document, and whether it was cached. Raises `TooManyDocuments` at the deadline, `DocumentError`.

    A client that disconnects leaves the queue. Otherwise clients that connect and disconnect could fill it.
    """
    timer = TimeLimit(exchange.deadline.left())
    try:
        if is_in_batch:  # the batch watches the client
            return await exchange.endpoint.plans.prepare(text)
        async with CancelOnDisconnect(exchange.receive):
            return await exchange.endpoint.plans.prepare(text)
    except asyncio.CancelledError:
        if not timer.has_cut_off():
            raise
        raise TooManyDocuments from None
    finally:
        timer.lift()


def check(exchange: Exchange, request: GraphQLRequest, operation: Operation, *, is_in_batch: bool) -> RequestedOperation:
    """Check that the request's method and the variant's cost limit allow it. Raises `BadRequest` (405), `TooComplex`."""
    if exchange.scope["method"] in READS and operation.kind is not OperationType.QUERY:
        raise BadRequest("Expected a query: other operations need POST.", status=405, headers=((b"allow", b"POST"),))
    cost = exchange.endpoint.plans.check_cost(operation, request.variables or {})
    return RequestedOperation(exchange, request, operation, cost, _cache_slot(exchange, request, operation), is_in_batch)


def _cache_slot(exchange: Exchange, request: GraphQLRequest, operation: Operation) -> CacheSlot | None:
    """Where the response is cached: only those of anonymous queries are."""
    cache = exchange.endpoint.response_cache
    if cache is None or operation.kind is not OperationType.QUERY or not exchange.client.is_anonymous:
        return None
    # Services may reply in another way to other headers.
    forwarded = [exchange.header(name) or b"" for name in exchange.endpoint.forwarded]
    key = response_key(operation.digest, request.variables, forwarded)
    return None if key is None else CacheSlot(cache, key, cache.generation)


async def explain(requested: RequestedOperation, _: Services) -> Response | None:
    """If the request asks for it, return the upstream calls that the operation would make. Only if GraphiQL is on."""
    request, exchange, operation = requested.request, requested.exchange, requested.operation
    if not request.extensions or request.extensions.get("explain") is not True or exchange.endpoint.page is None:
        return None
    try:
        explanation = exchange.endpoint.plans.explain(operation, request.variables or {})
    except InvalidVariables as invalid:
        entries = [errors.of_document(each, "BAD_USER_INPUT") for each in invalid.errors]
        return refusal(exchange, entries, None, operation=operation)
    shown = {"text": explanation.as_text(), **explanation.as_json()}
    payload = {"data": None, "extensions": {"explain": shown}}
    return Response(payload, outcome="explained", operation=operation)


async def lookup_response(requested: RequestedOperation, services: Services) -> Response | None:
    """The response from the cache, if it is there."""
    slot = requested.cache_slot
    if slot is None:
        return None
    found = slot.get()
    services.metrics.answer(requested.exchange.endpoint.variant.name, kept=found is not None)
    if found is None:
        return None
    body, left_s = found
    return Response(body, cache_control=b"public, max-age=%d" % int(left_s), operation=requested.operation)


async def check_work(requested: RequestedOperation, _: Services) -> None:
    """Check the variant's limits of upstream calls and waves, if it has any. Raises `TooComplex`."""
    plans, operation = requested.exchange.endpoint.plans, requested.operation
    if plans.limits_work:
        if not operation.is_settled:  # it may have to be compiled
            await plans.pace.turn()
        requested.ready = plans.check_work(operation, requested.request.variables or {})


async def charge_cost(requested: RequestedOperation, _: Services) -> None:
    """Charge the operation's estimated cost; `execute` corrects it. Raises `RateLimited`."""
    ledger = requested.exchange.ledger
    if ledger.counts_cost:
        await ledger.charge_cost(requested.cost)


async def execute(requested: RequestedOperation, services: Services) -> Response:
    """Run the operation, with loaders and a context of its own. Raises `http.ClientDisconnected`."""
    exchange, operation, client = requested.exchange, requested.operation, requested.exchange.client
    signed_in, is_mutation, watch = client.signed_in, operation.kind is OperationType.MUTATION, None
    endpoint, most_calls = exchange.endpoint, exchange.endpoint.limits.calls
    caller = Caller(
        exchange.request_id,
        exchange.traceparent,
        _deadline_of(requested) if endpoint.deadlines.by_operation else exchange.deadline,
        signed_in.identity if signed_in else None,
        exchange.calls,
        forwarded=_forwarded(exchange) if endpoint.forwarded else None,
        returned=_returned(exchange) if services.returns_headers else None,
        budget=None if most_calls is None else CallBudget(most_calls),
        admit=_source_rates(exchange, services) if services.source_rates else None,
    )
    variant, viewer = endpoint.variant, signed_in.viewer if signed_in else None
    context = Context(
        variant,
        viewer,
        caller,
        services.sources,
        Loaders(services.sources, caller, partial(visible_records, services.rules, variant, viewer)),
        granted(signed_in.viewer.scopes if signed_in else None, client.consumer),
        services.controls,
    )
    try:
        if not operation.is_settled and requested.ready is None:  # it may have to be compiled
            await endpoint.plans.pace.turn()
        result = begin(operation, requested.request.variables, context, requested.ready)
        if isinstance(result, GraphQLResult):
            pass
        elif requested.is_in_batch:  # the batch watches the client
            result = await result
        elif is_mutation:  # it is not cancelled once it has begun: which of its writes took effect would be unknown
            async with CancelOnDisconnect(exchange.receive, cancel_nothing) as watch:
                result = await result
        else:
            async with CancelOnDisconnect(exchange.receive):
                result = await result
    finally:
        context.loaders.close()
    services.metrics.operation(exchange.endpoint.variant.name, result.by)
    if exchange.ledger.counts_cost:
        await exchange.ledger.correct_cost(_cost_difference(requested, result))
    if is_mutation:
        caller.freshness.forbid()
    response = _response_of(requested, result, caller.freshness)
    if watch is not None and watch.is_gone:
        raise http.ClientDisconnected(response.outcome, response.codes)
    return response


def _deadline_of(requested: RequestedOperation) -> Deadline:
    """The operation's own deadline if it has one, else the request's."""
    exchange, request = requested.exchange, requested.request
    endpoint, name = exchange.endpoint, requested.operation.name
    own_s = None if name is None else endpoint.deadlines.by_operation.get(name)
    if own_s is None:
        return exchange.deadline
    is_trusted = endpoint.documents.is_trusted(request.query, request.document_id, request.extensions)
    clock = exchange.deadline.clock
    return endpoint.deadlines.of_operation(own_s, exchange.began, clock, exchange.wish, is_trusted=is_trusted)


def _forwarded(exchange: Exchange) -> Mapping[str, str]:
    """The client's headers that some source gets. Raises `BadRequest` for one that can't be sent on."""
    found = {}
    for name in exchange.endpoint.forwarded:
        value = exchange.header(name)
        if value is None:
            continue
        text = value.decode("latin-1").strip()
        if text and (len(text) > LONGEST_FORWARDED or not is_value(text)):
            raise BadRequest(f"{name.decode()}: expected visible ASCII, at most {LONGEST_FORWARDED} characters.")
        if text:
            found[name.decode()] = text
    return found


def _source_rates(exchange: Exchange, services: Services) -> SourceRates | None:
    """What charges the operation for the sources that it uses; None if rates are off."""
    if services.counts is None:
        return None
    return SourceRates(
        services.counts,
        services.source_rates,
        clients_of(exchange, services),
        exchange.wait_budget,
        services.metrics.rate_refused,
    )


def _returned(exchange: Exchange) -> ReturnedHeaders:
    """What collects the headers of services' replies: one for all operations of a batch."""
    if exchange.returned is None:
        exchange.returned = ReturnedHeaders()
    return exchange.returned


def _cost_difference(requested: RequestedOperation, result: GraphQLResult) -> int:
    """The operation's actual cost less its estimated cost. An operation that did not run costs nothing."""
    if not result.executed:
        return -requested.cost
    return 0 if result.plan is None else actual_cost(result.plan, result.payload["data"]) - requested.cost


def _response_of(requested: RequestedOperation, result: GraphQLResult, freshness: Freshness) -> Response:
    operation, payload = requested.operation, result.payload
    if not result.executed:
        return refusal(requested.exchange, payload["errors"], None, operation=operation)
    if len(payload) > 1:  # it has errors, or fields that show an old value or a fallback
        codes = tuple(result.codes)
        outcome = "ok" if not codes else "partial" if payload["data"] is not None else "error"
        return Response(payload, codes=codes, outcome=outcome, operation=operation)
    control = cache_control_of(freshness, is_private=not requested.exchange.client.is_anonymous)
    keep, slot = None, requested.cache_slot
    if slot is not None and control.startswith(b"public, max-age"):
        keep = partial(slot.put, left_s=freshness.left_s)
    return Response(payload, cache_control=control, operation=operation, on_encoded=keep)
