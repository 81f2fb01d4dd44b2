"""The running event loop, and a limit on how long its task may take: what each call needs several times, made cheap.

Python 3.11 asks the kernel for the process's id whenever it is asked for the running loop, and some twenty of those are a
tenth of a request. Knows nothing of calls.
"""

import asyncio
import threading


class _Known(threading.local):
    """The loop that this thread ran when it was last asked."""

    loop: asyncio.AbstractEventLoop | None = None


_known = _Known()


def running_loop() -> asyncio.AbstractEventLoop:
    """As `asyncio.get_running_loop`. A thread runs one loop at a time: if the one it ran last is running, it is that one."""
    loop = _known.loop
    if loop is None or not loop.is_running():
        loop = _known.loop = asyncio.get_running_loop()
    return loop


def running_task() -> "asyncio.Task[object]":
    """As `asyncio.current_task`, inside a task."""
    task = asyncio.current_task(running_loop())
    if task is None:
        raise AssertionError("this runs in a task")
    return task


class TimeLimit:
    """Cancels the task that made it after so long. As `asyncio.timeout`, at a third of its cost: each call has one."""

    __slots__ = ("_cancelled_before", "_passed", "_task", "_timer")

    def __init__(self, after_s: float) -> None:
        self._task = running_task()
        self._cancelled_before = self._task.cancelling()
        self._passed = False
        self._timer = running_loop().call_later(max(after_s, 0.0), self._cut_off)

    def has_cut_off(self) -> bool:
        """Whether the cancellation is this limit's alone. Somebody else's goes on."""
        return self._passed and self._task.uncancel() <= self._cancelled_before

    def lift(self) -> None:
        """It no longer holds."""
        self._timer.cancel()

    def _cut_off(self) -> None:
        self._passed = True
        self._task.cancel()
