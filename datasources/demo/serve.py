"""The three services on ports of their own, in the event loop that runs already.

All ports are bound before anything is served: either all three services listen or none does. Signals are the caller's
and are left alone. Requests are not logged.
"""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from types import MappingProxyType
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from bff.server.sockets import listening, url_of
from datasources.demo.apps import demo_apps
from datasources.demo.data import DemoData
from datasources.demo.options import DEFAULT_OPTIONS, DemoOptions

DEFAULT_PORTS: Final[Mapping[str, int]] = MappingProxyType({"users": 8101, "orders": 8102, "products": 8103})
ANY_PORTS: Final[Mapping[str, int]] = MappingProxyType(dict.fromkeys(DEFAULT_PORTS, 0))

# Longer than clients keep their idle connections: a server that closes first makes the next request fail.
KEEP_ALIVE_S: Final = 75
# How long a request may still take once the services are to stop.
DRAIN_S: Final = 2


@asynccontextmanager
async def running(
    options: DemoOptions = DEFAULT_OPTIONS,
    *,
    ports: Mapping[str, int] = DEFAULT_PORTS,
    host: str = "127.0.0.1",
    fall_back: bool = False,
    data: DemoData | None = None,
) -> AsyncIterator[dict[str, str]]:
    """Serves while the context is open, and yields the base URLs by service name.

    Args:
        options: how the services behave.
        ports: by service name; a service left out has its default port, 0 is any free one.
        host: the address to listen on.
        fall_back: take any free port in place of one that is in use.
        data: what to serve; the demo data as they are at first, if not given.

    Raises:
        OSError: a port cannot be had; the message names it and its service. Nothing was started.
        ValueError: `ports` names a service that there is not.
    """
    unknown = ports.keys() - DEFAULT_PORTS.keys()
    if unknown:
        raise ValueError(f"the services are {', '.join(DEFAULT_PORTS)}: there is no {', '.join(sorted(unknown))}")
    apps = demo_apps(data, options)
    with ExitStack() as sockets:
        bound = {
            name: sockets.enter_context(_listening(name, host, port, fall_back=fall_back))
            for name, port in {**DEFAULT_PORTS, **ports}.items()
        }
        servers = [_Server(apps[name], sock) for name, sock in bound.items()]
        tasks = [asyncio.create_task(server.run_until_stopped()) for server in servers]
        try:
            # The kernel takes connections from here on; the servers pick them up on the loop's next turns.
            yield {name: url_of(sock) for name, sock in bound.items()}
        finally:
            for server in servers:
                server.should_exit = True
            await asyncio.gather(*tasks)


class _Server(uvicorn.Server):
    """One service's server, on a socket that listens already."""

    def __init__(self, app: ASGIApp, sock: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=DRAIN_S,
            )
        )
        self._socket = sock

    async def run_until_stopped(self) -> None:
        """Serves until `should_exit`."""
        await self.serve(sockets=[self._socket])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to the process's owner, where uvicorn would take them over."""
        yield


def _listening(name: str, host: str, port: int, *, fall_back: bool) -> socket.socket:
    try:
        return listening(host, port)
    except OSError as error:
        if fall_back and error.errno == errno.EADDRINUSE:
            return _listening(name, host, 0, fall_back=False)
        reason = error.strerror or error
        raise OSError(error.errno, f"the {name} service cannot listen on {host}:{port}: {reason}") from error
