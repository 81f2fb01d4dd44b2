"""The server of a worker process, which sends heartbeats to its supervisor."""

import asyncio
from socket import socket
from types import FrameType

from bff.server.server import Server
from bff.server.supervisor import SupervisorLink

_BEAT_S = 1.0


class WorkerServer(Server):
    """A server under a supervisor. Only the first signal to stop counts.

    A terminal and systemd signal the whole process group, and the supervisor passes the signal on. So the worker gets it
    twice, and the second must not cancel running requests. A second signal to the supervisor kills the workers at once.
    """

    _is_stopping = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal; ignore further ones."""
        if not self._is_stopping:
            self._is_stopping = True
            super().handle_exit(sig, frame)


async def serve(server: WorkerServer, listeners: list[socket], link: SupervisorLink, unresponsive_s: float) -> None:
    """Serve until the server has stopped. The event loop sends at least four heartbeats in `unresponsive_s` seconds."""
    loop = asyncio.get_running_loop()
    every_s = min(_BEAT_S, unresponsive_s / 4) or _BEAT_S
    timer: asyncio.TimerHandle | None = None

    def again() -> None:
        nonlocal timer
        link.beat()
        timer = loop.call_later(every_s, again)

    again()
    try:
        await server.serve(sockets=listeners)
    finally:
        if timer is not None:
            timer.cancel()
