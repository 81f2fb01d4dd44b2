"""One of several processes that serve: what it does beside serving, for its supervisor."""

import asyncio
from socket import socket
from types import FrameType

from bff.server import Server
from bff.supervisor import Ties

_BEAT_S = 1.0


class WorkerServer(Server):
    """A server under a supervisor. Only the first signal to stop counts.

    A terminal and systemd send it to the whole group: then it comes once by itself and once from the supervisor, and the
    second must not cut off what runs. Whoever is impatient signals the supervisor twice, which kills the workers.
    """

    _is_stopping = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain, once."""
        if not self._is_stopping:
            self._is_stopping = True
            super().handle_exit(sig, frame)


async def serve(server: WorkerServer, listener: socket, ties: Ties, unresponsive_s: float) -> None:
    """Serve, and beat from the event loop as long as it runs: at least four times in `unresponsive_s`."""
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
