"""An order and its items."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from bff import computed, enum, field, one
from datasources import money, orders
from datasources.orders import OrderStatus
from datasources.products import Products
from datasources.users import Users
from schema.types.product import Product
from schema.variants import ADMIN, EVERYONE, MOBILE, WEB

if TYPE_CHECKING:
    from schema.types.user import User

enum(description="The state of an order.")(OrderStatus)

LazyUser = Annotated["User", strawberry.lazy("schema.types.user")]


@strawberry.type(description="A line of an order: a product, its quantity, and its price at the time of the order.")
class OrderItem:
    """Resolved from `datasources.orders.OrderItem`."""

    product_id: strawberry.Private[int]
    quantity: int = field(*EVERYONE)
    unit_price: float = field(*EVERYONE)

    @computed(*EVERYONE, description="`quantity` times `unitPrice`, rounded half up to two decimals.")
    def line_total(self) -> float:
        """The price of the line."""
        return money.times(self.quantity, self.unit_price)

    product: Product | None = one(*EVERYONE, read=Products.by_id, key="product_id")


@strawberry.type(description="An order of one or more products by a user.")
class Order:
    """Resolved from `datasources.orders.Order`."""

    user_id: strawberry.Private[int]
    id: strawberry.ID = field(*EVERYONE)
    total: float = field(*EVERYONE)
    currency: str = field(*EVERYONE)
    status: OrderStatus = field(*EVERYONE)
    created_at: datetime = field(*EVERYONE)
    items: list[OrderItem] = field(*EVERYONE)

    @computed(MOBILE, description="The sum of the items' quantities.")
    def item_count(self: orders.Order) -> int:
        """The sum of the items' quantities."""
        return sum(item.quantity for item in self.items)

    user: LazyUser | None = one(WEB, ADMIN, read=Users.by_id, key="user_id")
