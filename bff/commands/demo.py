"""Serves an application's demo services, each on its own port, in the running event loop.

All ports are bound before any service starts: either all services listen or none does. Signals are left to the caller.
Requests are not logged.
"""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from bff.server.sockets import listening, url_of

FIRST_PORT: Final = 8101
"""The default port of the first service. Those of the others follow."""

# Longer than clients keep idle connections: if the server closes one first, the client's next request may fail.
KEEP_ALIVE_S: Final = 75
# Seconds that running requests have to finish when the services stop.
DRAIN_S: Final = 2


def ports_from(names: Iterable[str], first: int = FIRST_PORT) -> dict[str, int]:
    """Consecutive ports by service name. If `first` is 0, each is 0: any free port."""
    return {name: first and first + number for number, name in enumerate(names)}


@asynccontextmanager
async def running(
    services: Mapping[str, ASGIApp],
    ports: Mapping[str, int],
    *,
    host: str = "127.0.0.1",
    fall_back: bool = False,
) -> AsyncIterator[dict[str, str]]:
    """Serve while the context is open. Yields the base URLs by service name.

    Args:
        services: ASGI applications by name.
        ports: by name, for every service; 0 is any free port.
        host: the address to listen on.
        fall_back: whether to use any free port in place of one that is in use.

    Raises:
        OSError: a port can't be bound; the message names it and its service. No service was started.
        ValueError: a service has no port, or a port is for no service.
    """
    if unknown := sorted(ports.keys() ^ services.keys()):
        raise ValueError(f"expected exactly one port for each service; these don't match: {', '.join(unknown)}")
    with ExitStack() as sockets:
        bound = {
            name: sockets.enter_context(_listening(name, host, port, fall_back=fall_back)) for name, port in ports.items()
        }
        servers = [_Server(services[name], sock) for name, sock in bound.items()]
        tasks = [asyncio.create_task(server.run_until_stopped()) for server in servers]
        try:
            # The kernel already accepts connections. The servers take them over in the next iterations of the loop.
            yield {name: url_of(sock) for name, sock in bound.items()}
        finally:
            for server in servers:
                server.should_exit = True
            await asyncio.gather(*tasks)


class _Server(uvicorn.Server):
    """One service's server, on a socket that already listens."""

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
        """Serve until `should_exit` is set."""
        await self.serve(sockets=[self._socket])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers: uvicorn's would replace those of the process."""
        yield


def _listening(name: str, host: str, port: int, *, fall_back: bool) -> socket.socket:
    try:
        return listening(host, port)
    except OSError as error:
        if fall_back and error.errno == errno.EADDRINUSE:
            return _listening(name, host, 0, fall_back=False)
        reason = error.strerror or error
        raise OSError(error.errno, f"the {name} service cannot listen on {host}:{port}: {reason}") from error
