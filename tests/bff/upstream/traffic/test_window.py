"""The sliding window: which calls are in it, and that its memory is constant."""

from hypothesis import given
from hypothesis import strategies as st

from bff.upstream.traffic.window import Window

STEPS = st.lists(st.tuples(st.integers(0, 40), st.none() | st.tuples(st.booleans(), st.booleans())), max_size=60)
"""Time that passes, in hundredths of the window, and then a call with its two marks, or none."""


@given(STEPS, st.sampled_from([0.5, 10.0, 60.0]))
def test_a_window_counts_the_calls_of_its_length(steps: list[tuple[int, tuple[bool, bool] | None]], length_s: float) -> None:
    """Calls of the last nine tenths of its length are in, older ones than its length are not. Between lies one bucket."""
    window, now = Window(length_s), 1000.0
    log: list[tuple[float, tuple[bool, bool]]] = []
    for step, marks in steps:
        now += step / 100 * length_s
        if marks is not None:  # else only time passes
            window.add(now, 1, *marks)
            log.append((now, marks))
        calls, first, second = window.totals(now)
        young = [was for at, was in log if now - at < 0.9 * length_s - 1e-6]
        inside = [was for at, was in log if now - at < length_s + 1e-6]
        assert len(young) <= calls <= len(inside)
        for found, number in ((first, 0), (second, 1)):
            assert sum(was[number] for was in young) <= found <= sum(was[number] for was in inside)


def test_marks_may_come_without_calls() -> None:
    """A retry budget counts extra calls apart from first attempts."""
    window = Window(10)
    window.add(0.0)
    window.add(0.0, calls=0, first=1)
    assert window.totals(0.0) == (1, 1, 0)


def test_clear_resets_the_counts() -> None:
    """All of them at once."""
    window = Window(10)
    window.add(0.0, 3, 2, 1)
    window.clear()
    assert window.totals(0.0) == (0, 0, 0)


def test_a_window_stays_small() -> None:
    """However many calls: ten buckets, and no list of calls."""
    window = Window(10)
    for tick in range(5000):
        window.add(1000 + tick / 50, first=1)
    assert len(window._buckets) == 10
