"""A gateway on a real socket, in front of the given services."""

import asyncio
import json
import os
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import uvicorn

from bff.commands import dev
from bff.commands import token as tokens
from bff.gateway import Mode, create, with_cors
from bff.server.connection import ServerConfig
from bff.server.host import Gateway
from bff.server.server import listen
from bff.server.sockets import url_of
from bff.settings import Settings, load
from schema.app import app as shop_app

SECRET = "a secret that only the tests know, and long enough"
SETTINGS = {"JWT_SECRET": SECRET, "LOG_LEVEL": "info", "BFF_RATE__ENABLED": "false"}
"""The settings of a gateway in tests, besides the URLs of its services."""


@dataclass(slots=True)
class RunningGateway:
    """A gateway and a client of it. `ask` is one GraphQL request by POST."""

    url: str
    settings: Settings
    app: Gateway
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30, trust_env=False))

    def token(self, sub: str = "1", role: str | None = None, ttl_s: int = 3600) -> str:
        """A token that the gateway accepts."""
        return tokens.make(self.settings, sub=sub, role=role, ttl_s=ttl_s)

    def bearer(self, sub: str = "1", role: str | None = None) -> dict[str, str]:
        """The header with such a token."""
        return {"authorization": f"Bearer {self.token(sub, role)}"}

    def post(self, variant: str, body: Any, *, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """POST `body` as JSON to a variant."""
        return self.http.post(f"{self.url}/{variant}/graphql", json=body, headers=headers)

    def ask(
        self,
        variant: str,
        query: str,
        variables: dict[str, Any] | None = None,
        *,
        sub: str | None = None,
        role: str | None = None,
    ) -> dict[str, Any]:
        """The response to a query as the user `sub`. In admin the default is an administrator."""
        if variant == "admin" and sub is None:
            sub, role = "1", "admin"
        headers = self.bearer(sub, role) if sub is not None else {}
        response = self.post(variant, {"query": query, "variables": variables}, headers=headers)
        answer: dict[str, Any] = response.json()
        return answer


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def running_gateway(
    services: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
    mode: Mode = "serve",
    load_again: Callable[[], Settings] | None = None,
    *,
    has_viewers: bool = False,
) -> AsyncIterator[RunningGateway]:
    """A gateway in front of `services` (name → URL), set by `environment`. With `has_viewers`, GraphiQL offers some."""
    places = {f"{name.upper()}_SERVICE_URL": url for name, url in services.items()}
    settings = load(shop_app, {**SETTINGS, **places, **(environment or {})})
    viewers = dev.viewers_of(settings, dev.tokens_of(shop_app, settings)) if has_viewers else ()
    gateway = create(shop_app, settings, mode, load_again, viewers=viewers)
    listener = listen("127.0.0.1", 0)
    config = ServerConfig(
        with_cors(gateway),
        settings.connections,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110 - the server has no event for it
        await asyncio.sleep(0.005)
    running = RunningGateway(url_of(listener), settings, gateway)
    try:
        yield running
    finally:
        running.http.close()
        server.should_exit = True
        await serving
        listener.close()


def free_port() -> int:
    """A free port, which no other test gets.

    It is below those that the system gives to connections: one of these could be taken before the gateway listens on it.
    """
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port")


def _ports_of_this_process() -> Iterator[int]:
    """The ports of this worker of pytest, each once, from a random one on."""
    most, worker = 1000, int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 10240 + worker % 16 * most
    offset = random.randrange(most)
    return (first + (offset + number) % most for number in range(most))


_PORTS = _ports_of_this_process()


async def post(gateway: RunningGateway, body: Any, behind: bytes = b"") -> asyncio.StreamWriter:
    """Send a request of user 1 to the variant web, followed by more bytes, and don't read the response."""
    address = urlsplit(gateway.url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    sent = json.dumps(body).encode()
    head = [
        "POST /web/graphql HTTP/1.1",
        f"host: {address.hostname}",
        "content-type: application/json",
        f"authorization: Bearer {gateway.token('1')}",
        f"content-length: {len(sent)}",
    ]
    writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + sent + behind)
    return writer
