"""Runs an application under uvicorn so that it stops well.

On SIGTERM or SIGINT: it says on `/ready` that it is draining and takes no new request; what is in flight is finished, for
`drain.timeout_s` at most; then it exits with 0. A second signal stops it at once. On SIGHUP the settings are read again.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from bff.connection import ServerConfig
from bff.host import Gateway
from bff.settings import Settings
from bff.sockets import listening

_log = logging.getLogger("bff.server")
_KEEP_ALIVE_S = 75
_LOOK_AGAIN_S = 0.02


class Server(uvicorn.Server):
    """uvicorn's server, but for how it stops."""

    def __init__(self, app: ASGIApp, gateway: Gateway, settings: Settings) -> None:
        super().__init__(
            ServerConfig(
                app,
                settings.connections,
                loop="uvloop",
                ws="none",
                lifespan="on",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=round(settings.drain.timeout_s) or 1,
            )
        )
        self._gateway = gateway
        self._drain = settings.drain
        self._draining: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Our own handlers, so that a stop that was asked for ends with 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        loop.add_signal_handler(signal.SIGHUP, self._gateway.reload)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """The first signal drains, the second stops at once."""
        if self._draining is None:
            _log.info("draining", extra={"fields": {"signal": signal.Signals(sig).name}})
            self._gateway.drain()
            self._draining = asyncio.get_running_loop().create_task(self._stop_when_idle())
        else:
            self.should_exit = self.force_exit = True

    async def _stop_when_idle(self) -> None:
        """Stop once nothing runs. Until then the port answers: `/ready` with 503, a new operation with a refusal."""
        loop = asyncio.get_running_loop()
        last = loop.time() + self._drain.delay_s + self._drain.timeout_s
        await asyncio.sleep(self._drain.delay_s)
        while self._gateway.in_flight and loop.time() < last:  # noqa: ASYNC110 - an event would cost each request
            await asyncio.sleep(_LOOK_AGAIN_S)
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `OSError` that names the address."""
    try:
        return listening(host, port)
    except OSError as error:
        raise OSError(error.errno, f"can't listen on {host}:{port}: {error.strerror}") from error
