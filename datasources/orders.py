"""The orders service: its records and endpoints."""

from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import msgspec

from bff.upstream.caller import Caller
from bff.upstream.errors import SourceError
from bff.upstream.source import MAX_IDS, Int32, Record, RestSource, Timestamp, Unreadable, joined
from bff.upstream.traffic.call import Call, Mismatch, RequestedKeys, Stale
from datasources.money import amount


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
    unit_price: Annotated[float, msgspec.Meta(gt=-1e290, lt=1e290)]  # finite when multiplied by any quantity

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
    created_at: Timestamp
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
    exact = frozenset({"status"})

    async def of_users(
        self, caller: Caller, user_ids: Sequence[int], *, limit: int, status: OrderStatus | None = None
    ) -> dict[int, UserOrders | Stale | SourceError]:
        """For each of the users at most `limit` orders, newest first."""
        return await self._load(caller, list(dict.fromkeys(user_ids)), partial(self._by_users, limit, status))

    def _by_users(self, limit: int, status: OrderStatus | None, caller: Caller, user_ids: Sequence[Any]) -> Call:
        keyed = RequestedKeys(("user", limit, status), tuple(user_ids), partial(self._by_users, limit, status), MAX_IDS)
        query = {"userIds": joined(user_ids), "limit": str(limit), "status": status and status.value}
        return self._read(caller, query, partial(self._of_users, keyed.keys, limit, status), keyed=keyed)

    def _of_users(
        self, user_ids: Sequence[Any], limit: int, status: OrderStatus | None, body: bytes
    ) -> dict[int, list[Order | SourceError]]:
        orders: dict[int, list[Order | SourceError]] = {user_id: [] for user_id in user_ids}
        is_as_asked = all_tell_their_key = True
        for item in self._decode_items(body).items:
            if not isinstance(item, Unreadable):
                if not _append(orders, item.user_id, item, limit) or (status is not None and item.status is not status):
                    is_as_asked = False
            elif item.keys.user_id is not None:
                is_as_asked = _append(orders, item.keys.user_id, item.error, limit) and is_as_asked
            else:  # it doesn't even tell whose it is, so it may be anybody's
                all_tell_their_key = False
                for user_id in user_ids:
                    _append(orders, user_id, item.error, limit)
        if not is_as_asked:
            raise Mismatch  # all of it: a user without orders in it may still have some
        if not all_tell_their_key:
            raise Mismatch(orders)
        return orders

    async def place(self, caller: Caller, user_id: int, items: Sequence[tuple[int, int]], *, key: str) -> Order:
        """Place an order of (product id, quantity) pairs. Raises `Rejected` (409 key reused, 422), `SourceError`."""
        lines = [{"productId": product_id, "quantity": quantity} for product_id, quantity in items]
        body = {"userId": user_id, "items": lines}
        return await self._write(caller, "POST", "/orders", body, key=key, is_it=lambda order: order.user_id == user_id)

    async def cancel(self, caller: Caller, id: int, *, key: str, user_id: int | None = None) -> Order:
        """Cancel an order, which must be that user's if `user_id` is given. Raises `Rejected` (404, 409), `SourceError`."""

        def is_it(order: Order) -> bool:
            return user_id is None or order.user_id == user_id

        return await self._write(caller, "POST", "/orders/{id}/cancel", None, key=key, id=id, is_it=is_it)

    async def update_status(self, caller: Caller, id: int, status: OrderStatus, *, key: str) -> Order:
        """Move an order on. Raises `Rejected` (404, 409, 422), `SourceError`."""
        return await self._write(caller, "PATCH", "/orders/{id}", {"status": status.value}, key=key, id=id)


def _append(orders: dict[int, list[Order | SourceError]], user_id: int, order: Order | SourceError, limit: int) -> bool:
    """Add to a user's orders, up to `limit`. False if the user was not asked for."""
    own = orders.get(user_id)
    if own is None:
        return False
    if len(own) < limit:
        own.append(order)
    return True
