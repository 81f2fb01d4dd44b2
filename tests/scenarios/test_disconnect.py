"""A client that disconnects: its reads are cancelled. For its writes see `tests/attacks/test_disconnect.py`."""

import asyncio

import pytest

from tests.bff.upstream.wire.peer import PATIENCE_S, Peer, listening, wait_for_ever
from tests.support.demo import ANY_PORTS, running
from tests.support.gateways import post, running_gateway

QUERY = '{ product(id: "1") { name } }'
ORDER = '{ order(id: "1") { id } }'
SLOW = {f"BFF_SOURCES__{name}__TIMEOUT_S": "60" for name in ("ORDERS", "PRODUCTS")} | {"BFF_REQUEST__DEADLINE_S": "60"}


async def reached(service: Peer, times: int = 1) -> None:
    """Wait until the service has received that many requests."""
    async with asyncio.timeout(PATIENCE_S):
        while len(service.requests) < times:  # noqa: ASYNC110 - a tiny wait for a real socket
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(("source", "query"), [("products", QUERY), ("orders", ORDER)])
async def test_work_is_cancelled_when_its_client_disconnects(
    source: str, query: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The call to the service and the request end, and the access log says why."""
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


async def test_a_shared_call_is_repeated_for_those_who_still_wait(caplog: pytest.LogCaptureFixture) -> None:
    """Two requests share a call. The client that caused it disconnects, so the other request makes its own call."""
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
