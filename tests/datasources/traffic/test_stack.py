"""The stack: the order of the policies, seen in what neighbours do to each other, and that nothing stays behind."""

import asyncio
import random
from dataclasses import replace

import pytest

from datasources.errors import BadAnswer, BreakerOpen, QueueFull, SourceError, TimedOut
from datasources.events import BreakerState, CallEnded, CallRefused
from datasources.traffic.balance import InstanceOptions
from datasources.traffic.breaker import BreakerOptions
from datasources.traffic.bulkhead import BulkheadOptions
from datasources.traffic.call import Reply
from datasources.traffic.stack import InstanceStatus, SourceStatus, TrafficOptions
from datasources.wire import NotConnected, WireReply, WireRequest
from tests.datasources.fakes import (
    HOST,
    Clock,
    Heard,
    ScriptedWire,
    answer,
    ended,
    hang,
    make_call,
    make_caller,
    make_stack,
    settle,
)

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
NARROW = TrafficOptions(
    timeout_s=2.0,
    breaker=BreakerOptions(minimum_calls=2, open_s=30),
    bulkhead=BulkheadOptions(max_concurrent=1, max_waiting=1),
)


class Rig:
    """A stack over a scripted network, with its time and its listener."""

    def __init__(self, wire: ScriptedWire, clock: Clock, options: TrafficOptions = NARROW, instances: int = 1) -> None:
        self.wire, self.clock, self.heard = wire, clock, Heard()
        urls = [InstanceOptions(f"{HOST}{number}") for number in range(1, instances + 1)]
        self.stack = make_stack(wire, clock, self.heard, options=options, instances=urls)

    def start(self, left_s: float = 10.0) -> "asyncio.Task[Reply]":
        """Make a call in a task of its own."""
        return asyncio.create_task(self.stack(make_call(make_caller(self.clock, left_s=left_s))))

    async def fail(self, kind: type[SourceError], left_s: float = 10.0) -> SourceError:
        """Make a call that must fail so, and see the error."""
        with pytest.raises(kind) as caught:
            await ended(self.start(left_s))
        assert type(caught.value) is kind
        return caught.value

    @property
    def breaker(self) -> BreakerState:
        """The breaker's state."""
        return self.stack.status().breaker

    @property
    def told(self) -> list[tuple[type, str]]:
        """The events of calls: went over the wire or not, and how it ended."""
        return [(type(event), event.outcome) for event in self.heard if isinstance(event, CallEnded | CallRefused)]

    async def open(self) -> None:
        """Open the breaker, by failures of the network."""
        good, self.wire.instructions = self.wire.instructions, [NotConnected()]
        while self.breaker is not OPEN:
            await asyncio.gather(self.start(), return_exceptions=True)
        self.wire.instructions = good
        self.wire.sent.clear()
        self.heard.clear()


async def gone(rig: Rig, tasks: "list[asyncio.Task[Reply]]") -> bool:
    """Cancel calls, and see that the stack takes as many as ever: one runs, one waits, and both end well."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    rig.wire.instructions = [answer()]
    replies = await asyncio.gather(rig.start(), rig.start())
    return [reply.status for reply in replies] == [200, 200]


async def test_a_call_goes_through(clock: Clock) -> None:
    """All is well: one request, one event, the value."""
    rig = Rig(ScriptedWire(answer(200, b'{"id":1}')), clock)
    assert (await ended(rig.start())).value == {"id": 1}
    assert [request.url for request in rig.wire.sent] == [f"{HOST}1/users/1"]
    assert rig.told == [(CallEnded, "ok")]


@pytest.mark.parametrize("instruction", [answer(500), answer(404), NotConnected()], ids=repr)
async def test_a_call_is_told_of_once(clock: Clock, instruction: WireReply | NotConnected) -> None:
    """What went over the wire has ended and was not refused: no call is told of twice."""
    rig = Rig(ScriptedWire(instruction), clock)
    with pytest.raises(SourceError) as caught:
        await ended(rig.start())
    assert rig.told == [(CallEnded, caught.value.outcome)]


# the deadline, then the bulkhead


async def test_what_comes_too_late_does_not_even_queue(clock: Clock) -> None:
    """Deadline before bulkhead: with the queue full, a call without time is told that it is late, not that it is full."""
    rig = Rig(ScriptedWire(hang), clock)
    tasks = [rig.start(), rig.start()]
    await settle()
    error = await rig.fail(TimedOut, left_s=0)
    assert (error.asked, error.counts) == (False, False)
    assert rig.told == [(CallRefused, "timeout")]
    assert await gone(rig, tasks)


async def test_time_in_the_queue_is_time_spent(loop_clock: Clock) -> None:
    """One budget for the wait and the work: what waited long has only what is left for its attempt."""
    rig = Rig(ScriptedWire(hang), loop_clock)
    first, second = rig.start(), rig.start(left_s=2.5)
    await loop_clock.advance(2.1)  # the first has had its two seconds, and the second begins
    assert len(rig.wire.sent) == 2
    with pytest.raises(TimedOut):
        await ended(first)
    await loop_clock.advance(0.5)
    with pytest.raises(TimedOut) as caught:
        await ended(second)
    assert (caught.value.asked, caught.value.counts) == (True, False)
    assert rig.breaker is CLOSED


async def test_late_in_the_queue_is_no_call(loop_clock: Clock) -> None:
    """A deadline that passes in the queue: refused, told as such, and neither the breaker nor the wire knows of it."""
    rig = Rig(ScriptedWire(hang), loop_clock)
    first = rig.start()
    late = rig.start(left_s=1.0)
    await loop_clock.advance(1.1)
    with pytest.raises(TimedOut):
        await ended(late)
    assert rig.told == [(CallRefused, "timeout")]
    assert len(rig.wire.sent) == 1
    assert await gone(rig, [first])


# the bulkhead, then the breaker


async def test_a_full_queue_does_not_reach_the_breaker(clock: Clock) -> None:
    """Bulkhead before breaker: refusals of our own, however many, are no failures of the service and take no probe."""
    rig = Rig(ScriptedWire(hang), clock)
    tasks = [rig.start(), rig.start()]
    await settle()
    for _ in range(20):
        await rig.fail(QueueFull)
    assert rig.breaker is CLOSED
    assert rig.told == [(CallRefused, "queue_full")] * 20
    assert await gone(rig, tasks)
    await rig.open()
    clock.now += 30
    rig.wire.instructions = [hang]
    probe, waits = rig.start(), rig.start()
    await rig.fail(QueueFull)
    assert rig.breaker is HALF_OPEN
    assert await gone(rig, [probe, waits])
    assert rig.breaker is CLOSED


async def test_a_refusal_by_the_breaker_holds_no_place(clock: Clock) -> None:
    """Whoever the breaker refuses leaves at once, and the next comes in."""
    rig = Rig(ScriptedWire(), clock)
    await rig.open()
    for _ in range(20):
        await rig.fail(BreakerOpen)
    results = await asyncio.gather(*(rig.start() for _ in range(2)), return_exceptions=True)
    assert [type(result) for result in results] == [BreakerOpen] * 2
    assert rig.told == [(CallRefused, "breaker_open")] * 22


async def test_who_waited_meets_the_breaker_of_now(clock: Clock) -> None:
    """The breaker is asked after the wait: a call that queued while it was closed isn't sent once it is open."""
    rig = Rig(ScriptedWire(NotConnected()), clock, replace(NARROW, bulkhead=BulkheadOptions(1, 10)))
    results = await asyncio.gather(*(rig.start() for _ in range(5)), return_exceptions=True)
    assert [type(error).__name__ for error in results] == ["NotReached"] * 2 + ["BreakerOpen"] * 3
    assert len(rig.wire.sent) == 2


# the breaker, then the balance


async def test_an_open_breaker_asks_nobody(clock: Clock) -> None:
    """Not over the wire, not in the caller's tally; listeners hear of a refused call with its template and request."""
    rig = Rig(ScriptedWire(), clock)
    await rig.open()
    caller = make_caller(clock)
    with pytest.raises(BreakerOpen) as caught:
        await rig.stack(make_call(caller))
    assert caught.value.retry_after == 30
    assert rig.heard == [CallRefused("users", "/users/{id}", "breaker_open", "request-1")]
    assert (rig.wire.sent, caller.calls) == ([], {})


async def test_one_breaker_for_all_instances(clock: Clock) -> None:
    """Breaker before balance: failures of all instances add up, and once open none of them is asked."""
    rig = Rig(ScriptedWire(answer(500)), clock, instances=2)
    for _ in range(2):
        await rig.fail(BadAnswer)
    assert [request.url for request in rig.wire.sent] == [f"{HOST}1/users/1", f"{HOST}2/users/1"]
    assert rig.stack.status() == SourceStatus("users", OPEN, (InstanceStatus(1, False), InstanceStatus(2, False)))
    await rig.fail(BreakerOpen)
    await rig.fail(BreakerOpen)
    assert len(rig.wire.sent) == 2


async def test_a_refused_call_takes_no_ones_turn(clock: Clock) -> None:
    """Turns are taken by calls that go out: refusals in between don't shift them."""
    rig = Rig(ScriptedWire(), clock, instances=3)
    for refused in (0, 1, 5):
        await ended(rig.start())
        for _ in range(refused):
            await rig.fail(TimedOut, left_s=0)
    assert [event.instance for event in rig.heard.ended] == [1, 2, 3]


# the balance, then the attempt


async def test_a_timeout_is_the_instances(loop_clock: Clock) -> None:
    """What the attempt finds out the balance remembers: the instance that hangs is unhealthy, the other isn't."""
    rig = Rig(ScriptedWire(hang, answer()), loop_clock, TrafficOptions(timeout_s=2.0), instances=2)
    slow, fast = rig.start(), rig.start()
    await ended(fast)
    await loop_clock.advance(2.1)
    with pytest.raises(TimedOut):
        await ended(slow)
    assert rig.stack.status().instances == (InstanceStatus(1, False), InstanceStatus(2, True))
    assert [(event.instance, event.outcome) for event in rig.heard.ended] == [(2, "ok"), (1, "timeout")]


# cancellation


@pytest.mark.parametrize("half_open", [False, True])
async def test_whoever_gives_up_leaves_nothing_behind(clock: Clock, half_open: bool) -> None:
    """Cancelled on the wire and in the queue, closed and half open: place and permit are free again."""
    rig = Rig(ScriptedWire(hang), clock)
    if half_open:
        await rig.open()
        clock.now += 30
    tasks = [rig.start(), rig.start()]
    await settle()
    assert (len(rig.wire.sent), rig.breaker) == (1, HALF_OPEN if half_open else CLOSED)
    assert await gone(rig, tasks)
    assert all(task.cancelled() for task in tasks)
    assert rig.breaker is CLOSED
    assert rig.told == [(CallEnded, "cancelled"), (CallEnded, "ok"), (CallEnded, "ok")]


@pytest.mark.parametrize("seed", range(6))
async def test_no_storm_leaves_anything_behind(loop_clock: Clock, seed: int) -> None:
    """Answers, failures, hangs, cancellations and deadlines in any order: in the end all places and permits are there."""
    chance = random.Random(seed)  # noqa: S311 - the same run every time
    running = 0

    async def any_fate(_: WireRequest) -> WireReply:
        nonlocal running
        running += 1
        assert running <= 3
        try:
            for _ in range(chance.randint(0, 5)):
                await asyncio.sleep(0)
            match chance.choice(["well", "well", "ill", "gone", "hang"]):
                case "well":
                    return answer()
                case "ill":
                    return answer(500)
                case "gone":
                    raise NotConnected
            return await hang(_)
        finally:
            running -= 1

    options = TrafficOptions(
        timeout_s=1.0,
        breaker=BreakerOptions(window_s=5, minimum_calls=4, open_s=2, half_open_calls=2),
        bulkhead=BulkheadOptions(max_concurrent=3, max_waiting=4),
    )
    rig = Rig(ScriptedWire(any_fate), loop_clock, options, instances=2)
    tasks: list[asyncio.Task[Reply]] = []
    for _ in range(300):
        tasks.append(rig.start(left_s=chance.choice([0.3, 1.5, 5.0])))
        if chance.random() < 0.2:
            chance.choice(tasks).cancel()
        if chance.random() < 0.3:
            loop_clock.now += 0.25
        await asyncio.sleep(0)
    for _ in range(10):
        await loop_clock.advance(1.0)
    results = [await asyncio.gather(ended(task), return_exceptions=True) for task in tasks]
    kinds = {type(result) for (result,) in results}
    assert {Reply, BadAnswer, BreakerOpen, QueueFull, TimedOut, asyncio.CancelledError} <= kinds
    assert all(issubclass(kind, Reply | SourceError | asyncio.CancelledError) for kind in kinds)
    assert (CLOSED, OPEN) in rig.heard.turns
    # every call that was not cancelled while it waited was told of, once
    assert len(rig.heard.ended) == len(rig.wire.sent)
    rig.wire.instructions = [answer()]
    loop_clock.now += 10
    for _ in range(2):  # half open, it takes two probes; then all of them pass at once
        await ended(rig.start())
    assert rig.breaker is CLOSED
    rig.wire.instructions = [hang]
    rig.wire.sent.clear()
    tasks = [rig.start() for _ in range(8)]
    await settle()
    assert len(rig.wire.sent) == 3
    assert [task.done() for task in tasks] == [False] * 7 + [True]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# what is shown


async def test_status_and_repr_tell_no_address(clock: Clock) -> None:
    """Name, breaker, and numbered instances; no host or port, wherever a stack is printed."""
    rig = Rig(ScriptedWire(), clock, instances=2)
    assert rig.stack.status() == SourceStatus("users", CLOSED, (InstanceStatus(1, True), InstanceStatus(2, True)))
    for shown in (repr(rig.stack), repr(rig.stack.status())):
        assert "users" in shown
        assert "10.11" not in shown


def test_the_defaults_are_those_of_the_settings_page() -> None:
    """run.md's table of defaults."""
    options = TrafficOptions()
    assert (options.timeout_s, options.max_response_bytes) == (2.0, 10 * 1024 * 1024)
    assert options.breaker == BreakerOptions(10, 5, 0.5, 30, 1)
    assert options.bulkhead == BulkheadOptions(100, 200)
