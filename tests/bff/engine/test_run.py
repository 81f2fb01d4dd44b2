"""A run: what goes out together, what starts ahead, and that nothing is left of it when it is over."""

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
    """The document's operation."""
    return Plans(schemas()[variant], LimitOptions(), introspection=True).get(document)[0].operation(None)


async def answered(document: str, context: Context, variables: dict[str, Any] | None = None) -> GraphQLResult:
    """The answer, by a plan."""
    answer = begin(operation(document, context.variant.name), variables, context)
    answer = answer if isinstance(answer, GraphQLResult) else await answer
    assert answer.by == "plan"
    return answer


# Level by level


async def test_a_levels_keys_are_one_batch_over_aliases_and_lists() -> None:
    """Products of two aliased orders and all of their items: one call, each key once."""
    shop = Shop()
    query = """{
        a: order(id: "1") { items { product { id } } }
        b: order(id: "2") { items { x: product { name } y: product { id } } }
    }"""
    answer = await answered(query, shop.context("web", "1"))
    assert answer.codes == []
    assert shop.orders.calls == [("get_many", (1, 2))]
    assert shop.products.calls == [("get_many", (1,))]


async def test_levels_that_come_in_one_turn_go_out_together() -> None:
    """Two loads end in the same turn of the loop: what they lead to is one batch."""
    shop = Shop()
    query = '{ order(id: "1") { user { id } } orders(first: 2) { nodes { user { name } } } }'
    await answered(query, shop.context("admin", "1"))
    assert [call for call in shop.users.calls if call[0] == "get_many"] == [("get_many", (1,))]


async def test_a_key_is_asked_for_once_a_request() -> None:
    """On whatever level it comes up again."""
    shop = Shop()
    await answered("{ me { orders { user { orders { user { id } } } } } }", shop.context("web", "1"))
    assert shop.users.calls == [("get_many", (1,))]
    assert shop.orders.calls == [("of_users", (1,), 20, None)]


# Ahead of the parent


class Together:
    """Lets a call through only once another one has come too."""

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
async def test_a_users_orders_are_asked_for_with_the_user(root: str) -> None:
    """Their key is the user's: so the page takes a wave less. Were they asked for after the user, this would hang."""
    shop = Shop()
    Together(shop)
    head = "query ($id: ID!)" if "$id" in root else ""
    answer = await answered(
        f"{head} {{ u: {root} {{ name orders(first: 2) {{ id }} }} }}", shop.context("web", "1"), {"id": "1"}
    )
    assert answer.payload["data"] == {"u": {"name": "User 1", "orders": [{"id": "5"}, {"id": "4"}]}}
    assert shop.orders.calls == [("of_users", (1,), 2, None)]


async def test_a_parent_that_is_not_there_shows_nothing_of_what_was_asked_ahead() -> None:
    """No such user: null, and neither his orders nor their error."""
    shop = Shop()
    shop.orders.failure = BreakerOpen("orders", 7)
    answer = await answered("{ me { orders { id } } }", shop.context("web", "9"))
    assert answer.payload == {"data": {"me": None}}


async def test_a_parent_that_failed_shows_nothing_of_it_either() -> None:
    """Its own error alone."""
    shop = Shop()
    shop.users.failure = BreakerOpen("users", 7)
    answer = await answered("{ me { orders { id } } }", shop.context("web", "1"))
    assert [error["path"] for error in answer.payload["errors"]] == [["me"]]


async def test_what_is_forbidden_is_not_asked_for() -> None:
    """Neither the user nor anything ahead of him."""
    shop = Shop()
    answer = await answered('{ user(id: "2") { orders { id } } }', shop.context("web", "1"))
    assert answer.codes == ["FORBIDDEN"]
    assert shop.calls == []


@pytest.mark.parametrize("condition", ["@skip(if: true)", "@include(if: false)"])
async def test_what_is_left_out_is_not_asked_for(condition: str) -> None:
    """A field that will not be shown is needed by nobody."""
    shop = Shop()
    await answered(f"{{ me {{ name orders {condition} {{ id }} }} }}", shop.context("web", "1"))
    assert shop.orders.calls == []


async def test_an_argument_of_no_use_costs_no_call_and_its_field_alone() -> None:
    """Its error stands where the field does, when the parent has come."""
    shop = Shop()
    answer = await answered("{ me { name orders(first: 500) { id } } }", shop.context("web", "1"))
    assert answer.payload["data"] == {"me": {"name": "User 1", "orders": None}}
    assert answer.codes == ["BAD_USER_INPUT"]
    assert shop.orders.calls == []


async def test_a_failed_load_ahead_is_not_made_again() -> None:
    """What failed while the parent was on its way is the field's error; the service is not asked twice."""
    shop = Shop()
    shop.orders.failure = BreakerOpen("orders", 7)
    answer = await answered("{ me { name orders { id } } }", shop.context("web", "1"))
    assert answer.payload["data"] == {"me": {"name": "User 1", "orders": None}}
    assert len(shop.orders.calls) == 1


# Its end


async def test_a_plan_holds_on_to_no_request() -> None:
    """When the answer is there, nothing leads from the operation to the context it was made for."""
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


async def test_who_leaves_takes_the_loads_along() -> None:
    """An operation that is cancelled leaves no task behind."""
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
    while len(begun) < 2:  # noqa: ASYNC110 - they begin on the loop's next turns
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert (begun, ended) == (["call"] * 2, ["call"] * 2)
    assert [each for each in asyncio.all_tasks() if each is not asyncio.current_task()] == []


async def test_a_load_that_is_cancelled_from_within_is_an_error() -> None:
    """Whoever cancels a load that is not his to end does not end the operation: its fields fail, the rest stands."""
    shop = Shop()

    async def cancelled(*_: Any, **__: Any) -> Any:
        raise asyncio.CancelledError

    shop.orders.of_users = cancelled  # type: ignore[method-assign]
    answer = await answered("{ me { name orders { id } } }", shop.context("web", "1"))
    assert answer.payload["data"] == {"me": {"name": "User 1", "orders": None}}
    assert answer.codes == ["INTERNAL_SERVER_ERROR"]
