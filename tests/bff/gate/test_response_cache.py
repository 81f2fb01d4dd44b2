"""The response cache: lifetimes, limits, and eviction by writes."""

from typing import Any

import pytest

from bff.gate.response_cache import DropOnWrite, ResponseCache, ResponseCacheOptions, response_key
from bff.upstream.events import CallEnded, CallShared


class Kept(ResponseCache):
    """A cache with a clock that is set by hand."""

    def __init__(self, **options: int) -> None:
        self.now = 100.0
        super().__init__(ResponseCacheOptions(enabled=True, **options), lambda: self.now)


def test_a_response_is_cached_for_its_lifetime() -> None:
    """With the seconds for which it is still fresh."""
    kept = Kept()
    kept.put("a", b"answer", 10.0, kept.generation)
    kept.now += 4
    assert kept.get("a") == (b"answer", 6.0)
    kept.now += 6
    assert kept.get("a") is None
    assert "0 bytes" in repr(kept)
    kept.put("a", b"answer", 0.0, kept.generation)
    assert kept.get("a") is None


def test_a_response_begun_before_a_write_is_not_cached_after_it() -> None:
    """It may hold what the write has changed."""
    kept = Kept()
    kept.put("a", b"1", 10.0, kept.generation)
    begun = kept.generation
    kept.clear()
    assert kept.get("a") is None
    kept.put("a", b"1", 10.0, begun)
    assert kept.get("a") is None
    kept.put("a", b"2", 10.0, kept.generation)
    assert kept.get("a") == (b"2", 10.0)


def test_the_number_and_size_of_responses_are_bounded() -> None:
    """The least recently used is evicted. A response that is too large by itself is not cached."""
    kept = Kept(max_entries=2, max_bytes=2048)
    for key in "ab":
        kept.put(key, key.encode(), 10.0, kept.generation)
    kept.get("a")
    kept.put("c", b"c", 10.0, kept.generation)
    assert [kept.get(key) is not None for key in "abc"] == [True, False, True]
    kept.put("d", b"d" * 1500, 10.0, kept.generation)
    assert [kept.get(key) is not None for key in "acd"] == [False, False, True]
    kept.put("e", b"e" * 3000, 10.0, kept.generation)
    assert [kept.get(key) is not None for key in "de"] == [True, False]
    kept.put("d", b"d", 10.0, kept.generation)  # in its own place
    assert "501 bytes" in repr(kept)


def test_a_key_has_a_fixed_size() -> None:
    """Whatever was sent. Equal variables have equal keys, in any order of their names."""
    operation, other = b"one", b"other"
    key = response_key(operation, {"a": 1, "b": "x" * 100_000})
    assert key == response_key(operation, {"b": "x" * 100_000, "a": 1})
    assert response_key(operation, {"a": {"b": 1, "c": 2}}) == response_key(operation, {"a": {"c": 2, "b": 1}})
    assert response_key(operation, None) == response_key(operation, {})
    different: list[dict[str, Any]] = [{"a": 1}, {"a": 1.0}, {"a": True}, {"a": "1"}, {"a": None}, {"a": [1]}, {}]
    assert len({response_key(operation, each) for each in different}) == len(different)
    assert response_key(other, {"a": 1}) != response_key(operation, {"a": 1})
    assert isinstance(key, tuple)
    assert len(key[1]) == 32


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, "\ud800", {"\udfff": 1}])
def test_variables_without_a_canonical_form_have_no_key(value: object) -> None:
    """Different variables could have the same key."""
    assert response_key(b"one", {"a": value}) is None


def ended(method: str = "PATCH", status: int | None = 200) -> CallEnded:
    """The event of a call that was sent and has ended."""
    return CallEnded("products", "/products/{id}", method, 1, "ok", 0.1, "r", status, is_read=method == "GET")


@pytest.mark.parametrize(
    ("event", "drops"),
    [
        (ended(), True),
        (ended("POST", 201), True),
        (ended(status=500), True),
        (ended(status=302), True),
        (ended(status=None), True),
        (ended(status=404), False),
        (ended(status=409), False),
        (ended(status=429), False),
        (ended("GET"), False),
        (ended("GET", None), False),
        (CallShared("products", "/products"), False),
    ],
)
def test_a_write_evicts_all_responses(event: CallEnded | CallShared, drops: bool) -> None:
    """Of all variants, unless the service rejected it."""
    kept = [Kept(), Kept()]
    for each in kept:
        each.put("a", b"1", 10.0, each.generation)
    DropOnWrite(lambda: kept)(event)
    assert [each.get("a") is None for each in kept] == [drops, drops]
    assert [each.generation for each in kept] == [int(drops)] * 2


def test_after_a_write_without_a_reply_nothing_is_cached_for_a_while() -> None:
    """The reply to another write doesn't end that time."""
    kept = Kept()
    drop = DropOnWrite(lambda: [kept])
    drop(ended(status=None))
    kept.now += 10
    drop(ended())
    kept.put("a", b"1", 10.0, kept.generation)
    assert kept.get("a") is None
    kept.now += 21
    kept.put("a", b"1", 10.0, kept.generation)
    assert kept.get("a") is not None
