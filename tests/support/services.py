"""REST services for tests: the demo services behind ports that record their calls and can make them fail."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from bff.app import DemoOptions
from datasources.demo.apps import services as demo_services
from datasources.demo.data import DemoData
from tests.support.faults import Fault, FaultyPort


@dataclass(slots=True)
class Tapped:
    """The three services. `calls` has each call as (service, method, target), in order; `headers` has its headers."""

    data: DemoData
    ports: dict[str, FaultyPort]
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def urls(self) -> dict[str, str]:
        """Their URLs, by name."""
        return {name: port.url for name, port in self.ports.items()}

    def count(self) -> Counter[str]:
        """The number of calls by service."""
        return Counter(name for name, _, _ in self.calls)

    def forget(self) -> None:
        """Forget the recorded calls."""
        self.calls.clear()
        self.headers.clear()
        self.bodies.clear()

    def fail(self, name: str, fault: Fault | None) -> None:
        """Let the service fail in this way from now on; None ends that."""
        self.ports[name].fault = fault


def _tap(name: str, app: ASGIApp, tapped: Tapped) -> ASGIApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        query = scope["query_string"].decode()
        tapped.calls.append((name, scope["method"], scope["path"] + (f"?{query}" if query else "")))
        tapped.headers.append({key.decode(): value.decode("latin-1") for key, value in scope["headers"]})

        async def tapped_receive() -> Any:
            message = await receive()
            if message.get("body"):
                tapped.bodies.append(message["body"])
            return message

        await app(scope, tapped_receive, send)

    return call


async def _started(app: Any) -> uvicorn.Server:
    """A server that listens on a free port. Its `main_loop` has to run."""
    config = uvicorn.Config(app, port=0, lifespan="off", access_log=False, log_config=None, ws="none", timeout_keep_alive=75)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    return server


def _port(server: uvicorn.Server) -> int:
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


@asynccontextmanager
async def running_app(app: Any) -> AsyncIterator[str]:
    """An application on a port of this machine. Returns its URL."""
    server = await _started(app)
    running = asyncio.create_task(server.main_loop())
    try:
        yield f"http://127.0.0.1:{_port(server)}"
    finally:
        server.should_exit = True
        await running
        await server.shutdown()


@asynccontextmanager
async def tapped_services(data: DemoData | None = None) -> AsyncIterator[Tapped]:
    """The demo services on real ports, each behind a port that can be made to fail."""
    data = data or DemoData()
    tapped = Tapped(data, {})
    apps = demo_services(DemoOptions(), data)
    servers, tasks = [], []
    for name, app in apps.items():
        server = await _started(_tap(name, app, tapped))
        servers.append(server)
        tasks.append(asyncio.create_task(server.main_loop()))
        port = _port(server)
        tapped.ports[name] = await FaultyPort.open(port)
    try:
        yield tapped
    finally:
        for port_ in tapped.ports.values():
            await port_.close()
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*tasks)
        await asyncio.gather(*(server.shutdown() for server in servers))
