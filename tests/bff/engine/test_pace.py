"""Pace: long stretches of work are spread over turns of the event loop, in the order in which they asked."""

import asyncio
import itertools

from bff.engine.pace import SLICE_S, Pace


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        """The time in seconds."""
        return self.now


async def stretches(pace: Pace, clock: Clock, took_s: float, number: int) -> list[int]:
    """In which turn of the loop each of several stretches of that length ran."""
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


async def test_short_stretches_share_a_turn() -> None:
    """What takes no time to speak of is not delayed: requests of one moment still go out together."""
    clock = Clock()
    ran = await stretches(Pace(clock), clock, SLICE_S / 100, 20)
    assert len(set(ran)) == 1


async def test_long_stretches_have_a_turn_each() -> None:
    """However many wait."""
    clock = Clock()
    ran = await stretches(Pace(clock), clock, SLICE_S * 2, 20)
    assert len(set(ran)) == 20
    assert ran == sorted(ran)


async def test_one_task_lets_the_loop_go_on_between_its_own_stretches() -> None:
    """Also when no other task waits."""
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


async def test_who_gives_up_while_waiting_holds_nobody_up() -> None:
    """A client that hangs up is passed over."""
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
