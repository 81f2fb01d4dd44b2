"""How long the event loop was blocked, with a clock that is set by hand."""

import asyncio
from typing import Any

import pytest

from bff.observe.loop_watch import EVERY_S, LoopWatch


class Watched:
    """A watch whose checks are late by a given time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.seen: list[float] = []
        self.watch = LoopWatch(self.seen.append, lambda: self.now)

    def look(self, *, late_s: float) -> None:
        """The next check."""
        self.now += EVERY_S + late_s
        self.watch.check()


def test_lateness_is_observed() -> None:
    """Of each check separately, and never negative."""
    watched = Watched()
    for late_s in (0.0, 0.2, -0.01, 0.03):
        watched.look(late_s=late_s)
    assert watched.seen == pytest.approx([0.0, 0.2, 0.0, 0.03])


def test_a_long_block_is_logged_at_most_once_in_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    """The next line says how many were left out."""
    watched = Watched()
    for late_s in (0.99, 1.0, 2.0, 3.0, 0.5, 4.0):
        watched.look(late_s=late_s)
    fields: list[dict[str, Any]] = [record.fields for record in caplog.records]  # type: ignore[attr-defined]
    assert fields == [{"seconds": 1.0, "not_logged_before": 0}]
    watched.look(late_s=5.0)
    assert caplog.records[-1].fields == {"seconds": 5.0, "not_logged_before": 3}  # type: ignore[attr-defined]


async def test_it_checks_only_while_the_context_is_open() -> None:
    """The timer is cancelled with the context."""
    seen: list[float] = []
    enough = asyncio.Event()

    def observe(seconds: float) -> None:
        seen.append(seconds)
        if len(seen) == 3:
            enough.set()

    with LoopWatch(observe).running():
        await enough.wait()
    number = len(seen)
    await asyncio.sleep(3 * EVERY_S)
    assert len(seen) == number
