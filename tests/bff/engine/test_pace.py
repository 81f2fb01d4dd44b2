"""Pace: long pieces of work are spread over iterations of the event loop, in order."""

import asyncio
import itertools

from bff.engine.pace import SLICE_S, Pace


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        """The time in seconds."""
        return self.now


async def iterations_of(pace: Pace, clock: Clock, took_s: float, number: int) -> list[int]:
    """The iterations of the loop in which pieces of that length ran, from 0."""
    turn = 0
    ran: list[int] = []

    async def count() -> None:
        nonlocal turn
        while True:
            await asyncio.sleep(0)
            turn += 1

    async def work() -> None:
        await pace.turn()
        ran.append(turn)
        clock.now += took_s

    counting = asyncio.create_task(count())
    await asyncio.gather(*(work() for _ in range(number)))
    counting.cancel()
    return ran


async def test_short_pieces_share_an_iteration() -> None:
    """They are not delayed, so requests that arrive together still share batches."""
    clock = Clock()
    ran = await iterations_of(Pace(clock), clock, SLICE_S / 100, 20)
    assert len(set(ran)) == 1


async def test_long_pieces_have_an_iteration_each() -> None:
    """In the order in which they began to wait."""
    clock = Clock()
    ran = await iterations_of(Pace(clock), clock, SLICE_S * 2, 20)
    assert len(set(ran)) == 20
    assert ran == sorted(ran)


async def test_a_single_task_yields_between_its_pieces() -> None:
    """Also if no other task waits for the pace."""
    clock, turns = Clock(), 0
    pace = Pace(clock)

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    for _ in range(10):
        await pace.turn()
        clock.now += SLICE_S * 2
    counting.cancel()
    assert turns >= 9


async def test_a_cancelled_waiter_is_passed_over() -> None:
    """As when a client disconnects."""
    ticks = itertools.count()
    pace = Pace(lambda: float(next(ticks)))
    waiting = [asyncio.create_task(pace.turn()) for _ in range(4)]
    await asyncio.sleep(0)
    assert repr(pace) == "<Pace 3 waiting>"
    waiting[1].cancel()
    await asyncio.gather(waiting[0], *waiting[2:])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert repr(pace) == "<Pace 0 waiting>"
