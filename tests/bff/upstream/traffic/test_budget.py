"""The retry budget: a share of the traffic, and a small reserve."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.upstream.traffic.budget import RetryBudget
from tests.support.fakes import Clock


def extra(budget: RetryBudget, calls: int) -> int:
    """How many extra calls so many failing first tries come to, where each would be made again."""
    taken = 0
    for _ in range(calls):
        budget.add_call()
        taken += budget.take()
    return taken


@pytest.mark.parametrize(("ratio", "most"), [(0.2, 205), (0.5, 505), (1.0, 1000), (0.1, 105), (0, 0)])
def test_a_sick_service_gets_a_share_on_top_and_no_more(clock: Clock, ratio: float, most: int) -> None:
    """Of a thousand calls that all fail, that share is made again, and the reserve; with a ratio of 0 none is."""
    assert extra(RetryBudget(ratio, clock), 1000) == most


def test_a_quiet_service_has_its_reserve(clock: Clock) -> None:
    """The first call of all can be made again."""
    assert extra(RetryBudget(0.2, clock), 3) == 3


def test_the_reserve_is_that_of_a_window(clock: Clock) -> None:
    """Ten seconds later it is there again; before that it isn't."""
    budget = RetryBudget(0.2, clock)
    assert extra(budget, 6) == 6  # five of the reserve, and one for the six calls
    assert extra(budget, 1) == 0
    clock.now += 11
    assert extra(budget, 5) == 5


def test_what_was_well_yesterday_earns_nothing_today(clock: Clock) -> None:
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
def test_in_no_window_is_it_overdrawn(steps: list[tuple[float, bool]], ratio: float) -> None:
    """Whatever comes when: extra calls of any nine seconds never exceed the share of the ten before, and the reserve."""
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


def test_what_is_left_can_be_read(clock: Clock) -> None:
    """In a log line."""
    budget = RetryBudget(0.2, clock)
    extra(budget, 10)
    assert repr(budget) == "<RetryBudget 7 of 7 extra>"


@pytest.mark.parametrize(("ratio", "calls", "share"), [(0.29, 100, 29), (0.1, 10, 1), (0.2, 4, 0), (0.2, 5, 1), (0.2, 9, 1)])
def test_the_share_is_in_whole_calls(clock: Clock, ratio: float, calls: int, share: int) -> None:
    """Rounded down, but not for the sake of binary fractions: 0.29 of a hundred is 29, and a product of floats is less."""
    budget = RetryBudget(ratio, clock, reserve=0)
    for _ in range(calls):
        budget.add_call()
    assert sum(budget.take() for _ in range(100)) == share
