"""A client that disconnects: its reads are cancelled. Its writes: see `tests/attacks/test_disconnect.py`."""

import asyncio

import pytest

from datasources.demo.serve import ANY_PORTS, running
from tests.bff.upstream.wire.peer import PATIENCE_S, Peer, listening, wait_for_ever
from tests.support.gateways import post, running_gateway

QUERY = '{ product(id: "1") { name } }'
ORDER = '{ order(id: "1") { id } }'
SLOW = {f"BFF_SOURCES__{name}__TIMEOUT_S": "60" for name in ("ORDERS", "PRODUCTS")} | {"BFF_REQUEST__DEADLINE_S": "60"}


async def reached(service: Peer, times: int = 1) -> None:
    """Wait until that many requests have reached the service."""
    async with asyncio.timeout(PATIENCE_S):
        while len(service.requests) < times:  # noqa: ASYNC110 - a tiny wait for a real socket
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(("source", "query"), [("products", QUERY), ("orders", ORDER)])
async def test_work_stops_when_the_client_disconnects(source: str, query: str, caplog: pytest.LogCaptureFixture) -> None:
    """The call to the service is cancelled, the request ends, and its log line says why."""
    caplog.set_level("INFO", "bff.access")
    async with running(ports=ANY_PORTS) as urls, listening() as service:
        service.acts = [wait_for_ever]
        async with running_gateway({**urls, source: service.url}, SLOW) as gateway:
            client = await post(gateway, {"query": query})
            await reached(service)
            client.close()
            await service.gone()
            async with asyncio.timeout(PATIENCE_S):
                while gateway.app.in_flight:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
    (line,) = [record.__dict__["fields"] for record in caplog.records]
    assert (line["status"], line["errors"]) == (499, ["CLIENT_GONE"])
    assert line["upstream_calls"] == {source: 1}


async def test_other_requests_for_the_same_object_are_answered(caplog: pytest.LogCaptureFixture) -> None:
    """Two requests share a call. The one that made it is disconnected, and the other makes a new call."""
    async with running(ports=ANY_PORTS) as urls, listening() as service:
        service.acts = [wait_for_ever]
        async with running_gateway({**urls, "products": service.url}, SLOW) as gateway:
            first, second = await post(gateway, {"query": QUERY}), await post(gateway, {"query": QUERY})
            await reached(service)
            first.close()
            await service.gone()
            await reached(service, 2)
            second.close()
            await service.gone()
    assert len(service.requests) == 2
