"""What the loaders promise."""

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


def tens(keys: Sequence[int]) -> Mapping[int, Any]:
    """The answer of `opened`."""
    return {key: key * 10 for key in keys}


def opened(answer: Answer = tens) -> Batches:
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
    one, two = await asyncio.gather(*(loader.load(key) for key in (1, 2)), return_exceptions=True)
    assert (one, type(two), two is lost) == (10, BadAnswer, False)  # a copy for each who waits: each of them raises it
    with pytest.raises(BadAnswer):
        await loader.load(2)
    assert batches.asked == [[1, 2]]


async def test_a_batch_that_fails_reaches_each_key() -> None:
    """Whatever the batch raises, each of its keys fails with it, and none is left hanging."""

    def fail(keys: Sequence[int]) -> Mapping[int, Any]:
        raise LookupError(f"of {keys}")

    loader = Loader(opened(fail))
    async with asyncio.timeout(30):
        results = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)
    assert [str(result) for result in results] == ["of [1, 2]"] * 2


async def test_a_batch_that_answers_nonsense_reaches_each_key() -> None:
    """So does an answer that is no mapping: a fault of ours, and no reason to wait for ever."""
    loader = Loader(opened(lambda _: None))  # type: ignore[arg-type, return-value]
    async with asyncio.timeout(30):
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
    async with asyncio.timeout(30):
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
    loader.clear(1).prime(1, "new")
    assert await loader.load(1) == "new"


async def test_a_load_under_way_does_not_overwrite_what_was_replaced() -> None:
    """A read that was sent before the write answers whoever asked then, and nobody who asks later."""
    batches = Batches()
    loader = Loader(batches)
    before = loader.load(1)
    await turns()
    loader.clear(1).prime(1, "new")
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
        assert await shop.context("admin", "1").loaders[Users.by_id].load(1) == user(1)
    assert shop.users.calls == [("get_many", (1,))] * 2


async def test_orders_of_many_users_are_one_call(shop: Shop) -> None:
    """Users who are asked for alike are asked for together, and each has his own."""
    loaders = shop.context("admin", "1").loaders
    keys = [Orders.of_user.key(user_id, 2) for user_id in (1, 2, 3)]
    one, two, three = await asyncio.gather(*map(loaders[Orders.of_user].load, keys))
    assert [[each.id for each in found or ()] for found in (one, two, three)] == [[5, 4], [3], []]  # type: ignore[union-attr]
    assert shop.orders.calls == [("of_users", (1, 2, 3), 2, None)]


async def test_orders_asked_for_differently_are_a_call_each(shop: Shop) -> None:
    """Another `first` or status is another question; both go out at once."""
    loaders = shop.context("admin", "1").loaders
    await asyncio.gather(*(loaders[Orders.of_user].load(Orders.of_user.key(1, first)) for first in (1, 2)))
    assert shop.orders.calls == [("of_users", (1,), 1, None), ("of_users", (1,), 2, None)]


async def test_what_came_with_a_list_is_not_asked_for_by_id(shop: Shop) -> None:
    """Orders of users and items of pages are known by id from then on, but for those that could not be read."""
    shop.orders.broken[4] = BadAnswer("orders", counts=False)
    loaders = shop.context("admin").loaders
    await loaders[Orders.of_user].load(Orders.of_user.key(1, 2))
    await loaders[Products.page].load(PageKey(2))
    assert await loaders[Orders.by_id].load(5) == order(5, 1)
    assert (await loaders[Products.by_id].load(2)).name == "Product 2"  # type: ignore[union-attr]
    with pytest.raises(BadAnswer):
        await loaders[Orders.by_id].load(4)
    assert [call[0] for call in shop.calls] == ["of_users", "get_many", "page"]


async def test_a_source_that_is_down_fails_the_keys_it_was_asked_for(shop: Shop) -> None:
    """Each of the loaders hands on the source's error, by key, whatever it was asked for."""
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


async def test_pages_fail_apart(shop: Shop) -> None:
    """Of two connections in one turn the one with a bad cursor fails alone."""
    loaders = shop.context("admin").loaders
    keys = (PageKey(2, "junk"), PageKey(2))
    bad, good = await asyncio.gather(*map(loaders[Users.page].load, keys), return_exceptions=True)
    assert isinstance(bad, BadUserInput)
    assert isinstance(good, PageSlice)
