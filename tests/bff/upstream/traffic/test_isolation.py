"""Isolation: which keys must not share a call, for how long, and how often a failed shared call is split."""

import pytest

from bff.upstream.conventions import Problem
from bff.upstream.errors import (
    BadAnswer,
    BreakerOpen,
    Busy,
    Forbidden,
    Mismatched,
    Misshapen,
    NotReached,
    QueueFull,
    Rejected,
    SourceError,
    TimedOut,
    Unauthenticated,
)
from bff.upstream.traffic.isolation import ISOLATED_S, Isolation, may_be_of_a_key
from tests.support.fakes import Clock

FAULT = BadAnswer("users", counts=True)


@pytest.fixture
def isolation(clock: Clock) -> Isolation:
    """An isolation without any failures."""
    return Isolation(clock)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BadAnswer("users", counts=True), True),
        (Misshapen("users"), True),
        (Mismatched("users"), True),
        (Rejected("users", 400, Problem()), True),
        (Forbidden("users"), True),
        (TimedOut("users", counts=True), True),
        (NotReached("users", sent=True), True),
        (SourceError("users", "It can't be asked this."), True),
        (TimedOut("users", counts=False, asked=False), False),
        (NotReached("users", sent=False), False),
        (Busy("users", 503, None), False),
        (Busy("users", 429, None), False),
        (BreakerOpen("users", 3), False),
        (QueueFull("users"), False),
        (Unauthenticated("users"), False),
    ],
    ids=lambda it: type(it).__name__ if isinstance(it, Exception) else None,
)
def test_which_errors_a_key_may_cause(error: SourceError, expected: bool) -> None:
    """Those of a service that got the call and was not too busy to look at the keys."""
    assert may_be_of_a_key(error) is expected


def test_a_key_that_failed_alone_is_isolated_for_a_while(isolation: Isolation, clock: Clock) -> None:
    """In its family only. After that it may share calls again."""
    assert isolation.is_on is False
    isolation.suspect("id", [13], FAULT)
    assert isolation.is_on is True
    assert isolation.isolated("id", [1, 13, 2]) == [13]
    assert isolation.isolated("user", [1, 13, 2]) == []
    clock.now += ISOLATED_S
    assert isolation.isolated("id", [1, 13, 2]) == []
    assert isolation.is_on is False


def test_a_key_that_succeeded_alone_is_no_longer_isolated(isolation: Isolation) -> None:
    """Its call alone had no error."""
    isolation.suspect("id", [13, 14], FAULT)
    isolation.clear("id", [13])
    assert isolation.isolated("id", [13, 14]) == [14]


@pytest.mark.parametrize("error", [Misshapen("users"), Mismatched("users"), Busy("users", 503, None)], ids=repr)
def test_an_error_that_harms_no_other_key_isolates_none(isolation: Isolation, error: SourceError) -> None:
    """An unreadable object costs one row only. A busy service is busy for all keys."""
    isolation.suspect("id", [13], error)
    assert (isolation.is_on, isolation.isolated("id", [13])) == (False, [])


def test_the_number_of_isolated_keys_is_limited(isolation: Isolation) -> None:
    """Whatever clients request: the oldest keys are dropped first."""
    for key in range(20_000):
        isolation.suspect("id", [key], FAULT)
    assert isolation.isolated("id", [0, 19_999]) == [19_999]
    assert len(isolation._suspects) < 6000


def test_splitting_is_limited(isolation: Isolation, clock: Clock) -> None:
    """To a hundred failed or running calls. Beyond that, no keys share a call for a while."""
    for _ in range(60):
        assert isolation.take()
        isolation.settle(ok=False)
    assert all(isolation.take() for _ in range(40))
    assert isolation.take() is False
    assert isolation.isolated("id", [1, 2]) == [1, 2]
    for _ in range(40):
        isolation.settle(ok=True)
    clock.now += 11
    assert isolation.isolated("id", [1, 2]) == []
    assert isolation.take() is True


def test_successful_repeats_are_not_limited(isolation: Isolation) -> None:
    """However often a bad key shares a call with others, whose repeated calls succeed."""
    for _ in range(1000):
        assert isolation.take()
        isolation.settle(ok=True)
    for _ in range(500):
        assert isolation.take()
        isolation.settle(ok=False)
