"""Retry: which calls are repeated, when, how often, and which error is raised in the end."""

import asyncio
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from bff.upstream.caller import Caller
from bff.upstream.conventions import Problem
from bff.upstream.errors import (
    BadAnswer,
    BreakerOpen,
    Busy,
    Forbidden,
    NotReached,
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
    """The policy over a sequence of outcomes. Time passes as it sleeps, and random numbers are always one half."""

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


async def test_a_successful_call_is_not_repeated(clock: Clock, caller: Caller) -> None:
    """No event, no delay."""
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
async def test_which_errors_are_retried(clock: Clock, caller: Caller, error: SourceError, again: bool) -> None:
    """Those after which a retry may succeed. The listener gets an event, and the retry's reply is returned."""
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
async def test_a_write_is_retried_only_with_an_idempotency_key(
    clock: Clock, caller: Caller, method: str, key: str | None, again: bool
) -> None:
    """Without one the service might execute it twice."""
    rig = Rig(clock, DOWN, WELL)
    call = make_call(caller, method=method, idempotency_key=key)
    if again:
        assert await rig(call) is WELL
    else:
        with pytest.raises(NotReached):
            await rig(call)
    assert rig.calls == [call] * (1 + again)


async def test_each_attempt_passes_the_same_call(clock: Clock, caller: Caller) -> None:
    """The balancer notes the instance in it, so that the next attempt goes to another one."""
    rig = Rig(clock, DOWN, DOWN, WELL, attempts=3)
    await rig(make_call(caller))
    assert len({id(call) for call in rig.calls}) == 1


@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_attempts_are_limited(clock: Clock, caller: Caller, attempts: int) -> None:
    """The last error is raised."""
    errors = [NotReached("users", sent=True) for _ in range(attempts)]
    rig = Rig(clock, *errors, WELL, attempts=attempts)
    with pytest.raises(NotReached) as caught:
        await rig(make_call(caller))
    assert caught.value is errors[-1]
    assert len(rig.calls) == attempts


async def test_back_off_doubles_with_full_jitter(clock: Clock, caller: Caller) -> None:
    """A random delay up to the base, then up to its double, up to the limit; here always half of it."""
    rig = Rig(clock, DOWN, attempts=7, base_delay_s=0.1, max_delay_s=1.0)
    with pytest.raises(NotReached):
        await rig(make_call(caller))
    assert rig.slept == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.5, 0.5])
    assert [event.delay_s for event in rig.heard if isinstance(event, CallRetried)] == rig.slept


async def test_a_call_that_was_never_sent_is_retried_at_once(clock: Clock, caller: Caller) -> None:
    """The first retry has no delay, further ones have."""
    rig = Rig(clock, NotReached("users", sent=False), attempts=3, base_delay_s=0.1)
    with pytest.raises(NotReached):
        await rig(make_call(caller))
    assert rig.slept == [0.1]
    assert [event.delay_s for event in rig.heard if isinstance(event, CallRetried)] == [0.0, 0.1]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("retry_after", "slept"), [(1.0, [1.05]), (0.0, [0.05]), (2.0, [2.05]), (2.5, []), (86_400.0, [])])
async def test_retry_after_is_obeyed(
    clock: Clock, caller: Caller, status: int, retry_after: float, slept: list[float]
) -> None:
    """Not before it (RFC 9110, section 10.2.3), and with jitter. If it is longer than the limit, the error is raised."""
    rig = Rig(clock, Busy("users", status, retry_after), WELL, base_delay_s=0.1, max_delay_s=2.0)
    if slept:
        assert await rig(make_call(caller)) is WELL
    else:
        with pytest.raises(Busy) as caught:
            await rig(make_call(caller))
        assert caught.value.retry_after == retry_after
    assert rig.slept == pytest.approx(slept)


@pytest.mark.parametrize(("left_s", "again"), [(0.06, True), (0.05, False), (0.01, False)])
async def test_no_delay_goes_beyond_the_deadline(clock: Clock, left_s: float, again: bool) -> None:
    """A delay that would use up the time left isn't begun: the error is raised at once."""
    rig = Rig(clock, DOWN, WELL, base_delay_s=0.1)
    call = make_call(make_caller(clock, left_s=left_s))
    if again:
        assert await rig(call) is WELL
    else:
        with pytest.raises(NotReached):
            await rig(call)
        assert rig.slept == []


async def test_the_budget_limits_retries(clock: Clock) -> None:
    """Of a thousand failing calls a fifth is retried, plus a small reserve."""
    rig = Rig(clock, DOWN, ratio=0.2, base_delay_s=1e-9)
    for _ in range(1000):
        with pytest.raises(NotReached):
            await rig(make_call(make_caller(clock)))
    assert len(rig.calls) == 1205
    assert len(rig.heard) == 205


async def test_a_refused_retry_raises_the_error_before(clock: Clock, caller: Caller) -> None:
    """The breaker opened in between: the service's own error is raised."""
    for refusal in (BreakerOpen("users", 3.0), QueueFull("users"), TimedOut("users", counts=False, asked=False)):
        rig = Rig(clock, DOWN, refusal, attempts=5)
        with pytest.raises(NotReached) as caught:
            await rig(make_call(caller))
        assert caught.value is DOWN
        assert len(rig.calls) == 2


async def test_a_retry_with_an_error_of_another_kind_is_the_last(clock: Clock, caller: Caller) -> None:
    """The retry reached the service, which refused it: that error is raised."""
    rig = Rig(clock, DOWN, Forbidden("users"), attempts=5)
    with pytest.raises(Forbidden):
        await rig(make_call(caller))
    assert len(rig.calls) == 2


async def test_a_cancelled_call_is_not_retried(clock: Clock, caller: Caller) -> None:
    """Cancelled during an attempt or during a delay."""
    rig = Rig(clock, DOWN, WELL)
    rig.policy._sleep = hang
    task = asyncio.create_task(rig(make_call(caller)))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(rig.calls) == 1


async def test_an_internal_error_is_not_retried(clock: Clock, caller: Caller) -> None:
    """An error that is no `SourceError` is raised at once."""
    rig = Rig(clock, ZeroDivisionError(), WELL)
    with pytest.raises(ZeroDivisionError):
        await rig(make_call(caller))
    assert len(rig.calls) == 1


async def test_each_call_adds_to_the_budget_once(clock: Clock, caller: Caller) -> None:
    """Reads and writes, whatever the outcome. Retries add nothing."""
    rig = Rig(clock, WELL, WELL, Forbidden("users"), DOWN, DOWN, WELL, ratio=0.5, attempts=3)
    await rig(make_call(caller))
    await rig(make_call(caller, method="POST"))
    with pytest.raises(Forbidden):
        await rig(make_call(caller))
    await rig(make_call(caller))
    assert repr(rig.budget) == "<RetryBudget 2 of 7 extra>"


@pytest.mark.parametrize(("error", "left_s"), [(DOWN, 0.05), (Busy("users", 503, 2.5), 10.0)])
async def test_a_retry_that_is_not_made_takes_no_budget(clock: Clock, error: SourceError, left_s: float) -> None:
    """If the delay is too long, or would end at the deadline or after it."""
    clock.now = 0.0  # where 0.05 s from now is that exactly
    rig = Rig(clock, error, WELL, base_delay_s=0.1)
    with pytest.raises(type(error)):
        await rig(make_call(make_caller(clock, left_s=left_s)))
    assert (rig.slept, rig.heard, repr(rig.budget)) == ([], [], "<RetryBudget 0 of 6 extra>")


async def test_the_retry_event_comes_before_the_delay(clock: Clock, caller: Caller) -> None:
    """A listener learns of a call that waits, not only of one that has waited."""
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
    """A value out of range, or an unknown option."""
    with pytest.raises(ValidationError, match=name):
        TypeAdapter(RetryOptions).validate_python({name: wrong})
