"""Copies of exceptions: the same in what they say, and nothing of where the original was raised."""

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
def test_a_copy_says_the_same_and_holds_nothing(error: Exception) -> None:
    """Of whatever kind: what it says and is. To be raised: with its traceback so far. To be kept: without any."""
    error = raised(again(error))
    copy, kept = again(error), detached(error)
    for each in (copy, kept):
        assert each is not error
        assert (type(each), str(each), each.args, vars(each)) == (type(error), str(error), error.args, vars(error))
        assert (each.__cause__, each.__context__) == (None, None)
        if isinstance(error, GraphQLError) and isinstance(each, GraphQLError):
            assert (each.path, each.original_error) == (error.path, error.original_error)
    assert (copy.__traceback__, kept.__traceback__) == (error.__traceback__, None)


def test_a_copy_leaves_the_original_as_it_is() -> None:
    """A hundred who raise copies: the original's traceback stays as long as it was."""
    error = detached(BadAnswer("orders", counts=True))
    for _ in range(100):
        raised(again(error))
    assert error.__traceback__ is None
