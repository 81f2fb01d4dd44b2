"""The running loop, and limits on time."""

import asyncio
import threading

import pytest

from bff.runtime.loop import TimeLimit, running_loop, running_task


async def test_it_is_the_loop_that_runs() -> None:
    """Here and now, and the task too."""
    assert running_loop() is asyncio.get_running_loop()
    assert running_task() is asyncio.current_task()


def test_loops_that_follow_each_other_are_told_apart() -> None:
    """A thread that runs another loop later gets that one; with none running there is none."""

    async def both() -> bool:
        return running_loop() is asyncio.get_running_loop()

    assert asyncio.run(both())
    assert asyncio.run(both())
    with pytest.raises(RuntimeError):
        running_loop()


async def test_each_thread_has_its_own() -> None:
    """While one loop runs here, another may run there."""
    found: list[bool] = []

    async def there() -> bool:
        return running_loop() is asyncio.get_running_loop()

    thread = threading.Thread(target=lambda: found.append(asyncio.run(there())))
    mine = running_loop()
    thread.start()
    thread.join()
    assert found == [True]
    assert running_loop() is mine


async def test_a_limit_cuts_off_and_says_so() -> None:
    """The task is cancelled, and the cancellation is taken back."""
    limit = TimeLimit(0)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(60)
    assert limit.has_cut_off()
    assert running_task().cancelling() == 0


async def test_a_limit_that_was_lifted_holds_no_longer() -> None:
    """What comes after it is not cut off."""
    limit = TimeLimit(0)
    limit.lift()
    await asyncio.sleep(0.01)
    assert not limit.has_cut_off()


async def test_somebody_elses_cancellation_goes_on() -> None:
    """The limit takes back its own alone."""
    cut: list[bool] = []

    async def work() -> None:
        limit = TimeLimit(60)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cut.append(limit.has_cut_off())
            raise
        finally:
            limit.lift()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cut == [False]
