"""The cache's store: lookups, eviction, its limits, and dropping objects for all viewers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.upstream.traffic.freshness import Lifetimes
from bff.upstream.traffic.store import Entry, Key, Store

NOW = 1000.0
KEY: Key = ("viewer", "id", 1)


def entry(
    value: Any = "value",
    *,
    fresh_s: float = 30,
    later_s: float = 0,
    error_s: float = 0,
    etag: str | None = None,
    size: int = 100,
) -> Entry:
    """An entry that arrived now."""
    return Entry(value, NOW, Lifetimes(fresh_s, later_s, error_s, 5.0, etag, ()), {}, size)


@pytest.mark.parametrize(
    ("after_s", "fresh", "later", "error"),
    [
        (0, True, True, True),
        (29.9, True, True, True),
        (30, False, True, True),
        (40, False, False, True),
        (50, False, False, False),
    ],
)
def test_each_use_of_an_entry_ends_on_time(after_s: float, fresh: bool, later: bool, error: bool) -> None:
    """Fresh, while it is revalidated, and in place of a failed call: each to the exact second."""
    one = entry(later_s=10, error_s=20)
    now = NOW + after_s
    assert (one.is_fresh(now), one.may_revalidate_later(now), one.may_stand_in(now)) == (fresh, later, error)
    assert one.age(now) == pytest.approx(5 + after_s)


def test_a_useless_entry_is_dropped_when_found() -> None:
    """An entry past all its lifetimes is dropped. One with a validator stays."""
    store = Store(10, 100_000)
    store.keep(KEY, entry())
    assert store.find(KEY, NOW + 29) is not None
    assert store.find(KEY, NOW + 30) is None
    assert (len(store), store.weight) == (0, 0)
    store.keep(KEY, entry(etag='"1"'))
    assert store.find(KEY, NOW + 10**6) is not None


def test_a_key_has_one_entry() -> None:
    """The newer entry replaces the older one, and only its size counts."""
    store = Store(10, 100_000)
    store.keep(KEY, entry("old", size=5000))
    store.keep(KEY, entry("new", size=100))
    found = store.find(KEY, NOW)
    assert found is not None
    assert (found.value, len(store), store.weight) == ("new", 1, 500)


def test_the_least_recently_used_entry_is_evicted() -> None:
    """`find` counts as a use."""
    store = Store(2, 100_000)
    for number in (1, 2):
        store.keep((None, "id", number), entry())
    store.find((None, "id", 1), NOW)
    store.keep((None, "id", 3), entry())
    assert [number for number in (1, 2, 3) if (None, "id", number) in store] == [1, 3]


def test_bytes_are_limited() -> None:
    """Large entries evict more others. A too large one isn't kept, and the older entry under its key is dropped."""
    store = Store(1000, 8000)
    for number in range(20):
        store.keep((None, "id", number), entry(size=400))
    assert (len(store), store.weight) == (10, 8000)
    store.keep((None, "id", 19), entry(size=601))
    assert (None, "id", 19) not in store
    assert len(store) == 9


def test_an_object_is_dropped_for_every_viewer() -> None:
    """Other objects, and the same number in another family, stay."""
    store = Store(100, 100_000)
    for viewer in ("a", "b", None):
        for family in ("id", "user"):
            for number in (1, 2):
                store.keep((viewer, family, number), entry())
    store.drop_object("id", 1)
    assert len(store) == 9
    assert not [viewer for viewer in ("a", "b", None) if (viewer, "id", 1) in store]


def test_all_families_but_one_are_dropped() -> None:
    """For every viewer."""
    store = Store(100, 100_000)
    for viewer in ("a", None):
        for family in ("id", "answer", ("user", 20)):
            store.keep((viewer, family, 1), entry())
    store.drop_families_but("id")
    assert [(viewer, "id", 1) in store for viewer in ("a", None)] == [True, True]
    assert len(store) == 2


def test_clear_drops_all_entries() -> None:
    """The index is empty too."""
    store = Store(100, 100_000)
    store.keep(KEY, entry())
    store.clear()
    assert repr(store) == "<Store 0 entries, 0 bytes>"
    store.drop_object("id", 1)


class Naive:
    """A list of entries, the most recently used one last; each lookup searches it from the front."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self.most, self.most_bytes = most, most_bytes
        self.rows: list[tuple[Key, Entry]] = []

    def get(self, key: Key) -> Any:
        for row in self.rows:
            if row[0] == key:
                self.rows.remove(row)
                self.rows.append(row)
                return row[1].value
        return None

    def put(self, key: Key, one: Entry) -> None:
        self.rows = [row for row in self.rows if row[0] != key]
        if one.size + 400 <= self.most_bytes // 8:
            self.rows.append((key, one))
        while len(self.rows) > self.most or sum(row[1].size + 400 for row in self.rows) > self.most_bytes:
            self.rows.pop(0)

    def keep(self, wanted: Any) -> None:
        self.rows = [row for row in self.rows if wanted(row[0])]


KEYS = st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["id", "answer", "user"]), st.integers(1, 4))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.sampled_from([0, 300, 1000, 2000])),
        st.tuples(st.just("get"), KEYS, st.just(0)),
        st.tuples(st.just("drop"), KEYS, st.just(0)),
        st.tuples(st.just("drop object"), KEYS, st.just(0)),
        st.tuples(st.just("drop families"), KEYS, st.just(0)),
    ),
    max_size=80,
)


@given(STEPS)
def test_the_store_behaves_as_the_model(steps: list[tuple[str, Key, int]]) -> None:
    """After any sequence of steps: the same entries and bytes, the limits hold, and the index matches."""
    store, naive = Store(8, 16_000), Naive(8, 16_000)
    for number, (what, key, size) in enumerate(steps):
        if what == "put":
            one = entry(number, size=size)
            store.keep(key, one)
            naive.put(key, one)
        elif what == "get":
            found = store.find(key, NOW)
            assert (found.value if found else None) == naive.get(key)
        elif what == "drop":
            store.drop(key)
            naive.keep(lambda row, key=key: row != key)
        elif what == "drop object":
            store.drop_object(key[1], key[2])
            naive.keep(lambda row, key=key: row[1:] != key[1:])
        else:
            store.drop_families_but(key[1])
            naive.keep(lambda row, key=key: row[1] == key[1])
        assert list(store._entries) == [row[0] for row in naive.rows]
        assert store.weight == sum(row[1].size + 400 for row in naive.rows) <= 16_000
        index = {
            (viewer, family, name)
            for family, names in store._viewers.items()
            for name, viewers in names.items()
            for viewer in viewers
        }
        assert index == set(store._entries)
