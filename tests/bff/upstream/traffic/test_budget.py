"""The retry budget: a share of the traffic, and a small reserve."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.upstream.traffic.budget import RetryBudget
from tests.support.fakes import Clock


def extra(budget: RetryBudget, calls: int) -> int:
    """The number of extra calls for this many failing first attempts, if each is to be retried."""
    taken = 0
    for _ in range(calls):
        budget.add_call()
        taken += budget.take()
    return taken


@pytest.mark.parametrize(("ratio", "most"), [(0.2, 205), (0.5, 505), (1.0, 1000), (0.1, 105), (0, 0)])
def test_extra_calls_are_limited_to_a_share(clock: Clock, ratio: float, most: int) -> None:
    """Of a thousand failing calls, the share is retried, plus the reserve; with a ratio of 0 none."""
    assert extra(RetryBudget(ratio, clock), 1000) == most


def test_a_service_with_few_calls_has_the_reserve(clock: Clock) -> None:
    """Even the first call can be retried."""
    assert extra(RetryBudget(0.2, clock), 3) == 3


def test_the_reserve_is_that_of_a_window(clock: Clock) -> None:
    """It is available again after ten seconds, not before."""
    budget = RetryBudget(0.2, clock)
    assert extra(budget, 6) == 6  # five of the reserve, and one for the six calls
    assert extra(budget, 1) == 0
    clock.now += 11
    assert extra(budget, 5) == 5


def test_old_traffic_adds_nothing(clock: Clock) -> None:
    """Only the traffic of the last ten seconds counts."""
    budget = RetryBudget(0.2, clock)
    for _ in range(10_000):
        budget.add_call()
    clock.now += 11
    assert extra(budget, 100) == 25


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.5, 3.0, 11.0]), st.booleans()), max_size=200),
    st.sampled_from([0.0, 0.2, 0.5, 1.0]),
)
def test_the_budget_is_never_exceeded(steps: list[tuple[float, bool]], ratio: float) -> None:
    """In any nine seconds, extra calls never exceed the share of the ten seconds before plus the reserve."""
    clock = Clock()
    budget = RetryBudget(ratio, clock)
    calls: list[float] = []
    extras: list[float] = []
    for passed, retried in steps:
        clock.now += passed
        budget.add_call()
        calls.append(clock.now)
        if retried and budget.take():
            extras.append(clock.now)
            recent = [at for at in extras if clock.now - at < 9]
            earned = [at for at in calls if clock.now - at <= 10]
            assert len(recent) <= ratio * len(earned) + (5 if ratio else 0)


def test_its_repr_shows_what_is_left(clock: Clock) -> None:
    """For a log line."""
    budget = RetryBudget(0.2, clock)
    extra(budget, 10)
    assert repr(budget) == "<RetryBudget 7 of 7 extra>"


@pytest.mark.parametrize(("ratio", "calls", "share"), [(0.29, 100, 29), (0.1, 10, 1), (0.2, 4, 0), (0.2, 5, 1), (0.2, 9, 1)])
def test_the_share_is_in_whole_calls(clock: Clock, ratio: float, calls: int, share: int) -> None:
    """Rounded down, without floating-point error: 0.29 of a hundred is 29."""
    budget = RetryBudget(ratio, clock, reserve=0)
    for _ in range(calls):
        budget.add_call()
    assert sum(budget.take() for _ in range(100)) == share
