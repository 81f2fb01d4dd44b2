"""Measures work in function calls and not in seconds, so that results don't depend on the machine's load."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from tests.support.background import Background


class Work:
    """The measured work. `calls` counts calls of Python and C functions."""

    calls = 0

    def count(self, _: FrameType, event: str, __: Any) -> None:
        """For `sys.setprofile`."""
        if event in {"call", "c_call"}:
            self.calls += 1


@contextmanager
def counted() -> Iterator[Work]:
    """Count the calls of this thread inside the context."""
    work = Work()
    before = sys.getprofile()
    sys.setprofile(work.count)
    try:
        yield work
    finally:
        sys.setprofile(before)


@contextmanager
def counted_in(background: Background) -> Iterator[Work]:
    """Count the calls of that event loop's thread inside the context: the gateway's and the services'."""
    work = Work()

    async def profile(function: Callable[..., Any] | None) -> None:
        sys.setprofile(function)

    background.run(profile(work.count))
    try:
        yield work
    finally:
        background.run(profile(None))
