"""A client that disconnects: its reads are cancelled, its writes are not."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.bff.upstream.wire.peer import PATIENCE_S, Act, listening, response, wait_for_ever
from tests.support.demo import ANY_PORTS, running
from tests.support.fakes import an_order
from tests.support.gateways import RunningGateway, post, running_gateway

PLACE = 'placeOrder(input: { items: [{ productId: "1", quantity: 1 }] }) { order { id } }'
TWO_WRITES = f"mutation {{ one: {PLACE} two: {PLACE} }}"
READ = '{ product(id: "1") { name } }'
SLOW = {f"BFF_SOURCES__{name}__TIMEOUT_S": "60" for name in ("ORDERS", "PRODUCTS")} | {"BFF_REQUEST__DEADLINE_S": "60"}
PLACED = response(json.dumps(an_order(7, userId=1)).encode(), "content-type: application/json", status="201 Created")
FAILED = response(b"{}", "content-type: application/json", status="500 Internal Server Error")


async def until(is_so: Callable[[], Any]) -> None:
    """Wait for a condition, on real sockets."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def after(let_go: asyncio.Event, answer: bytes) -> Act:
    """Answer when the event is set."""

    async def act(writer: asyncio.StreamWriter) -> None:
        await let_go.wait()
        writer.write(answer)
        await writer.drain()

    return act


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The fields of the access log's lines."""
    return [record.__dict__["fields"] for record in caplog.records if record.name == "bff.access"]


def watches() -> int:
    """The number of clients that are watched in this process."""
    return sum("CancelOnDisconnect._watch" in repr(task.get_coro()) for task in asyncio.all_tasks())


async def disconnect(gateway: RunningGateway, client: asyncio.StreamWriter) -> None:
    """Disconnect once the gateway watches the client, and wait until it has noticed. The request continues."""
    await until(watches)
    client.close()
    await until(lambda: not watches())
    assert gateway.app.in_flight == 1


@pytest.mark.parametrize(
    ("second", "completed", "codes"),
    [(PLACED, "ok", ["CLIENT_GONE"]), (FAILED, "error", ["CLIENT_GONE", "UPSTREAM_ERROR"])],
    ids=["all done", "one failed"],
)
async def test_writes_run_to_their_end(
    caplog: pytest.LogCaptureFixture, second: bytes, completed: str, codes: list[str]
) -> None:
    """The client disconnects during the first of two writes: both are made, logged and counted, and the gateway waits."""
    caplog.set_level("INFO", "bff.access")
    let_go = asyncio.Event()
    async with running(ports=ANY_PORTS) as urls, listening() as service:
        service.acts = [after(let_go, PLACED), after(let_go, second)]
        async with running_gateway({**urls, "orders": service.url}, SLOW) as gateway:
            client = await post(gateway, {"query": TWO_WRITES})
            await until(lambda: service.requests)
            await disconnect(gateway, client)
            let_go.set()
            await until(lambda: not gateway.app.in_flight)
            assert service.heads == ["POST /orders HTTP/1.1"] * 2
            metrics = gateway.app.served.services.metrics.text().decode()
    (line,) = lines(caplog)
    assert (line["status"], line["errors"], line["completed"]) == (499, codes, completed)
    assert line["upstream_calls"] == {"orders": 2}
    assert f'bff_detached_mutations_total{{outcome="{completed}",variant="web"}} 1.0' in metrics
    assert 'bff_requests_total{outcome="client_gone",variant="web"} 1.0' in metrics


async def test_reads_are_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    """With the call to the service, since the response is all that a read is for."""
    caplog.set_level("INFO", "bff.access")
    async with running(ports=ANY_PORTS) as urls, listening() as service:
        service.acts = [wait_for_ever]
        async with running_gateway({**urls, "products": service.url}, SLOW) as gateway:
            client = await post(gateway, {"query": READ})
            await until(lambda: service.requests)
            client.close()
            await service.gone()
            await until(lambda: not gateway.app.in_flight)
            metrics = gateway.app.served.services.metrics.text().decode()
    (line,) = lines(caplog)
    assert (line["status"], line["errors"]) == (499, ["CLIENT_GONE"])
    assert "completed" not in line
    assert 'bff_requests_total{outcome="client_gone",variant="web"} 1.0' in metrics
    assert "bff_detached_mutations_total{" not in metrics


async def test_of_a_batch_the_writes_run_to_their_end(caplog: pytest.LogCaptureFixture) -> None:
    """A batch has a read and a mutation. When the client disconnects, the read is cancelled and both writes are made."""
    caplog.set_level("INFO", "bff.access")
    let_go = asyncio.Event()
    async with running(ports=ANY_PORTS) as urls, listening() as orders, listening() as products:
        orders.acts, products.acts = [after(let_go, PLACED)], [wait_for_ever]
        services = {**urls, "orders": orders.url, "products": products.url}
        async with running_gateway(services, SLOW) as gateway:
            client = await post(gateway, [{"query": READ}, {"query": TWO_WRITES}])
            await until(lambda: orders.requests and products.requests)
            client.close()
            await products.gone()
            assert gateway.app.in_flight == 1
            let_go.set()
            await until(lambda: not gateway.app.in_flight)
    assert (len(orders.requests), len(products.requests)) == (2, 1)
    (line,) = lines(caplog)
    assert (line["status"], line["errors"], line["completed"]) == (499, ["CLIENT_GONE"], "ok")


async def test_a_write_without_a_client_ends_at_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    """The service never answers: the write fails at the request's deadline, and the second one is not sent."""
    caplog.set_level("INFO", "bff.access")
    async with running(ports=ANY_PORTS) as urls, listening() as service:
        service.acts = [wait_for_ever]
        async with running_gateway({**urls, "orders": service.url}, {**SLOW, "BFF_REQUEST__DEADLINE_S": "1"}) as gateway:
            client = await post(gateway, {"query": TWO_WRITES})
            await until(lambda: service.requests)
            await disconnect(gateway, client)
            await until(lambda: not gateway.app.in_flight)
    (line,) = lines(caplog)
    assert (line["errors"], line["completed"]) == (["CLIENT_GONE", "UPSTREAM_TIMEOUT"], "error")
    assert len(service.requests) == 1


async def test_clients_that_wait_get_their_response() -> None:
    """To a mutation, alone and in a batch."""

    async def answer_of(gateway: RunningGateway, body: Any) -> bytes:
        host, _, port = gateway.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        sent = json.dumps(body).encode()
        head = f"POST /web/graphql HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {gateway.token('1')}\r\n"
        head += f"connection: close\r\ncontent-type: application/json\r\ncontent-length: {len(sent)}\r\n\r\n"
        writer.write(head.encode() + sent)
        async with asyncio.timeout(PATIENCE_S):
            found = await reader.read()
        writer.close()
        return found.partition(b"\r\n\r\n")[2]

    async def soon(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)  # long enough that the client is watched
        writer.write(PLACED)

    async with running(ports=ANY_PORTS) as urls, listening() as service:
        service.acts = [soon]
        async with running_gateway({**urls, "orders": service.url}, SLOW) as gateway:
            done = {"data": {"one": {"order": {"id": "7"}}, "two": {"order": {"id": "7"}}}}
            assert json.loads(await answer_of(gateway, {"query": TWO_WRITES})) == done
            assert json.loads(await answer_of(gateway, [{"query": TWO_WRITES}, {"query": READ}]))[0] == done


BEHIND = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"


async def test_a_read_is_cancelled_if_another_request_is_pipelined(caplog: pytest.LogCaptureFixture) -> None:
    """By uvicorn alone only the newest request would notice; the one before it would continue without a log line."""
    caplog.set_level("INFO", "bff.access")
    async with running(ports=ANY_PORTS) as urls, listening() as service:
        service.acts = [wait_for_ever]
        async with running_gateway({**urls, "products": service.url}, SLOW) as gateway:
            client = await post(gateway, {"query": READ}, BEHIND)
            await until(lambda: service.requests)
            client.close()
            await service.gone()
            await until(lambda: not gateway.app.in_flight)
    (line,) = lines(caplog)
    assert (line["status"], line["errors"]) == (499, ["CLIENT_GONE"])


async def test_a_write_without_a_client_is_logged_if_another_request_is_pipelined(caplog: pytest.LogCaptureFixture) -> None:
    """It runs to its end, and is logged and counted like any other."""
    caplog.set_level("INFO")
    let_go = asyncio.Event()
    async with running(ports=ANY_PORTS) as urls, listening() as service:
        service.acts = [after(let_go, PLACED)] * 2
        async with running_gateway({**urls, "orders": service.url}, SLOW) as gateway:
            client = await post(gateway, {"query": TWO_WRITES}, BEHIND)
            await until(lambda: service.requests)
            await disconnect(gateway, client)
            let_go.set()
            await until(lambda: not gateway.app.in_flight)
            metrics = gateway.app.served.services.metrics.text().decode()
    (line,) = lines(caplog)
    assert (line["status"], line["completed"], line["upstream_calls"]) == (499, "ok", {"orders": 2})
    assert 'bff_detached_mutations_total{outcome="ok",variant="web"} 1.0' in metrics
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_client_that_disconnects_leaves_the_queue_of_documents() -> None:
    """Otherwise clients that connect and disconnect could fill the queue of documents to prepare."""
    document = "{ " + " ".join(f'a{each}: product(id: "1") {{ name price }}' for each in range(9)) + " }"
    async with running(ports=ANY_PORTS) as urls, running_gateway(urls, SLOW) as gateway:
        plans = gateway.app.served.endpoints["web"].plans
        async with plans._preparing:  # another document is being prepared
            client = await post(gateway, {"query": document})
            await until(lambda: gateway.app.in_flight)
            client.close()
            await until(lambda: not gateway.app.in_flight)
        assert plans.known(document) is None
