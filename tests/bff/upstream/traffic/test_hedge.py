"""Hedge: a slow read gets a second try, the first answer counts, and nothing is left running."""

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
    """The policy over a row of acts. It knows twenty calls that took 0.1 s each; its sleep is a gate that the test opens."""

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
        """Time passes until the read is called slow."""
        await settle()
        self.clock.now += 0.1
        self.late.set()
        await settle()


def says(value: str, gate: asyncio.Event | None = None) -> Act:
    """A service that answers, once the gate is open."""

    async def act(_: Call) -> Reply:
        if gate is not None:
            await gate.wait()
        return Reply(200, value)

    return act


def fails(error: Exception, gate: asyncio.Event | None = None) -> Act:
    """One that doesn't."""

    async def act(_: Call) -> Reply:
        if gate is not None:
            await gate.wait()
        raise error

    return act


@pytest.fixture(autouse=True)
async def nothing_left() -> Any:
    """However a test ends, no task of the policy runs on."""
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_quick_read_is_made_once(clock: Clock, caller: Caller) -> None:
    """It is slow only when it takes longer than most did lately."""
    rig = Rig(clock, says("first"))
    assert (await ended(rig.start(make_call(caller)))).value == "first"
    assert (len(rig.calls), rig.heard) == (1, [])


async def test_a_slow_read_gets_a_second_try(clock: Clock, caller: Caller) -> None:
    """The first answer counts, here the second try's; the other is cancelled. It is told."""
    rig = Rig(clock, hang, says("second"))
    task = rig.start(make_call(caller))
    await rig.turn_late()
    assert (await ended(task)).value == "second"
    assert (len(rig.calls), rig.cancelled, rig.slept) == (2, 1, [0.1])
    assert rig.heard == [CallRetried("users", "/users/{id}", "hedge", 0.1, "request-1")]


async def test_the_first_may_win_all_the_same(clock: Clock, caller: Caller) -> None:
    """Then it is the second that is cancelled."""
    gate = asyncio.Event()
    rig = Rig(clock, says("first", gate), hang)
    task = rig.start(make_call(caller))
    await rig.turn_late()
    gate.set()
    assert (await ended(task)).value == "first"
    assert rig.cancelled == 1


async def test_one_that_fails_leaves_it_to_the_other(clock: Clock, caller: Caller) -> None:
    """Whichever it is."""
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


async def test_if_both_fail_the_first_ones_error_goes_up(clock: Clock, caller: Caller) -> None:
    """It is the call's own."""
    gate = asyncio.Event()
    rig = Rig(clock, fails(NotReached("users", sent=True), gate), fails(BadAnswer("users", counts=True)))
    task = rig.start(make_call(caller))
    await rig.turn_late()
    gate.set()
    with pytest.raises(NotReached):
        await ended(task)


async def test_a_quick_failure_is_no_reason_to_hedge(clock: Clock, caller: Caller) -> None:
    """To try again is retry's affair."""
    rig = Rig(clock, fails(NotReached("users", sent=True)))
    with pytest.raises(NotReached):
        await ended(rig.start(make_call(caller)))
    assert len(rig.calls) == 1


async def test_without_budget_there_is_no_second_try(clock: Clock, caller: Caller) -> None:
    """A service that is slow all over isn't asked twice for everything."""
    gate = asyncio.Event()
    rig = Rig(clock, says("first", gate), hang, ratio=0)
    task = rig.start(make_call(caller))
    await rig.turn_late()
    assert len(rig.calls) == 1
    gate.set()
    assert (await ended(task)).value == "first"


async def test_nor_without_time(clock: Clock) -> None:
    """When the operation's deadline is past."""
    gate = asyncio.Event()
    rig = Rig(clock, says("first", gate), hang)
    task = rig.start(make_call(make_caller(clock, left_s=0.1)))
    await rig.turn_late()
    assert len(rig.calls) == 1
    gate.set()
    await ended(task)


async def test_writes_are_never_hedged(clock: Clock, caller: Caller) -> None:
    """Not even under a key: two of them at once are two."""
    rig = Rig(clock, says("written"))
    assert (await ended(rig.start(make_call(caller, method="POST", idempotency_key="k")))).value == "written"
    assert rig.slept == []


async def test_before_enough_is_known_nothing_is_slow(clock: Clock, caller: Caller) -> None:
    """With nineteen calls none is hedged; the twentieth is the last of that kind."""
    rig = Rig(clock, says("1"), says("2"), known=19)
    await ended(rig.start(make_call(caller)))
    assert rig.slept == []
    await ended(rig.start(make_call(caller)))
    assert len(rig.slept) == 1


async def test_cancelled_both_end(clock: Clock, caller: Caller) -> None:
    """Before the second try and after it."""
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


async def test_a_slow_loser_is_not_forgotten(clock: Clock, caller: Caller) -> None:
    """Left out, slow calls would seem rarer than they are, and ever more be hedged."""
    rig = Rig(clock, hang, says("second"))
    task = rig.start(make_call(caller))
    await settle()
    rig.clock.now += 0.5
    rig.late.set()
    await ended(task)
    assert max(rig.policy._durations._samples) == pytest.approx(0.5)


def test_what_most_did_not_exceed() -> None:
    """The quantile of the last hundred, worked out anew every ten."""
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


def test_of_nothing_there_is_no_quantile() -> None:
    """Zero, which nobody exceeds."""
    assert Durations(0.95).quantile_s() == 0.0


async def test_a_write_s_time_says_nothing_of_reads(clock: Clock, caller: Caller) -> None:
    """It isn't noted."""
    rig = Rig(clock, says("written"))
    await ended(rig.start(make_call(caller, method="POST")))
    assert len(rig.policy._durations) == 20


async def test_nothing_is_slow_before_the_least_delay(clock: Clock, caller: Caller) -> None:
    """However fast the service lately was; it is the delay that is told, too."""
    rig = Rig(clock, hang, says("second"), min_delay_s=0.5)
    task = rig.start(make_call(caller))
    await rig.turn_late()
    await ended(task)
    assert rig.slept == [0.5]
    assert [event.delay_s for event in rig.heard if isinstance(event, CallRetried)] == [0.5]


async def test_the_loser_has_ended_before_the_answer_goes_up(clock: Clock, caller: Caller) -> None:
    """It may take its time, to give its connection back say. Who gives up meanwhile is cancelled, once it has ended."""
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


async def test_a_loser_cut_off_early_says_nothing(clock: Clock, caller: Caller) -> None:
    """It might have taken any time: noted, it would make everything seem faster than it is."""
    gate = asyncio.Event()
    rig = Rig(clock, says("first", gate), hang)
    task = rig.start(make_call(caller))
    await rig.turn_late()
    rig.clock.now += 0.03
    gate.set()
    await ended(task)
    assert list(rig.policy._durations._samples) == pytest.approx([0.1] * 20 + [0.13])


@pytest.mark.parametrize("known", [0, 1, 19])
async def test_clients_that_leave_teach_nothing_while_little_is_known(clock: Clock, caller: Caller, known: int) -> None:
    """Before there is a quantile, every time is above it: twenty who leave at once would make every read a slow one."""
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
    """A value out of range, or a name that isn't one."""
    with pytest.raises(ValidationError, match=name):
        TypeAdapter(HedgeOptions).validate_python({name: wrong})


def test_it_is_off_by_default() -> None:
    """Only who wants it pays for it."""
    assert TypeAdapter(HedgeOptions).validate_python({}) == HedgeOptions(False, 0.95, 20, 0.001)
