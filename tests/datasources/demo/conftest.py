"""The demo services on loopback sockets, one set for each test module. Tests that write use different ids."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest_asyncio

from tests.support.demo import ANY_PORTS, running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services() -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """A client for each service, by name."""
    async with running(ports=ANY_PORTS) as urls, AsyncExitStack() as clients:
        yield {
            name: await clients.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False))
            for name, url in urls.items()
        }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def users(services: dict[str, httpx.AsyncClient]) -> httpx.AsyncClient:
    """A client of the users service."""
    return services["users"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def orders(services: dict[str, httpx.AsyncClient]) -> httpx.AsyncClient:
    """A client of the orders service."""
    return services["orders"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def products(services: dict[str, httpx.AsyncClient]) -> httpx.AsyncClient:
    """A client of the products service."""
    return services["products"]
