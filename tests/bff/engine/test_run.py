"""A run: what is loaded in one batch, what is prefetched, and that nothing is left when the run ends."""

import asyncio
import gc
import weakref
from collections.abc import Sequence
from typing import Any

import pytest

from bff.engine.answer import GraphQLResult, begin
from bff.engine.operation import Operation
from bff.engine.plans import Plans
from bff.gate.limits import LimitOptions
from bff.graph.context import Context
from bff.upstream.caller import Caller
from bff.upstream.errors import BreakerOpen
from tests.support.shop import Shop, schemas


def operation(document: str, variant: str = "web") -> Operation:
    """The only operation of the document."""
    return Plans(schemas()[variant], LimitOptions(), introspection=True).get(document)[0].operation(None)


async def answered(document: str, context: Context, variables: dict[str, Any] | None = None) -> GraphQLResult:
    """The result, by a plan."""
    answer = begin(operation(document, context.variant.name), variables, context)
    answer = answer if isinstance(answer, GraphQLResult) else await answer
    assert answer.by == "plan"
    return answer


# Batches


async def test_keys_of_aliases_and_lists_are_one_batch() -> None:
    """Products of two aliased orders and all of their items: one call, with each key once."""
    shop = Shop()
    query = """{
        a: order(id: "1") { items { product { id } } }
        b: order(id: "2") { items { x: product { name } y: product { id } } }
    }"""
    answer = await answered(query, shop.context("web", "1"))
    assert answer.codes == []
    assert shop.orders.calls == [("get_many", (1, 2))]
    assert shop.products.calls == [("get_many", (1,))]


async def test_keys_met_in_one_loop_iteration_are_one_batch() -> None:
    """Two loads end in the same iteration: the keys in both results go out together."""
    shop = Shop()
    query = '{ order(id: "1") { user { id } } orders(first: 2) { nodes { user { name } } } }'
    await answered(query, shop.context("admin", "1"))
    assert [call for call in shop.users.calls if call[0] == "get_many"] == [("get_many", (1,))]


async def test_a_key_is_loaded_once_a_request() -> None:
    """Even if it is met again on another level."""
    shop = Shop()
    await answered("{ me { orders { user { orders { user { id } } } } } }", shop.context("web", "1"))
    assert shop.users.calls == [("get_many", (1,))]
    assert shop.orders.calls == [("of_users", (1,), 20, None)]


# Prefetch


class UsersAfterOrders:
    """Holds the call for users until the call for their orders has been made."""

    def __init__(self, shop: Shop) -> None:
        self.orders_asked = asyncio.Event()
        users, orders = shop.users.get_many, shop.orders.of_users

        async def get_many(caller: Caller, ids: Sequence[int]) -> dict[int, Any]:
            await asyncio.wait_for(self.orders_asked.wait(), 30)
            return await users(caller, ids)

        async def of_users(*arguments: Any, **named: Any) -> dict[int, Any]:
            self.orders_asked.set()
            return await orders(*arguments, **named)

        shop.users.get_many = get_many  # type: ignore[method-assign]
        shop.orders.of_users = of_users  # type: ignore[method-assign]


@pytest.mark.parametrize("root", ["me", 'user(id: "1")', "user(id: $id)"])
async def test_a_user_s_orders_are_loaded_with_the_user(root: str) -> None:
    """Their key is the user's, so this saves a wave. If they were loaded after the user, the test would time out."""
    shop = Shop()
    UsersAfterOrders(shop)
    head = "query ($id: ID!)" if "$id" in root else ""
    answer = await answered(
        f"{head} {{ u: {root} {{ name orders(first: 2) {{ id }} }} }}", shop.context("web", "1"), {"id": "1"}
    )
    assert answer.payload["data"] == {"u": {"name": "User 1", "orders": [{"id": "5"}, {"id": "4"}]}}
    assert shop.orders.calls == [("of_users", (1,), 2, None)]


async def test_a_parent_that_does_not_exist_drops_prefetched_values() -> None:
    """The user is null; neither the orders nor their error are shown."""
    shop = Shop()
    shop.orders.failure = BreakerOpen("orders", 7)
    answer = await answered("{ me { orders { id } } }", shop.context("web", "9"))
    assert answer.payload == {"data": {"me": None}}


async def test_a_parent_that_failed_drops_prefetched_values() -> None:
    """Only the parent's error is reported."""
    shop = Shop()
    shop.users.failure = BreakerOpen("users", 7)
    answer = await answered("{ me { orders { id } } }", shop.context("web", "1"))
    assert [error["path"] for error in answer.payload["errors"]] == [["me"]]


async def test_nothing_is_loaded_for_a_forbidden_field() -> None:
    """Neither the user nor what would be prefetched."""
    shop = Shop()
    answer = await answered('{ user(id: "2") { orders { id } } }', shop.context("web", "1"))
    assert answer.codes == ["FORBIDDEN"]
    assert shop.calls == []


@pytest.mark.parametrize("condition", ["@skip(if: true)", "@include(if: false)"])
async def test_a_skipped_field_is_not_prefetched(condition: str) -> None:
    """By `@skip` and by `@include`."""
    shop = Shop()
    await answered(f"{{ me {{ name orders {condition} {{ id }} }} }}", shop.context("web", "1"))
    assert shop.orders.calls == []


async def test_an_invalid_argument_of_a_prefetched_field_fails_that_field_alone() -> None:
    """Nothing is prefetched, and the error is reported when the parent has been loaded."""
    shop = Shop()
    answer = await answered("{ me { name orders(first: 500) { id } } }", shop.context("web", "1"))
    assert answer.payload["data"] == {"me": {"name": "User 1", "orders": None}}
    assert answer.codes == ["BAD_USER_INPUT"]
    assert shop.orders.calls == []


async def test_a_failed_prefetch_is_not_repeated() -> None:
    """Its error is the field's error; the service is called once."""
    shop = Shop()
    shop.orders.failure = BreakerOpen("orders", 7)
    answer = await answered("{ me { name orders { id } } }", shop.context("web", "1"))
    assert answer.payload["data"] == {"me": {"name": "User 1", "orders": None}}
    assert len(shop.orders.calls) == 1


# The end of a run


async def test_a_plan_keeps_no_reference_to_a_request() -> None:
    """After the run, the operation doesn't keep the request's context alive."""
    shop = Shop()
    known = operation("query ($id: ID!) { user(id: $id) { name orders { id items { product { name } } } } }")
    for _ in range(3):
        context = shop.context("web", "1")
        waiting = begin(known, {"id": "1"}, context)
        assert not isinstance(waiting, GraphQLResult)
        await waiting
        loaders = weakref.ref(context.loaders)
        del context, waiting
        gc.collect()
        assert loaders() is None


async def test_cancelling_an_operation_cancels_its_loads() -> None:
    """No task is left."""
    shop = Shop()
    begun: list[str] = []
    ended: list[str] = []

    async def hang(*_: Any, **__: Any) -> Any:
        begun.append("call")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("call")

    shop.users.get_many = shop.orders.of_users = hang  # type: ignore[method-assign]
    waiting = begin(operation("{ me { orders { id } } }"), None, shop.context("web", "1"))
    task = asyncio.ensure_future(waiting)  # type: ignore[arg-type]
    while len(begun) < 2:  # noqa: ASYNC110 - they begin in later iterations of the loop
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert (begun, ended) == (["call"] * 2, ["call"] * 2)
    assert [each for each in asyncio.all_tasks() if each is not asyncio.current_task()] == []


async def test_a_load_that_cancels_itself_fails_its_fields_alone() -> None:
    """A `CancelledError` that is not for the operation is an error like any other."""
    shop = Shop()

    async def cancelled(*_: Any, **__: Any) -> Any:
        raise asyncio.CancelledError

    shop.orders.of_users = cancelled  # type: ignore[method-assign]
    answer = await answered("{ me { name orders { id } } }", shop.context("web", "1"))
    assert answer.payload["data"] == {"me": {"name": "User 1", "orders": None}}
    assert answer.codes == ["INTERNAL_SERVER_ERROR"]
