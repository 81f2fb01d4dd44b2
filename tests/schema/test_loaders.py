"""What the loaders promise, and how connections are cut from the services' pages."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasources.caller import Caller
from datasources.errors import BadAnswer, BreakerOpen, SourceError, TimedOut
from datasources.orders import OrderStatus
from datasources.rest import MAX_LIMIT, BadCursor, Page
from datasources.users import User
from schema.connections import PageKey, Stretch, stretch_of
from schema.cursors import Position
from schema.errors import BadUserInput
from schema.loaders import Loader, UserOrdersKey
from tests.schema.shop import Shop, order, user

Answer = Callable[[Sequence[int]], Mapping[int, Any]]


@dataclass
class Batches:
    """A batch function that notes its batches, waits for its `gate` and answers with tens."""

    answer: Answer = lambda keys: {key: key * 10 for key in keys}
    asked: list[list[int]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: int = 0

    async def __call__(self, keys: Sequence[int]) -> Mapping[int, Any]:
        self.asked.append(list(keys))
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.answer(keys)


def opened(answer: Answer = lambda keys: {key: key * 10 for key in keys}) -> Batches:
    """One that does not wait."""
    batches = Batches(answer)
    batches.gate.set()
    return batches


async def turns(number: int = 10) -> None:
    """Let the event loop turn a few times; no time passes."""
    for _ in range(number):
        await asyncio.sleep(0)


def tasks_beside_me() -> list[asyncio.Task[Any]]:
    """The loader's own tasks: in a test there are no others."""
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


# One batch a turn


async def test_keys_of_one_turn_are_one_batch() -> None:
    """What is asked for before the loop turns goes out together, in the order of asking."""
    batches = opened()
    loader = Loader(batches)
    assert await asyncio.gather(loader.load(3), loader.load(1), loader.load(2)) == [30, 10, 20]
    assert batches.asked == [[3, 1, 2]]


async def test_keys_of_coroutines_that_run_side_by_side_are_one_batch() -> None:
    """Who asks does not matter: the loads of many coroutines merge, whatever depth they come from."""
    batches = opened()
    loader = Loader(batches)

    async def deep(key: int, depth: int) -> Any:
        return await (deep(key, depth - 1) if depth else loader.load(key))

    assert await asyncio.gather(deep(1, 0), deep(2, 3), deep(3, 7)) == [10, 20, 30]
    assert batches.asked == [[1, 2, 3]]


async def test_keys_of_a_later_turn_are_a_batch_of_their_own() -> None:
    """A batch that is under way takes nobody more, and does not hold up the next."""
    batches = Batches()
    loader = Loader(batches)
    first = loader.load(1)
    await turns()
    second = loader.load(2)
    await turns()
    assert batches.asked == [[1], [2]]
    batches.gate.set()
    assert await asyncio.gather(first, second) == [10, 20]


# Once a request


async def test_a_key_is_asked_for_once() -> None:
    """Twice in one turn, while it is loading, and after it came: one question."""
    batches = Batches()
    loader = Loader(batches)
    together = [loader.load(1), loader.load(1)]
    await turns()
    meanwhile = loader.load(1)
    batches.gate.set()
    assert await asyncio.gather(*together, meanwhile) == [10, 10, 10]
    assert await loader.load(1) == 10
    assert batches.asked == [[1]]


async def test_a_missing_key_is_none_and_stays_so() -> None:
    """What the batch does not mention does not exist; that too is asked once."""
    batches = opened(lambda _: {1: "one"})
    loader = Loader(batches)
    assert await asyncio.gather(loader.load(1), loader.load(404)) == ["one", None]
    assert await loader.load(404) is None
    assert batches.asked == [[1, 404]]


async def test_what_nobody_asked_for_is_not_taken_in() -> None:
    """A batch that answers more than was asked tells nothing of the rest."""
    batches = opened(lambda _: {1: 10, 2: "unasked"})
    loader = Loader(batches)
    assert await loader.load(1) == 10
    assert await loader.load(2) == "unasked"
    assert batches.asked == [[1], [2]]


# Failures


async def test_a_failed_key_fails_alone() -> None:
    """An error in a key's place is that key's; its neighbours have their values. It is not asked for again."""
    lost = BadAnswer("users", counts=False)
    batches = opened(lambda _: {1: 10, 2: lost})
    loader = Loader(batches)
    one, two = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)
    assert (one, two) == (10, lost)
    with pytest.raises(BadAnswer):
        await loader.load(2)
    assert batches.asked == [[1, 2]]


async def test_a_batch_that_fails_reaches_each_key() -> None:
    """Whatever the batch raises, each of its keys fails with it, and none is left hanging."""

    def fail(keys: Sequence[int]) -> Mapping[int, Any]:
        raise LookupError(f"of {keys}")

    loader = Loader(opened(fail))
    async with asyncio.timeout(5):
        results = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)
    assert [str(result) for result in results] == ["of [1, 2]"] * 2


async def test_a_batch_that_answers_nonsense_reaches_each_key() -> None:
    """So does an answer that is no mapping: a fault of ours, and no reason to wait for ever."""
    loader = Loader(opened(lambda _: None))  # type: ignore[arg-type, return-value]
    async with asyncio.timeout(5):
        results = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)
    assert [type(result) for result in results] == [AttributeError] * 2


# Cancellation


async def test_a_waiter_that_is_cancelled_cancels_neither_the_load_nor_its_neighbours() -> None:
    """Of several that wait for the same key and for others, one goes: the rest get what they wait for, from one batch."""
    batches = Batches()
    loader = Loader(batches)

    async def wait(key: int) -> Any:
        return await loader.load(key)

    gone, same, other = (asyncio.create_task(wait(key)) for key in (1, 1, 2))
    await turns()
    gone.cancel()
    await turns()
    assert gone.cancelled()
    batches.gate.set()
    assert await asyncio.gather(same, other, loader.load(1)) == [10, 20, 10]
    assert (batches.asked, batches.cancelled) == ([[1, 2]], 0)


async def test_a_waiter_that_is_cancelled_before_the_batch_goes_out_cancels_nobody() -> None:
    """The same in the turn in which it was asked for."""
    batches = opened()
    loader = Loader(batches)
    gone, stays = loader.load(1), loader.load(1)
    gone.cancel()
    assert await stays == 10


async def test_a_cancelled_batch_leaves_nobody_hanging() -> None:
    """Its waiters go with it; the keys are free to be asked for anew."""
    batches = Batches()
    loader = Loader(batches)
    waiting = [loader.load(1), loader.load(2)]
    await turns()
    for task in tasks_beside_me():
        task.cancel()
    async with asyncio.timeout(5):
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError] * 2
    batches.gate.set()
    assert await loader.load(1) == 10
    assert batches.asked == [[1, 2], [1]]


# After writes


async def test_a_primed_key_is_not_asked_for() -> None:
    """What is known from elsewhere is known; it does not replace what was loaded."""
    batches = opened()
    loader = Loader(batches)
    loader.prime(1, "known")
    assert await loader.load(1) == "known"
    assert await loader.load(2) == 20
    loader.prime(2, "late")
    assert await loader.load(2) == 20
    assert batches.asked == [[2]]


async def test_a_cleared_key_is_asked_for_anew() -> None:
    """Cleared alone, or all at once; the others stay when one is cleared."""
    batches = opened()
    loader = Loader(batches)
    await asyncio.gather(loader.load(1), loader.load(2))
    loader.clear(1)
    await asyncio.gather(loader.load(1), loader.load(2))
    loader.clear_all()
    await asyncio.gather(loader.load(1), loader.load(2))
    assert batches.asked == [[1, 2], [1], [1, 2]]


async def test_a_replaced_key_has_the_new_value() -> None:
    """Whatever was loaded before."""
    loader = Loader(opened())
    assert await loader.load(1) == 10
    loader.replace(1, "new")
    assert await loader.load(1) == "new"


async def test_a_load_under_way_does_not_overwrite_what_was_replaced() -> None:
    """A read that was sent before the write answers whoever asked then, and nobody who asks later."""
    batches = Batches()
    loader = Loader(batches)
    before = loader.load(1)
    await turns()
    loader.replace(1, "new")
    batches.gate.set()
    assert await before == 10
    assert await loader.load(1) == "new"


async def test_a_loader_tells_what_it_holds() -> None:
    """Its repr is fit for a log line: how many keys, and none of them."""
    loader = Loader(opened())
    await loader.load(12345)
    assert repr(loader) == "<Loader 1 keys>"


# The request's loaders


async def test_the_loaders_of_two_requests_share_nothing(shop: Shop) -> None:
    """What one request has loaded another asks for itself."""
    for _ in range(2):
        assert await shop.context("web").loaders.user.load(1) == user(1)
    assert shop.users.calls == [("get_many", (1,))] * 2


async def test_orders_of_many_users_are_one_call(shop: Shop) -> None:
    """Users who are asked for alike are asked for together, and each has his own."""
    loaders = shop.context("web").loaders
    keys = [UserOrdersKey(user_id, 2) for user_id in (1, 2, 3)]
    one, two, three = await asyncio.gather(*map(loaders.user_orders.load, keys))
    assert [[each.id for each in found or ()] for found in (one, two, three)] == [[5, 4], [3], []]  # type: ignore[union-attr]
    assert shop.orders.calls == [("of_users", (1, 2, 3), 2, None)]


async def test_orders_asked_for_differently_are_a_call_each(shop: Shop) -> None:
    """Another `first` or status is another question; both go out at once."""
    loaders = shop.context("web").loaders
    await asyncio.gather(*(loaders.user_orders.load(UserOrdersKey(1, first)) for first in (1, 2)))
    assert shop.orders.calls == [("of_users", (1,), 1, None), ("of_users", (1,), 2, None)]


async def test_what_came_with_a_list_is_not_asked_for_by_id(shop: Shop) -> None:
    """Orders of users and items of pages are known by id from then on, but for those that could not be read."""
    shop.orders.broken[4] = BadAnswer("orders", counts=False)
    loaders = shop.context("admin").loaders
    await loaders.user_orders.load(UserOrdersKey(1, 2))
    await loaders.products_page.load(PageKey(2))
    assert await loaders.order.load(5) == order(5, 1)
    assert (await loaders.product.load(2)).name == "Product 2"  # type: ignore[union-attr]
    with pytest.raises(BadAnswer):
        await loaders.order.load(4)
    assert [call[0] for call in shop.calls] == ["of_users", "get_many", "page"]


async def test_a_source_that_is_down_fails_the_keys_it_was_asked_for(shop: Shop) -> None:
    """Each of the loaders hands on the source's error, by key, whatever it was asked for."""
    shop.orders.failure = BreakerOpen("orders", 7)
    loaders = shop.context("admin").loaders
    loads = [
        loaders.order.load(1),
        loaders.user_orders.load(UserOrdersKey(1, 2)),
        loaders.orders_page.load(PageKey(2)),
        loaders.user.load(1),
    ]
    *lost, found = await asyncio.gather(*loads, return_exceptions=True)
    assert lost == [shop.orders.failure] * 3
    assert found == user(1)


async def test_pages_fail_apart(shop: Shop) -> None:
    """Of two connections in one turn the one with a bad cursor fails alone."""
    loaders = shop.context("admin").loaders
    keys = (PageKey(2, "junk"), PageKey(2))
    bad, good = await asyncio.gather(*map(loaders.users_page.load, keys), return_exceptions=True)
    assert isinstance(bad, BadUserInput)
    assert isinstance(good, Stretch)


# Connections


class Pages:
    """A service's pages: each has as many items as it was asked for, or fewer where it likes to cut them short.

    It knows no cursors but those that it gave, and tells nobody what is in them.
    """

    name = "users"

    def __init__(self, length: int, broken: Sequence[int] = (), cuts: Iterator[int] | None = None) -> None:
        self.lost = {number: TimedOut("users", counts=True) for number in broken}
        self.items: list[User | SourceError] = [self.lost.get(number) or user(number) for number in range(1, length + 1)]
        self.calls = 0
        self._given: dict[str, int] = {}
        self._cuts = cuts

    async def page(self, caller: Any, *, limit: int, cursor: str | None, **filters: str | None) -> Page[User]:
        self.calls += 1
        assert 1 <= limit <= MAX_LIMIT
        if cursor is not None and cursor not in self._given:
            raise BadCursor
        start = self._given[cursor] if cursor is not None else 0
        end = min(start + (min(limit, next(self._cuts)) if self._cuts else limit), len(self.items))
        next_cursor = None
        if end < len(self.items):
            next_cursor = f'="{end}/ü'
            self._given[next_cursor] = end
        return Page(self.items[start:end], next_cursor, len(self.items))


async def _stretch(pages: Pages, first: int, after: str | None = None) -> Stretch[User]:
    calls = pages.calls
    caller: Caller = None  # type: ignore[assignment] # the fake asks for nobody
    stretch = await stretch_of(pages, caller, PageKey(first, after))  # type: ignore[arg-type]
    assert pages.calls - calls <= 2
    return stretch


@settings(deadline=None)
@given(
    length=st.integers(0, 450),
    firsts=st.lists(st.integers(1, 100), min_size=1, max_size=4),
    broken=st.sets(st.integers(1, 450), max_size=20),
)
async def test_a_walk_from_end_to_end_meets_every_item_once(length: int, firsts: list[int], broken: set[int]) -> None:
    """Whatever `first` is at each step, `endCursor` leads on without gap or repetition; broken items keep their place."""
    pages = Pages(length, sorted(broken))
    seen: list[Any] = []
    after, step = None, 0
    while True:
        first = firsts[step % len(firsts)]
        stretch = await _stretch(pages, first, after)
        seen += [entry.node for entry in stretch.entries]
        assert len(stretch.entries) == min(first, length - len(seen) + len(stretch.entries))
        assert stretch.has_next == (len(seen) < length)
        assert stretch.has_previous == (after is not None)
        assert stretch.total == length
        if not stretch.has_next:
            break
        after, step = stretch.entries[-1].cursor, step + 1
    assert seen == pages.items


@settings(deadline=None)
@given(length=st.integers(1, 450), firsts=st.lists(st.integers(1, 100), min_size=2, max_size=6), data=st.data())
async def test_every_edge_s_cursor_works_as_after(length: int, firsts: list[int], data: st.DataObject) -> None:
    """From any edge of any stretch the next one begins right behind it, in two calls at most."""
    pages = Pages(length)
    start, after = 0, None
    for first in firsts:
        stretch = await _stretch(pages, first, after)
        assert [entry.node for entry in stretch.entries] == pages.items[start : start + first]
        assert stretch.has_next == (start + first < length)
        if not stretch.entries:
            break
        edge = data.draw(st.integers(0, len(stretch.entries) - 1))
        start, after = start + edge + 1, stretch.entries[edge].cursor


@settings(deadline=None)
@given(length=st.integers(1, 60), cuts=st.lists(st.integers(1, 12), min_size=1, max_size=8), data=st.data())
async def test_a_service_that_cuts_its_pages_short_costs_no_item(length: int, cuts: list[int], data: st.DataObject) -> None:
    """Its cursors may lie anywhere, elsewhere each time: a stretch may be short then, and still begins behind `after`."""

    def cut() -> Iterator[int]:
        while True:
            yield from cuts

    pages = Pages(length, cuts=cut())
    start, after = 0, None
    for _ in range(200):
        stretch = await _stretch(pages, data.draw(st.integers(1, 20)), after)
        shown = [entry.node for entry in stretch.entries]
        assert shown == pages.items[start : start + len(shown)]
        assert stretch.has_next == (start + len(shown) < length) or not shown
        if not stretch.entries:
            break
        edge = data.draw(st.integers(0, len(shown) - 1))
        start, after = start + edge + 1, stretch.entries[edge].cursor


async def test_one_call_from_a_page_s_end() -> None:
    """To walk on from the last edge costs one call a step: its cursor is the service's own."""
    pages = Pages(100)
    stretch = await _stretch(pages, 30)
    stretch = await _stretch(pages, 30, stretch.entries[-1].cursor)
    assert pages.calls == 2
    assert [entry.node for entry in stretch.entries] == pages.items[30:60]


@pytest.mark.parametrize(("edge", "calls"), [(0, 1), (50, 1), (98, 1), (99, 1)])
async def test_one_call_from_the_middle_of_a_page(edge: int, calls: int) -> None:
    """From the middle too, as long as what is skipped and what is wanted fit a service's page."""
    pages = Pages(1000)
    stretch = await _stretch(pages, 100)
    pages.calls = 0
    await _stretch(pages, 100, stretch.entries[edge].cursor)
    assert pages.calls == calls


async def test_a_cursor_that_the_service_does_not_know_is_bad_user_input() -> None:
    """A cursor of the right form from another connection, or of another day, is the client's mistake."""
    stretch = await _stretch(Pages(50), 10)
    with pytest.raises(BadUserInput, match="after"):
        await _stretch(Pages(50), 10, stretch.entries[-1].cursor)


async def test_behind_the_last_edge_there_is_nothing() -> None:
    """The last edge's cursor gives an empty stretch, with nothing after it and something before."""
    pages = Pages(5)
    whole = await _stretch(pages, 5)
    rest = await _stretch(pages, 5, whole.entries[-1].cursor)
    assert (rest.entries, rest.has_next, rest.has_previous, rest.total) == ([], False, True, 5)


async def test_an_empty_list_is_an_empty_stretch() -> None:
    """Nothing before, nothing after."""
    stretch = await _stretch(Pages(0), 5)
    assert (list(stretch.entries), stretch.has_next, stretch.has_previous, stretch.total) == ([], False, False, 0)


async def test_filters_go_along_to_both_calls(shop: Shop) -> None:
    """Both halves of a stretch are cut from the same list."""
    shop.orders.records = {number: order(number, 1, status=OrderStatus.PAID) for number in range(1, 401)}
    loaders = shop.context("admin").loaders
    filters = (("status", "paid"),)
    first = await loaders.orders_page.load(PageKey(100, None, filters))
    assert first is not None
    shop.orders.calls.clear()
    deep = Position(None, 150).encode()
    second = await loaders.orders_page.load(PageKey(100, deep, filters))
    assert second is not None
    assert [entry.node.id for entry in second.entries] == list(range(250, 150, -1))  # type: ignore[union-attr]
    assert shop.orders.calls == [
        ("page", 200, None, {"status": "paid"}),
        ("page", 50, "c200", {"status": "paid"}),
    ]


# Lists


_ORDERS = "{ me { id orders { id } } }"


async def test_an_item_that_failed_costs_a_list_itself_alone(shop: Shop) -> None:
    """The list is shown without it, and `errors` is told of it with the field's path."""
    shop.orders.broken[4] = BadAnswer("orders", counts=False)
    answer = await shop.ask("web", _ORDERS, sub="1")
    assert answer.data == {"me": {"id": "1", "orders": [{"id": "5"}, {"id": "2"}, {"id": "1"}]}}
    assert answer.result.errors is None
    assert answer.partial == [("UPSTREAM_ERROR", ["me", "orders"])]


async def test_each_failed_item_and_each_alias_is_told(shop: Shop) -> None:
    """Two lost items are two errors; the list asked for under two names tells them under both."""
    shop.orders.broken |= dict.fromkeys((4, 5), BadAnswer("orders", counts=False))
    answer = await shop.ask("web", "{ me { a: orders { id } b: orders { id } } }", sub="1")
    assert answer.data == {"me": {"a": [{"id": "2"}, {"id": "1"}], "b": [{"id": "2"}, {"id": "1"}]}}
    assert sorted(answer.partial) == [("UPSTREAM_ERROR", ["me", name]) for name in ("a", "a", "b", "b")]


async def test_a_list_that_failed_whole_is_null(shop: Shop) -> None:
    """The service's failure is the field's error, and the rest of the answer stands."""
    shop.orders.failure = BreakerOpen("orders", 7)
    answer = await shop.ask("web", _ORDERS, sub="1")
    assert answer.data == {"me": {"id": "1", "orders": None}}
    assert answer.codes == {"me.orders": "UPSTREAM_UNAVAILABLE"}
    assert answer.partial == []


async def test_a_failed_item_of_home_costs_itself_alone(shop: Shop) -> None:
    """The lists of the first screen as any other; those made of a page too."""
    shop.products.broken[2] = BadAnswer("products", counts=False)
    shop.orders.broken[5] = BadAnswer("orders", counts=False)
    answer = await shop.ask("mobile", "{ home { recentOrders { id } products { id } } }", sub="1")
    assert [each["id"] for each in answer.data["home"]["products"]] == ["1", "3", "4", "5", "6", "7", "8", "9", "10"]
    assert [each["id"] for each in answer.data["home"]["recentOrders"]] == ["4", "2"]
    assert sorted(path for _, path in answer.partial) == [["home", "products"], ["home", "recentOrders"]]


async def test_a_failed_item_of_a_connection_is_null_in_its_place(shop: Shop) -> None:
    """In `nodes` and in `edges`, with its error at its own path; its cursor works as any other."""
    shop.products.broken[2] = BadAnswer("products", counts=False)
    answer = await shop.ask("web", "{ products(first: 3) { nodes { id } edges { cursor node { id } } } }")
    found = answer.data["products"]
    assert found["nodes"] == [{"id": "1"}, None, {"id": "3"}]
    assert [edge["node"] for edge in found["edges"]] == found["nodes"]
    assert answer.codes == {"products.nodes.1": "UPSTREAM_ERROR", "products.edges.1.node": "UPSTREAM_ERROR"}
    after = found["edges"][1]["cursor"]
    answer = await shop.ask(
        "web", "query ($after: String) { products(after: $after, first: 1) { nodes { id } } }", {"after": after}
    )
    assert answer.data == {"products": {"nodes": [{"id": "3"}]}}
