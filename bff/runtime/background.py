"""Background tasks: they run as long as the gateway does. One that fails is logged, counted and restarted.

asyncio reports nothing when a task fails that is not awaited: key sets would no longer be refreshed, instances no longer
checked, without any sign of it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from bff.runtime.clock import Clock
from bff.runtime.frames import frames_of
from bff.runtime.log import Log

Work = Callable[[], Coroutine[Any, Any, None]]

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
STEADY_S: Final = 300.0
"""After a run of at least this many seconds, the pause before a restart is `FIRST_PAUSE_S` again."""
UNNAMED: Final = "unnamed"
"""The metric's label for tasks and callbacks that are not supervised."""

_log = Log("bff.background")


class Background:
    """Runs and supervises background tasks. `on_death` is called with the name of each task that ended unexpectedly."""

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
        """Run `work` until this task is cancelled. Restart it each time it fails.

        The pause before a restart is 1 s, doubled for each consecutive failure, at most 60 s.

        Args:
            name: for the log and the metric; a name of the gateway's own, never from a client.
            work: it fails by raising, which includes a `CancelledError` while this task was not cancelled, or by returning.
            may_end: whether returning is not a failure.
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
            except Exception as raised:  # noqa: BLE001 - any failure is logged, and the work restarted
                error = raised
            if error is None and may_end:
                return
            if self._clock() - began >= STEADY_S:
                pause_s = FIRST_PAUSE_S
            self._report(name, error, pause_s)
            del error  # its traceback would live as long as the pause
            await self._sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def start(self, name: str, work: Work) -> asyncio.Task[None]:
        """Run `work`, supervised, until the returned task is cancelled."""
        return asyncio.create_task(self.supervised(name, work), name=name)

    @asynccontextmanager
    async def beside(self, works: Iterable[tuple[str, Work]]) -> AsyncIterator[None]:
        """While the context is open, run all of these, each supervised under its name."""
        tasks = [self.start(name, work) for name, work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While the context is open, handle the event loop's unhandled errors: of tasks, timers and connections' callbacks.

        asyncio's own handler would log the error's message, which may contain a client's data.
        """
        loop = asyncio.get_running_loop()
        before = loop.get_exception_handler()
        loop.set_exception_handler(self._on_fault)
        try:
            yield
        finally:
            loop.set_exception_handler(before)

    def _report(self, name: str, error: BaseException | None, pause_s: float) -> None:
        self._on_death(name)
        _log.error("a background task died", task=name, **_described(error), again_in_s=pause_s)

    def _on_fault(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        about = context.get("future") or context.get("task")
        fields = {"what": _what(about if isinstance(about, asyncio.Task) else context.get("handle")), **_described(error)}
        if isinstance(error, OSError) and not isinstance(about, asyncio.Task):
            # A broken connection. Any client can cause it, so it is no failure of ours.
            _log.debug("a connection broke", **fields)
            return
        self._on_death(UNNAMED)
        _log.error("something in the background failed", **fields)


def _what(about: Any) -> str:
    """The name of the function that a task or a timer runs."""
    if isinstance(about, asyncio.Task):
        about = about.get_coro()
    about = getattr(about, "_callback", about)
    name = getattr(about, "__qualname__", None) or type(about).__qualname__
    return str(name)


def _described(error: BaseException | None) -> dict[str, Any]:
    """The error's type and its frames, never its message."""
    if error is None:
        return {"kind": None, "frames": []}
    return {"kind": type(error).__qualname__, "frames": frames_of(error.__traceback__)}


def _is_cancelled() -> bool:
    """Whether the running task was cancelled. If not, a `CancelledError` comes from something that it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
