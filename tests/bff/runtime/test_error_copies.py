"""Copies of exceptions: equal to the original in type, message and attributes, without the place where it was raised."""

import pytest
from graphql import GraphQLError

from bff.runtime.error_copies import again, detached
from bff.upstream.errors import BadAnswer, Rejected
from tests.bff.upstream.test_errors import ALL, SECRET


def raised(error: Exception) -> Exception:
    """The error, after it was raised and caught inside another one's handler."""
    try:
        try:
            raise LookupError("secret")  # noqa: TRY301 - what is raised is what this is about
        except LookupError as cause:
            raise error from cause
    except Exception as caught:  # noqa: BLE001 - whatever it is
        return caught


OTHERS = [
    Rejected("orders", 422, SECRET),
    GraphQLError("wrong", path=["a", 1], original_error=ValueError("inner")),
    OSError(2, "gone"),
    KeyError("a", 1),
]


@pytest.mark.parametrize("error", [*(each[0] for each in ALL), *OTHERS], ids=lambda error: type(error).__name__)
def test_a_copy_is_equal_and_a_detached_one_has_no_traceback(error: Exception) -> None:
    """For all kinds of errors. `again` keeps the traceback so far; `detached` has none."""
    error = raised(again(error))
    copy, kept = again(error), detached(error)
    for each in (copy, kept):
        assert each is not error
        assert (type(each), str(each), each.args, vars(each)) == (type(error), str(error), error.args, vars(error))
        assert (each.__cause__, each.__context__) == (None, None)
        if isinstance(error, GraphQLError) and isinstance(each, GraphQLError):
            assert (each.path, each.original_error) == (error.path, error.original_error)
    assert (copy.__traceback__, kept.__traceback__) == (error.__traceback__, None)


def test_raising_copies_does_not_change_the_original() -> None:
    """After a hundred raised copies, the original's traceback is as long as before."""
    error = detached(BadAnswer("orders", counts=True))
    for _ in range(100):
        raised(again(error))
    assert error.__traceback__ is None
