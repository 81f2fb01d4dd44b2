"""How much one may ask: counts that come back with time, and what is said of them."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import RateLimited
from bff.gate.rate import Bucket, Charge, InMemory, Ledger, Period, Quota, RateOptions, Subject, counted_name, period_end
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
    """Counts by one clock for both kinds of limits."""
    return InMemory(clock, clock)


def take(counts: InMemory, *charges: Charge) -> list[bool]:
    """Whether each was granted."""
    return [count.retry_after_s == 0 for count in now(counts.take(charges))]


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    """Three at once, then one a second, and never more than three saved up."""
    clock = Clock()
    counts = in_memory(clock)
    one = Charge(("a",), BUCKET, 1)
    assert [take(counts, one)[0] for _ in range(5)] == [True, True, True, False, False]
    clock.at += 1
    assert [take(counts, one)[0] for _ in range(2)] == [True, False]
    clock.at += 3600
    assert [take(counts, one)[0] for _ in range(4)] == [True, True, True, False]


def test_what_is_left_and_when_it_comes_back_is_told() -> None:
    """To a fraction; what is refused says how long to wait."""
    clock = Clock()
    counts = in_memory(clock)
    (first,) = now(counts.take([Charge(("a",), BUCKET, 2)]))
    assert (first.remaining, first.reset_s, first.retry_after_s) == (1.0, 2.0, 0.0)
    clock.at += 0.25
    (second,) = now(counts.take([Charge(("a",), BUCKET, 2)]))
    assert (second.remaining, second.reset_s, second.retry_after_s) == (1.25, 1.75, 0.75)


def test_a_quota_is_for_the_calendar_s_day() -> None:
    """Five until midnight by UTC, and then five again."""
    clock = Clock(datetime(2026, 11, 24, 23, 59, 58, tzinfo=UTC).timestamp())
    counts = in_memory(clock)
    one = Charge(("a",), DAY, 1)
    assert [take(counts, one)[0] for _ in range(6)] == [True] * 5 + [False]
    clock.at += 1.5
    assert take(counts, one) == [False]
    clock.at += 0.5
    assert take(counts, one) == [True]


@given(st.integers(31_536_000, 7_258_118_400).map(lambda at: datetime.fromtimestamp(at, UTC)))
def test_a_month_ends_with_the_first_of_the_next(moment: datetime) -> None:
    """At midnight by UTC, whatever its length."""
    end = datetime.fromtimestamp(period_end(Period.MONTH, moment.timestamp()), UTC)
    assert (end.day, end.hour, end.minute, end.second) == (1, 0, 0, 0)
    assert 0 < (end - moment).total_seconds() <= 31 * 86_400
    assert (end.year * 12 + end.month) - (moment.year * 12 + moment.month) == 1


def test_all_is_taken_or_nothing() -> None:
    """What one count refuses costs the others nothing."""
    counts = in_memory(Clock())
    both = (Charge(("a",), BUCKET, 1), Charge(("b",), DAY, 5))
    assert take(counts, *both) == [True, True]
    assert take(counts, *both) == [True, False]
    (bucket,) = now(counts.take([Charge(("a",), BUCKET, 0)]))
    assert bucket.remaining == 2


def test_what_is_settled_may_pass_the_limit_and_never_fills_over() -> None:
    """A debt has to be waited off; what is given back is no more than the whole."""
    clock = Clock()
    counts = in_memory(clock)
    now(counts.settle([Charge(("a",), BUCKET, 10)]))
    assert take(counts, Charge(("a",), BUCKET, 1)) == [False]
    clock.at += 8
    assert take(counts, Charge(("a",), BUCKET, 1)) == [True]
    now(counts.settle([Charge(("a",), BUCKET, -100)]))
    assert [take(counts, Charge(("a",), BUCKET, 1))[0] for _ in range(4)] == [True, True, True, False]


def test_the_number_of_counts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that has rested longest goes."""
    monkeypatch.setattr("bff.gate.rate._MOST_COUNTS", 2)
    counts = in_memory(Clock())
    for name in "abca":
        take(counts, Charge((name,), BUCKET, 3))
    assert repr(counts) == "<InMemory: 2 counts>"
    assert take(counts, Charge(("a",), BUCKET, 1)) == [False]
    assert take(counts, Charge(("b",), BUCKET, 1)) == [True]


def test_a_count_that_is_full_is_evicted_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no different from one that was never made, so nothing is lost by it."""
    monkeypatch.setattr("bff.gate.rate._MOST_COUNTS", 2)
    clock = Clock()
    counts = in_memory(clock)
    slow = Bucket("requests", 3, 0.001)
    take(counts, Charge(("used",), slow, 3))
    take(counts, Charge(("back",), BUCKET, 3))
    clock.at += 10
    take(counts, Charge(("new",), BUCKET, 1))
    assert take(counts, Charge(("used",), slow, 1)) == [False]


def test_new_counts_push_out_no_used_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client with many addresses can't reset its own count: the most used counts are evicted last."""
    monkeypatch.setattr("bff.gate.rate._MOST_COUNTS", 20)
    counts = in_memory(Clock())
    take(counts, Charge(("used",), DAY, 5))
    now(counts.settle([Charge(("debt",), BUCKET, 1000)]))
    for number in range(500):
        take(counts, Charge((str(number),), DAY, 1))
    assert repr(counts) == "<InMemory: 20 counts>"
    assert take(counts, Charge(("used",), DAY, 1)) == [False]
    assert take(counts, Charge(("debt",), BUCKET, 1)) == [False]


def test_counts_are_bounded_by_what_their_names_weigh(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a long name weighs no more than its digest."""
    monkeypatch.setattr("bff.gate.rate._MOST_BYTES", 10_000)
    counts = in_memory(Clock())
    for number in range(50):
        take(counts, Charge((f"{number:04096}",), BUCKET, 1))
    assert repr(counts) == "<InMemory: 2 counts>"
    assert counted_name("1") == "1"
    assert len(counted_name("s" * 8000)) < 100
    assert counted_name("s" * 8000) != counted_name("s" * 8001)


def test_the_wall_clock_may_be_set() -> None:
    """A wall clock that is set back blocks no client: buckets use another clock, and a future day's quota is not applied."""
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
    assert take(counts, bucket, day) == [True, True], "nor does setting it right again"


def ledger(counts: InMemory, *subjects: Subject) -> Ledger:
    """A request's, on web."""
    return Ledger(counts, "web", subjects)


def test_headers_tell_every_limit() -> None:
    """By name, with what is left and when it is whole again; before anything was charged there are none."""
    counts = in_memory(Clock(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()))
    options = RateOptions(per_minute=60, burst=3, per_day=10, cost_per_minute=120)
    one = ledger(counts, Subject("user", "1", options))
    assert one.headers() == ()
    now(one.charge_requests())
    now(one.charge_cost(20))
    assert dict(one.headers()) == {
        b"ratelimit-policy": b'"requests";q=3;w=3, "requests-day";q=10;w=86400, "cost";q=120;w=60',
        b"ratelimit": b'"requests";r=2;t=1, "requests-day";r=9;t=43200, "cost";r=100;t=10',
    }


def test_a_refusal_names_the_limit_that_waits_longest() -> None:
    """In whole seconds, not a moment too early."""
    counts = in_memory(Clock(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()))
    options = RateOptions(per_minute=60, burst=1, per_day=1)
    now(ledger(counts, Subject("user", "1", options)).charge_requests())
    with pytest.raises(RateLimited) as caught:
        now(ledger(counts, Subject("user", "1", options)).charge_requests())
    assert caught.value.message == "Too much was asked (requests-day): try again in 43200 seconds."
    assert caught.value.extensions == {"code": "RATE_LIMITED", "retryAfter": 43200}
    assert dict(caught.value.headers) == {b"retry-after": b"43200"}


def test_a_consumer_and_a_user_are_both_charged() -> None:
    """Each by limits of his own; another user of the consumer has what the consumer has left."""
    counts = in_memory(Clock())
    partner = Subject("consumer", "partner", RateOptions(per_minute=60, burst=3))
    for sub in ("1", "1", "2"):
        now(ledger(counts, partner, Subject("user", sub, RateOptions(burst=2))).charge_requests())
    with pytest.raises(RateLimited, match=re.escape("(consumer-requests)")):
        now(ledger(counts, partner, Subject("user", "3", RateOptions(burst=2))).charge_requests())
    with pytest.raises(RateLimited, match=re.escape("(requests)")):
        now(ledger(counts, Subject("user", "1", RateOptions(burst=2))).charge_requests())


def test_cost_is_corrected() -> None:
    """What was estimated too high is given back; what was too low is owed."""
    counts = in_memory(Clock())
    options = RateOptions(cost_per_minute=60, cost_burst=100)
    one = ledger(counts, Subject("user", "1", options))
    assert one.counts_cost
    now(one.charge_cost(100))
    now(one.correct_cost(-90))
    two = ledger(counts, Subject("user", "1", options))
    now(two.charge_cost(90))
    with pytest.raises(RateLimited):
        now(ledger(counts, Subject("user", "1", options)).charge_cost(1))
    assert not ledger(counts, Subject("user", "1", RateOptions())).counts_cost
