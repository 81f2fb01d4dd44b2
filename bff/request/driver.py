"""Runs a request through its pipeline, and turns every error into a response, so that a client always gets a valid one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from graphql import OperationType

from bff.engine.operation import Operation
from bff.request.disconnect import CancelOnDisconnect
from bff.request.encoding import codes_of_all, encode_part, join_parts, outcome_of_all
from bff.request.exchange import Exchange
from bff.request.http import ClientDisconnected, GraphQLRequest
from bff.request.operation_steps import check, prepare
from bff.request.pipeline import GRAPHQL, OperationStep, Pipeline
from bff.request.response import EncodedResponse, Response, refusal_for
from bff.request.services import Services
from bff.runtime.loop import running_loop, running_task

Run = Callable[[Exchange, Services], Awaitable[Response | EncodedResponse]]
"""Answers a request to a variant. Raises `ClientDisconnected` and nothing else. `run` with a pipeline is one."""


async def run(exchange: Exchange, services: Services, pipeline: Pipeline = GRAPHQL) -> Response | EncodedResponse:
    """The response to a request. Raises `ClientDisconnected` and nothing else."""
    try:
        for step in pipeline.gate:
            response = await step(exchange, services)
            if response is not None:
                return response
        decoded = await pipeline.decode(exchange, services)
    except ClientDisconnected:
        raise
    except Exception as error:  # noqa: BLE001 - a fault of ours is logged, and answered as one
        return refusal_for(error, exchange)
    if isinstance(decoded, GraphQLRequest):
        return await _run_operation(exchange, decoded, services, pipeline.operation)
    return await _run_batch(exchange, decoded, services, pipeline.operation)


async def _run_operation(
    exchange: Exchange, request: GraphQLRequest, services: Services, steps: Sequence[OperationStep]
) -> Response:
    """The response to the only operation of a request."""
    operation: Operation | None = None
    try:
        operation = await prepare(exchange, request, services, is_in_batch=False)
        requested = check(exchange, request, operation, is_in_batch=False)
        for step in steps:
            response = await step(requested, services)
            if response is not None:
                return response
    except ClientDisconnected as disconnected:
        disconnected.operation = operation
        raise
    except Exception as error:  # noqa: BLE001 - as above
        return refusal_for(error, exchange, operation)
    raise AssertionError("the last step returns a response")


async def _run_batch(
    exchange: Exchange, requests: Sequence[GraphQLRequest], services: Services, steps: Sequence[OperationStep]
) -> Response:
    """The responses to the operations of a batch, which run at the same time. One that fails doesn't affect the others.

    If the client disconnects, queries are cancelled and mutations run to their end.
    """
    mutations: set[asyncio.Task[object]] = set()
    parts = [running_loop().create_task(_run_part(exchange, request, services, steps, mutations)) for request in requests]

    def cancel_queries() -> None:
        for part in parts:
            if part not in mutations:
                part.cancel()

    try:
        async with CancelOnDisconnect(exchange.receive, cancel_queries) as client:
            await asyncio.wait(parts)
    finally:
        for part in parts:  # some still run if this task itself was cancelled, as when the server stops
            part.cancel()
    if client.is_gone:
        completed = [part.result() for part in parts if part in mutations]
        raise ClientDisconnected(outcome_of_all(completed), codes_of_all(completed)) if completed else ClientDisconnected
    return join_parts([part.result() for part in parts])


async def _run_part(
    exchange: Exchange,
    request: GraphQLRequest,
    services: Services,
    steps: Sequence[OperationStep],
    mutations: set[asyncio.Task[object]],
) -> Response:
    """The response to one operation of a batch, with its content as bytes. Adds its task to `mutations` if it is one.

    It waits for its turn before each step. Otherwise ten operations would block the event loop ten times as long as one.
    """
    pace, operation = exchange.endpoint.plans.pace, None
    try:
        await pace.turn()
        operation = await prepare(exchange, request, services, is_in_batch=True)
        if operation.kind is OperationType.MUTATION:
            mutations.add(running_task())
        requested = check(exchange, request, operation, is_in_batch=True)
        for step in steps:
            response = await step(requested, services)
            if response is not None:
                return encode_part(exchange, response)
            await pace.turn()
    except Exception as error:  # noqa: BLE001 - as above
        return encode_part(exchange, refusal_for(error, exchange, operation))
    raise AssertionError("the last step returns a response")
