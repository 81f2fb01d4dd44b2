"""What happens when the client disconnects: queries are cancelled, mutations that have begun run to their end.

Most responses are ready within milliseconds, so watching begins only after 10 ms.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from starlette.types import Receive

from bff.request.http import ClientDisconnected
from bff.runtime.loop import running_loop, running_task

_WATCH_AFTER_S = 0.01


class CancelOnDisconnect:
    """An async context manager: if the client disconnects inside it, the work there is cancelled.

    By default the current task is cancelled, and `ClientDisconnected` is raised. If `stop` is given, it is called instead:
    it decides what to cancel, and the rest continues. Afterwards `is_gone` is true if the client has disconnected.

    Use it only after the request has been read: whatever else the client sends meanwhile is dropped.
    """

    def __init__(self, receive: Receive, stop: Callable[[], None] | None = None) -> None:
        self._receive = receive
        self._stop = stop
        self.is_gone = False
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        task = self._task = running_task()
        self._cancelled_before = task.cancelling()
        self._timer = running_loop().call_later(_WATCH_AFTER_S, self._begin)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None  # a reference cycle: only the garbage collector would free it
        if self._stop is not None or not self.is_gone:
            return
        # If the server has cancelled the task too, because it stops, that cancellation is not swallowed.
        if self._task.uncancel() <= self._cancelled_before and kind is asyncio.CancelledError:
            raise ClientDisconnected from error

    def _begin(self) -> None:
        self._watching = self._task.get_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        if self._stop is None:
            self._task.cancel()
        else:
            self._stop()


def cancel_nothing() -> None:
    """The `stop` for work that must not be cancelled."""
