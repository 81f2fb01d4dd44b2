"""The shop's demo services on loopback ports."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from bff.app import DemoOptions
from bff.commands.demo import ports_from
from bff.commands.demo import running as running_services
from datasources.demo.apps import services
from datasources.demo.data import DemoData

NAMES = ("users", "orders", "products")
DEFAULT_PORTS = ports_from(NAMES)
ANY_PORTS = ports_from(NAMES, 0)
USUAL = DemoOptions()


@asynccontextmanager
async def running(
    options: DemoOptions = USUAL,
    *,
    ports: Mapping[str, int] = DEFAULT_PORTS,
    host: str = "127.0.0.1",
    fall_back: bool = False,
    data: DemoData | None = None,
) -> AsyncIterator[dict[str, str]]:
    """Run the three services. A service that is not in `ports` has its default port."""
    apps = services(options, data)
    async with running_services(apps, {**DEFAULT_PORTS, **ports}, host=host, fall_back=fall_back) as urls:
        yield urls
