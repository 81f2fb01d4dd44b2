"""Bulkhead: limits of running and waiting calls, first come first served, and no place is ever lost."""

import asyncio
import random

import pytest

from bff.upstream.errors import QueueFull, TimedOut
from bff.upstream.traffic.bulkhead import Bulkhead, BulkheadOptions
from bff.upstream.traffic.call import Call, Reply
from tests.support.fakes import Clock, ended, make_call, make_caller, ok, settle


class Work:
    """A handler whose calls run until the test ends them. A call is identified by its target."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.running: dict[str, asyncio.Future[None]] = {}
        self.most = 0

    async def __call__(self, call: Call) -> Reply:
        self.begun.append(call.target)
        self.running[call.target] = asyncio.get_running_loop().create_future()
        self.most = max(self.most, len(self.running))
        try:
            await self.running[call.target]
        finally:
            del self.running[call.target]
        return Reply(200, call.target)

    async def finish(self, name: str, error: BaseException | None = None) -> None:
        """End one call, with a reply or an error. Returns which call begins next."""
        if error is None:
            self.running[name].set_result(None)
        else:
            self.running[name].set_exception(error)
        await settle()


class Ward:
    """A bulkhead with its work."""

    def __init__(self, clock: Clock, max_concurrent: int, max_waiting: int) -> None:
        self.clock = clock
        self.bulkhead = Bulkhead("users", BulkheadOptions(max_concurrent, max_waiting))
        self.work = Work()

    def start(self, name: str, left_s: float = 10.0) -> "asyncio.Task[Reply]":
        """Start a call, without letting anything run."""
        call = make_call(make_caller(self.clock, left_s=left_s), target=name)
        return asyncio.create_task(self.bulkhead(call, self.work), name=name)

    async def enter(self, *names: str) -> "list[asyncio.Task[Reply]]":
        """Start calls, one after the other."""
        tasks = [self.start(name) for name in names]
        await settle()
        return tasks

    def __repr__(self) -> str:
        return repr(self.bulkhead).partition(": ")[2].rstrip(">")


async def close(ward: Ward, *tasks: "asyncio.Task[Reply]") -> None:
    """End the remaining calls, and check that every place is free again."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert repr(ward) == "0 running, 0 waiting"


async def test_calls_beyond_both_limits_are_refused(clock: Clock) -> None:
    """Up to one limit calls run, up to the other they wait, beyond it they are refused at once."""
    ward = Ward(clock, 2, 3)
    tasks = await ward.enter("a", "b", "c", "d", "e")
    assert ward.work.begun == ["a", "b"]
    assert repr(ward) == "2 running, 3 waiting"
    (refused,) = await ward.enter("f")
    with pytest.raises(QueueFull) as caught:
        await ended(refused)
    assert (caught.value.counts, caught.value.asked) == (False, False)
    assert repr(ward) == "2 running, 3 waiting"
    await close(ward, *tasks)


async def test_without_a_queue_calls_are_refused_at_once(clock: Clock) -> None:
    """With `max_waiting` 0."""
    ward = Ward(clock, 1, 0)
    tasks = await ward.enter("a", "b")
    with pytest.raises(QueueFull):
        await ended(tasks[1])
    await ward.work.finish("a")
    tasks = await ward.enter("c")
    assert ward.work.begun == ["a", "c"]
    await close(ward, *tasks)


async def test_first_come_first_served(clock: Clock) -> None:
    """A free place goes to the call that has waited longest, however the call before it ended."""
    ward = Ward(clock, 1, 10)
    tasks = await ward.enter("a", "b", "c", "d")
    await ward.work.finish("a")
    assert ward.work.begun == ["a", "b"]
    await ward.work.finish("b", TimedOut("users", counts=True))
    assert ward.work.begun == ["a", "b", "c"]
    tasks[2].cancel()
    await settle()
    assert ward.work.begun == ["a", "b", "c", "d"]
    await ward.work.finish("d")
    assert (await ended(tasks[0])).value == "a"
    assert (await ended(tasks[3])).value == "d"
    await close(ward, *tasks)


async def test_a_new_call_does_not_overtake(clock: Clock) -> None:
    """A free place is assigned at once: a call that arrives before the waiting one wakes up still queues behind it."""
    ward = Ward(clock, 1, 10)
    tasks = await ward.enter("a", "b")
    ward.work.running["a"].set_result(None)
    await asyncio.sleep(0)  # "a" has ended and "b" holds its place, but hasn't woken up yet
    assert ward.work.begun == ["a"]
    tasks += await ward.enter("c")
    assert ward.work.begun == ["a", "b"]
    assert ward.work.most == 1
    await close(ward, *tasks)


async def test_an_error_frees_the_place(clock: Clock) -> None:
    """Any error is raised unchanged, and the place is free."""
    ward = Ward(clock, 1, 0)
    for error in (ZeroDivisionError(), TimedOut("users", counts=True)):
        (task,) = await ward.enter("a")
        await ward.work.finish("a", error)
        with pytest.raises(type(error)) as caught:
            await ended(task)
        assert caught.value is error
    await close(ward)


async def test_a_cancelled_call_leaves_the_queue(clock: Clock) -> None:
    """Cancelled while waiting: it never begins, leaves the queue at once, and cancellation is not swallowed."""
    ward = Ward(clock, 1, 2)
    tasks = await ward.enter("a", "b", "c")
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await ended(tasks[1])
    assert repr(ward) == "1 running, 1 waiting"
    tasks += await ward.enter("d")  # there is room in the queue again
    await ward.work.finish("a")
    await ward.work.finish("c")
    assert ward.work.begun == ["a", "c", "d"]
    await close(ward, *tasks)


@pytest.mark.parametrize("waiting", [1, 2])
async def test_a_place_assigned_to_a_cancelled_call_goes_to_the_next(clock: Clock, waiting: int) -> None:
    """Cancelled in the same turn in which it got the place."""
    ward = Ward(clock, 1, 5)
    tasks = await ward.enter(*"abc"[: waiting + 1])
    ward.work.running["a"].set_result(None)
    await asyncio.sleep(0)
    assert ward.work.begun == ["a"]  # handed over to "b", which has not woken up yet
    tasks[1].cancel()
    await settle()
    assert tasks[1].cancelled()
    assert ward.work.begun == ["a", "c"][:waiting]
    await close(ward, *tasks)


async def test_a_call_cancelled_before_the_assignment_is_skipped(clock: Clock) -> None:
    """Cancelled in the same turn, just before a place becomes free."""
    ward = Ward(clock, 1, 5)
    tasks = await ward.enter("a", "b", "c")
    tasks[1].cancel()
    ward.work.running["a"].set_result(None)
    await settle()
    assert ward.work.begun == ["a", "c"]
    await close(ward, *tasks)


async def test_the_deadline_holds_in_the_queue(loop_clock: Clock) -> None:
    """A call that waits past its deadline gets a timeout that doesn't count against the service."""
    ward = Ward(loop_clock, 1, 2)
    runs, late, patient = ward.start("a"), ward.start("b", left_s=3.0), ward.start("c", left_s=9.0)
    await loop_clock.advance(2.9)
    assert not late.done()
    await loop_clock.advance(0.2)
    with pytest.raises(TimedOut) as caught:
        await ended(late)
    assert (caught.value.counts, caught.value.asked) == (False, False)
    assert repr(ward) == "1 running, 1 waiting"
    await ward.work.finish("a")
    assert ward.work.begun == ["a", "c"]
    await close(ward, runs, patient)


async def test_a_place_assigned_at_the_deadline_goes_to_the_next(loop_clock: Clock) -> None:
    """The call got its place in the same turn in which its deadline passed."""
    ward = Ward(loop_clock, 1, 2)
    runs, late, patient = ward.start("a"), ward.start("b", left_s=3.0), ward.start("c", left_s=9.0)
    await settle()
    loop_clock.now += 3.1
    ward.work.running["a"].set_result(None)
    await settle()
    # Either it still got its place, or it was refused and the next one did. Never neither.
    begun = ward.work.begun
    assert begun in (["a", "b"], ["a", "c"])
    assert late.done() is (begun == ["a", "c"])
    await close(ward, runs, late, patient)


async def test_the_queues_timer_ends_with_the_wait(loop_clock: Clock) -> None:
    """Once a call runs, only the attempt limits its time."""
    ward = Ward(loop_clock, 1, 1)
    runs, waits = ward.start("a"), ward.start("b", left_s=3.0)
    await loop_clock.advance(2.0)
    await ward.work.finish("a")
    await loop_clock.advance(5.0)
    assert not waits.done()
    await ward.work.finish("b")
    assert (await ended(waits)).value == "b"
    await close(ward, runs)


@pytest.mark.parametrize("seed", range(12))
async def test_no_place_is_ever_lost(loop_clock: Clock, seed: int) -> None:
    """After any sequence of starts, ends, errors, cancellations and deadlines: limits and order hold, no place is lost."""
    chance = random.Random(seed)
    limit = seed % 4 + 1
    ward = Ward(loop_clock, limit, chance.randint(0, 6))
    tasks: list[asyncio.Task[Reply]] = []
    for step in range(300):
        running = [future for future in ward.work.running.values() if not future.done()]
        match chance.choice(["come", "come", "come", "finish", "fail", "give up", "wait", "yield", "yield"]):
            case "come":
                tasks.append(ward.start(f"{step:03d}", left_s=chance.choice([0.5, 1.0, 4.0])))
            case "finish" if running:
                chance.choice(running).set_result(None)
            case "fail" if running:
                chance.choice(running).set_exception(TimedOut("users", counts=True))
            case "give up" if tasks:
                chance.choice(tasks).cancel()
            case "wait":
                loop_clock.now += 0.4
            case _:
                await asyncio.sleep(0)
    for task in tasks:
        await settle()
        if not task.done():
            await ward.work.finish(task.get_name())
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results if not isinstance(result, Reply)} <= {
        QueueFull,
        TimedOut,
        asyncio.CancelledError,
    }
    assert ward.work.most == limit
    if limit == 1:  # with more, one that finds a place free begins at once, while one that was handed its place wakes up
        assert ward.work.begun == sorted(ward.work.begun)
    assert repr(ward) == "0 running, 0 waiting"
    tasks = await ward.enter(*map(str, range(limit)))
    assert len(ward.work.running) == limit  # all places can be had again at once
    await close(ward, *tasks)


async def test_the_reply_goes_through(clock: Clock) -> None:
    """The reply is returned unchanged."""
    assert await Bulkhead("users", BulkheadOptions())(make_call(make_caller(clock)), ok) == Reply(200, "well")
