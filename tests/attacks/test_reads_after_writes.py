"""Reads of one operation after a write in it: nothing that was loaded before the write may be shown."""

from typing import Any

import pytest

from bff.graph.loaders import Loaders
from bff.graph.sources import Sources
from bff.upstream.caller import Caller
from datasources.orders import Orders, OrderStatus
from tests.support.fakes import Service, an_order


@pytest.mark.parametrize("id", [None, 1])
async def test_a_list_from_before_a_write_primes_nothing_after_it(
    orders: Orders, service: Service, caller: Caller, id: int | None
) -> None:
    """Lists are kept for the loader of single objects, which may be made only after the write."""
    loaders = Loaders(Sources([orders]), caller)
    service.answers = {"/orders?userIds=1&limit=20": {"items": [an_order(1, status="paid")]}}
    await loaders[Orders.of_user].load(Orders.of_user.key(1, 20))
    service.answers = {"/orders/1": an_order(1, status="cancelled")}
    loaders.forget(Orders, id)
    found: Any = await loaders[Orders.by_id].load(1)
    assert found.status is OrderStatus.CANCELLED


async def test_what_a_write_answered_is_newer_than_a_list_from_before_it(
    orders: Orders, service: Service, caller: Caller
) -> None:
    """The write's answer is primed first, and a later lookup shows it."""
    loaders = Loaders(Sources([orders]), caller)
    service.answers = {
        "/orders?userIds=1&limit=20": {"items": [an_order(1, status="paid")]},
        "/orders/1/cancel": an_order(1, status="cancelled"),
    }
    await loaders[Orders.of_user].load(Orders.of_user.key(1, 20))
    written = await orders.cancel(caller, 1, key="k")
    loaders.forget(Orders)
    loaders[Orders.by_id].prime(written.id, written)
    found: Any = await loaders[Orders.by_id].load(1)
    assert found.status is OrderStatus.CANCELLED
