"""Retry: what is made again, when, how often, and which error goes up in the end."""

import asyncio
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from bff.upstream.caller import Caller
from bff.upstream.errors import (
    BadAnswer,
    BreakerOpen,
    Busy,
    Forbidden,
    NotReached,
    Problem,
    QueueFull,
    Rejected,
    SourceError,
    TimedOut,
    Unauthenticated,
)
from bff.upstream.events import CallRetried
from bff.upstream.traffic.budget import RetryBudget
from bff.upstream.traffic.call import Call, Reply
from bff.upstream.traffic.retry import RetryOptions, RetryPolicy
from tests.support.fakes import Clock, Heard, hang, make_call, make_caller, settle

WELL = Reply(200, "well")
DOWN = NotReached("users", sent=True)


class Rig:
    """The policy over a row of outcomes; time passes as it sleeps, and chance is always one half."""

    def __init__(self, clock: Clock, *outcomes: Reply | Exception, ratio: float = 1.0, **options: Any) -> None:
        self.clock, self.heard = clock, Heard()
        self.outcomes = list(outcomes)
        self.slept: list[float] = []
        self.calls: list[Call] = []
        self.budget = RetryBudget(ratio, clock)
        self.policy = RetryPolicy("users", RetryOptions(**options), self.budget, self.heard, self._sleep, lambda: 0.5)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.now += seconds

    async def _next(self, call: Call) -> Reply:
        self.calls.append(call)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def __call__(self, call: Call) -> Reply:
        return await self.policy(call, self._next)


async def test_what_goes_well_is_made_once(clock: Clock, caller: Caller) -> None:
    """Nothing is told and nobody waits."""
    rig = Rig(clock, WELL)
    assert await rig(make_call(caller)) is WELL
    assert (len(rig.calls), rig.heard, rig.slept) == (1, [], [])


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (NotReached("users", sent=False), True),
        (NotReached("users", sent=True), True),
        (TimedOut("users", counts=True), True),
        (TimedOut("users", counts=False), True),
        (Busy("users", 429, None), True),
        (Busy("users", 503, None), True),
        (BadAnswer("users", counts=True, retriable=True), True),
        (BadAnswer("users", counts=True), False),
        (BadAnswer("users", counts=False), False),
        (TimedOut("users", counts=False, asked=False), False),
        (BreakerOpen("users", 1.0), False),
        (QueueFull("users"), False),
        (Unauthenticated("users"), False),
        (Forbidden("users"), False),
        (Rejected("users", 409, Problem()), False),
        (SourceError("users", "can't be asked this"), False),
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_what_is_made_again(clock: Clock, caller: Caller, error: SourceError, again: bool) -> None:
    """What a second try may mend: it is told, and its answer is the answer."""
    rig = Rig(clock, error, WELL)
    if again:
        assert await rig(make_call(caller)) is WELL
        (event,) = rig.heard
        assert isinstance(event, CallRetried)
        assert (event.source, event.route, event.outcome) == ("users", "/users/{id}", error.outcome)
    else:
        with pytest.raises(type(error)) as caught:
            await rig(make_call(caller))
        assert caught.value is error
        assert rig.heard == []
    assert len(rig.calls) == 1 + again


@pytest.mark.parametrize(
    ("method", "key", "again"),
    [
        ("GET", None, True),
        ("POST", "k", True),
        ("PATCH", "k", True),
        ("POST", "", True),
        ("POST", None, False),
        ("PATCH", None, False),
    ],
)
async def test_a_write_is_made_again_only_under_a_key(
    clock: Clock, caller: Caller, method: str, key: str | None, again: bool
) -> None:
    """Without one the work might be done twice."""
    rig = Rig(clock, DOWN, WELL)
    call = make_call(caller, method=method, idempotency_key=key)
    if again:
        assert await rig(call) is WELL
    else:
        with pytest.raises(NotReached):
            await rig(call)
    assert rig.calls == [call] * (1 + again)


async def test_it_is_the_same_call_each_time(clock: Clock, caller: Caller) -> None:
    """The balance notes in it whom it was sent to, so that the next try goes elsewhere."""
    rig = Rig(clock, DOWN, DOWN, WELL, attempts=3)
    await rig(make_call(caller))
    assert len({id(call) for call in rig.calls}) == 1


@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_so_many_attempts_in_all(clock: Clock, caller: Caller, attempts: int) -> None:
    """And the last error goes up."""
    errors = [NotReached("users", sent=True) for _ in range(attempts)]
    rig = Rig(clock, *errors, WELL, attempts=attempts)
    with pytest.raises(NotReached) as caught:
        await rig(make_call(caller))
    assert caught.value is errors[-1]
    assert len(rig.calls) == attempts


async def test_back_off_doubles_with_full_jitter(clock: Clock, caller: Caller) -> None:
    """Anything from nothing to the base, then to its double, up to the most; here always the half."""
    rig = Rig(clock, DOWN, attempts=7, base_delay_s=0.1, max_delay_s=1.0)
    with pytest.raises(NotReached):
        await rig(make_call(caller))
    assert rig.slept == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.5, 0.5])
    assert [event.delay_s for event in rig.heard if isinstance(event, CallRetried)] == rig.slept


async def test_what_never_went_out_goes_out_at_once(clock: Clock, caller: Caller) -> None:
    """Nobody was bothered yet: the first retry doesn't wait, the next ones do."""
    rig = Rig(clock, NotReached("users", sent=False), attempts=3, base_delay_s=0.1)
    with pytest.raises(NotReached):
        await rig(make_call(caller))
    assert rig.slept == [0.1]
    assert [event.delay_s for event in rig.heard if isinstance(event, CallRetried)] == [0.0, 0.1]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("retry_after", "slept"), [(1.0, [1.05]), (0.0, [0.05]), (2.0, [2.05]), (2.5, []), (86_400.0, [])])
async def test_a_service_that_says_when_is_believed(
    clock: Clock, caller: Caller, status: int, retry_after: float, slept: list[float]
) -> None:
    """Not before (RFC 9110, section 10.2.3), and not all at once; if it wants longer than we wait, the client is told."""
    rig = Rig(clock, Busy("users", status, retry_after), WELL, base_delay_s=0.1, max_delay_s=2.0)
    if slept:
        assert await rig(make_call(caller)) is WELL
    else:
        with pytest.raises(Busy) as caught:
            await rig(make_call(caller))
        assert caught.value.retry_after == retry_after
    assert rig.slept == pytest.approx(slept)


@pytest.mark.parametrize(("left_s", "again"), [(0.06, True), (0.05, False), (0.01, False)])
async def test_nobody_waits_beyond_the_deadline(clock: Clock, left_s: float, again: bool) -> None:
    """A wait that would use up what is left isn't begun: the error goes up at once."""
    rig = Rig(clock, DOWN, WELL, base_delay_s=0.1)
    call = make_call(make_caller(clock, left_s=left_s))
    if again:
        assert await rig(call) is WELL
    else:
        with pytest.raises(NotReached):
            await rig(call)
        assert rig.slept == []


async def test_the_budget_has_the_last_word(clock: Clock) -> None:
    """Of a thousand calls that all fail a fifth is made again, and a small reserve."""
    rig = Rig(clock, DOWN, ratio=0.2, base_delay_s=1e-9)
    for _ in range(1000):
        with pytest.raises(NotReached):
            await rig(make_call(make_caller(clock)))
    assert len(rig.calls) == 1205
    assert len(rig.heard) == 205


async def test_a_refusal_here_does_not_hide_what_the_service_did(clock: Clock, caller: Caller) -> None:
    """The breaker opened in between: the client is told what came of the call that was made."""
    for refusal in (BreakerOpen("users", 3.0), QueueFull("users"), TimedOut("users", counts=False, asked=False)):
        rig = Rig(clock, DOWN, refusal, attempts=5)
        with pytest.raises(NotReached) as caught:
            await rig(make_call(caller))
        assert caught.value is DOWN
        assert len(rig.calls) == 2


async def test_another_error_is_the_last_word(clock: Clock, caller: Caller) -> None:
    """The second try reached the service, and was turned down: that is the answer, and no reason for a third."""
    rig = Rig(clock, DOWN, Forbidden("users"), attempts=5)
    with pytest.raises(Forbidden):
        await rig(make_call(caller))
    assert len(rig.calls) == 2


async def test_cancelled_it_makes_nothing_again(clock: Clock, caller: Caller) -> None:
    """Neither under way nor in between."""
    rig = Rig(clock, DOWN, WELL)
    rig.policy._sleep = hang
    task = asyncio.create_task(rig(make_call(caller)))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(rig.calls) == 1


async def test_a_fault_of_ours_is_not_made_again(clock: Clock, caller: Caller) -> None:
    """What is no source's error goes straight up."""
    rig = Rig(clock, ZeroDivisionError(), WELL)
    with pytest.raises(ZeroDivisionError):
        await rig(make_call(caller))
    assert len(rig.calls) == 1


async def test_every_call_earns_once(clock: Clock, caller: Caller) -> None:
    """Whatever it is and however it ends; what is made again earns nothing."""
    rig = Rig(clock, WELL, WELL, Forbidden("users"), DOWN, DOWN, WELL, ratio=0.5, attempts=3)
    await rig(make_call(caller))
    await rig(make_call(caller, method="POST"))
    with pytest.raises(Forbidden):
        await rig(make_call(caller))
    await rig(make_call(caller))
    assert repr(rig.budget) == "<RetryBudget 2 of 7 extra>"


@pytest.mark.parametrize(("error", "left_s"), [(DOWN, 0.05), (Busy("users", 503, 2.5), 10.0)])
async def test_a_retry_that_is_not_made_costs_nothing(clock: Clock, error: SourceError, left_s: float) -> None:
    """No time for the wait, or too long a wait: the budget is for others. Time that is used up to the last is no time."""
    clock.now = 0.0  # where 0.05 s from now is that exactly
    rig = Rig(clock, error, WELL, base_delay_s=0.1)
    with pytest.raises(type(error)):
        await rig(make_call(make_caller(clock, left_s=left_s)))
    assert (rig.slept, rig.heard, repr(rig.budget)) == ([], [], "<RetryBudget 0 of 6 extra>")


async def test_a_retry_is_told_before_its_wait(clock: Clock, caller: Caller) -> None:
    """Who listens knows of a call that waits, and not only of one that waited."""
    rig = Rig(clock, DOWN, WELL)
    rig.policy._sleep = hang
    task = asyncio.create_task(rig(make_call(caller)))
    await settle()
    assert len(rig.heard) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("attempts", 0),
        ("attempts", 11),
        ("budget_ratio", -0.1),
        ("budget_ratio", 1.1),
        ("base_delay_s", 0),
        ("base_delay_s", 61),
        ("max_delay_s", 0),
        ("max_delay_s", 301),
        ("attempt", 2),
    ],
)
def test_options_out_of_bounds_are_named(name: str, wrong: float) -> None:
    """A value out of range, or a name that isn't one."""
    with pytest.raises(ValidationError, match=name):
        TypeAdapter(RetryOptions).validate_python({name: wrong})
