"""The running loop, and the time limit of a task."""

import asyncio
import threading

import pytest

from bff.runtime.loop import TimeLimit, running_loop, running_task


async def test_it_returns_the_running_loop_and_task() -> None:
    """As asyncio's own functions do."""
    assert running_loop() is asyncio.get_running_loop()
    assert running_task() is asyncio.current_task()


def test_a_later_loop_of_the_thread_replaces_the_one_before() -> None:
    """A thread that runs another loop gets that one. With no running loop it is an error."""

    async def both() -> bool:
        return running_loop() is asyncio.get_running_loop()

    assert asyncio.run(both())
    assert asyncio.run(both())
    with pytest.raises(RuntimeError):
        running_loop()


async def test_each_thread_has_its_own() -> None:
    """While one loop runs here, another thread may run another."""
    found: list[bool] = []

    async def there() -> bool:
        return running_loop() is asyncio.get_running_loop()

    thread = threading.Thread(target=lambda: found.append(asyncio.run(there())))
    mine = running_loop()
    thread.start()
    thread.join()
    assert found == [True]
    assert running_loop() is mine


async def test_a_limit_cancels_the_task_and_reports_it() -> None:
    """The task is cancelled, and `has_cut_off` takes the cancellation back."""
    limit = TimeLimit(0)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(60)
    assert limit.has_cut_off()
    assert running_task().cancelling() == 0


async def test_a_lifted_limit_cancels_nothing() -> None:
    """What runs after it is not cancelled."""
    limit = TimeLimit(0)
    limit.lift()
    await asyncio.sleep(0.01)
    assert not limit.has_cut_off()


async def test_another_cancellation_goes_on() -> None:
    """The limit takes back only its own cancellation."""
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
