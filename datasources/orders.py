"""The orders service: its records and endpoints."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import msgspec

from bff import ById, Caller, CursorPages, Int32, ListBy, Record, Source, Timestamp
from datasources.money import amount


class OrderStatus(StrEnum):
    """The state of an order."""

    PENDING = "pending"
    PAID = "paid"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


class OrderItem(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """One line of an order: a product, its quantity and its price at the time of the order."""

    product_id: int
    quantity: Int32
    unit_price: Annotated[float, msgspec.Meta(gt=-1e290, lt=1e290)]  # finite when multiplied by any quantity

    def __post_init__(self) -> None:
        """Round the amount to two decimals."""
        if round(self.unit_price, 2) != self.unit_price:
            msgspec.structs.force_setattr(self, "unit_price", amount(self.unit_price))


class Order(Record, frozen=True, kw_only=True, gc=False):
    """An order. `total` is an amount in `currency`."""

    id: int
    user_id: int
    status: OrderStatus
    currency: str
    total: float
    created_at: Timestamp
    items: tuple[OrderItem, ...]

    def __post_init__(self) -> None:
        """Round the amount to two decimals."""
        if round(self.total, 2) != self.total:
            msgspec.structs.force_setattr(self, "total", amount(self.total))


class Orders(Source[Order]):
    """`/orders`: reads by id, by user and in pages; orders are placed, cancelled and moved to another status."""

    path = "/orders"
    by_id = ById()
    of_user = ListBy("user_id", many="userIds", exact=("status",))
    page = CursorPages(exact=("status",))

    async def place(self, caller: Caller, user_id: int, items: Sequence[tuple[int, int]], *, key: str) -> Order:
        """Place an order of (product id, quantity) pairs. Raises `Rejected` (409 key reused, 422), `SourceError`."""
        lines = [{"productId": product_id, "quantity": quantity} for product_id, quantity in items]
        body = {"userId": user_id, "items": lines}
        return await self.write(caller, "POST", "/orders", body, key=key, is_it=lambda order: order.user_id == user_id)

    async def cancel(self, caller: Caller, id: int, *, key: str, user_id: int | None = None) -> Order:
        """Cancel an order. If `user_id` is given, it must be that user's. Raises `Rejected` (404, 409), `SourceError`."""

        def is_it(order: Order) -> bool:
            return user_id is None or order.user_id == user_id

        return await self.write(caller, "POST", "/orders/{id}/cancel", None, key=key, id=id, is_it=is_it)

    async def update_status(self, caller: Caller, id: int, status: OrderStatus, *, key: str) -> Order:
        """Change an order's status. Raises `Rejected` (404, 409, 422), `SourceError`."""
        return await self.write(caller, "PATCH", "/orders/{id}", {"status": status.value}, key=key, id=id)
