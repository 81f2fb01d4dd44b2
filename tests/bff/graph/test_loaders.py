"""Loaders: batches, caching, failures, cancellation, and reads after writes."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from bff.graph.errors import BadUserInput
from bff.graph.loaders import Loader
from bff.graph.pages import PageSlice
from bff.upstream.errors import BadAnswer, BreakerOpen
from bff.upstream.reads import PageKey
from datasources.orders import Orders
from datasources.products import Products
from datasources.users import Users
from tests.support.shop import Shop, order, user

Answer = Callable[[Sequence[int]], Mapping[int, Any]]


@dataclass
class Batches:
    """A batch function that records its batches, waits for its `gate` and returns each key times ten."""

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


def tens(keys: Sequence[int]) -> Mapping[int, Any]:
    """Each key times ten."""
    return {key: key * 10 for key in keys}


def opened(answer: Answer = tens) -> Batches:
    """A batch function that does not wait."""
    batches = Batches(answer)
    batches.gate.set()
    return batches


async def turns(number: int = 10) -> None:
    """Run a few iterations of the event loop, without waiting."""
    for _ in range(number):
        await asyncio.sleep(0)


def tasks_beside_me() -> list[asyncio.Task[Any]]:
    """The loader's own tasks. A test has no others."""
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


# Batches


async def test_keys_of_one_iteration_are_one_batch() -> None:
    """Keys that are requested in one iteration of the event loop, in the order of the requests."""
    batches = opened()
    loader = Loader(batches)
    assert await asyncio.gather(loader.load(3), loader.load(1), loader.load(2)) == [30, 10, 20]
    assert batches.asked == [[3, 1, 2]]


async def test_keys_of_concurrent_coroutines_are_one_batch() -> None:
    """At any depth of calls."""
    batches = opened()
    loader = Loader(batches)

    async def deep(key: int, depth: int) -> Any:
        return await (deep(key, depth - 1) if depth else loader.load(key))

    assert await asyncio.gather(deep(1, 0), deep(2, 3), deep(3, 7)) == [10, 20, 30]
    assert batches.asked == [[1, 2, 3]]


async def test_keys_of_a_later_iteration_are_another_batch() -> None:
    """A running batch gets no more keys, and does not delay the next one."""
    batches = Batches()
    loader = Loader(batches)
    first = loader.load(1)
    await turns()
    second = loader.load(2)
    await turns()
    assert batches.asked == [[1], [2]]
    batches.gate.set()
    assert await asyncio.gather(first, second) == [10, 20]


# Each key is loaded once


async def test_a_key_is_loaded_once() -> None:
    """If it is requested twice in one iteration, while it is loading, and afterwards."""
    batches = Batches()
    loader = Loader(batches)
    together = [loader.load(1), loader.load(1)]
    await turns()
    meanwhile = loader.load(1)
    batches.gate.set()
    assert await asyncio.gather(*together, meanwhile) == [10, 10, 10]
    assert await loader.load(1) == 10
    assert batches.asked == [[1]]


async def test_a_missing_key_is_none() -> None:
    """A key that is not in the batch's result. It is loaded only once, too."""
    batches = opened(lambda _: {1: "one"})
    loader = Loader(batches)
    assert await asyncio.gather(loader.load(1), loader.load(404)) == ["one", None]
    assert await loader.load(404) is None
    assert batches.asked == [[1, 404]]


async def test_keys_that_were_not_requested_are_not_stored() -> None:
    """If the batch's result has more keys."""
    batches = opened(lambda _: {1: 10, 2: "unasked"})
    loader = Loader(batches)
    assert await loader.load(1) == 10
    assert await loader.load(2) == "unasked"
    assert batches.asked == [[1], [2]]


# Failures


async def test_a_failed_key_does_not_affect_the_others() -> None:
    """It has its error, the others have their values. It is not loaded again."""
    lost = BadAnswer("users", counts=False)
    batches = opened(lambda _: {1: 10, 2: lost})
    loader = Loader(batches)
    one, two = await asyncio.gather(*(loader.load(key) for key in (1, 2)), return_exceptions=True)
    assert (one, type(two), two is lost) == (10, BadAnswer, False)  # each waiter raises a copy
    with pytest.raises(BadAnswer):
        await loader.load(2)
    assert batches.asked == [[1, 2]]


async def test_a_failed_batch_is_the_error_of_each_key() -> None:
    """Whatever it raises. No waiter is left hanging."""

    def fail(keys: Sequence[int]) -> Mapping[int, Any]:
        raise LookupError(f"of {keys}")

    loader = Loader(opened(fail))
    async with asyncio.timeout(30):
        results = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)
    assert [str(result) for result in results] == ["of [1, 2]"] * 2


async def test_an_invalid_result_is_the_error_of_each_key() -> None:
    """If the batch's result is not a mapping. No waiter is left hanging."""
    loader = Loader(opened(lambda _: None))  # type: ignore[arg-type, return-value]
    async with asyncio.timeout(30):
        results = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)
    assert [type(result) for result in results] == [AttributeError] * 2


# Cancellation


async def test_a_cancelled_waiter_cancels_neither_the_load_nor_other_waiters() -> None:
    """The other waiters, for the same key and for others, get their values from the same batch."""
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


async def test_a_waiter_that_is_cancelled_before_the_batch_cancels_no_other() -> None:
    """In the iteration in which the key was requested."""
    batches = opened()
    loader = Loader(batches)
    gone, stays = loader.load(1), loader.load(1)
    gone.cancel()
    assert await stays == 10


async def test_a_cancelled_batch_cancels_its_waiters() -> None:
    """Its keys can be loaded again."""
    batches = Batches()
    loader = Loader(batches)
    waiting = [loader.load(1), loader.load(2)]
    await turns()
    for task in tasks_beside_me():
        task.cancel()
    async with asyncio.timeout(30):
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError] * 2
    batches.gate.set()
    assert await loader.load(1) == 10
    assert batches.asked == [[1, 2], [1]]


# After writes


async def test_a_primed_key_is_not_loaded() -> None:
    """A primed value does not replace a loaded one."""
    batches = opened()
    loader = Loader(batches)
    loader.prime(1, "known")
    assert await loader.load(1) == "known"
    assert await loader.load(2) == 20
    loader.prime(2, "late")
    assert await loader.load(2) == 20
    assert batches.asked == [[2]]


async def test_a_cleared_key_is_loaded_again() -> None:
    """If it is cleared alone, or with all. Clearing one key keeps the others."""
    batches = opened()
    loader = Loader(batches)
    await asyncio.gather(loader.load(1), loader.load(2))
    loader.clear(1)
    await asyncio.gather(loader.load(1), loader.load(2))
    loader.clear_all()
    await asyncio.gather(loader.load(1), loader.load(2))
    assert batches.asked == [[1, 2], [1], [1, 2]]


async def test_a_replaced_key_has_the_new_value() -> None:
    """In place of the loaded one."""
    loader = Loader(opened())
    assert await loader.load(1) == 10
    loader.clear(1).prime(1, "new")
    assert await loader.load(1) == "new"


async def test_a_running_load_does_not_overwrite_a_newer_value() -> None:
    """The result of a read that was sent before the write is only for those who waited for it."""
    batches = Batches()
    loader = Loader(batches)
    before = loader.load(1)
    await turns()
    loader.clear(1).prime(1, "new")
    batches.gate.set()
    assert await before == 10
    assert await loader.load(1) == "new"


async def test_the_repr_of_a_loader() -> None:
    """It has the number of keys and none of the keys."""
    loader = Loader(opened())
    await loader.load(12345)
    assert repr(loader) == "<Loader 1 keys>"


# The loaders of one request


async def test_the_loaders_of_two_requests_share_nothing(shop: Shop) -> None:
    """An object is loaded once for each request."""
    for _ in range(2):
        assert await shop.context("admin", "1").loaders[Users.by_id].load(1) == user(1)
    assert shop.users.calls == [("get_many", (1,))] * 2


async def test_orders_of_many_users_are_one_call(shop: Shop) -> None:
    """If their length and filters are the same. Each user has its own orders."""
    loaders = shop.context("admin", "1").loaders
    keys = [Orders.of_user.key(user_id, 2) for user_id in (1, 2, 3)]
    one, two, three = await asyncio.gather(*map(loaders[Orders.of_user].load, keys))
    assert [[each.id for each in found or ()] for found in (one, two, three)] == [[5, 4], [3], []]  # type: ignore[union-attr]
    assert shop.orders.calls == [("of_users", (1, 2, 3), 2, None)]


async def test_lists_with_different_arguments_are_separate_calls(shop: Shop) -> None:
    """With another `first` or status. The calls run concurrently."""
    loaders = shop.context("admin", "1").loaders
    await asyncio.gather(*(loaders[Orders.of_user].load(Orders.of_user.key(1, first)) for first in (1, 2)))
    assert shop.orders.calls == [("of_users", (1,), 1, None), ("of_users", (1,), 2, None)]


async def test_objects_of_a_list_are_not_loaded_by_id(shop: Shop) -> None:
    """Orders of users and items of pages are primed by id, except for unreadable ones."""
    shop.orders.broken[4] = BadAnswer("orders", counts=False)
    loaders = shop.context("admin").loaders
    await loaders[Orders.of_user].load(Orders.of_user.key(1, 2))
    await loaders[Products.page].load(PageKey(2))
    assert await loaders[Orders.by_id].load(5) == order(5, 1)
    assert (await loaders[Products.by_id].load(2)).name == "Product 2"  # type: ignore[union-attr]
    with pytest.raises(BadAnswer):
        await loaders[Orders.by_id].load(4)
    assert [call[0] for call in shop.calls] == ["of_users", "get_many", "page"]


async def test_a_failed_source_is_the_error_of_each_requested_key(shop: Shop) -> None:
    """In each kind of loader."""
    shop.orders.failure = BreakerOpen("orders", 7)
    loaders = shop.context("admin").loaders
    loads = [
        loaders[Orders.by_id].load(1),
        loaders[Orders.of_user].load(Orders.of_user.key(1, 2)),
        loaders[Orders.page].load(PageKey(2)),
        loaders[Users.by_id].load(1),
    ]
    *lost, found = await asyncio.gather(*loads, return_exceptions=True)
    assert [type(each) for each in lost] == [BreakerOpen] * 3
    assert len({id(each) for each in (*lost, shop.orders.failure)}) == 4
    assert found == user(1)


async def test_pages_fail_separately(shop: Shop) -> None:
    """Of two connections in one batch, only the one with an invalid cursor fails."""
    loaders = shop.context("admin").loaders
    keys = (PageKey(2, "junk"), PageKey(2))
    bad, good = await asyncio.gather(*map(loaders[Users.page].load, keys), return_exceptions=True)
    assert isinstance(bad, BadUserInput)
    assert isinstance(good, PageSlice)
