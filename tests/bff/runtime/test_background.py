"""Background tasks: each failure is reported, and the task restarted."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from bff.runtime.background import LONGEST_PAUSE_S, STEADY_S, UNNAMED, Background

SECRET = "what somebody sent"


class Died(Exception):
    """How the work of these tests fails."""


class Hours:
    """A clock, and a sleep that takes no time but moves it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Dying:
    """Work that fails a number of times after a given run time, and then waits until it is cancelled."""

    def __init__(self, hours: Hours, deaths: list[Callable[[], None]], *, lives_s: float = 0.0) -> None:
        self._hours = hours
        self._deaths = deaths
        self._lives_s = lives_s
        self.waits = asyncio.Event()

    async def __call__(self) -> None:
        self._hours.now += self._lives_s
        if self._deaths:
            self._deaths.pop(0)()
            return
        self.waits.set()
        await asyncio.Event().wait()


def raising(kind: type[BaseException]) -> Callable[[], None]:
    """A failure by an error."""

    def die() -> None:
        raise kind(SECRET)

    return die


async def lived(work: Dying, hours: Hours, *, may_end: bool = False) -> list[str]:
    """Run it until it waits. Returns the names that were reported."""
    told: list[str] = []
    background = Background(told.append, clock=hours.clock, sleep=hours.sleep)
    task = asyncio.create_task(background.supervised("its name", work, may_end=may_end))
    await work.waits.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    return told


@pytest.mark.parametrize(
    "death", [raising(Died), raising(OverflowError), raising(RecursionError), raising(asyncio.CancelledError), lambda: None]
)
async def test_each_failure_is_reported_and_the_work_restarted(
    death: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    """By an error, by the cancellation of something it awaited, by returning. The log has no error message."""
    hours = Hours()
    assert await lived(Dying(hours, [death]), hours) == ["its name"]
    (record,) = caplog.records
    fields: dict[str, Any] = record.fields  # type: ignore[attr-defined]
    assert (fields["task"], fields["again_in_s"]) == ("its name", 1.0)
    assert SECRET not in str(fields)


async def test_pauses_double_up_to_the_longest() -> None:
    """Also after thousands of failures, where a power of two would overflow."""
    hours = Hours()
    await lived(Dying(hours, [raising(Died)] * 3000), hours)
    assert hours.slept[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert set(hours.slept[6:]) == {LONGEST_PAUSE_S}


async def test_work_that_ran_long_restarts_after_the_first_pause() -> None:
    """Its failures are not consecutive."""
    hours = Hours()
    await lived(Dying(hours, [raising(Died)] * 4, lives_s=STEADY_S), hours)
    assert hours.slept == [1, 1, 1, 1]


async def test_work_that_may_end_is_not_restarted() -> None:
    """If it returns. An error is a failure all the same."""
    hours = Hours()
    told: list[str] = []
    background = Background(told.append, clock=hours.clock, sleep=hours.sleep)
    await background.supervised("once", Dying(hours, [raising(Died), lambda: None]), may_end=True)
    assert told == ["once"]


async def test_beside_cancels_all_tasks() -> None:
    """They are cancelled and awaited when the context is left."""
    hours = Hours()
    works = [Dying(hours, []), Dying(hours, [])]
    async with Background().beside([("a", works[0]), ("b", works[1])]):
        for work in works:
            await work.waits.wait()
        before = len(asyncio.all_tasks())
    assert len(asyncio.all_tasks()) == before - 2


async def test_unhandled_errors_of_the_loop_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    """A timer's callback and a task that is not awaited are logged with the code's names, without the error's message."""
    told: list[str] = []
    loop = asyncio.get_running_loop()

    async def forgotten() -> None:
        raise Died(SECRET)

    async with Background(told.append).watching():
        loop.call_soon(raising(Died))
        task = loop.create_task(forgotten())
        await asyncio.wait([task])
        del task
        await asyncio.sleep(0)
    assert told == [UNNAMED, UNNAMED]
    whats = [record.fields["what"].rpartition(".")[2] for record in caplog.records]  # type: ignore[attr-defined]
    assert sorted(whats) == ["die", "forgotten"]
    assert SECRET not in caplog.text
    assert SECRET not in str([record.__dict__ for record in caplog.records])


async def test_a_broken_connection_is_not_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Any client can cause it."""
    told: list[str] = []
    caplog.set_level(logging.INFO)
    async with Background(told.append).watching():
        asyncio.get_running_loop().call_exception_handler({"message": "", "exception": TimeoutError(SECRET)})
    assert (told, caplog.records) == ([], [])


async def test_the_loop_has_its_own_handler_back() -> None:
    """Afterwards the loop has its former handler again."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    async with Background().watching():
        assert loop.get_exception_handler() is not before
    assert loop.get_exception_handler() is before
