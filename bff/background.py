"""Work beside the requests: it runs as long as the gateway does, and its death is never silent.

A task that nobody awaits dies without a word: key sets are no longer renewed, instances no longer checked, and all looks
well. Here each death is a log line and a count, and the work begins anew.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from bff.errors import frames_of
from datasources.caller import Clock

Work = Callable[[], Coroutine[Any, Any, None]]

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
STEADY_S: Final = 300.0
"""Work that ran for so long before it died is begun again after the first pause."""
UNNAMED: Final = "unnamed"
"""What stands in the metric for tasks and callbacks that are not supervised."""

_log = logging.getLogger("bff.background")


class Background:
    """Runs what goes on beside the requests. `on_death` is told the name of each work that ended where it should not."""

    def __init__(
        self,
        on_death: Callable[[str], None] = lambda _: None,
        *,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._on_death = on_death
        self._clock = clock
        self._sleep = sleep

    async def supervised(self, name: str, work: Work, *, may_end: bool = False) -> None:
        """Run `work` until it is cancelled, again after each death.

        The pause before is 1 s, doubled for each death in a row, and 60 s at most.

        Args:
            name: for the log and the metric; one of the gateway's own, and not a client's.
            work: it dies by raising, also `CancelledError` where nobody has cancelled this task, and by returning.
            may_end: whether returning is a proper end instead.
        """
        pause_s = FIRST_PAUSE_S
        while True:
            began = self._clock()
            error: BaseException | None = None
            try:
                await work()
            except asyncio.CancelledError as cancelled:
                if _is_cancelled():
                    raise
                error = cancelled
            except Exception as raised:  # noqa: BLE001 - whatever it died of, it is told and begun again
                error = raised
            if error is None and may_end:
                return
            if self._clock() - began >= STEADY_S:
                pause_s = FIRST_PAUSE_S
            self._tell(name, error, pause_s)
            del error  # its traceback would live as long as the pause
            await self._sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    @asynccontextmanager
    async def beside(self, works: Iterable[tuple[str, Work]]) -> AsyncIterator[None]:
        """While the context is open, all of those run under their names, each supervised."""
        tasks = [asyncio.create_task(self.supervised(name, work), name=name) for name, work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While the context is open, what fails on this event loop where nobody waits for it is told as well.

        These are tasks whose errors were never asked for, timers, and callbacks of connections. Without, asyncio logs them
        with the error's message, which may hold what somebody sent; and it logs a task only when it is collected.
        """
        loop = asyncio.get_running_loop()
        before = loop.get_exception_handler()
        loop.set_exception_handler(self._on_fault)
        try:
            yield
        finally:
            loop.set_exception_handler(before)

    def _tell(self, name: str, error: BaseException | None, pause_s: float) -> None:
        self._on_death(name)
        fields = {"task": name, **_described(error), "again_in_s": pause_s}
        _log.error("a background task died", extra={"fields": fields})

    def _on_fault(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        about = context.get("future") or context.get("task")
        fields = {"what": _what(about if isinstance(about, asyncio.Task) else context.get("handle")), **_described(error)}
        if isinstance(error, OSError) and not isinstance(about, asyncio.Task):
            # A connection that broke: the peer's affair, which any client can bring about.
            _log.debug("a connection broke", extra={"fields": fields})
            return
        self._on_death(UNNAMED)
        _log.error("something in the background failed", extra={"fields": fields})


def _what(about: Any) -> str:
    """The function that a task or a timer runs: its name in the code."""
    if isinstance(about, asyncio.Task):
        about = about.get_coro()
    about = getattr(about, "_callback", about)
    name = getattr(about, "__qualname__", None) or type(about).__qualname__
    return str(name)


def _described(error: BaseException | None) -> dict[str, Any]:
    """The error's kind and where it came up, never its message."""
    if error is None:
        return {"kind": None, "frames": []}
    return {"kind": type(error).__qualname__, "frames": frames_of(error.__traceback__)}


def _is_cancelled() -> bool:
    """Whether somebody has cancelled the running task. If not, a `CancelledError` is of something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
