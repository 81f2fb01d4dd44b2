"""The memo: a result is worked out once for a text, and nothing of a long text is kept."""

from bff.runtime.memo import memoized


class Counting:
    """A function that counts its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, text: str) -> int:
        self.calls.append(text)
        return len(text)


def counting() -> Counting:
    """A function with the attributes that a decorator copies."""
    function = Counting()
    function.__name__ = "length"  # type: ignore[attr-defined]
    return function


def test_a_result_is_worked_out_once() -> None:
    """The second call with the same text takes the kept result."""
    function = counting()
    length = memoized(max_entries=2, max_length=3)(function)
    assert [length("abc"), length("abc")] == [3, 3]
    assert function.calls == ["abc"]


def test_the_least_recently_used_result_is_evicted() -> None:
    """At most `max_entries` results are kept."""
    function = counting()
    length = memoized(max_entries=2, max_length=3)(function)
    for text in ("a", "b", "a", "c", "a", "b"):
        length(text)
    assert function.calls == ["a", "b", "c", "b"]


def test_the_result_of_a_long_text_is_not_kept() -> None:
    """The sender of the texts can't make the memo large: a long one is worked out each time."""
    function = counting()
    length = memoized(max_entries=2, max_length=3)(function)
    assert [length("abcd"), length("abcd")] == [4, 4]
    assert function.calls == ["abcd", "abcd"]


def test_a_long_text_may_have_a_result_of_its_own() -> None:
    """With `too_long` the function never sees a text beyond the limit, so its work is limited too."""
    function = counting()
    length = memoized(max_entries=2, max_length=3, too_long=lambda _: -1)(function)
    assert [length("abcd"), length("abc")] == [-1, 3]
    assert function.calls == ["abc"]
