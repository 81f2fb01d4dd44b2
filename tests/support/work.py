"""How much was done, counted in function calls and not in seconds: the same on a busy machine as on an idle one."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from tests.support.background import Background


class Work:
    """What was done. `calls`: of functions, Python's and C's alike."""

    calls = 0

    def count(self, _: FrameType, event: str, __: Any) -> None:
        """For `sys.setprofile`."""
        if event in {"call", "c_call"}:
            self.calls += 1


@contextmanager
def counted() -> Iterator[Work]:
    """What this thread does inside."""
    work = Work()
    before = sys.getprofile()
    sys.setprofile(work.count)
    try:
        yield work
    finally:
        sys.setprofile(before)


@contextmanager
def counted_in(background: Background) -> Iterator[Work]:
    """What that event loop's thread does meanwhile: the gateway's and the services'."""
    work = Work()

    async def profile(function: Callable[..., Any] | None) -> None:
        sys.setprofile(function)

    background.run(profile(work.count))
    try:
        yield work
    finally:
        background.run(profile(None))
