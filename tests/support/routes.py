"""A gateway with routes, in front of a raw service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.gateways import RunningGateway, running_gateway
from tests.support.upstreams import Answer, RawService, echo, raw_service

NOWHERE = dict.fromkeys(("users", "orders", "products"), "http://127.0.0.1:9")
"""The shop's own services, which no test of routes calls."""


@dataclass(slots=True)
class Routed:
    """A running gateway, and the service behind its routes."""

    gateway: RunningGateway
    service: RawService

    @property
    def url(self) -> str:
        """The gateway's."""
        return self.gateway.url


ROUTE = """
[[routes]]
path = "/api"
name = "raw"
url = "{url}"
methods = ["GET", "POST"]
"""


@asynccontextmanager
async def routed(folder: Path, text: str = ROUTE, answer: Answer = echo, **environment: str) -> AsyncIterator[Routed]:
    """A gateway with the settings `text`, in which `{url}` is the service's URL."""
    async with raw_service(answer) as service:
        file = folder / "bff.toml"
        file.write_text(text.replace("{url}", service.url), encoding="utf-8")
        async with running_gateway(NOWHERE, {"BFF_CONFIG": str(file), **environment}) as gateway:
            yield Routed(gateway, service)
