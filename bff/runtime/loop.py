"""The running event loop and a time limit for the running task, cheaper than asyncio's. Each upstream call needs several.

`asyncio.get_running_loop` of Python 3.11 makes a system call for the process's id each time. About twenty of them took a
tenth of a request's CPU time.
"""

import asyncio
import threading


class _Known(threading.local):
    """The loop that this thread ran at the last call of `running_loop`."""

    loop: asyncio.AbstractEventLoop | None = None


_known = _Known()


def running_loop() -> asyncio.AbstractEventLoop:
    """As `asyncio.get_running_loop`. A thread runs one loop at a time, so if its last loop is running, that is the one."""
    loop = _known.loop
    if loop is None or not loop.is_running():
        loop = _known.loop = asyncio.get_running_loop()
    return loop


def running_task() -> "asyncio.Task[object]":
    """As `asyncio.current_task`, inside a task."""
    task = asyncio.current_task(running_loop())
    if task is None:
        raise AssertionError("expected to run in a task")
    return task


class TimeLimit:
    """Cancels the task that made it after `after_s` seconds. As `asyncio.timeout`, at a third of its cost.

    Use it as follows: make it, await in a `try`, call `lift` in `finally`. On `CancelledError`, `has_cut_off` says whether
    this limit was the reason. If not, raise the error again.
    """

    __slots__ = ("_cancelled_before", "_passed", "_task", "_timer")

    def __init__(self, after_s: float) -> None:
        self._task = running_task()
        self._cancelled_before = self._task.cancelling()
        self._passed = False
        self._timer = running_loop().call_later(max(after_s, 0.0), self._cut_off)

    def has_cut_off(self) -> bool:
        """Whether this limit alone cancelled the task. Otherwise the `CancelledError` must be raised again."""
        return self._passed and self._task.uncancel() <= self._cancelled_before

    def lift(self) -> None:
        """End the limit."""
        self._timer.cancel()

    def _cut_off(self) -> None:
        self._passed = True
        self._task.cancel()


class MovableLimit(TimeLimit):
    """A time limit that another task may move, while the task that made it waits."""

    __slots__ = ("_is_lifted",)

    def __init__(self, after_s: float) -> None:
        super().__init__(after_s)
        self._is_lifted = False

    def move(self, after_s: float | None) -> None:
        """Begin again, with `after_s` seconds from now; None: without a limit for now. Nothing after `lift`."""
        self._timer.cancel()
        if not self._is_lifted and after_s is not None:
            self._timer = self._task.get_loop().call_later(max(after_s, 0.0), self._cut_off)

    def lift(self) -> None:
        """End the limit for good."""
        self._is_lifted = True
        super().lift()
