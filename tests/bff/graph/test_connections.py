"""Connections: slices that are cut from the services' pages."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.graph.cursors import Position
from bff.graph.errors import BadUserInput
from bff.graph.pages import PageSlice, load_slice
from bff.upstream.caller import Caller
from bff.upstream.conventions.paging import MOST_ITEMS
from bff.upstream.errors import SourceError, TimedOut
from bff.upstream.loads import BadCursor, Page
from bff.upstream.reads import PageKey
from datasources.orders import Orders, OrderStatus
from datasources.users import User
from tests.support.shop import Shop, order, user


class Pages:
    """A service's pages: each has as many items as requested, or fewer if `cuts` says so.

    It accepts only its own cursors, which are opaque.
    """

    name = "users"

    def __init__(self, length: int, broken: Sequence[int] = (), cuts: Iterator[int] | None = None) -> None:
        self.lost = {number: TimedOut("users", counts=True) for number in broken}
        self.items: list[User | SourceError] = [self.lost.get(number) or user(number) for number in range(1, length + 1)]
        self.calls = 0
        self._given: dict[str, int] = {}
        self._cuts = cuts

    async def load(self, caller: Any, *, limit: int, cursor: str | None, **filters: str | None) -> Page[User]:
        self.calls += 1
        assert 1 <= limit <= MOST_ITEMS
        if cursor is not None and cursor not in self._given:
            raise BadCursor
        start = self._given[cursor] if cursor is not None else 0
        end = min(start + (min(limit, next(self._cuts)) if self._cuts else limit), len(self.items))
        next_cursor = None
        if end < len(self.items):
            next_cursor = f'="{end}/ü'
            self._given[next_cursor] = end
        return Page(self.items[start:end], next_cursor, len(self.items))


async def _stretch(pages: Pages, first: int, after: str | None = None) -> PageSlice[User]:
    calls = pages.calls
    caller: Caller = None  # type: ignore[assignment] # the fake needs no caller
    found = await load_slice(pages, caller, PageKey(first, after))  # type: ignore[arg-type, var-annotated]
    assert pages.calls - calls <= 2
    return found


@settings(deadline=None)
@given(
    length=st.integers(0, 450),
    firsts=st.lists(st.integers(1, 100), min_size=1, max_size=4),
    broken=st.sets(st.integers(1, 450), max_size=20),
)
async def test_following_end_cursor_returns_every_item_once(length: int, firsts: list[int], broken: set[int]) -> None:
    """With any `first` at each step, without gaps and repetitions. Unreadable items keep their positions."""
    pages = Pages(length, sorted(broken))
    seen: list[Any] = []
    after, step = None, 0
    while True:
        first = firsts[step % len(firsts)]
        found = await _stretch(pages, first, after)
        seen += [entry.node for entry in found.entries]
        assert len(found.entries) == min(first, length - len(seen) + len(found.entries))
        assert found.has_next == (len(seen) < length)
        assert found.has_previous == (after is not None)
        assert found.total == length
        if not found.has_next:
            break
        after, step = found.entries[-1].cursor, step + 1
    assert seen == pages.items


@settings(deadline=None)
@given(length=st.integers(1, 450), firsts=st.lists(st.integers(1, 100), min_size=2, max_size=6), data=st.data())
async def test_every_edge_s_cursor_works_as_after(length: int, firsts: list[int], data: st.DataObject) -> None:
    """The next slice begins after that edge, in at most two calls."""
    pages = Pages(length)
    start, after = 0, None
    for first in firsts:
        found = await _stretch(pages, first, after)
        assert [entry.node for entry in found.entries] == pages.items[start : start + first]
        assert found.has_next == (start + first < length)
        if not found.entries:
            break
        edge = data.draw(st.integers(0, len(found.entries) - 1))
        start, after = start + edge + 1, found.entries[edge].cursor


@settings(deadline=None)
@given(length=st.integers(1, 60), cuts=st.lists(st.integers(1, 12), min_size=1, max_size=8), data=st.data())
async def test_short_pages_of_a_service_lose_no_item(length: int, cuts: list[int], data: st.DataObject) -> None:
    """The service may end its pages anywhere, each time elsewhere. A slice may be short then, but begins after `after`."""

    def cut() -> Iterator[int]:
        while True:
            yield from cuts

    pages = Pages(length, cuts=cut())
    start, after = 0, None
    for _ in range(200):
        found = await _stretch(pages, data.draw(st.integers(1, 20)), after)
        shown = [entry.node for entry in found.entries]
        assert shown == pages.items[start : start + len(shown)]
        assert found.has_next == (start + len(shown) < length) or not shown
        if not found.entries:
            break
        edge = data.draw(st.integers(0, len(shown) - 1))
        start, after = start + edge + 1, found.entries[edge].cursor


async def test_after_the_last_edge_one_call_is_made() -> None:
    """Its cursor is the service's own."""
    pages = Pages(100)
    found = await _stretch(pages, 30)
    found = await _stretch(pages, 30, found.entries[-1].cursor)
    assert pages.calls == 2
    assert [entry.node for entry in found.entries] == pages.items[30:60]


@pytest.mark.parametrize(("edge", "calls"), [(0, 1), (50, 1), (98, 1), (99, 1)])
async def test_after_an_edge_inside_a_page_one_call_is_made(edge: int, calls: int) -> None:
    """If the skipped and the requested items fit in one page of the service."""
    pages = Pages(1000)
    found = await _stretch(pages, 100)
    pages.calls = 0
    await _stretch(pages, 100, found.entries[edge].cursor)
    assert pages.calls == calls


async def test_a_cursor_that_the_service_refuses_is_bad_user_input() -> None:
    """A well-formed cursor, as from another connection."""
    found = await _stretch(Pages(50), 10)
    with pytest.raises(BadUserInput, match="after"):
        await _stretch(Pages(50), 10, found.entries[-1].cursor)


async def test_after_the_last_edge_there_is_nothing() -> None:
    """The slice is empty, and has items before it."""
    pages = Pages(5)
    whole = await _stretch(pages, 5)
    rest = await _stretch(pages, 5, whole.entries[-1].cursor)
    assert (rest.entries, rest.has_next, rest.has_previous, rest.total) == ([], False, True, 5)


async def test_an_empty_list_is_an_empty_slice() -> None:
    """Without items before and after."""
    found = await _stretch(Pages(0), 5)
    assert (list(found.entries), found.has_next, found.has_previous, found.total) == (
        [],
        False,
        False,
        0,
    )


async def test_both_calls_have_the_filters(shop: Shop) -> None:
    """If a slice needs two calls."""
    shop.orders.records = {number: order(number, 1, status=OrderStatus.PAID) for number in range(1, 401)}
    loaders = shop.context("admin").loaders
    filters = (("status", "paid"),)
    first = await loaders[Orders.page].load(PageKey(100, None, filters))
    assert first is not None
    shop.orders.calls.clear()
    deep = Position(None, 150).encode()
    second = await loaders[Orders.page].load(PageKey(100, deep, filters))
    assert second is not None
    assert [entry.node.id for entry in second.entries] == list(range(250, 150, -1))  # type: ignore[union-attr]
    assert shop.orders.calls == [
        ("page", 200, None, {"status": "paid"}),
        ("page", 50, "c200", {"status": "paid"}),
    ]
