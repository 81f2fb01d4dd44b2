"""Counts of one process: token buckets and quotas."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.gate.counts import Bucket, Charge, InMemory, Period, Quota, SlidingWindow, period_end
from tests.support.now import now

BUCKET = Bucket("requests", 3, 1.0)
DAY = Quota("day", 5, Period.DAY)


class Clock:
    """A clock that is set by hand."""

    def __init__(self, at: float = 1_700_000_000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def in_memory(clock: Clock) -> InMemory:
    """Counts with one clock for buckets and quotas."""
    return InMemory(clock, clock)


def take(counts: InMemory, *charges: Charge) -> list[bool]:
    """Whether each charge was granted."""
    return [count.retry_after_s == 0 for count in now(counts.take(charges))]


def test_a_bucket_grants_a_burst_and_then_its_rate() -> None:
    """Three at once, then one a second. After a long pause it holds three again, not more."""
    clock = Clock()
    counts = in_memory(clock)
    one = Charge(("a",), BUCKET, 1)
    assert [take(counts, one)[0] for _ in range(5)] == [True, True, True, False, False]
    clock.at += 1
    assert [take(counts, one)[0] for _ in range(2)] == [True, False]
    clock.at += 3600
    assert [take(counts, one)[0] for _ in range(4)] == [True, True, True, False]


def test_a_count_has_fractions_of_tokens_and_seconds() -> None:
    """A refused charge says after how many seconds it can be granted."""
    clock = Clock()
    counts = in_memory(clock)
    (first,) = now(counts.take([Charge(("a",), BUCKET, 2)]))
    assert (first.remaining, first.reset_s, first.retry_after_s) == (1.0, 2.0, 0.0)
    clock.at += 0.25
    (second,) = now(counts.take([Charge(("a",), BUCKET, 2)]))
    assert (second.remaining, second.reset_s, second.retry_after_s) == (1.25, 1.75, 0.75)


def test_a_daily_quota_starts_again_at_midnight() -> None:
    """By UTC: five until then, and five after it."""
    clock = Clock(datetime(2026, 11, 24, 23, 59, 58, tzinfo=UTC).timestamp())
    counts = in_memory(clock)
    one = Charge(("a",), DAY, 1)
    assert [take(counts, one)[0] for _ in range(6)] == [True] * 5 + [False]
    clock.at += 1.5
    assert take(counts, one) == [False]
    clock.at += 0.5
    assert take(counts, one) == [True]


@given(st.integers(31_536_000, 7_258_118_400).map(lambda at: datetime.fromtimestamp(at, UTC)))
def test_a_month_ends_on_the_first_of_the_next(moment: datetime) -> None:
    """At midnight by UTC, for months of any length."""
    end = datetime.fromtimestamp(period_end(Period.MONTH, moment.timestamp()), UTC)
    assert (end.day, end.hour, end.minute, end.second) == (1, 0, 0, 0)
    assert 0 < (end - moment).total_seconds() <= 31 * 86_400
    assert (end.year * 12 + end.month) - (moment.year * 12 + moment.month) == 1


def test_all_charges_are_granted_or_none() -> None:
    """If one count is too low, the other counts keep what they have."""
    counts = in_memory(Clock())
    both = (Charge(("a",), BUCKET, 1), Charge(("b",), DAY, 5))
    assert take(counts, *both) == [True, True]
    assert take(counts, *both) == [True, False]
    (bucket,) = now(counts.take([Charge(("a",), BUCKET, 0)]))
    assert bucket.remaining == 2


def test_a_correction_may_exceed_the_limit_and_never_overfills() -> None:
    """A count below zero refuses until it is refilled. Giving back fills a count at most to its quota."""
    clock = Clock()
    counts = in_memory(clock)
    now(counts.settle([Charge(("a",), BUCKET, 10)]))
    assert take(counts, Charge(("a",), BUCKET, 1)) == [False]
    clock.at += 8
    assert take(counts, Charge(("a",), BUCKET, 1)) == [True]
    now(counts.settle([Charge(("a",), BUCKET, -100)]))
    assert [take(counts, Charge(("a",), BUCKET, 1))[0] for _ in range(4)] == [True, True, True, False]


def test_the_number_of_counts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least recently used count is evicted, which resets its quota."""
    monkeypatch.setattr("bff.gate.counts._MOST_COUNTS", 2)
    counts = in_memory(Clock())
    for name in "abca":
        take(counts, Charge((name,), BUCKET, 3))
    assert repr(counts) == "<InMemory: 2 counts>"
    assert take(counts, Charge(("a",), BUCKET, 1)) == [False]
    assert take(counts, Charge(("b",), BUCKET, 1)) == [True]


def test_a_count_that_is_full_is_evicted_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full count is equal to a new one, so evicting it resets nothing."""
    monkeypatch.setattr("bff.gate.counts._MOST_COUNTS", 2)
    clock = Clock()
    counts = in_memory(clock)
    slow = Bucket("requests", 3, 0.001)
    take(counts, Charge(("used",), slow, 3))
    take(counts, Charge(("back",), BUCKET, 3))
    clock.at += 10
    take(counts, Charge(("new",), BUCKET, 1))
    assert take(counts, Charge(("used",), slow, 1)) == [False]


def test_new_counts_do_not_evict_used_up_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client with many addresses can't reset its own count: the emptiest counts are evicted last."""
    monkeypatch.setattr("bff.gate.counts._MOST_COUNTS", 20)
    counts = in_memory(Clock())
    take(counts, Charge(("used",), DAY, 5))
    now(counts.settle([Charge(("debt",), BUCKET, 1000)]))
    for number in range(500):
        take(counts, Charge((str(number),), DAY, 1))
    assert repr(counts) == "<InMemory: 20 counts>"
    assert take(counts, Charge(("used",), DAY, 1)) == [False]
    assert take(counts, Charge(("debt",), BUCKET, 1)) == [False]


def test_the_memory_of_counts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long keys leave room for fewer counts."""
    monkeypatch.setattr("bff.gate.counts._MOST_BYTES", 10_000)
    counts = in_memory(Clock())
    for number in range(50):
        take(counts, Charge((f"{number:04096}",), BUCKET, 1))
    assert repr(counts) == "<InMemory: 2 counts>"


def test_setting_the_wall_clock_back_blocks_no_client() -> None:
    """Buckets use the monotonic clock, and a quota of a future day is not applied."""
    clock, wall = Clock(1000.0), Clock(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp())
    counts = InMemory(clock, wall)
    bucket, day = Charge(("a",), BUCKET, 3), Charge(("b",), DAY, 5)
    assert take(counts, bucket, day) == [True, True]
    wall.at -= 5 * 86_400
    clock.at += 3
    assert take(counts, bucket, day) == [True, True]
    assert take(counts, bucket, day) == [False, False]
    wall.at += 5 * 86_400
    clock.at += 3
    assert take(counts, bucket, day) == [True, True], "nor after it was set forward again"


# Sliding windows

WINDOW = SlidingWindow("requests-minute", 10, 60.0)


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(1, 4)), max_size=200), st.floats(0, 1e9))
def test_no_span_has_more_than_the_quota(steps: list[tuple[float, int]], start: float) -> None:
    """Whenever clients come, and wherever the span begins."""
    clock = Clock(start)
    counts = in_memory(clock)
    granted: list[tuple[float, int]] = []
    for pause, amount in steps:
        clock.at += pause
        if take(counts, Charge(("a",), WINDOW, amount)) == [True]:
            granted.append((clock.at, amount))
    for at, _ in granted:
        assert sum(amount for other, amount in granted if at <= other < at + 60.0) <= 10


def test_a_window_grants_all_of_its_quota_at_once_and_again_after_it() -> None:
    """At most a sixtieth of the window later than a minute. The wait that is told is enough."""
    clock = Clock()
    counts = in_memory(clock)
    one = Charge(("a",), WINDOW, 1)
    assert [take(counts, one)[0] for _ in range(11)] == [True] * 10 + [False]
    (refused,) = now(counts.take([one]))
    assert 60.0 <= refused.retry_after_s <= 61.0
    assert refused.remaining == 0
    clock.at += refused.retry_after_s - 0.001
    assert take(counts, one) == [False]
    clock.at += 0.001
    assert [take(counts, one)[0] for _ in range(11)] == [True] * 10 + [False]


def test_what_was_used_bit_by_bit_comes_back_bit_by_bit() -> None:
    """Each unit a minute after it was used."""
    clock = Clock(0.0)
    counts = in_memory(clock)
    one = Charge(("a",), WINDOW, 1)
    for _ in range(10):
        assert take(counts, one) == [True]
        clock.at += 5
    (refused,) = now(counts.take([one]))
    assert 10.0 <= refused.retry_after_s <= 11.0
    (too_much,) = now(counts.take([Charge(("a",), WINDOW, 3)]))
    assert 20.0 <= too_much.retry_after_s <= 21.0


def test_a_window_is_taken_with_others_or_not_at_all() -> None:
    """A refusal of another limit costs it nothing, and a correction gives back."""
    counts = in_memory(Clock())
    both = (Charge(("a",), WINDOW, 1), Charge(("b",), BUCKET, 1))
    assert [take(counts, *both) for _ in range(4)] == [[True, True]] * 3 + [[True, False]]
    (count,) = now(counts.take([Charge(("a",), WINDOW, 0)]))
    assert count.remaining == 7
    now(counts.settle([Charge(("a",), WINDOW, -100)]))
    (count,) = now(counts.take([Charge(("a",), WINDOW, 0)]))
    assert count.remaining == 10


def test_the_memory_of_a_window_is_bounded() -> None:
    """However many requests come, there are at most 61 parts."""
    clock = Clock()
    counts = in_memory(clock)
    large = SlidingWindow("requests-minute", 10**6, 60.0)
    for _ in range(1000):
        take(counts, Charge(("a",), large, 1))
        clock.at += 0.3
    (level,) = [counts._levels.peek(key) for key in counts._levels]
    assert level is not None
    assert len(level.slots or {}) <= 61
