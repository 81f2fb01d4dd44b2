"""Runs an application under uvicorn, and stops it without losing a request.

On SIGTERM or SIGINT, step by step:
1. `/ready` answers 503. For `drain.delay_s` all other requests are served as usual, so that load balancers can react.
2. Each answer closes its connection (`Connection: close`). New connections are refused. Those in the accept queue are
   accepted and served: the kernel would reset them when the listener closes.
3. A connection is closed once it has been idle for a second. An earlier close could lose a request that is on its way.
4. Requests that still arrive are refused with 503. Running ones have `drain.timeout_s` after the delay. The process exits
   with 0.

A second signal stops the process at once. On SIGHUP the settings are read again.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Annotated

import uvicorn
from annotated_types import Ge, Gt, Le
from starlette.types import ASGIApp

from bff.runtime.log import Log
from bff.runtime.options import options
from bff.server import tls
from bff.server.connection import ClientConnection, ConnectionOptions, ServerConfig
from bff.server.host import Gateway
from bff.server.sockets import listening, refuse_new
from bff.server.tls import Certificate, TlsAcceptor, log_certificate

_log = Log("bff.server")
_KEEP_ALIVE_S = 75
_POLL_S = 0.02
_HANDSHAKE_S = 0.2
"""Seconds in which TCP handshakes that have begun can finish: one or two round trips."""
_IDLE_S = 1.0
"""A connection that was idle for this many seconds is assumed to have no request on its way."""


_STOP_GRACE_S = 3.0
"""Seconds that a process has after the drain time to close its connections."""


@options
class DrainOptions:
    """How the gateway stops.

    Attributes:
        delay_s: seconds after the signal during which requests are served as usual, with `/ready` at 503.
        timeout_s: seconds that running requests then have to finish.
    """

    delay_s: Annotated[float, Ge(0), Le(300)] = 0.0
    timeout_s: Annotated[float, Gt(0), Le(300)] = 15.0

    @property
    def stop_s(self) -> float:
        """Seconds after the signal in which a process ends by itself. After them its parent kills it."""
        return self.delay_s + self.timeout_s + _STOP_GRACE_S


class Server(uvicorn.Server):
    """uvicorn's server with a graceful stop, TLS, and a second port for operators."""

    config: ServerConfig

    def __init__(
        self,
        app: ASGIApp,
        gateway: Gateway,
        connections: ConnectionOptions,
        drain: DrainOptions,
        *,
        certificate: Certificate | None = None,
        management: ASGIApp | None = None,
        is_last: Callable[[], bool] = lambda: True,
    ) -> None:
        """Make a server. It listens once `serve` is called with a socket for each of its ports.

        Args:
            app: what serves requests: the gateway, or a middleware around it.
            gateway: the gateway, whose `drain` and `reload` are called.
            connections: limits on clients' connections, for each port.
            drain: how long a stop may take.
            certificate: for HTTPS; None for HTTP.
            management: what serves requests on the second port, by HTTP; None if there is none.
            is_last: whether no other process accepts connections on the same socket once this server has stopped.
                Otherwise the others accept them, and no connection is refused.
        """
        self._configs = [_config(each, connections) for each in (app, management) if each is not None]
        super().__init__(self._configs[0])
        self._gateway = gateway
        self._connection_options = connections
        self._drain = drain
        self._certificate = certificate
        self._is_last = is_last
        self._listeners: list[socket.socket] = []
        self._watching: asyncio.Task[None] | None = None
        self._draining: asyncio.Task[None] | None = None
        self._reloading: asyncio.Future[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        sockets = sockets or []
        # uvicorn closes its own descriptors before the accept queue is empty, so we keep another.
        self._listeners = [each.dup() for each in sockets]
        await super().startup([])
        for listener, config in zip(sockets, self._configs, strict=True):
            if not config.loaded:
                config.load()
            self.servers.append(await self._listen(listener, config))  # type: ignore[arg-type] # `TlsAcceptor` is used as one
        if self._certificate is not None:
            log_certificate(self._certificate)
            self._watching = asyncio.get_running_loop().create_task(tls.watch(self._certificate))

    async def _listen(self, listener: socket.socket, config: ServerConfig) -> asyncio.Server | TlsAcceptor:
        loop = asyncio.get_running_loop()
        if self._certificate is None or config is not self.config:
            return await loop.create_server(self._protocol(config), sock=listener, backlog=config.backlog)
        most = self._connection_options.max_connections
        return TlsAcceptor(
            listener,
            self._certificate,
            self._protocol(config),
            handshake_s=self._connection_options.head_timeout_s,
            may_accept=lambda handshakes: len(self.server_state.connections) + handshakes < most,
        )

    def _protocol(self, config: ServerConfig) -> Callable[[], ClientConnection]:
        return lambda: ClientConnection(config, self.server_state, self.lifespan.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listeners and shut down."""
        if self._watching is not None:
            self._watching.cancel()
        for listener in self._listeners:
            listener.close()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install our own signal handlers: uvicorn's would make a requested stop exit with another code than 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def _reload(self) -> None:
        """Read settings and certificate again. The task is referenced, since the event loop does not keep it."""
        self._reloading = asyncio.ensure_future(self._read_again())

    async def _read_again(self) -> None:
        if self._certificate is not None:
            await tls.reload(self._certificate)
        await self._gateway.reload()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """The first signal drains, the second stops at once."""
        if self._draining is None:
            _log.info("draining", signal=signal.Signals(sig).name)
            self._gateway.leave()
            self._draining = asyncio.get_running_loop().create_task(self._stop())
        else:
            self.should_exit = self.force_exit = True

    async def _stop(self) -> None:
        """Run steps 1 to 4. The process ends even if one of them fails."""
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(self._drain.delay_s)
            last = loop.time() + self._drain.timeout_s
            for config in self._configs:
                config.is_closing = True
            for connection in self._connections():
                connection.end_after_answer()
            await self._close_listeners()
            await self._close_idle_connections(last)
            self._gateway.drain()
            while self._gateway.in_flight and loop.time() < last:  # noqa: ASYNC110 - an event would cost each request
                await asyncio.sleep(_POLL_S)
        finally:
            self.should_exit = True

    def _connections(self) -> list[ClientConnection]:
        return [each for each in self.server_state.connections if isinstance(each, ClientConnection)]

    async def _close_listeners(self) -> None:
        is_last = self._is_last()
        if is_last:
            for listener in self._listeners:
                refuse_new(listener)
        await asyncio.sleep(_HANDSHAKE_S)
        for server in self.servers:
            server.close()
        for listener, config, server in zip(self._listeners, self._configs, self.servers, strict=True):
            if is_last:
                with suppress(OSError):
                    await self._accept_the_rest(listener, config, server)
                with suppress(OSError):
                    # Another process may hold the same listener and hang: then clients must be refused, and not wait for it.
                    listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    async def _accept_the_rest(
        self, listener: socket.socket, config: ServerConfig, server: asyncio.AbstractServer | TlsAcceptor
    ) -> None:
        """Accept and serve the connections in the accept queue."""
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        while True:
            try:
                accepted, _ = listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:  # the client has closed it meanwhile
                continue
            if isinstance(server, TlsAcceptor):
                server.begin(accepted)
                continue
            accepted.setblocking(False)
            with suppress(OSError):
                await loop.connect_accepted_socket(self._protocol(config), accepted)

    async def _close_idle_connections(self, last: float) -> None:
        """Close each connection once it has been idle for a second, until none is left or the time `last` is reached."""
        loop = asyncio.get_running_loop()
        idle_since: dict[ClientConnection, float] = {}
        while (connections := self._connections()) and (now := loop.time()) < last:
            for connection in connections:
                if not connection.is_idle:
                    idle_since.pop(connection, None)
                elif now - idle_since.setdefault(connection, now) >= _IDLE_S:
                    connection.transport.close()
            await asyncio.sleep(_POLL_S)


def _config(app: ASGIApp, connections: ConnectionOptions) -> ServerConfig:
    return ServerConfig(
        app,
        connections,
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        # `_stop` has waited for running requests before uvicorn shuts down.
        timeout_graceful_shutdown=1,
    )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises an `OSError` that names the address."""
    try:
        return listening(host, port)
    except OSError as error:
        raise OSError(error.errno, f"can't listen on {host}:{port}: {error.strerror}") from error
