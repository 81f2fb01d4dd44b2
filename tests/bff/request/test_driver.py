"""The driver: what it makes of each step's end, alone and in a batch, and what the access log learns from it."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from bff.engine.pace import Pace
from bff.errors import BadRequest
from bff.request.driver import run
from bff.request.exchange import Exchange, headers_of, open_exchange
from bff.request.gate_steps import decode
from bff.request.http import ClientDisconnected, GraphQLRequest
from bff.request.pipeline import Pipeline
from bff.request.requested_operation import RequestedOperation
from bff.request.response import EncodedResponse, Response
from bff.request.services import Services
from bff.upstream.caller import Deadline
from tests.support.endpoints import endpoint

READ = GraphQLRequest("query Read { __typename }")
WRITE = GraphQLRequest('mutation Write { cancelOrder(id: "1") { order { id } } }')
_ORDERS = "orders(first: 100) { items { product { id } } user { orders(first: 100) { id } } }"
COSTLY = GraphQLRequest(f"query Costly {{ me {{ {_ORDERS} }} }}")


@dataclass
class Counted:
    """The only metric that a test's steps need."""

    documents: int = 0

    def document(self, _: str, *, known: bool) -> None:
        self.documents += 1


def services() -> Services:
    """For steps that need nothing else."""
    return Services(None, None, None, None, {}, Counted(), None, lambda: False)  # type: ignore[arg-type]


@dataclass
class Client:
    """ASGI's `receive`: silent until the client disconnects."""

    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}


def opened(client: Client, method: str = "POST") -> Exchange:
    """A request by that client."""
    scope = {"method": method, "headers": []}
    deadline = Deadline.after(10, time.monotonic)
    return open_exchange(endpoint(), scope, client.receive, headers_of(scope), deadline, "")


def pipeline_of(decoded: Any, *steps: Any) -> Pipeline:
    """Without a gate; `decoded` are the GraphQL requests in the body, `steps` those of an operation."""

    async def decode(_: Exchange, __: Services) -> Any:
        return decoded

    return Pipeline((), decode, steps)


async def answer(requested: RequestedOperation, _: Services) -> Response:
    """A last step."""
    return Response({"data": {"name": requested.operation.name}}, operation=requested.operation)


async def pass_on(_: RequestedOperation, __: Services) -> None:
    """A step that ends nothing."""


async def disconnect(_: RequestedOperation, __: Services) -> None:
    """A step during which the client disconnects."""
    raise ClientDisconnected("ok", ["C"])


async def fail(_: RequestedOperation, __: Services) -> None:
    """A step with a fault."""
    raise ValueError("a password")


async def test_a_step_of_the_gate_may_end_the_request() -> None:
    """Neither the following steps nor decoding run then."""
    page = EncodedResponse(200, (), b"page")

    async def end(_: Exchange, __: Services) -> EncodedResponse:
        return page

    async def never(_: Exchange, __: Services) -> Any:
        raise AssertionError("it runs after the end")

    assert await run(opened(Client()), services(), Pipeline((end, never), never, ())) is page


async def test_an_operation_passes_its_steps_in_order() -> None:
    """Until one returns a response."""
    response = await run(opened(Client()), services(), pipeline_of(READ, pass_on, answer, fail))
    assert isinstance(response, Response)
    assert response.content == {"data": {"name": "Read"}}


@pytest.mark.parametrize("steps", [(), (pass_on,)])
async def test_the_last_step_must_return_a_response(steps: tuple[Any, ...]) -> None:
    """A list of steps without one is a fault of ours."""
    with pytest.raises(AssertionError, match="last step"):
        await run(opened(Client()), services(), pipeline_of(READ, *steps))


async def test_the_log_learns_the_operation_of_a_refused_request() -> None:
    """Also if it was refused by its method or its cost, before any step."""
    for request, method, status, code in (
        (READ, "POST", 500, "INTERNAL_SERVER_ERROR"),
        (WRITE, "GET", 405, "BAD_REQUEST"),
        (COSTLY, "POST", 200, "QUERY_TOO_COMPLEX"),
    ):
        response = await run(opened(Client(), method), services(), pipeline_of(request, fail))
        assert isinstance(response, Response)
        assert (response.status, response.codes, response.outcome) == (status, (code,), "refused")
        assert response.operation is not None
        assert (response.operation.name or "nameless") in (request.query or "")


async def test_the_log_learns_the_operation_of_a_client_that_disconnects() -> None:
    """And how its mutations ended."""
    with pytest.raises(ClientDisconnected) as caught:
        await run(opened(Client()), services(), pipeline_of(READ, disconnect))
    assert caught.value.operation is not None
    assert (caught.value.operation.name, caught.value.outcome, caught.value.codes) == ("Read", "ok", ("C",))


async def test_an_unknown_operation_is_none() -> None:
    """The request was refused before it was known."""
    response = await run(opened(Client()), services(), pipeline_of(GraphQLRequest("{"), answer))
    assert isinstance(response, Response)
    assert (response.codes, response.operation) == (("GRAPHQL_PARSE_FAILED",), None)


async def test_a_fault_in_the_gate_is_masked() -> None:
    """It is a response like any other refusal."""

    async def broken(_: Exchange, __: Services) -> None:
        raise ValueError("a password")

    response = await run(opened(Client()), services(), Pipeline((broken,), decode, ()))
    assert isinstance(response, Response)
    assert (response.status, response.codes) == (500, ("INTERNAL_SERVER_ERROR",))
    assert "password" not in str(response)


async def test_a_batch_has_a_response_for_each_operation() -> None:
    """In order, whatever becomes of the others; no single operation is the batch's."""

    async def choose(requested: RequestedOperation, given: Services) -> Response:
        if requested.operation.name == "Write":
            raise BadRequest("No.", status=403)
        return await answer(requested, given)

    response = await run(opened(Client()), services(), pipeline_of([READ, WRITE, READ], choose))
    assert isinstance(response, Response)
    assert isinstance(response.content, bytes)
    first, second, third = json.loads(response.content)
    assert first == third == {"data": {"name": "Read"}}
    assert second["errors"][0]["message"] == "No."
    assert (response.status, response.codes, response.outcome) == (200, ("BAD_REQUEST",), "partial")
    assert response.operation is None


async def test_of_a_batch_queries_are_cancelled_and_mutations_run_on() -> None:
    """When the client disconnects. What was completed is told to the log."""
    client, ended, may_end = Client(), [], asyncio.Event()

    async def work(requested: RequestedOperation, given: Services) -> Response:
        try:
            await may_end.wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            client.gone.clear()
            may_end.set()
            raise
        ended.append("done")
        return await answer(requested, given)

    asyncio.get_running_loop().call_later(0.03, client.gone.set)
    with pytest.raises(ClientDisconnected) as caught:
        await run(opened(client), services(), pipeline_of([READ, WRITE, READ], work))
    assert sorted(ended) == ["cancelled", "cancelled", "done"]
    assert (caught.value.outcome, caught.value.operation) == ("ok", None)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes each turn that is waited for."""
    taken: list[str] = []

    async def turn(_: Pace) -> None:
        taken.append("turn")

    monkeypatch.setattr(Pace, "turn", turn)
    return taken


async def test_each_part_of_a_batch_waits_for_its_turn(turns: list[str]) -> None:
    """Before it is prepared and after each step that goes on; a single operation never waits."""

    async def note(_: RequestedOperation, __: Services) -> None:
        turns.append("step")

    await run(opened(Client()), services(), pipeline_of(READ, note, answer))
    assert turns == ["step"]
    turns.clear()
    await run(opened(Client()), services(), pipeline_of([READ], note, note, answer))
    assert turns == ["turn", "step", "turn", "step", "turn"]
