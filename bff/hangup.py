"""When the client goes away, the work for it stops.

Most answers are there before it would be worth looking, so looking begins only after a moment.
"""

import asyncio
from types import TracebackType

from starlette.types import Receive

from bff.http import ClientGone
from datasources.loop import running_loop, running_task

_PATIENCE_S = 0.01


class UntilGone:
    """Cancels what runs inside `async with` when the client hangs up. Raises `ClientGone` then.

    Only for after the request was read: what else the client might send is dropped.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        task = self._task = running_task()
        self._cancelled_before = task.cancelling()
        self._timer = running_loop().call_later(_PATIENCE_S, self._begin)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None  # it leads back here, and would wait for the garbage collector
        # Somebody else may have cancelled as well (the server, as it stops): then that goes on.
        if self._gone and self._task.uncancel() <= self._cancelled_before and kind is asyncio.CancelledError:
            raise ClientGone from error

    def _begin(self) -> None:
        self._watching = self._task.get_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._task.cancel()
