"""Deadline: no call begins once its operation has had its time."""

import pytest

from bff.upstream.errors import TimedOut
from bff.upstream.traffic.call import Call, Reply
from bff.upstream.traffic.deadline import DeadlinePolicy
from tests.support.fakes import Clock, make_call, make_caller, ok


async def test_with_time_left_the_call_goes_on(clock: Clock) -> None:
    """The least bit of time left is enough to begin, and the answer comes back as it is."""
    caller = make_caller(clock, left_s=1)
    clock.now += 0.999
    assert await DeadlinePolicy("users")(make_call(caller), ok) == Reply(200, "well")


@pytest.mark.parametrize("passed_s", [1, 1.5])
async def test_too_late_is_refused(clock: Clock, passed_s: float) -> None:
    """With nothing left nobody is asked, and so nobody is to blame."""

    async def never(_: Call) -> Reply:
        raise AssertionError("asked")

    caller = make_caller(clock, left_s=1)
    clock.now += passed_s
    with pytest.raises(TimedOut) as caught:
        await DeadlinePolicy("users")(make_call(caller), never)
    assert (caught.value.counts, caught.value.asked, caught.value.code) == (False, False, "UPSTREAM_TIMEOUT")
