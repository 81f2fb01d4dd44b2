"""Deadline: no call begins after its operation's deadline."""

import pytest

from bff.upstream.errors import TimedOut
from bff.upstream.traffic.call import Call, Reply
from bff.upstream.traffic.deadline import DeadlinePolicy
from tests.support.fakes import Clock, make_call, make_caller, ok


async def test_with_time_left_the_call_goes_on(clock: Clock) -> None:
    """Any time left is enough to begin, and the reply is returned unchanged."""
    caller = make_caller(clock, left_s=1)
    clock.now += 0.999
    assert await DeadlinePolicy("users")(make_call(caller), ok) == Reply(200, "well")


@pytest.mark.parametrize("passed_s", [1, 1.5])
async def test_after_the_deadline_the_call_is_refused(clock: Clock, passed_s: float) -> None:
    """The service isn't called, so the error doesn't count against it."""

    async def never(_: Call) -> Reply:
        raise AssertionError("asked")

    caller = make_caller(clock, left_s=1)
    clock.now += passed_s
    with pytest.raises(TimedOut) as caught:
        await DeadlinePolicy("users")(make_call(caller), never)
    assert (caught.value.counts, caught.value.asked, caught.value.code) == (False, False, "UPSTREAM_TIMEOUT")
