"""A worker process: serves, and sends heartbeats to its supervisor."""

import asyncio
from socket import socket
from types import FrameType

from bff.server.server import Server
from bff.server.supervisor import Ties

_BEAT_S = 1.0


class WorkerServer(Server):
    """A server under a supervisor. Only the first signal to stop counts.

    A terminal and systemd signal the whole process group, and the supervisor passes the signal on: the worker gets it twice,
    and the second must not cancel running requests. To stop at once, signal the supervisor twice: it kills the workers.
    """

    _is_stopping = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal; ignore further ones."""
        if not self._is_stopping:
            self._is_stopping = True
            super().handle_exit(sig, frame)


async def serve(server: WorkerServer, listener: socket, ties: Ties, unresponsive_s: float) -> None:
    """Serve, with a heartbeat from the event loop at least four times in `unresponsive_s`."""
    loop = asyncio.get_running_loop()
    every_s = min(_BEAT_S, unresponsive_s / 4) or _BEAT_S
    timer: asyncio.TimerHandle | None = None

    def again() -> None:
        nonlocal timer
        ties.beat()
        timer = loop.call_later(every_s, again)

    again()
    try:
        await server.serve(sockets=[listener])
    finally:
        if timer is not None:
            timer.cancel()
