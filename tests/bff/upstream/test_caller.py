"""The caller: deadline, identity, and counts of attempts."""

import pytest

from tests.support.fakes import AUTHORIZATION, SUB, Clock, make_caller


@pytest.mark.parametrize(("passed_s", "left_s"), [(0, 3), (1.25, 1.75), (3, 0), (4, -1)])
def test_a_deadline_counts_down(clock: Clock, passed_s: float, left_s: float) -> None:
    """The time left is the given time less what has passed, and negative after the deadline."""
    deadline = make_caller(clock, left_s=3).deadline
    clock.now += passed_s
    assert deadline.left() == left_s


def test_the_token_is_not_shown(clock: Clock) -> None:
    """A caller in a log or a traceback doesn't show its token."""
    shown = repr(make_caller(clock, sub=SUB))
    assert SUB in shown
    assert AUTHORIZATION not in shown
    assert "secret" not in shown


def test_each_caller_counts_for_itself(clock: Clock) -> None:
    """The attempts of one request are never added to another's."""
    one, other = make_caller(clock), make_caller(clock)
    one.calls["users"] += 1
    assert other.calls == {}
