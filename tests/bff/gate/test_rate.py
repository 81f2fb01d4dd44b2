"""Rate limits of a request: which counts it is charged to, what a refusal says, and the headers."""

from datetime import UTC, datetime

import pytest

from bff.errors import RateLimited
from bff.gate.counts import InMemory
from bff.gate.rate import Ledger, RateOptions, Subject, counted_name
from tests.support.now import now


class Clock:
    """A clock that is set by hand."""

    def __init__(self, at: float = 1_700_000_000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def in_memory(clock: Clock) -> InMemory:
    """Counts with one clock for buckets and quotas."""
    return InMemory(clock, clock)


def ledger(counts: InMemory, *subjects: Subject) -> Ledger:
    """The ledger of a request to the variant web."""
    return Ledger(counts, "web", subjects)


def test_the_headers_name_every_limit() -> None:
    """With the units left and the seconds until the whole quota is available. Before a charge there are no headers."""
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


def test_a_refusal_names_the_limit_with_the_longest_wait() -> None:
    """With its quota, what the request needs, and the wait in whole seconds, rounded up."""
    counts = in_memory(Clock(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()))
    options = RateOptions(per_minute=60, burst=1, per_day=1)
    now(ledger(counts, Subject("user", "1", options)).charge_requests())
    with pytest.raises(RateLimited) as caught:
        now(ledger(counts, Subject("user", "1", options)).charge_requests())
    expected = "Rate limit requests-day exceeded: it allows 1 in 86400 seconds, and this request needs 1 more."
    assert caught.value.message == f"{expected} Try again in 43200 seconds."
    assert caught.value.extensions == {"code": "RATE_LIMITED", "retryAfter": 43200}
    assert dict(caught.value.headers) == {b"retry-after": b"43200"}


def test_a_consumer_and_a_user_are_both_charged() -> None:
    """Each has its own limits. Another user of the consumer is limited by what the consumer has left."""
    counts = in_memory(Clock())
    partner = Subject("consumer", "partner", RateOptions(per_minute=60, burst=3))
    for sub in ("1", "1", "2"):
        now(ledger(counts, partner, Subject("user", sub, RateOptions(burst=2))).charge_requests())
    with pytest.raises(RateLimited, match="limit consumer-requests exceeded"):
        now(ledger(counts, partner, Subject("user", "3", RateOptions(burst=2))).charge_requests())
    with pytest.raises(RateLimited, match="limit requests exceeded"):
        now(ledger(counts, Subject("user", "1", RateOptions(burst=2))).charge_requests())


def test_cost_is_corrected() -> None:
    """If the estimate was too high the difference is given back; if it was too low it is charged."""
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


def test_a_long_name_is_replaced_by_its_digest() -> None:
    """So a name of any length weighs little, and different names have different counts."""
    assert counted_name("1") == "1"
    assert len(counted_name("s" * 8000)) < 100
    assert counted_name("s" * 8000) != counted_name("s" * 8001)
