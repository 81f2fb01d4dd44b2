"""The error tree: each error's message for clients, and whether it counts against the service."""

import pytest

from bff.upstream.conventions import FieldProblem, Problem
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
    Unavailable,
)

SECRET = Problem("secret-title", "secret-detail", (FieldProblem("secret-field", "secret-message"),))
UNAVAILABLE, TIMEOUT, ERROR = "UPSTREAM_UNAVAILABLE", "UPSTREAM_TIMEOUT", "UPSTREAM_ERROR"
ALL = [
    # the error, its code, outcome, whether it counts, whether it was answered, whether it was asked
    (BreakerOpen("orders", 3.0), UNAVAILABLE, "breaker_open", False, False, False),
    (QueueFull("orders"), UNAVAILABLE, "queue_full", False, False, False),
    (NotReached("orders", sent=True), UNAVAILABLE, "not_reached", True, False, True),
    (NotReached("orders", sent=False), UNAVAILABLE, "not_reached", True, False, True),
    (Busy("orders", 503, 3.0), UNAVAILABLE, "busy", True, True, True),
    (Busy("orders", 429, 3.0), UNAVAILABLE, "busy", False, True, True),
    (TimedOut("orders", counts=True), TIMEOUT, "timeout", True, False, True),
    (TimedOut("orders", counts=False), TIMEOUT, "timeout", False, False, True),
    (TimedOut("orders", counts=False, asked=False), TIMEOUT, "timeout", False, False, False),
    (Mismatched("orders"), ERROR, "mismatch", False, True, True),
    (Misshapen("orders"), ERROR, "bad_answer", False, True, True),
    (BadAnswer("orders", counts=True), ERROR, "bad_answer", True, True, True),
    (BadAnswer("orders", counts=False), ERROR, "bad_answer", False, True, True),
    (Unauthenticated("orders"), "UNAUTHENTICATED", "refused", False, True, True),
    (Forbidden("orders"), "FORBIDDEN", "refused", False, True, True),
    (Rejected("orders", 404, SECRET), ERROR, "rejected", False, True, True),
    (Rejected("orders", 409, SECRET), ERROR, "rejected", False, True, True),
    (Rejected("orders", 422, SECRET), ERROR, "rejected", False, True, True),
    (SourceError("orders", "The orders service can't be asked this."), ERROR, "error", False, False, True),
]


@pytest.mark.parametrize(("error", "code", "outcome", "counts", "answered", "asked"), ALL)
def test_each_error_agrees_with_the_table(
    error: SourceError, code: str, outcome: str, counts: bool, answered: bool, asked: bool
) -> None:
    """The table in the module's docstring holds for every error."""
    assert (error.code, error.outcome, error.counts, error.answered, error.asked) == (code, outcome, counts, answered, asked)


@pytest.mark.parametrize("error", [row[0] for row in ALL])
def test_a_message_names_the_service_and_nothing_else(error: SourceError) -> None:
    """It may be shown to a client: the source's name, and none of the service's text."""
    assert str(error) == error.message
    assert error.service == "orders"
    assert "The orders service" in error.message
    assert "secret" not in error.message


@pytest.mark.parametrize("error", [BreakerOpen("orders", 3.0), Busy("orders", 503, 3.0), Busy("orders", 429, 3.0)])
def test_the_time_to_retry_is_kept(error: SourceError) -> None:
    """If it is known after how many seconds a retry makes sense."""
    assert error.retry_after == 3.0


def test_unavailable_is_one_base_class() -> None:
    """For code that only needs to know that the service can't be called now."""
    family = {type(row[0]) for row in ALL if isinstance(row[0], Unavailable)}
    assert family == {BreakerOpen, QueueFull, NotReached, Busy}


def test_a_rejection_keeps_the_problem() -> None:
    """What the user can correct is in the error, not in its message."""
    error = Rejected("orders", 422, SECRET)
    assert (error.status, error.problem) == (422, SECRET)
