"""Hedge: a slow read gets a second attempt, the first reply is used, and no task is left running."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from bff.upstream.caller import Caller
from bff.upstream.errors import BadAnswer, NotReached
from bff.upstream.events import CallRetried
from bff.upstream.traffic.budget import RetryBudget
from bff.upstream.traffic.call import Call, Reply
from bff.upstream.traffic.hedge import Durations, HedgeOptions, HedgePolicy
from tests.support.fakes import Clock, Heard, ended, hang, make_call, make_caller, settle

Act = Callable[[Call], Awaitable[Reply]]


class Rig:
    """The policy over a sequence of acts. It has twenty calls of 0.1 s each; its sleep waits until the test ends it."""

    def __init__(self, clock: Clock, *acts: Act, ratio: float = 1.0, known: int = 20, **options: Any) -> None:
        self.clock, self.heard = clock, Heard()
        self.acts = list(acts)
        self.calls: list[Call] = []
        self.cancelled = 0
        self.slept: list[float] = []
        self.late = asyncio.Event()
        budget = RetryBudget(ratio, clock)
        self.policy = HedgePolicy("users", HedgeOptions(enabled=True, **options), budget, self.heard, clock, self._sleep)
        for _ in range(known):
            self.policy._durations.add(0.1)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.late.wait()

    async def _next(self, call: Call) -> Reply:
        self.calls.append(call)
        try:
            return await self.acts[len(self.calls) - 1](call)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def start(self, call: Call) -> "asyncio.Task[Reply]":
        return asyncio.create_task(self.policy(call, self._next))

    async def turn_late(self) -> None:
        """Time passes until the read counts as slow."""
        await settle()
        self.clock.now += 0.1
        self.late.set()
        await settle()


def says(value: str, gate: asyncio.Event | None = None) -> Act:
    """A service that replies once its gate is open."""

    async def act(_: Call) -> Reply:
        if gate is not None:
            await gate.wait()
        return Reply(200, value)

    return act


def fails(error: Exception, gate: asyncio.Event | None = None) -> Act:
    """A service that fails once its gate is open."""

    async def act(_: Call) -> Reply:
        if gate is not None:
            await gate.wait()
        raise error

    return act


@pytest.fixture(autouse=True)
async def nothing_left() -> Any:
    """However a test ends, no task of the policy is left running."""
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_quick_read_is_not_hedged(clock: Clock, caller: Caller) -> None:
    """A read is slow only if it takes longer than most recent ones."""
    rig = Rig(clock, says("first"))
    assert (await ended(rig.start(make_call(caller)))).value == "first"
    assert (len(rig.calls), rig.heard) == (1, [])


async def test_a_slow_read_is_hedged(clock: Clock, caller: Caller) -> None:
    """The first reply is used, here the second attempt's. The other attempt is cancelled. The listener gets an event."""
    rig = Rig(clock, hang, says("second"))
    task = rig.start(make_call(caller))
    await rig.turn_late()
    assert (await ended(task)).value == "second"
    assert (len(rig.calls), rig.cancelled, rig.slept) == (2, 1, [0.1])
    assert rig.heard == [CallRetried("users", "/users/{id}", "hedge", 0.1, "request-1")]


async def test_the_first_attempt_may_still_win(clock: Clock, caller: Caller) -> None:
    """Then the second one is cancelled."""
    gate = asyncio.Event()
    rig = Rig(clock, says("first", gate), hang)
    task = rig.start(make_call(caller))
    await rig.turn_late()
    gate.set()
    assert (await ended(task)).value == "first"
    assert rig.cancelled == 1


async def test_if_one_attempt_fails_the_others_reply_is_used(clock: Clock, caller: Caller) -> None:
    """Whichever of them fails."""
    for first_fails in (True, False):
        gate = asyncio.Event()
        bad, good = fails(NotReached("users", sent=True)), says("well", gate)
        waits = asyncio.Event()
        rig = Rig(clock, fails(NotReached("users", sent=True), waits) if first_fails else good, good if first_fails else bad)
        task = rig.start(make_call(caller))
        await rig.turn_late()
        waits.set()
        await settle()
        assert not task.done()
        gate.set()
        assert (await ended(task)).value == "well"


async def test_if_both_fail_the_first_ones_error_is_raised(clock: Clock, caller: Caller) -> None:
    """The second one's is dropped."""
    gate = asyncio.Event()
    rig = Rig(clock, fails(NotReached("users", sent=True), gate), fails(BadAnswer("users", counts=True)))
    task = rig.start(make_call(caller))
    await rig.turn_late()
    gate.set()
    with pytest.raises(NotReached):
        await ended(task)


async def test_a_quick_failure_is_not_hedged(clock: Clock, caller: Caller) -> None:
    """That is the retry policy's task."""
    rig = Rig(clock, fails(NotReached("users", sent=True)))
    with pytest.raises(NotReached):
        await ended(rig.start(make_call(caller)))
    assert len(rig.calls) == 1


async def test_without_budget_there_is_no_hedge(clock: Clock, caller: Caller) -> None:
    """A service that is slow for all calls must not get each of them twice."""
    gate = asyncio.Event()
    rig = Rig(clock, says("first", gate), hang, ratio=0)
    task = rig.start(make_call(caller))
    await rig.turn_late()
    assert len(rig.calls) == 1
    gate.set()
    assert (await ended(task)).value == "first"


async def test_without_time_left_there_is_no_hedge(clock: Clock) -> None:
    """After the operation's deadline."""
    gate = asyncio.Event()
    rig = Rig(clock, says("first", gate), hang)
    task = rig.start(make_call(make_caller(clock, left_s=0.1)))
    await rig.turn_late()
    assert len(rig.calls) == 1
    gate.set()
    await ended(task)


async def test_writes_are_never_hedged(clock: Clock, caller: Caller) -> None:
    """Not even with an idempotency key: both would run at the same time."""
    rig = Rig(clock, says("written"))
    assert (await ended(rig.start(make_call(caller, method="POST", idempotency_key="k")))).value == "written"
    assert rig.slept == []


async def test_without_enough_measured_calls_nothing_is_slow(clock: Clock, caller: Caller) -> None:
    """With nineteen calls no read is hedged. The twentieth completes the minimum."""
    rig = Rig(clock, says("1"), says("2"), known=19)
    await ended(rig.start(make_call(caller)))
    assert rig.slept == []
    await ended(rig.start(make_call(caller)))
    assert len(rig.slept) == 1


async def test_cancellation_ends_both_attempts(clock: Clock, caller: Caller) -> None:
    """Before the hedge and after it."""
    for late in (False, True):
        rig = Rig(clock, hang, hang)
        task = rig.start(make_call(caller))
        await settle()
        if late:
            await rig.turn_late()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert rig.cancelled == len(rig.calls) == 1 + late


async def test_the_slower_attempt_is_measured(clock: Clock, caller: Caller) -> None:
    """Without it slow calls would seem rarer than they are, and more and more reads be hedged."""
    rig = Rig(clock, hang, says("second"))
    task = rig.start(make_call(caller))
    await settle()
    rig.clock.now += 0.5
    rig.late.set()
    await ended(task)
    assert max(rig.policy._durations._samples) == pytest.approx(0.5)


def test_the_quantile() -> None:
    """Of the last hundred calls, computed once for every ten."""
    durations = Durations(0.95)
    for number in range(1, 301):
        durations.add(number / 1000)
    assert len(durations) == 100
    assert durations.quantile_s() == pytest.approx(0.296)
    for _ in range(9):
        durations.add(9.0)
    assert durations.quantile_s() == pytest.approx(0.296)
    durations.add(9.0)
    assert durations.quantile_s() == 9.0


def test_the_quantile_of_no_calls_is_zero() -> None:
    """No duration is below it."""
    assert Durations(0.95).quantile_s() == 0.0


async def test_writes_are_not_measured(clock: Clock, caller: Caller) -> None:
    """Their duration says nothing about reads."""
    rig = Rig(clock, says("written"))
    await ended(rig.start(make_call(caller, method="POST")))
    assert len(rig.policy._durations) == 20


async def test_nothing_is_slow_before_the_minimum_delay(clock: Clock, caller: Caller) -> None:
    """However fast the service was. The event has this delay too."""
    rig = Rig(clock, hang, says("second"), min_delay_s=0.5)
    task = rig.start(make_call(caller))
    await rig.turn_late()
    await ended(task)
    assert rig.slept == [0.5]
    assert [event.delay_s for event in rig.heard if isinstance(event, CallRetried)] == [0.5]


async def test_the_slower_attempt_has_ended_before_the_reply_is_returned(clock: Clock, caller: Caller) -> None:
    """It may take time, to return its connection for example. A call cancelled meanwhile ends after it."""
    for gives_up in (False, True):
        over = asyncio.Event()

        async def lingers(call: Call, over: asyncio.Event = over) -> Reply:
            try:
                return await hang(call)
            finally:
                await over.wait()

        rig = Rig(clock, lingers, says("second"))
        task = rig.start(make_call(caller))
        await rig.turn_late()
        assert not task.done()
        over.set()
        if gives_up:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await ended(task)
        else:
            assert (await ended(task)).value == "second"


async def test_an_attempt_cancelled_early_is_not_measured(clock: Clock, caller: Caller) -> None:
    """It might have taken any time: measured, it would make all calls seem faster than they are."""
    gate = asyncio.Event()
    rig = Rig(clock, says("first", gate), hang)
    task = rig.start(make_call(caller))
    await rig.turn_late()
    rig.clock.now += 0.03
    gate.set()
    await ended(task)
    assert list(rig.policy._durations._samples) == pytest.approx([0.1] * 20 + [0.13])


@pytest.mark.parametrize("known", [0, 1, 19])
async def test_cancelled_calls_are_not_measured_without_a_quantile(clock: Clock, caller: Caller, known: int) -> None:
    """Every duration is above it then: twenty clients that leave at once would make every read a slow one."""
    rig = Rig(clock, hang, known=known)
    task = rig.start(make_call(caller))
    await settle()
    rig.clock.now += 0.2
    task.cancel()
    await settle()
    assert len(rig.policy._durations) == known


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("quantile_ratio", 0),
        ("quantile_ratio", 1),
        ("minimum_calls", 0),
        ("minimum_calls", 101),
        ("min_delay_s", 0),
        ("min_delay_s", 61),
        ("quantile", 0.9),
    ],
)
def test_options_out_of_bounds_are_named(name: str, wrong: float) -> None:
    """A value out of range, or an unknown option."""
    with pytest.raises(ValidationError, match=name):
        TypeAdapter(HedgeOptions).validate_python({name: wrong})


def test_it_is_off_by_default() -> None:
    """It costs extra calls."""
    assert TypeAdapter(HedgeOptions).validate_python({}) == HedgeOptions(False, 0.95, 20, 0.001)
