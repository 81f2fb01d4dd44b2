"""The orders service: its records and endpoints."""

from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import msgspec

from datasources.caller import Caller
from datasources.errors import SourceError
from datasources.money import amount
from datasources.rest import MAX_IDS, Int32, Moment, Record, RestSource, Unreadable, joined
from datasources.traffic.call import Call, Keyed, Stale


class OrderStatus(StrEnum):
    """How far an order has come."""

    PENDING = "pending"
    PAID = "paid"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


class OrderItem(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """One line of an order: so many of a product, at the price it had."""

    product_id: int
    quantity: Int32
    unit_price: Annotated[float, msgspec.Meta(gt=-1e290, lt=1e290)]  # times any quantity it is finite

    def __post_init__(self) -> None:
        """Keep amounts to two decimals, whatever the service sends."""
        if round(self.unit_price, 2) != self.unit_price:
            msgspec.structs.force_setattr(self, "unit_price", amount(self.unit_price))


class Order(Record, frozen=True, kw_only=True, gc=False):
    """An order. `total` is an amount in `currency`."""

    user_id: int
    status: OrderStatus
    currency: str
    total: float
    created_at: Moment
    items: tuple[OrderItem, ...]

    def __post_init__(self) -> None:
        """Keep amounts to two decimals, whatever the service sends."""
        if round(self.total, 2) != self.total:
            msgspec.structs.force_setattr(self, "total", amount(self.total))


UserOrders = Sequence[Order | SourceError]
"""A user's orders, newest first; one that could not be read stands in its place as its error."""


class Orders(RestSource[Order]):
    """`/orders`: one, many, pages, those of users, and the life of one."""

    name = "orders"
    path = "/orders"
    record = Order

    async def of_users(
        self, caller: Caller, user_ids: Sequence[int], *, limit: int, status: OrderStatus | None = None
    ) -> dict[int, UserOrders | Stale | SourceError]:
        """For each of the users at most `limit` orders, newest first."""
        return await self._load(caller, list(dict.fromkeys(user_ids)), partial(self._by_users, limit, status))

    def _by_users(self, limit: int, status: OrderStatus | None, caller: Caller, user_ids: Sequence[Any]) -> Call:
        keyed = Keyed(("user", limit, status), tuple(user_ids), partial(self._by_users, limit, status), MAX_IDS)
        query = {"userIds": joined(user_ids), "limit": str(limit), "status": status and status.value}
        return self._read(caller, query, partial(self._of_users, keyed.keys, limit), keyed=keyed)

    def _of_users(self, user_ids: Sequence[Any], limit: int, body: bytes) -> dict[int, list[Order | SourceError]]:
        orders: dict[int, list[Order | SourceError]] = {user_id: [] for user_id in user_ids}
        for item in self._decode_items(body).items:
            if not isinstance(item, Unreadable):
                _append(orders, item.user_id, item, limit)
            elif item.keys.user_id is not None:
                _append(orders, item.keys.user_id, item.error, limit)
            else:  # it doesn't even tell whose it is, so it may be anybody's
                for user_id in user_ids:
                    _append(orders, user_id, item.error, limit)
        return orders

    async def place(self, caller: Caller, user_id: int, items: Sequence[tuple[int, int]], *, key: str) -> Order:
        """Place an order of (product id, quantity) pairs. Raises `Rejected` (409 key reused, 422), `SourceError`."""
        lines = [{"productId": product_id, "quantity": quantity} for product_id, quantity in items]
        return await self._write(caller, "POST", "/orders", {"userId": user_id, "items": lines}, key=key)

    async def cancel(self, caller: Caller, id: int, *, key: str) -> Order:
        """Cancel an order. Raises `Rejected` (404, 409), `SourceError`."""
        return await self._write(caller, "POST", "/orders/{id}/cancel", None, key=key, id=id)

    async def update_status(self, caller: Caller, id: int, status: OrderStatus, *, key: str) -> Order:
        """Move an order on. Raises `Rejected` (404, 409, 422), `SourceError`."""
        return await self._write(caller, "PATCH", "/orders/{id}", {"status": status.value}, key=key, id=id)


def _append(orders: dict[int, list[Order | SourceError]], user_id: int, order: Order | SourceError, limit: int) -> None:
    """Only to those who were asked for, and no more than were: a service may send others."""
    if user_id in orders and len(orders[user_id]) < limit:
        orders[user_id].append(order)
