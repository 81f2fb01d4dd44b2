"""When the client disconnects, its reads are cancelled; a mutation that has begun runs to its end.

Most answers are there before it would be worth looking, so looking begins only after a moment.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from starlette.types import Receive

from bff.request.http import ClientDisconnected
from bff.runtime.loop import running_loop, running_task

_PATIENCE_S = 0.01


class CancelOnDisconnect:
    """Notices inside `async with` when the client disconnects, and stops the work there.

    By default the task itself is cancelled, and `ClientDisconnected` raised. If `stop` is given it is called instead, and
    decides what to cancel; everything else goes on without a client. Afterwards `is_gone`
    says whether the client has disconnected.

    Only for after the request was read: what else the client might send is dropped.
    """

    def __init__(self, receive: Receive, stop: Callable[[], None] | None = None) -> None:
        self._receive = receive
        self._stop = stop
        self.is_gone = False
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        task = self._task = running_task()
        self._cancelled_before = task.cancelling()
        self._timer = running_loop().call_later(_PATIENCE_S, self._begin)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None  # it leads back here, and would wait for the garbage collector
        if self._stop is not None or not self.is_gone:
            return
        # Somebody else may have cancelled as well (the server, as it stops): then that goes on.
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
