"""An order and its items."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from bff.graph.loaded import Loaded
from bff.graph.tags import ADMIN, EVERYONE, MOBILE, WEB, computed, enum_for, on
from datasources import money, orders
from datasources.orders import OrderStatus
from schema.types.product import Product

if TYPE_CHECKING:
    from schema.types.user import User

enum_for(description="How far an order has come.")(OrderStatus)

LazyUser = Annotated["User", strawberry.lazy("schema.types.user")]


@strawberry.type(description="So many of one product, at the price it had.")
class OrderItem:
    """Resolved from `datasources.orders.OrderItem`."""

    product_id: strawberry.Private[int]
    quantity: int = on(*EVERYONE)
    unit_price: float = on(*EVERYONE)

    @computed(*EVERYONE, description="quantity by unitPrice, rounded half up to two decimals.")
    def line_total(self) -> float:
        """What the line costs."""
        return money.times(self.quantity, self.unit_price)

    @computed(*EVERYONE, type=Product | None, extensions=[Loaded("product")])
    def product(self) -> int:
        """The product's id."""
        return self.product_id


@strawberry.type(description="What a user has ordered at one time.")
class Order:
    """Resolved from `datasources.orders.Order`."""

    user_id: strawberry.Private[int]
    id: strawberry.ID = on(*EVERYONE)
    total: float = on(*EVERYONE)
    currency: str = on(*EVERYONE)
    status: OrderStatus = on(*EVERYONE)
    created_at: datetime = on(*EVERYONE)
    items: list[OrderItem] = on(*EVERYONE)

    @computed(MOBILE, description="The quantities of all items added up.")
    def item_count(self: orders.Order) -> int:
        """How many things are in the parcel."""
        return sum(item.quantity for item in self.items)

    @computed(WEB, ADMIN, type=LazyUser | None, extensions=[Loaded("user")])
    def user(self) -> int:
        """The user's id."""
        return self.user_id
