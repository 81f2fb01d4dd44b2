"""The bounded cache: total weight and number hold after any sequence of calls; the least recently used entry goes first."""

from hypothesis import given
from hypothesis import strategies as st

from bff.runtime.bounded_cache import BoundedCache


def test_the_least_recently_used_entry_is_evicted() -> None:
    """A `get` counts as a use."""
    cache: BoundedCache[str, int] = BoundedCache(max_weight=30)
    for number, key in enumerate("abc"):
        cache.put(key, number, 10)
    assert cache.get("a") == 0
    cache.put("d", 3, 10)
    assert list(cache) == ["c", "a", "d"]
    assert cache.get("b") is None


def test_a_peek_does_not_count_as_a_use() -> None:
    """It leaves the order of eviction unchanged."""
    cache: BoundedCache[str, int] = BoundedCache(max_weight=20)
    cache.put("a", 0, 10)
    cache.put("b", 1, 10)
    assert cache.peek("a") == 0
    cache.put("c", 2, 10)
    assert list(cache) == ["b", "c"]


def test_an_entry_that_is_too_heavy_is_not_kept_and_evicts_no_other() -> None:
    """An older entry with the same key is dropped, since it is out of date."""
    cache: BoundedCache[str, int] = BoundedCache(max_weight=80, largest_share=8)
    cache.put("a", 0, 10)
    cache.put("b", 1, 10)
    assert not cache.put("a", 2, 11)
    assert list(cache) == ["b"]
    assert cache.weight == 10


def test_an_entry_that_grows_can_evict_others_and_itself() -> None:
    """As a document that grows when it is compiled."""
    cache: BoundedCache[str, int] = BoundedCache(max_weight=30)
    cache.put("a", 0, 10)
    cache.put("b", 1, 10)
    cache.reweigh("b", 25)
    assert list(cache) == ["b"]
    cache.reweigh("b", 31)
    assert len(cache) == cache.weight == 0
    cache.reweigh("b", 5)
    assert cache.weight == 0


def test_a_drop_returns_the_value_and_a_clear_leaves_nothing() -> None:
    """A key that was dropped, replaced or cleared has no entry with its old value."""
    cache: BoundedCache[str, int] = BoundedCache(max_weight=20)
    cache.put("a", 0, 10)
    cache.put("a", 1, 10)
    cache.put("b", 2, 10)
    assert (cache.get("a"), cache.weight) == (1, 20)
    assert cache.drop("b") == 2
    assert cache.drop("b") is None
    cache.clear()
    assert (cache.get("a"), len(cache), cache.weight) == (None, 0, 0)


_calls = st.lists(
    st.tuples(st.sampled_from(["put", "reweigh", "drop", "get", "clear"]), st.integers(0, 9), st.integers(0, 50)),
    max_size=60,
)


@given(_calls, st.integers(1, 100), st.integers(1, 8))
def test_its_limits_always_hold(calls: list[tuple[str, int, int]], max_weight: int, max_entries: int) -> None:
    """Its weight is that of its entries, after any sequence of calls."""
    cache: BoundedCache[int, int] = BoundedCache(max_weight=max_weight, max_entries=max_entries)
    weights: dict[int, int] = {}
    for name, key, weight in calls:
        if name == "put":
            if cache.put(key, weight, weight):
                weights[key] = weight
        elif name == "reweigh":
            cache.reweigh(key, weight)
            weights[key] = weight
        elif name == "drop":
            cache.drop(key)
        elif name == "get":
            cache.get(key)
        else:
            cache.clear()
        assert cache.weight <= max_weight
        assert len(cache) <= max_entries
        assert cache.weight == sum(weights[each] for each in cache)
